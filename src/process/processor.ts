/**
 * The stream processor: owns partitions, and folds each into its state.
 *
 * Guarantee: effectively once. State, offset and outbox are one commit, so a crash before it
 * replays the batch from the old state, and a crash after it resumes behind the batch.
 *
 * Order of effects: acquire the store, append `owner`; then read, fold, commit, publish, forward,
 * and delete what was forwarded with a later commit. Publishing or forwarding before the commit
 * would tell the world what may be undone.
 *
 * Time: the owner appends a `tick` when a timer is due and nothing arrives, and while records
 * arrive so that fold time keeps up. A partition that cannot fold a record stands still, loudly;
 * the others go on.
 */

import type { Clock } from '../lib/clock.ts'
import { isRetryable, OperatingError } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'
import type { Random } from '../lib/random.ts'
import type { EventLog } from '../log/event-log.ts'
import { emptyBody, type NewRecord } from '../log/record.ts'
import type { PartitionCommit, StateStore } from '../state/state-store.ts'
import type { DefinitionsOf } from './fold.ts'
import { Forwarder } from './forwarder.ts'
import type { Freshness } from './freshness.ts'
import { checkBelongs, PartitionFold } from './partition-fold.ts'
import { parseTimerKey } from './partition-view.ts'
import { type Effect, outboxPrefix } from './scope.ts'

export interface ProcessorDeps {
  readonly log: EventLog
  readonly state: StateStore
  readonly definitionsOf: DefinitionsOf
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly freshness: Freshness
  /** Gives other work of this thread its turn, between two rounds. */
  nextTurn?(): Promise<void>
  /** Told what a commit made true, after it. */
  publish(published: Published): void
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

export interface ProcessorOptions {
  readonly workspace: string
  readonly batchCountMax: number
  /** How long one round may fold before it commits. */
  readonly batchMsMax: number
  /** How often the owner writes its time while records arrive. */
  readonly tickMs: number
  /** How often it confirms freshness while nothing arrives. */
  readonly idleMs: number
}

export const processorDefaults: ProcessorOptions = {
  workspace: 'default',
  batchCountMax: 1000,
  batchMsMax: 20,
  tickMs: 15_000,
  idleMs: 100,
}

/** How long to wait before a write that a full disk refused is tried again. */
const fullDiskWaitMs = 1000

/** Records read at a time: those read and not folded before a pause are read again. */
const readCountMax = 256

interface Owned {
  readonly fold: PartitionFold
  epoch: number
  readonly nonce: string
  isOwner: boolean
  /** Time of the newest tick appended; it is on its way until the fold has seen it. */
  tickedAtMs: number
  isStopKnown: boolean
  /** The log's end at an instant: once the state has reached it, it is as fresh as that. */
  mark?: { readonly end: number; readonly atMs: number } | undefined
}

/** Runs until `signal` aborts; resolves after the work in hand is committed and forwarded. */
export async function runProcessor(
  deps: ProcessorDeps,
  options: ProcessorOptions,
  partitions: readonly number[],
  signal: AbortSignal,
): Promise<void> {
  const processor = new Processor(deps, options)
  for (const partition of partitions) await processor.own(partition)
  while (!signal.aborted) {
    const isBusy = await processor.round()
    await processor.forward()
    await processor.confirm()
    if (isBusy) {
      await processor.tick()
      await deps.nextTurn?.()
    } else {
      await processor.idle(signal)
    }
  }
  await processor.round()
  await processor.forward()
}

class Processor {
  readonly #deps: ProcessorDeps
  readonly #options: ProcessorOptions
  readonly #forwarder: Forwarder
  readonly #owned: Owned[] = []
  #next = 0

  constructor(deps: ProcessorDeps, options: ProcessorOptions) {
    this.#deps = deps
    this.#options = options
    this.#forwarder = new Forwarder(deps.log)
  }

  /** Takes a partition: fences the store, then announces the epoch in the log. */
  async own(partition: number): Promise<void> {
    const { log, state, random, definitionsOf } = this.#deps
    const head = await state.head(partition)
    await checkBelongs(log, partition, head)
    const { partitionCount } = log.identity
    const { workspace } = this.#options
    const fold = new PartitionFold(
      { log, state, definitionsOf },
      { workspace, partitionCount, partition },
    )
    await fold.open(head)
    const nonce = Buffer.from(random.bytes(12)).toString('base64url')
    const epoch = Math.max(head.epoch, fold.scope.meta.epoch) + 1
    const owned: Owned = { fold, epoch, nonce, isOwner: false, tickedAtMs: 0, isStopKnown: false }
    await this.#announce(owned)
    await this.#forwarder.open(state, partition)
    this.#owned.push(owned)
  }

  /**
   * Folds what there is, for at most `batchMsMax`, and commits it. Answers whether anything was
   * done.
   */
  async round(): Promise<boolean> {
    const { clock } = this.#deps
    const deadlineMs = clock.monotonicMs() + this.#options.batchMsMax
    const shouldPause = (): boolean => clock.monotonicMs() >= deadlineMs
    let isBusy = false
    for (let turn = 0; turn < this.#owned.length && !(turn > 0 && shouldPause()); turn++) {
      const owned = this.#owned[this.#next]
      this.#next = (this.#next + 1) % this.#owned.length
      if (owned === undefined || !(await this.#canFold(owned))) continue
      isBusy = (await this.#foldPartition(owned.fold, shouldPause)) || isBusy
    }
    if (isBusy) await this.#commit(this.#owned.filter(({ fold }) => fold.hasChanges()))
    return isBusy
  }

  /** Reads and folds in small steps until the end of the log, the batch's size, or the pause. */
  async #foldPartition(fold: PartitionFold, shouldPause: () => boolean): Promise<boolean> {
    const { batchCountMax } = this.#options
    let count = 0
    while (count < batchCountMax && !(count > 0 && shouldPause())) {
      const countMax = Math.min(readCountMax, batchCountMax - count)
      const records = await this.#deps.log.read(fold.partition, fold.cursor, countMax)
      if (records.length === 0) break
      const folded = await fold.fold(records, shouldPause)
      count += folded
      if (folded < records.length) return true
    }
    return count > 0
  }

  async forward(): Promise<void> {
    await this.#forwarder.run()
  }

  /** Nothing to fold: lets due timers fire, deletes what was forwarded, then waits. */
  async idle(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#deps
    const forwarded = this.#owned.filter(({ fold }) => this.#forwarder.hasForwarded(fold.partition))
    if (forwarded.length > 0) await this.#commit(forwarded)
    const dueMs = await this.tick()
    const waitMs = Math.min(this.#options.idleMs, Math.max(1, dueMs - clock.nowMs()))
    const woken = new AbortController()
    const wake = (): void => woken.abort('woken')
    signal.addEventListener('abort', wake, { once: true })
    const folds = this.#owned.map(({ fold }) => fold).filter((fold) => fold.stopped === undefined)
    await Promise.race([
      log.wait(
        folds.map(({ partition }) => partition),
        folds.map(({ cursor }) => cursor),
        woken.signal,
      ),
      clock.sleep(waitMs, woken.signal),
    ])
    wake()
    signal.removeEventListener('abort', wake)
  }

  async #announce(owned: Owned): Promise<void> {
    const { state, log, clock } = this.#deps
    const { partition } = owned.fold
    const answer = await state.acquire(partition, owned.epoch, owned.nonce)
    if (answer === 'fenced') {
      throw new OperatingError('OWNER_FENCED', `acquire partition ${partition}`)
    }
    const { epoch, nonce } = owned
    await log.append([this.#controlRecord(partition, 'owner', { epoch, nonce }, clock.nowMs())])
  }

  async #canFold(owned: Owned): Promise<boolean> {
    const { fold } = owned
    if ((await this.#deps.log.end(fold.partition)) <= fold.cursor) return false
    return fold.stopped === undefined || (await fold.resume())
  }

  async #commit(owneds: readonly Owned[]): Promise<void> {
    if (owneds.length === 0) return
    const { log } = this.#deps
    const taken = owneds.map((owned) => {
      const { incarnation } = log.identity
      const { commit, effects } = owned.fold.takeCommit(owned, incarnation)
      const deletes = this.#forwarder
        .takeForwarded(owned.fold.partition)
        .map((key) => ({ key, value: undefined }))
      return { owned, effects, commit: { ...commit, changes: [...commit.changes, ...deletes] } }
    })
    const answers = await this.#commitRetrying(taken.map(({ commit }) => commit))
    taken.forEach(({ owned, commit, effects }, index) => {
      const { partition } = commit
      const answer = answers[index]
      if (answer !== 'committed') {
        throw new OperatingError('OWNER_FENCED', `commit partition ${partition}: ${answer}`)
      }
      owned.fold.committed(commit)
      for (const { key, value } of commit.changes) {
        if (value !== undefined && key.startsWith(outboxPrefix)) {
          this.#forwarder.add(partition, key, value)
        }
      }
      this.#publish(owned, commit, effects)
    })
    for (const { owned } of taken) await this.#checkStanding(owned)
  }

  /** A full disk is waited out: the batch is kept, nothing more is folded meanwhile. */
  async #commitRetrying(commits: readonly PartitionCommit[]): Promise<readonly string[]> {
    const { state, clock, logger } = this.#deps
    for (;;) {
      try {
        return await state.commit(commits)
      } catch (error) {
        if (!isRetryable(error)) throw error
        logger.warn({ error: String(error) }, 'the state cannot be committed; trying again in 1 s')
        await clock.sleep(fullDiskWaitMs)
      }
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

  /**
   * The log may hold an owner record of this epoch or a newer one, from a history that the store
   * has lost. A living newer owner would have fenced the commit, so this processor announces itself
   * again, above it.
   */
  async #checkStanding(owned: Owned): Promise<void> {
    const { meta } = owned.fold.scope
    const { stopped, partition } = owned.fold
    if (stopped !== undefined && !owned.isStopKnown) {
      const { offset, cause } = stopped
      const says = cause instanceof Error ? cause.message : String(cause)
      const attempted = `fold partition ${partition} at offset ${offset}: ${says}`
      const { code, remedy } = new OperatingError('FOLD_POISONED', attempted, cause)
      this.#deps.logger.error({ code, partition, offset, cause: says, remedy }, 'stopped')
      this.#deps.reportStopped(partition, { offset, says })
    } else if (stopped === undefined && owned.isStopKnown) {
      this.#deps.reportStopped(partition)
    }
    owned.isStopKnown = stopped !== undefined
    if (owned.isOwner || meta.epoch < owned.epoch) return
    owned.epoch = meta.epoch + 1
    await this.#announce(owned)
  }

  /**
   * Confirms freshness where the state has reached what was the log's end when it was last looked
   * at.
   */
  async confirm(): Promise<void> {
    const { clock, freshness, log } = this.#deps
    for (const owned of this.#owned) {
      const { fold } = owned
      const atMs = clock.nowMs()
      owned.mark ??= { end: await log.end(fold.partition), atMs }
      const isReached = fold.stopped === undefined && fold.committedOffset >= owned.mark.end
      if (!isReached || this.#forwarder.pendingCount(fold.partition) > 0) continue
      freshness.confirm(fold.partition, owned.mark.atMs)
      owned.mark = undefined
    }
  }

  /** Appends ticks where time has to move; returns when the next timer is due. */
  async tick(): Promise<number> {
    const { clock, log } = this.#deps
    const nowMs = clock.nowMs()
    let nextDueMs = Number.POSITIVE_INFINITY
    const ticking: Owned[] = []
    for (const owned of this.#owned) {
      const { meta } = owned.fold.scope
      const isOnItsWay = meta.ownerMs < Math.floor(owned.tickedAtMs)
      if (!owned.isOwner || owned.fold.stopped !== undefined || isOnItsWay) continue
      const timer = await owned.fold.firstTimer()
      const dueMs = timer === undefined ? Number.POSITIVE_INFINITY : parseTimerKey(timer).dueMs
      // Where the owner's own clock is behind, ticking faster would not move it: one per `tickMs`.
      const nextTickMs = meta.ownerMs + this.#options.tickMs
      const isBehind = meta.foldMs > nextTickMs && nowMs >= nextTickMs
      if (dueMs <= nowMs || isBehind) ticking.push(owned)
      else nextDueMs = Math.min(nextDueMs, dueMs)
    }
    if (ticking.length === 0) return nextDueMs
    const ticks = ticking.map(({ fold, epoch, nonce }) =>
      this.#controlRecord(fold.partition, 'tick', { epoch, nonce }, nowMs),
    )
    try {
      await log.append(ticks)
    } catch (error) {
      // A full disk: nothing moves until there is space, and the next round tries again.
      if (!isRetryable(error)) throw error
      return nowMs + fullDiskWaitMs
    }
    for (const owned of ticking) owned.tickedAtMs = nowMs
    return nowMs
  }

  #controlRecord(
    partition: number,
    kind: 'owner' | 'tick',
    skeleton: { readonly epoch: number; readonly nonce: string },
    recordedAtMs: number,
  ): NewRecord {
    return {
      partition,
      key: `control:${partition}`,
      kind,
      id: this.#deps.random.bytes(16),
      recordedAtMs,
      isBackfill: false,
      keyId: 0,
      skeleton,
      body: emptyBody,
    }
  }
}
