/**
 * The state of one partition as the fold sees it between two commits.
 *
 * Values are decoded once and written once per commit, however many records touch them. Nothing
 * reaches the store before `takeChanges`; `discard` forgets all since the last commit, which is how
 * a failed record leaves no trace.
 *
 * Timers are keys too (`timer/<due>/<who>/<what>`), ordered by time. The earliest ones are kept in
 * memory across commits, in pieces of `timerPageCount`, so that neither start-up nor a record reads
 * all of them.
 *
 * Of the families in `keptFamilies` the newest values stay decoded behind a commit: whoever does
 * something does the next thing soon, and would be read and decoded again for each. That is as if
 * the batch went on, so the state is the same; what is not committed must be discarded.
 */

import { assert } from '../lib/assert.ts'
import { compareKeys } from '../state/key-order.ts'
import type { Change, StateReader } from '../state/state-store.ts'

export const timerPrefix = 'timer/'
const timerPageCount = 512
/** Timers kept in memory, above which the later half and more are forgotten. */
const timerCountHigh = 4 * timerPageCount

export interface Codec<Value> {
  encode(value: Value): Uint8Array
  decode(bytes: Uint8Array): Value
}

/** Families with keys that come again soon. */
const keptFamilies = ['person/', 'trait/', 'message/'] as const
/** Entries kept behind a commit, and their stored bytes; decoded they take several times that. */
export const keptCountMax = 128
const keptBytesMax = 256 * 1024
/** They come in two generations of this share: no entry has to be moved when it is used. */
const generationShare = 0.5

interface Cached {
  bytes: Uint8Array | undefined
  value: unknown
  isDecoded: boolean
  /** Set when the value must be written; returns its bytes, or undefined to delete. */
  encode?: (() => Uint8Array | undefined) | undefined
  /** As counted in the generation that it was put into last. */
  keptBytes?: number
}

/**
 * Returns the key of a timer; keys order by due time, then by the rest. Fails for a time outside
 * 1970 to 10889. The person's key goes in as one character per byte, so that text order here is
 * byte order in every store.
 */
export function timerKey(dueMs: number, personKey: string, what: string): string {
  assert(
    Number.isInteger(dueMs) && dueMs >= 0 && dueMs < 2 ** 48,
    'a due time is whole ms in range',
  )
  const due = dueMs.toString(16).padStart(12, '0')
  return `${timerPrefix}${due}/${what}\0${Buffer.from(personKey).toString('latin1')}`
}

export interface TimerParts {
  readonly dueMs: number
  readonly personKey: string
  readonly what: string
}

/** Returns when a timer is due: asked far more often than whose it is. */
export function dueMsOf(key: string): number {
  return Number.parseInt(key.slice(timerPrefix.length, timerPrefix.length + 12), 16)
}

export function parseTimerKey(key: string): TimerParts {
  const separator = key.indexOf('\0')
  const whatAt = timerPrefix.length + 13
  return {
    dueMs: dueMsOf(key),
    what: key.slice(whatAt, separator),
    personKey: Buffer.from(key.slice(separator + 1), 'latin1').toString(),
  }
}

export class PartitionView {
  readonly partition: number
  readonly #state: StateReader
  readonly #cache = new Map<string, Cached>()
  /** As committed: those of the newest commits, and those of the generation before. */
  #kept = new Map<string, Cached>()
  #keptBefore = new Map<string, Cached>()
  #keptBytes = 0
  /** Earliest timers, in order; complete up to `#timersKnownTo`. */
  #timers: string[] | undefined
  /** Greatest timer key that was read from the store; undefined when all were. */
  #timersKnownTo: string | undefined
  #changeCount = 0

  constructor(state: StateReader, partition: number) {
    this.#state = state
    this.partition = partition
  }

  /**
   * Makes `keys` readable; there is nothing to wait for where all of them are here. These keep what
   * the fold did to them.
   */
  load(keys: readonly string[]): Promise<void> | undefined {
    const missing = keys.filter((key) => !this.#has(key))
    return missing.length === 0 ? undefined : this.#load(missing)
  }

  async #load(missing: readonly string[]): Promise<void> {
    const values = await this.#state.get(this.partition, missing)
    missing.forEach((key, index) => {
      this.#cache.set(key, { bytes: values[index], value: undefined, isDecoded: false })
    })
  }

  /** Takes a key for one that the store does not have, without a read. */
  loadAbsent(key: string): void {
    if (this.#has(key)) return
    this.#cache.set(key, { bytes: undefined, value: undefined, isDecoded: true })
  }

  hasLoaded(key: string): boolean {
    return this.#cache.has(key)
  }

  /** Returns the value of a loaded key. It may be changed in place if `write` is called for it. */
  read<Value>(key: string, codec: Codec<Value>): Value | undefined {
    const cached = this.#cache.get(key)
    assert(cached !== undefined, `the key of family ${key.slice(0, key.indexOf('/'))} is loaded`)
    if (!cached.isDecoded) {
      cached.value = cached.bytes === undefined ? undefined : codec.decode(cached.bytes)
      cached.isDecoded = true
    }
    // The codec of a family is one and the same everywhere, so the cached value has its type.
    return cached.value as Value | undefined
  }

  /** Returns the bytes of a loaded key as they would be committed now. */
  encoded(key: string): Uint8Array | undefined {
    const cached = this.#cache.get(key)
    assert(cached !== undefined, `the key of family ${key.slice(0, key.indexOf('/'))} is loaded`)
    return cached.encode === undefined ? cached.bytes : cached.encode()
  }

  write<Value>(key: string, value: Value, codec: Codec<Value>): void {
    const known = this.#cache.get(key)
    // Written in place: what encodes it is there.
    if (known?.encode !== undefined && known.value === value) return
    const cached = known ?? { bytes: undefined, value, isDecoded: true }
    cached.value = value
    cached.isDecoded = true
    if (cached.encode === undefined) this.#changeCount++
    cached.encode = () => codec.encode(value)
    this.#cache.set(key, cached)
  }

  remove(key: string): void {
    this.#set(key, undefined, () => undefined)
  }

  #set(key: string, value: unknown, encode: () => Uint8Array | undefined): void {
    if (this.#cache.get(key)?.encode === undefined) this.#changeCount++
    this.#cache.set(key, { bytes: undefined, value, isDecoded: true, encode })
  }

  /**
   * Returns keys of a family as the store and the fold together have them. For small families only.
   */
  async list(prefix: string, countMax: number): Promise<readonly string[]> {
    const stored = await this.#state.scan(this.partition, prefix, '', countMax)
    const keys = new Set(stored.map((entry) => entry.key))
    for (const [key, cached] of this.#cache) {
      if (!key.startsWith(prefix) || cached.encode === undefined) continue
      if (cached.value === undefined) keys.delete(key)
      else keys.add(key)
    }
    return [...keys].sort()
  }

  /**
   * Makes the next keys of a family readable, from behind `after` on, and returns them in order:
   * exactly `countMax` where there are so many, whatever is committed yet.
   */
  async listAfter(prefix: string, after: string, countMax: number): Promise<readonly string[]> {
    const found: string[] = []
    for (let from = after; ; ) {
      const page = await this.#state.scan(this.partition, prefix, from, countMax)
      const end = page.length < countMax ? undefined : page.at(-1)?.key
      const keys = new Set<string>()
      for (const { key, value: bytes } of page) {
        if (!this.#has(key)) this.#cache.set(key, { bytes, value: undefined, isDecoded: false })
        if (this.#isKept(key)) keys.add(key)
      }
      for (const [key, { encode, value }] of this.#cache) {
        if (!key.startsWith(prefix) || encode === undefined || value === undefined) continue
        const isBefore = compareKeys(key, from) <= 0
        if (!isBefore && (end === undefined || compareKeys(key, end) <= 0)) keys.add(key)
      }
      found.push(...[...keys].sort(compareKeys))
      if (end === undefined || found.length >= countMax) return found.slice(0, countMax)
      from = end
    }
  }

  /** Returns the earliest timer, or undefined where there is none. */
  async firstTimer(): Promise<string | undefined> {
    if (!this.knowsFirstTimer()) await this.#readTimers(this.#timersKnownTo ?? '')
    return this.#timers?.[0]
  }

  /** Tells whether the earliest timer is in memory. */
  knowsFirstTimer(): boolean {
    const { length = 0 } = this.#timers ?? {}
    return this.#timers !== undefined && (length > 0 || this.#timersKnownTo === undefined)
  }

  /** Returns the earliest timer that is in memory. */
  earliestTimer(): string | undefined {
    return this.#timers?.[0]
  }

  /** Returns timers that are due, as far as they are in memory, from the earliest on. */
  timersUntil(dueMs: number, countMax: number): readonly TimerParts[] {
    const due: TimerParts[] = []
    for (const key of this.#timers ?? []) {
      if (dueMsOf(key) > dueMs || due.length === countMax) break
      due.push(parseTimerKey(key))
    }
    return due
  }

  addTimer(key: string): void {
    this.#set(key, 1, () => emptyValue)
    const isWithin = this.#timersKnownTo === undefined || key <= this.#timersKnownTo
    if (this.#timers === undefined || !isWithin) return
    const at = placeOf(this.#timers, key)
    if (this.#timers[at] !== key) this.#timers.splice(at, 0, key)
    if (this.#timers.length <= timerCountHigh) return
    // The later ones are read again when it is their turn: memory stays bounded.
    this.#timers.length = timerPageCount
    this.#timersKnownTo = this.#timers.at(-1)
  }

  removeTimer(key: string): void {
    this.remove(key)
    if (this.#timers === undefined) return
    const at = placeOf(this.#timers, key)
    if (this.#timers[at] === key) this.#timers.splice(at, 1)
  }

  /** Keys that the next commit writes or deletes. */
  get changeCount(): number {
    return this.#changeCount
  }

  /** Returns all changes since the last call, and forgets most of what was read. */
  takeChanges(): Change[] {
    const changes: Change[] = []
    for (const [key, cached] of this.#cache) {
      if (cached.encode !== undefined) {
        cached.bytes = cached.encode()
        cached.encode = undefined
        changes.push({ key, value: cached.bytes })
      }
      if (keptFamilies.some((family) => key.startsWith(family))) this.#keep(key, cached)
    }
    this.#cache.clear()
    this.#changeCount = 0
    return changes
  }

  /** Tells whether a key is readable; one that was kept is from now on. */
  #has(key: string): boolean {
    if (this.#cache.has(key)) return true
    const kept = this.#kept.get(key) ?? this.#keptBefore.get(key)
    if (kept === undefined) return false
    this.#cache.set(key, kept)
    return true
  }

  #keep(key: string, cached: Cached): void {
    const before = this.#kept.get(key)
    const bytes = cached.bytes?.length ?? 0
    this.#keptBytes += bytes - (before?.keptBytes ?? 0)
    cached.keptBytes = bytes
    if (before !== cached) this.#kept.set(key, cached)
    const isFull = this.#kept.size >= keptCountMax * generationShare
    if (!isFull && this.#keptBytes < keptBytesMax * generationShare) return
    this.#keptBefore = this.#kept
    this.#kept = new Map()
    this.#keptBytes = 0
  }

  /** Returns the family of a changed key whose change is such; encodes all of them. */
  findKey(isSuch: (change: Change) => boolean): string | undefined {
    for (const change of this.#changes()) {
      if (isSuch(change)) return change.key.slice(0, change.key.indexOf('/'))
    }
    return undefined
  }

  *#changes(): Generator<Change> {
    for (const [key, cached] of this.#cache) {
      if (cached.encode !== undefined) yield { key, value: cached.encode() }
    }
  }

  discard(): void {
    this.#cache.clear()
    this.#kept.clear()
    this.#keptBefore.clear()
    this.#keptBytes = 0
    this.#changeCount = 0
    this.#timers = undefined
    this.#timersKnownTo = undefined
  }

  async #readTimers(after: string): Promise<void> {
    const page = await this.#state.scan(this.partition, timerPrefix, after, timerPageCount)
    const isAll = page.length < timerPageCount
    this.#timersKnownTo = isAll ? undefined : page.at(-1)?.key
    const timers = page.map((entry) => entry.key).filter((key) => this.#isKept(key))
    // Timers set since the last commit lie only in the cache.
    for (const [key, cached] of this.#cache) {
      if (!key.startsWith(timerPrefix) || cached.value === undefined || key <= after) continue
      if (this.#timersKnownTo === undefined || key <= this.#timersKnownTo) timers.push(key)
    }
    this.#timers = [...new Set(timers)].sort()
    if (this.#timers.length === 0 && this.#timersKnownTo !== undefined) {
      await this.#readTimers(this.#timersKnownTo)
    }
  }

  #isKept(key: string): boolean {
    const cached = this.#cache.get(key)
    return cached?.encode === undefined || cached.value !== undefined
  }
}

const emptyValue = new Uint8Array(0)

/** Returns where `key` is, or would be. */
function placeOf(sorted: readonly string[], key: string): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((sorted[middle] as string) < key) low = middle + 1
    else high = middle
  }
  return low
}
