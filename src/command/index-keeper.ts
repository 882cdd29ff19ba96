/**
 * Takes what the index learns, and keeps a snapshot of it: now and then while it runs, and at a
 * clean stop.
 *
 * Order: nothing is learned while the index is read for a snapshot, so that it is of one instant;
 * what comes meanwhile waits, in order, and is learned before the disk has it all. The wait is
 * bounded, in time and in what waits: beyond it the snapshot is given up. Questions are answered
 * all the time. A snapshot that cannot be written is told and changes nothing: the one of before
 * and the feed remain. An erasure deletes the snapshot, which holds those who were erased, also the
 * one that is being written; the next is written when one is due, and at a clean stop.
 */

import { rmSync } from 'node:fs'

import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import { onceIn } from '../lib/once-in.ts'
import type { FeedPlace } from '../process/worker.ts'
import type { Advisor } from '../recommend/advisor.ts'
import type { Interaction, Recommender } from '../recommend/recommender.ts'
import { besideOf, type SnapshotPlace, saveSnapshot } from './index-snapshot.ts'

/** What the owner's thread tells of one commit. */
export interface LearnMessage {
  readonly interactions: readonly Interaction[]
  /** Profiles that are forgotten behind them. */
  readonly erased?: readonly string[]
  readonly feed: FeedPlace
}

/** What goes into a snapshot. */
export type SnapshotIndex = Pick<Recommender, 'learnedCount' | 'transfer'>

export interface IndexKeeperOptions {
  readonly path: string
  /** Interactions learned between two snapshots; 0 for none. */
  readonly everyCount: number
  /** What is learned waits no longer for a snapshot. Absent: `pauseMsMax`. */
  readonly pauseMsMax?: number
  /** Interactions that wait for a snapshot at most. Absent: `waitingCountMax`. */
  readonly waitingCountMax?: number
}

/** A quiet machine takes a tenth of it for the greatest index that is allowed by default. */
const pauseMsMax = 3_000
const waitingCountMax = 100_000

const tellMsMin = 60_000

/** At a stop, less than this share of `everyCount` is not worth a snapshot: the feed has it. */
const stopShare = 0.01

export class IndexKeeper {
  readonly #deps: { readonly clock: Clock; readonly logger: Logger }
  readonly #options: IndexKeeperOptions
  readonly #advisor: Advisor
  readonly #index: SnapshotIndex
  readonly #incarnation: () => Promise<string>
  readonly #next: number[]
  readonly #waiting: LearnMessage[] = []
  readonly #mayTellRobots: () => boolean
  #waitingCount = 0
  #savedCount: number
  #saving: Promise<void> | undefined
  /** While the index is read for a snapshot; resolved when it may learn again. */
  #reading: PromiseWithResolvers<void> | undefined
  #isClosing = false
  #flaggedCount = 0
  #erasedCount = 0
  /** Since the last snapshot somebody was erased; there is no file then. */
  #hasErased = false

  constructor(
    deps: { readonly clock: Clock; readonly logger: Logger },
    options: IndexKeeperOptions,
    given: {
      readonly advisor: Advisor
      readonly index: SnapshotIndex
      /** Of the log whose feed it learns; '' while that is not known. */
      readonly incarnation: () => Promise<string>
      readonly next: readonly number[]
    },
  ) {
    this.#deps = deps
    this.#options = options
    this.#advisor = given.advisor
    this.#index = given.index
    this.#incarnation = given.incarnation
    this.#next = [...given.next]
    this.#mayTellRobots = onceIn(deps.clock, tellMsMin)
    this.#savedCount = given.index.learnedCount
  }

  /** Learns what a commit brought, at once or behind the snapshot that is being written. */
  learn(message: LearnMessage): void {
    if (this.#reading !== undefined) {
      this.#waiting.push(message)
      this.#waitingCount += message.interactions.length
      return
    }
    this.#take(message)
    if (this.#isDue(1)) void this.save()
  }

  /**
   * For an index that was fed otherwise: says how far, and writes a snapshot if one is due. It may
   * learn again when this resolves.
   */
  async moveTo(next: readonly number[]): Promise<void> {
    next.forEach((number, partition) => {
      this.#next[partition] = number
    })
    this.#tellRobots()
    if (this.#isDue(1)) void this.save()
    await this.#reading?.promise
  }

  /** Forgets profiles; for an index that is fed otherwise, not while it is read for a snapshot. */
  erase(profileIds: readonly string[]): void {
    this.#advisor.erase(profileIds)
    this.#erasedCount += profileIds.length
    this.dropSnapshot()
  }

  /** Deletes what is on the disk. */
  dropSnapshot(): void {
    this.#hasErased = true
    try {
      for (const path of [this.#options.path, besideOf(this.#options.path)]) {
        rmSync(path, { force: true })
      }
    } catch (error) {
      this.#deps.logger.warn(
        { error: String(error) },
        'the snapshot of the index cannot be deleted',
      )
    }
  }

  /** Writes a last snapshot, if there is something in it. */
  async close(): Promise<void> {
    await this.#saving
    this.#isClosing = true
    const isMissing = this.#hasErased && this.#options.everyCount > 0
    if (isMissing || this.#isDue(stopShare)) await this.save()
  }

  save(): Promise<void> {
    if (this.#saving !== undefined) return this.#saving
    this.#reading = Promise.withResolvers()
    this.#saving = this.#write().finally(() => {
      this.#saving = undefined
      this.#learnOn()
    })
    return this.#saving
  }

  /** Learns what waited for a snapshot. */
  #learnOn(): void {
    this.#reading?.resolve()
    this.#reading = undefined
    this.#waitingCount = 0
    for (const message of this.#waiting.splice(0)) this.#take(message)
  }

  #take({ interactions, erased, feed }: LearnMessage): void {
    this.#advisor.learn(interactions)
    if (erased !== undefined) this.erase(erased)
    this.#next[feed.partition] = feed.next
    this.#tellRobots()
  }

  #isDue(share: number): boolean {
    const { everyCount } = this.#options
    const count = this.#index.learnedCount - this.#savedCount
    return everyCount > 0 && count > 0 && count >= everyCount * share
  }

  async #write(): Promise<void> {
    const { clock, logger } = this.#deps
    const { learnedCount } = this.#index
    // Also where it fails: it is tried again when as much has come once more.
    this.#savedCount = learnedCount
    const startedAt = clock.monotonicMs()
    const erasedCount = this.#erasedCount
    let pausedMs = 0
    const reading = {
      isTooLong: () => !this.#isClosing && this.#isWaitTooLong(startedAt),
      done: () => {
        pausedMs = Math.round(clock.monotonicMs() - startedAt)
        this.#learnOn()
      },
    }
    try {
      const incarnation = await this.#incarnation()
      if (incarnation === '') return
      const place: SnapshotPlace = { incarnation, next: this.#next }
      const byteCount = await saveSnapshot(this.#options.path, place, this.#index, reading)
      const tookMs = Math.round(clock.monotonicMs() - startedAt)
      if (byteCount === undefined) {
        logger.warn(
          { learnedCount, tookMs },
          'gave up a snapshot of the index, which took too long',
        )
        return
      }
      if (erasedCount === this.#erasedCount) this.#hasErased = false
      else this.dropSnapshot()
      logger.info({ learnedCount, byteCount, pausedMs, tookMs }, 'wrote a snapshot of the index')
    } catch (error) {
      logger.warn({ error: String(error) }, 'no snapshot of the index could be written')
    }
  }

  #isWaitTooLong(startedAt: number): boolean {
    const { pauseMsMax: msMax = pauseMsMax, waitingCountMax: countMax = waitingCountMax } =
      this.#options
    return this.#waitingCount > countMax || this.#deps.clock.monotonicMs() - startedAt > msMax
  }

  /** Tells of the first at once, and of more of them now and then: a past may be full of them. */
  #tellRobots(): void {
    const { flaggedCount, ignoredCount } = this.#advisor.state()
    if (flaggedCount === this.#flaggedCount || !this.#mayTellRobots()) return
    this.#flaggedCount = flaggedCount
    this.#deps.logger.warn(
      { flaggedCount, ignoredCount },
      'somebody does too much within an hour; the index learns no more of it',
    )
  }
}
