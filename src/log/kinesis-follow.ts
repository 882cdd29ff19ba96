/**
 * What was fetched of one partition, behind one offset, until its readers have taken it; or, for
 * who wants the end alone, only the count.
 */

import type { OperatingError } from '../lib/errors.ts'
import { countThrough } from './count-through.ts'
import type { PartitionCount } from './kinesis-count.ts'
import { decodeRecord, type LogRecord } from './record.ts'

const readBytesKept = 64 * 1024
/** What an entry costs besides its bytes. */
const entryBytes = 64
/** One that was read so recently is taken for being read. */
const activeMs = 2_000

interface Entry {
  readonly offset: number
  readonly value: Buffer
}

export class KinesisFollow {
  readonly partition: number
  /** Keeps no records. */
  readonly isCountOnly: boolean
  /** Everything between `base` and `next` is here. */
  base: number
  /** Set once it is known where the count begins. */
  count: PartitionCount | undefined
  /** Set where it cannot go on; nobody uses it any more then. */
  fault: OperatingError | undefined
  /** Left behind by its shard's loop, since nobody read it. */
  isLeftBehind = false
  /** Monotonic time at which a request began that found nothing more behind the count. */
  tipMs = Number.NEGATIVE_INFINITY
  usedAtMs: number
  /** Bytes that nobody has read yet. */
  unreadBytes = 0
  /** Those who wait for news, or for the end. */
  interestCount = 0
  #readBytes = 0
  #readThrough: number
  #entries: Entry[] = []
  /** Entries before it were dropped. */
  #head = 0
  readonly #arrivals = new Set<() => void>()

  constructor(
    partition: number,
    after: number,
    given: { readonly nowMs: number; readonly isCountOnly: boolean },
  ) {
    this.partition = partition
    this.base = after
    this.isCountOnly = given.isCountOnly
    this.usedAtMs = given.nowMs
    this.#readThrough = after
  }

  /** Offset of the last record that is here or was. */
  get next(): number {
    return Math.max(this.base, this.count?.offset ?? 0)
  }

  /** Tells whether it has reached its base, and knows what is behind it or that nothing is. */
  get isSettled(): boolean {
    if (this.count === undefined) return false
    return this.count.offset > this.base || this.tipMs > Number.NEGATIVE_INFINITY
  }

  isActive(nowMs: number): boolean {
    return nowMs - this.usedAtMs < activeMs
  }

  /** Tells whether its shard must be polled for it now. */
  isWanted(nowMs: number): boolean {
    return this.interestCount > 0 || !this.isSettled || this.isActive(nowMs)
  }

  has(after: number): boolean {
    return !this.isCountOnly && after >= this.base && after <= this.next
  }

  add(offset: number, value: Buffer): void {
    if (this.isCountOnly || offset <= this.base) return
    this.#entries.push({ offset, value })
    this.unreadBytes += value.length + entryBytes
  }

  /** Returns the records behind `after`, which must be within what is here. */
  take(after: number, countMax: number): readonly LogRecord[] {
    const from = this.#indexBehind(after)
    const taken = this.#entries.slice(from, from + countMax)
    const through = taken.at(-1)?.offset
    if (through !== undefined && through > this.#readThrough) this.#markRead(through)
    return taken.map(({ offset, value }) => decodeRecord(this.partition, offset, value))
  }

  /** Resolves at the next answer, or after what `giveUp` waits for. */
  async arrival(giveUp: Promise<void>): Promise<void> {
    const arrived = Promise.withResolvers<void>()
    this.#arrivals.add(arrived.resolve)
    await Promise.race([arrived.promise, giveUp])
    this.#arrivals.delete(arrived.resolve)
  }

  /** Wakes whoever waits for an arrival. */
  wake(): void {
    for (const resolve of this.#arrivals) resolve()
    this.#arrivals.clear()
  }

  #indexBehind(after: number): number {
    return countThrough(this.#entries, after, this.#head)
  }

  #markRead(through: number): void {
    const from = this.#indexBehind(this.#readThrough)
    const to = this.#indexBehind(through)
    for (let index = from; index < to; index++) {
      const bytes = (this.#entries[index]?.value.length ?? 0) + entryBytes
      this.unreadBytes -= bytes
      this.#readBytes += bytes
    }
    this.#readThrough = through
    this.#drop(to)
  }

  #drop(readEnd: number): void {
    while (this.#readBytes > readBytesKept && this.#head < readEnd) {
      const entry = this.#entries[this.#head]
      this.#readBytes -= (entry?.value.length ?? 0) + entryBytes
      this.base = entry?.offset ?? this.base
      this.#head++
    }
    if (this.#head > 512 && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head)
      this.#head = 0
    }
  }
}
