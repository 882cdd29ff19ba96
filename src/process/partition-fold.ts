/**
 * One partition on its way through the log: what is folded, what waits to be committed.
 *
 * Used by the owner and by a rebuild alike; it reads the state and never writes it, appends
 * nothing, sends nothing.
 *
 * A record that cannot be folded leaves no trace: everything since the last commit is forgotten,
 * and the records before it are folded again. Then either the log holds a `skip` record that names
 * it, and it is passed over (a replay finds the same one), or the partition is stopped until there
 * is one.
 */

import { assert } from '../lib/assert.ts'
import { isRetryable, OperatingError } from '../lib/errors.ts'
import type { EventLog } from '../log/event-log.ts'
import type { LogRecord } from '../log/record.ts'
import { computedKey, nothingComputed } from '../profile/computed/computed-trait.ts'
import {
  type Change,
  commitCountMax,
  type Head,
  type PartitionCommit,
  type StateReader,
  valueBytesMax,
} from '../state/state-store.ts'
import { type ExtraTraits, planComputed } from './computed-stage.ts'
import { noDefinitions } from './definitions.ts'
import { createFillState, fillKey } from './fill-state.ts'
import { type FoldSources, foldRecord, foldTimers, readLists } from './fold.ts'
import { checkRules, foldRulesVersion } from './fold-rules.ts'
import { type FoldTurns, TurnReader } from './fold-turns.ts'
import { keysToLoad, moreKeysToLoad } from './keys-to-load.ts'
import { createMeta, metaKey } from './meta.ts'
import { OwnerWord } from './owner-word.ts'
import { PartitionView } from './partition-view.ts'
import { computedCodec, type Effect, type FoldScope, fillCodec, metaCodec } from './scope.ts'

/** Timers fired between two looks at the clock and the size of the commit. */
const timerCountMax = 200
/**
 * Changes after which a batch is committed: a record adds few, an owner record up to its open
 * grants.
 */
const changeCountHigh = commitCountMax / 4
const timerLimits = { timerCountMax, changeCountMax: changeCountHigh } as const
const skipScanCount = 1000
/** Records whose keys are read in one call of the store; a pause comes after them. */
export const loadCount = 64

export interface FoldDeps extends FoldSources {
  readonly log: EventLog
  readonly state: StateReader
  /** Where several partitions are folded side by side. */
  readonly turns?: FoldTurns | undefined
}

export interface FoldOptions {
  readonly workspace: string
  readonly partitionCount: number
  readonly partition: number
  /** Only in tests: as a program with other rules would call them. */
  readonly rulesVersion?: number
  /** Counted beside the definitions in force, by a fold that reads the past again. */
  readonly extraTraits?: ExtraTraits
}

interface Refused {
  readonly offset: number
  readonly cause: unknown
}

export interface Stopped extends Refused {
  /** How far the log was searched for a `skip` of it. */
  scannedTo: number
}

export class PartitionFold {
  readonly partition: number
  /**
   * The record that cannot be folded and that nothing skips; the partition stands still before it.
   */
  stopped: Stopped | undefined
  readonly #deps: FoldDeps
  readonly #options: FoldOptions
  readonly #turn: TurnReader | undefined
  readonly #view: PartitionView
  readonly #word: OwnerWord
  #scope: FoldScope | undefined
  #head: Head | undefined
  /** Offset of the last record folded; at most the pieces of timers lie ahead of it. */
  #cursor = 0
  #lastRecordId = ''
  #skips = new Set<number>()
  /** The record that could not be folded, until all before it is folded again. */
  #refused: Refused | undefined
  /** Set when all since the last commit was forgotten; the next call reads the state anew. */
  #isTorn = false
  /** Set where a batch made a value too large: sizes are looked at after each record. */
  #isCareful = false

  constructor(deps: FoldDeps, options: FoldOptions) {
    this.#deps = deps
    this.#options = options
    this.partition = options.partition
    this.#turn = deps.turns && new TurnReader(deps.turns, deps.state)
    this.#view = new PartitionView(this.#turn ?? deps.state, options.partition)
    this.#word = new OwnerWord(deps.log, options.partition)
  }

  /** Reads where the state stands. Rejects with RULES_DIFFER where other rules made it. */
  async open(head: Head): Promise<void> {
    this.#head = head
    this.#cursor = head.offset
    this.#lastRecordId = head.lastRecordId
    this.#view.discard()
    this.#word.reset()
    this.#isTorn = true
    await this.#view.load([metaKey, computedKey, fillKey])
    const { workspace, partitionCount, extraTraits } = this.#options
    const { rulesVersion = foldRulesVersion } = this.#options
    const meta = this.#view.read(metaKey, metaCodec) ?? createMeta(rulesVersion)
    checkRules(meta, rulesVersion, `open partition ${this.partition} at offset ${head.offset}`)
    const hash = meta.definitionsHash
    const definitions = hash === '' ? noDefinitions() : await this.#deps.definitionsOf(hash)
    const inForce = this.#view.read(computedKey, computedCodec) ?? nothingComputed
    this.#scope = {
      workspace,
      partitionCount,
      view: this.#view,
      meta,
      definitions,
      computed: { inForce, plan: planComputed(definitions, inForce, extraTraits) },
      fills: this.#view.read(fillKey, fillCodec) ?? createFillState(),
      extraTraits,
      lists: await readLists(definitions.plan.lists, meta.lists, this.#deps),
      offset: head.offset,
      nowMs: meta.foldMs,
      effects: [],
      noted: new Map(),
    }
    this.#isTorn = false
  }

  get scope(): FoldScope {
    assert(this.#scope !== undefined, 'the partition is open')
    return this.#scope
  }

  get cursor(): number {
    return this.#cursor
  }

  get committedOffset(): number {
    return this.#head?.offset ?? 0
  }

  /** True where the next record waits for the owner's word on time: only a tick lets it go on. */
  get isAwaitingWord(): boolean {
    return this.#word.awaitedBehind !== undefined
  }

  /** Offset behind which there is something to fold. */
  get awaits(): number {
    return this.#word.awaitedBehind ?? this.#cursor
  }

  /** Reads where needed; then `earliestTimer` answers. */
  async firstTimer(): Promise<string | undefined> {
    return await this.#view.firstTimer()
  }

  knowsFirstTimer(): boolean {
    return this.#view.knowsFirstTimer()
  }

  /** Returns the earliest timer as far as it is known, or undefined where there is none. */
  earliestTimer(): string | undefined {
    return this.#view.earliestTimer()
  }

  /**
   * Folds records in order until `shouldPause`, which is asked after each `loadCount`, or until the
   * commit is large enough, or one awaits the owner's word. Answers how many were folded. Where one
   * fails, nothing since the last commit is: read from the cursor again.
   */
  async fold(records: readonly LogRecord[], shouldPause: () => boolean): Promise<number> {
    if (this.stopped !== undefined) return 0
    if (this.#isTorn) {
      await this.open(this.#opened)
      return 0
    }
    for (let from = 0; from < records.length; from += loadCount) {
      // What is loaded is folded before a pause: it would be read again after it.
      if (from > 0 && shouldPause()) return from
      const step = records.slice(from, from + loadCount)
      await this.#view.load(step.flatMap(keysToLoad))
      await this.#view.load(step.flatMap((record) => moreKeysToLoad(this.scope, record)))
      const foldLoaded = (): Promise<number | undefined> => this.#foldLoaded(step, from, records)
      const ended = await (this.#turn === undefined ? foldLoaded() : this.#turn.run(foldLoaded))
      if (ended !== undefined) return ended
    }
    return records.length
  }

  /** Folds what is loaded; where it does not come to the end of that, answers as `fold` does. */
  async #foldLoaded(
    step: readonly LogRecord[],
    from: number,
    page: readonly LogRecord[],
  ): Promise<number | undefined> {
    for (const [index, record] of step.entries()) {
      const done = from + index
      const isFull = this.#view.changeCount >= changeCountHigh
      if (done > 0 && isFull) return done
      if (record.offset === this.#refused?.offset && !(await this.#stopBefore(this.#refused))) {
        return done
      }
      try {
        if (!(await this.#foldOne(record, page))) return done
      } catch (error) {
        const isAlone = this.#cursor === this.committedOffset
        this.#forget()
        if (isRetryable(error)) throw error
        this.#refused = { offset: record.offset, cause: error }
        // Where nothing was folded before it, nothing has to be folded again.
        if (isAlone) await this.#stopBefore(this.#refused)
        return 0
      }
    }
    return undefined
  }

  hasChanges(): boolean {
    return this.#view.changeCount > 0 || this.#cursor > this.committedOffset
  }

  /**
   * Returns what to commit, and what to publish once it is. Nothing more may be folded before
   * `committed`.
   */
  takeCommit(
    owner: { readonly epoch: number; readonly nonce: string },
    incarnation: string,
  ): { readonly commit: PartitionCommit; readonly effects: readonly Effect[] } {
    const changes = this.#view.takeChanges()
    if (changes.some(isTooLarge)) {
      // Nothing of the batch is committed; folded again, the record that is to blame is found.
      this.#forget()
      this.#isCareful = true
      changes.length = 0
    }
    const { effects } = this.scope
    this.scope.effects = []
    const commit: PartitionCommit = {
      partition: this.partition,
      epoch: owner.epoch,
      nonce: owner.nonce,
      previousOffset: this.committedOffset,
      offset: this.#cursor,
      lastRecordId: this.#lastRecordId,
      incarnation,
      changes,
    }
    return { commit, effects }
  }

  committed(commit: PartitionCommit): void {
    const { epoch, nonce, offset, lastRecordId, incarnation } = commit
    this.#head = { epoch, nonce, offset, lastRecordId, incarnation }
  }

  /**
   * Answers false where timers are left, or the owner's word has not come: commit what there is,
   * then fold the same record again.
   */
  async #foldOne(record: LogRecord, page: readonly LogRecord[]): Promise<boolean> {
    assert(record.offset > this.#cursor, 'records come in the order of their offsets')
    const word = this.#word.find(this.scope.meta, record, page)
    const wordMs = word instanceof Promise ? await word : word
    if (wordMs === undefined) return false
    const timers = foldTimers(this.scope, record, wordMs, timerLimits)
    if (!(timers instanceof Promise ? await timers : timers)) return false
    if (this.#skips.has(record.offset)) {
      this.scope.meta.counts.skipped++
      this.#view.write(metaKey, this.scope.meta, metaCodec)
    } else {
      await foldRecord(this.scope, record, this.#deps)
    }
    const tooLarge = this.#isCareful ? this.#view.findKey(isTooLarge) : undefined
    assert(tooLarge === undefined, `a value of ${tooLarge} holds at most valueBytesMax`)
    this.#cursor = record.offset
    this.#lastRecordId = Buffer.from(record.id).toString('hex')
    return true
  }

  get #opened(): Head {
    assert(this.#head !== undefined, 'the partition is open')
    return this.#head
  }

  /** Forgets all since the last commit, part of a record among it. */
  #forget(): void {
    const head = this.#opened
    this.#cursor = head.offset
    this.#lastRecordId = head.lastRecordId
    this.#view.discard()
    this.scope.effects = []
    this.#isTorn = true
  }

  /** All before the refused record is folded again. Answers true where a `skip` names it. */
  async #stopBefore({ offset, cause }: Refused): Promise<boolean> {
    this.stopped = { offset, cause, scannedTo: offset }
    this.#refused = undefined
    this.#isCareful = false
    return await this.resume()
  }

  /**
   * Looks whether a `skip` record for the record in the way has come; then the partition goes on.
   */
  async resume(): Promise<boolean> {
    const { stopped } = this
    if (stopped === undefined) return true
    for (;;) {
      const page = await this.#deps.log.read(this.partition, stopped.scannedTo, skipScanCount)
      if (page.some((record) => isSkipOf(record, stopped.offset))) break
      const last = page.at(-1)
      if (last === undefined) return false
      stopped.scannedTo = last.offset
    }
    this.#skips.add(stopped.offset)
    this.stopped = undefined
    return true
  }
}

function isTooLarge({ value }: Change): boolean {
  return (value?.length ?? 0) > valueBytesMax
}

export interface SkipSkeleton {
  readonly offset: number
  readonly reason: string
}

function isSkipOf(record: LogRecord, offset: number): boolean {
  return record.kind === 'skip' && (record.skeleton as SkipSkeleton).offset === offset
}

/** Checks that a state was made from this log; a mismatch must never be folded on. */
export async function checkBelongs(log: EventLog, partition: number, head: Head): Promise<void> {
  if (head.offset === 0) return
  const where = `open partition ${partition} at offset ${head.offset}`
  if (head.incarnation !== log.identity.incarnation) {
    throw new OperatingError('LOG_MISMATCH', `${where}: the state is of another log`)
  }
  const [record] = await log.read(partition, head.offset - 1, 1)
  const id = record?.offset === head.offset ? Buffer.from(record.id).toString('hex') : undefined
  if (id !== head.lastRecordId) {
    throw new OperatingError('LOG_MISMATCH', `${where}: the log has another record there`)
  }
}
