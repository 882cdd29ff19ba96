/**
 * The stream processor: owns partitions, and folds each into its state.
 *
 * Guarantee: effectively once. State, offset and outbox are one commit, so a crash before it
 * replays the batch from the old state, and a crash after it resumes behind the batch.
 *
 * Order of effects: acquire the store, append `owner`; then read, fold, commit, publish, forward,
 * and delete what was forwarded with a later commit. Publishing or forwarding before the commit
 * would tell the world what may be undone. Before a partition is given up, delivery ends for it,
 * while the fold goes on and answers its claims; then the last commit is made.
 *
 * A store elsewhere that does not answer is waited for: nothing is lost, the same work is done
 * later. A partition that cannot fold a record stands still, loudly; the others go on.
 */

import type { Clock } from '../lib/clock.ts'
import { isRetryable, OperatingError } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'
import type { Random } from '../lib/random.ts'
import type { EventLog } from '../log/event-log.ts'
import type { NewRecord } from '../log/record.ts'
import type { PartitionCommit, StateStore } from '../state/state-store.ts'
import { Assignment } from './assignment.ts'
import { confirmFreshness } from './confirm-freshness.ts'
import { appendContinue } from './continuer.ts'
import type { OpenFillBase } from './fill-start.ts'
import { Filler } from './filler.ts'
import type { FoldSources } from './fold.ts'
import { FoldTurns } from './fold-turns.ts'
import { Forwarder } from './forwarder.ts'
import type { Freshness } from './freshness.ts'
import { NotOwned } from './not-owned.ts'
import { type Owned, Ownership } from './ownership.ts'
import { loadCount, type PartitionFold } from './partition-fold.ts'
import type { ProcessorOptions } from './processor-options.ts'
import { type Effect, outboxPrefix } from './scope.ts'
import { tellStanding } from './tell-stopped.ts'
import { appendTicks } from './ticker.ts'
import { waitForWork } from './wait-for-work.ts'
import { createWaitingCommit, type WaitingCommit } from './waiting-commit.ts'

export interface ProcessorDeps extends FoldSources {
  readonly log: EventLog
  readonly state: StateStore
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly freshness: Freshness
  /** Opens an empty state that nobody else sees: see filler.ts. */
  openScratch(): StateStore
  /** Opens a state at which a trimmed log begins: see fill-start.ts. */
  readonly openFillBase?: OpenFillBase
  /** Gives other work of this thread its turn, between two rounds. */
  nextTurn?(): Promise<void>
  /** Lets what a partition has written leave, before the next one side by side is folded. */
  handOver?(): Promise<void>
  /** Told what a commit made true, after it. */
  publish(published: Published): void
  /** Ends what goes on for a partition that will be given up; the fold goes on meanwhile. */
  drain(partition: number): Promise<void>
  /** Told that another owner has the partition, or that it cannot be owned. */
  lost(partition: number): void
  /** Told when a partition stops before a record, and (without one) when it goes on. */
  reportStopped(
    partition: number,
    stopped?: { readonly offset: number; readonly says: string },
  ): void
}

export interface Published {
  readonly partition: number
  readonly offset: number
  readonly effects: readonly Effect[]
  /** Present where the commit made this processor the owner in force. */
  readonly ownedEpoch?: number
}

/** How long to wait before what a full disk or an absent store refused is tried again. */
const retryMs = 1000
/** A turn's share for what is filled beside the fold, while there is more to fold and when not. */
const fillMsBusy = 5
const fillMsIdle = 20
/** Looks for the release of a former owner. */
const takeLookMs = 30

/** Runs until `signal` aborts; resolves after the work in hand is committed and forwarded. */
export async function runProcessor(
  deps: ProcessorDeps,
  options: ProcessorOptions,
  signal: AbortSignal,
): Promise<void> {
  const leaving = new AbortController()
  const assignment = new Assignment(deps.log.assign(leaving.signal))
  const processor = new Processor(deps, options, assignment)
  try {
    await assignment.first(signal)
    while (!signal.aborted) {
      try {
        await processor.turn(signal)
      } catch (error) {
        if (!isRetryable(error)) throw error
        const cause = String(error)
        deps.logger.warn({ error: cause }, 'log or state cannot be reached; trying again in 1 s')
        await deps.clock.sleep(retryMs, signal)
      }
    }
    await processor.finish()
  } finally {
    leaving.abort()
    await assignment.ended
  }
}

class Processor {
  readonly #deps: ProcessorDeps
  readonly #options: ProcessorOptions
  readonly #assignment: Assignment
  readonly #ownership: Ownership
  readonly #notOwned: NotOwned
  readonly #forwarder: Forwarder
  readonly #commitWaiting: WaitingCommit
  readonly #filler: Filler
  #owned: Owned[] = []
  #next = 0

  constructor(deps: ProcessorDeps, options: ProcessorOptions, assignment: Assignment) {
    this.#deps = deps
    this.#options = options
    this.#assignment = assignment
    const handOver = (): Promise<void> => deps.handOver?.() ?? Promise.resolve()
    const turns = options.sideBySideCount > 1 ? new FoldTurns(handOver) : undefined
    this.#ownership = new Ownership({ ...deps, turns }, options)
    this.#notOwned = new NotOwned(deps)
    this.#forwarder = new Forwarder(deps.log)
    this.#commitWaiting = createWaitingCommit(deps, retryMs)
    this.#filler = new Filler(deps, options.workspace)
  }

  async turn(signal: AbortSignal): Promise<void> {
    await this.#takeAndGiveUp()
    const isFolding = await this.#round()
    if (this.#forwarder.hasWaiting()) await this.#forwarder.run()
    const pendingCount = (partition: number): number => this.#forwarder.pendingCount(partition)
    const isBusy = isFolding && this.#owned.some(({ fold }) => this.#hasMore(fold))
    await confirmFreshness(this.#deps, this.#owned, { pendingCount, isBusy })
    const isFilling = await this.#filler.step(this.#owned, isBusy ? fillMsBusy : fillMsIdle)
    if (isFolding || isFilling) await this.#deps.nextTurn?.()
    const hasMore = this.#owned.some(({ fold }) => this.#hasMore(fold))
    await this.#continue(hasMore)
    if (isFolding && hasMore) await this.#tick()
    else await this.#idle(signal, isFilling)
  }

  /** Folds what is left, and gives all up. What cannot be reached is left to the next owner. */
  async finish(): Promise<void> {
    try {
      await this.#round()
      await this.#forwarder.run()
      for (const owned of [...this.#owned]) await this.#giveUp(owned)
    } catch (error) {
      if (!isRetryable(error)) throw error
      this.#deps.logger.warn({ error: String(error) }, 'stopped without a last commit')
    }
  }

  async #takeAndGiveUp(): Promise<void> {
    const { clock } = this.#deps
    const { sideBySideCount } = this.#options
    this.#notOwned.endUnwanted(this.#assignment)
    const toTake = this.#assignment.toTake(this.#owned, clock.monotonicMs())
    for (let at = 0; at < toTake.length; at += sideBySideCount) {
      const some = toTake.slice(at, at + sideBySideCount)
      const taking = await Promise.allSettled(some.map((partition) => this.#take(partition)))
      for (const each of taking) if (each.status === 'rejected') throw each.reason
    }
    for (const owned of await this.#ownership.findMoved(this.#owned)) {
      await this.#refused(owned, `keep partition ${owned.fold.partition}`)
    }
    for (const owned of [...this.#owned]) {
      const { partition } = owned.fold
      if (!owned.isAnnounced) await this.#announceAgain(owned)
      if (owned.isDrained === true) {
        if (await this.#ownership.mayRelease(owned)) await this.#giveUp(owned)
      } else if (owned.isDrained === undefined && !this.#assignment.isWanted(partition)) {
        owned.isDrained = false
        void this.#deps.drain(partition).finally(() => {
          owned.isDrained = true
        })
      }
    }
  }

  async #take(partition: number): Promise<void> {
    try {
      const owned = await this.#ownership.take(partition)
      if (owned === undefined) return
      await this.#forwarder.open(this.#deps.state, partition)
      this.#owned.push(owned)
      this.#notOwned.end(partition)
    } catch (error) {
      this.#forwarder.drop(partition)
      this.#refuseOrThrow(partition, error)
    }
  }

  /** Alone, what cannot be owned ends the process; beside others it is looked at later. */
  #refuseOrThrow(partition: number, error: unknown): void {
    const { handOverMsMax } = this.#options
    if (handOverMsMax === 0 || !(error instanceof OperatingError) || error.retryable) throw error
    this.#notOwned.tell(error, this.#assignment.placeOf(partition))
    this.#assignment.putOff(partition, this.#deps.clock.monotonicMs())
  }

  async #giveUp(owned: Owned): Promise<void> {
    const { partition } = owned.fold
    if (owned.fold.hasChanges()) await this.#commit([owned])
    await this.#forwarder.run()
    if (this.#forwarder.hasForwarded(partition)) await this.#commit([owned])
    if (!this.#owned.includes(owned)) return
    await this.#ownership.release(owned)
    this.#drop(owned)
  }

  #drop(owned: Owned): void {
    const { partition } = owned.fold
    this.#owned = this.#owned.filter((each) => each !== owned)
    this.#next = 0
    this.#forwarder.drop(partition)
    this.#deps.lost(partition)
    if (owned.isStopKnown) this.#deps.reportStopped(partition)
  }

  /** Folds and commits, for at most `batchMsMax`. Answers whether anything was done. */
  async #round(): Promise<boolean> {
    const deadlineMs = this.#deps.clock.monotonicMs() + this.#options.batchMsMax
    const shouldPause = (): boolean => this.#deps.clock.monotonicMs() >= deadlineMs
    const inTurn = [...this.#owned.slice(this.#next), ...this.#owned.slice(0, this.#next)]
    let isBusy = false
    for (let turn = 0; turn < inTurn.length && !(turn > 0 && shouldPause()); ) {
      const some = inTurn.slice(turn, turn + this.#options.sideBySideCount)
      turn += some.length
      this.#next = (this.#next + some.length) % inTurn.length
      if (!some.some(({ fold }) => this.#hasMore(fold))) continue
      // All have ended before one's failure is looked at: a fold is never run twice at a time.
      const folded = await Promise.allSettled(
        some.map((owned) => this.#foldAndCommit(owned, shouldPause)),
      )
      for (const each of folded) {
        if (each.status === 'rejected') throw each.reason
        isBusy = each.value || isBusy
      }
    }
    if (isBusy) await this.#commit(this.#owned.filter(({ fold }) => fold.hasChanges()))
    // Where the first record after a commit breaks the fold there is nothing to commit.
    for (const owned of this.#owned) if (!owned.fold.hasChanges()) tellStanding(this.#deps, owned)
    return isBusy
  }

  /** Where a commit is a round trip, it is on its way while the other partitions are folded. */
  async #foldAndCommit(owned: Owned, shouldPause: () => boolean): Promise<boolean> {
    const isBusy = await this.#foldPartition(owned, shouldPause)
    const isAlone = this.#options.sideBySideCount === 1
    if (isBusy && !isAlone && owned.fold.hasChanges()) await this.#commit([owned])
    return isBusy
  }

  /** Reads and folds in small steps until the end of the log, the batch's size, or the pause. */
  async #foldPartition({ fold }: Owned, shouldPause: () => boolean): Promise<boolean> {
    const { batchCountMax } = this.#options
    if (!this.#hasMore(fold)) return false
    if (fold.stopped !== undefined && !(await fold.resume())) return false
    let count = 0
    while (count < batchCountMax && this.#hasMore(fold) && !(count > 0 && shouldPause())) {
      const countMax = Math.min(loadCount, batchCountMax - count)
      const records = await this.#read(fold, countMax)
      if (records.length === 0) break
      const folded = await fold.fold(records, shouldPause)
      count += folded
      if (folded < records.length) return count > 0 || !fold.isAwaitingWord
    }
    return count > 0
  }

  #hasMore({ partition, awaits }: PartitionFold): boolean {
    return this.#deps.log.hasMore(partition, awaits)
  }

  async #read(fold: PartitionFold, countMax: number): ReturnType<EventLog['read']> {
    try {
      return await this.#deps.log.read(fold.partition, fold.cursor, countMax)
    } catch (error) {
      this.#refuseOrThrow(fold.partition, error)
      const owned = this.#owned.find((each) => each.fold === fold)
      if (owned !== undefined) this.#drop(owned)
      return []
    }
  }

  /** Nothing to fold: lets due timers fire, deletes what was forwarded, then waits. */
  async #idle(signal: AbortSignal, isFilling: boolean): Promise<void> {
    const { clock } = this.#deps
    const forwarded = this.#owned.filter(({ fold }) => this.#forwarder.hasForwarded(fold.partition))
    if (forwarded.length > 0) await this.#commit(forwarded)
    const dueMs = await this.#tick()
    const isSettled = this.#assignment.isSettled(this.#owned, clock.monotonicMs())
    const idleMs = isSettled ? this.#options.idleMs : takeLookMs
    const waitMs = isFilling ? 1 : Math.min(idleMs, Math.max(1, dueMs - clock.nowMs()))
    const given = { owned: this.#owned, assignment: this.#assignment, waitMs }
    await waitForWork(this.#deps, given, signal)
    // A timer that has come due is ticked now, so that the turn behind this one fires it.
    if (!this.#owned.some(({ fold }) => this.#hasMore(fold))) await this.#tick()
  }

  async #commit(owneds: readonly Owned[]): Promise<void> {
    if (owneds.length === 0) return
    const taken = owneds.map((owned) => {
      const { incarnation } = this.#deps.log.identity
      const { commit, effects } = owned.fold.takeCommit(owned, incarnation)
      const deletes = this.#forwarder
        .takeForwarded(owned.fold.partition)
        .map((key) => ({ key, value: undefined }))
      return { owned, effects, commit: { ...commit, changes: [...commit.changes, ...deletes] } }
    })
    const answers = await this.#commitWaiting(taken.map(({ commit }) => commit))
    const isCommitted = (index: number): boolean => answers[index] === 'committed'
    for (const { owned, commit, effects } of taken.filter((_, index) => isCommitted(index))) {
      owned.fold.committed(commit)
      for (const { key, value } of commit.changes) {
        if (value !== undefined && key.startsWith(outboxPrefix)) {
          this.#forwarder.add(commit.partition, key, value)
        }
      }
      this.#publish(owned, commit, effects)
    }
    for (const [index, { owned }] of taken.entries()) {
      if (isCommitted(index)) await this.#checkStanding(owned)
      else await this.#refused(owned, `commit partition ${owned.fold.partition}: ${answers[index]}`)
    }
  }

  /**
   * A commit was refused: another owner has the partition, or the store has lost commits. In both
   * cases what was folded is forgotten; in the second the log makes it again.
   */
  async #refused(owned: Owned, attempted: string): Promise<void> {
    const error = new OperatingError('OWNER_FENCED', attempted)
    if (this.#options.handOverMsMax === 0) throw error
    this.#drop(owned)
    if (await this.#ownership.hasNewerOwner(owned)) {
      this.#refuseOrThrow(owned.fold.partition, error)
    } else {
      const { partition } = owned.fold
      this.#deps.freshness.confirm(partition, 0)
      const says = 'the store has lost commits; folding them again from the log'
      this.#deps.logger.error({ partition, attempted }, says)
    }
  }

  #publish(owned: Owned, commit: PartitionCommit, effects: readonly Effect[]): void {
    const { meta } = owned.fold.scope
    const isOwner = meta.epoch === owned.epoch && meta.nonce === owned.nonce
    const isNewOwner = isOwner && !owned.isOwner
    owned.isOwner = isOwner
    const { partition, offset } = commit
    this.#deps.publish({
      partition,
      offset,
      effects,
      ...(isNewOwner ? { ownedEpoch: owned.epoch } : {}),
    })
  }

  async #checkStanding(owned: Owned): Promise<void> {
    tellStanding(this.#deps, owned)
    if (this.#ownership.isOutdone(owned)) await this.#announceAgain(owned)
  }

  async #announceAgain(owned: Owned): Promise<void> {
    try {
      await this.#ownership.announce(owned)
    } catch (error) {
      this.#refuseOrThrow(owned.fold.partition, error)
      this.#drop(owned)
    }
  }

  async #continue(isBusy: boolean): Promise<void> {
    const { log, clock } = this.#deps
    const recordOf = (owned: Owned): NewRecord =>
      this.#ownership.controlRecord(owned, 'continue', clock.nowMs())
    const { continuePeopleCountMax: peopleCountMax } = this.#options
    await appendContinue({ log, recordOf }, this.#owned, { peopleCountMax, isBusy })
  }

  async #tick(): Promise<number> {
    const recordOf = (owned: Owned, nowMs: number): NewRecord =>
      this.#ownership.controlRecord(owned, 'tick', nowMs)
    return await appendTicks(this.#deps, this.#options, { owned: this.#owned, retryMs, recordOf })
  }
}
