/**
 * Taking partitions, and giving them up.
 *
 * Order of effects, taking: look whether the former owner has released it, for a bounded time;
 * acquire, which fences the store; append `owner`. Giving up: delivery has ended, what it claimed
 * is folded, the last commit is made and forwarded; release. A crash anywhere leaves a head with a
 * nonce: the next owner waits for its bound, and fences.
 *
 * Which partitions are wanted comes from the log's `assign`. Two processes may want the same one
 * for a while; the head decides, and the one that is refused lets go.
 */

import type { Clock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import type { Random } from '../lib/random.ts'
import type { EventLog } from '../log/event-log.ts'
import type { NewRecord } from '../log/record.ts'
import type { StateStore } from '../state/state-store.ts'
import { controlRecord } from './control-record.ts'
import type { FoldSources } from './fold.ts'
import type { FoldTurns } from './fold-turns.ts'
import { checkBelongs, PartitionFold } from './partition-fold.ts'

/** A partition in the hands of this processor. */
export interface Owned {
  readonly fold: PartitionFold
  epoch: number
  readonly nonce: string
  /** False from the fence of an epoch until its record is in the log. */
  isAnnounced: boolean
  /** Set once the fold has seen that this epoch is in force. */
  isOwner: boolean
  /** Time of the newest tick appended; it is on its way until the fold has seen it. */
  tickedAtMs: number
  isStopKnown: boolean
  /** Names the newest `continue` appended; see `continuer.ts`. */
  continued?: string
  /** The log's end at an instant: once the state has reached it, it is as fresh as that. */
  mark?: { readonly end: number; readonly atMs: number } | undefined
  /** True while the log is asked for the next mark. */
  isMarking?: boolean
  /** Set while it is being given up; true once delivery has ended for it. */
  isDrained?: boolean
  /** Where the log ended then, and when it was looked at by the monotonic clock. */
  leaving?: { readonly end: number; readonly atMs: number }
}

export interface OwnershipDeps extends FoldSources {
  readonly log: EventLog
  readonly state: StateStore
  readonly clock: Clock
  readonly random: Random
  readonly turns?: FoldTurns | undefined
}

export interface OwnershipOptions {
  readonly workspace: string
  /** How long a former owner may take to release, before it is fenced. */
  readonly handOverMsMax: number
  readonly historyMs: number
}

const newlyOwned = {
  isAnnounced: false,
  isOwner: false,
  tickedAtMs: 0,
  isStopKnown: false,
} as const

const headLookMs = 1000

export class Ownership {
  readonly #deps: OwnershipDeps
  readonly #options: OwnershipOptions
  /** When a partition that another owner holds was looked at first. */
  readonly #seenAt = new Map<number, number>()
  #lookedAt = 0

  constructor(deps: OwnershipDeps, options: OwnershipOptions) {
    this.#deps = deps
    this.#options = options
  }

  /**
   * Takes a partition: fences the store, then announces the epoch in the log. Answers undefined
   * where its former owner has not released it yet: ask again soon.
   */
  async take(partition: number): Promise<Owned | undefined> {
    const { log, state, random, clock } = this.#deps
    const { workspace, handOverMsMax } = this.#options
    const head = await state.head(partition)
    if (head.nonce !== '' && handOverMsMax > 0) {
      const seenAt = this.#seenAt.get(partition) ?? clock.monotonicMs()
      this.#seenAt.set(partition, seenAt)
      if (clock.monotonicMs() - seenAt < handOverMsMax) return undefined
    }
    await checkBelongs(log, partition, head)
    const { partitionCount } = log.identity
    const fold = new PartitionFold(this.#deps, { workspace, partitionCount, partition })
    await fold.open(head)
    const nonce = Buffer.from(random.bytes(12)).toString('base64url')
    const epoch = Math.max(head.epoch, fold.scope.meta.epoch) + 1
    const owned: Owned = { fold, epoch, nonce, ...newlyOwned }
    await this.announce(owned)
    // What another owner committed between the head and the fence is not in this fold.
    if (handOverMsMax > 0) await fold.open(await state.head(partition))
    this.#seenAt.delete(partition)
    return owned
  }

  /** Fences the store for the owner's epoch, then says so in the log. Throws OWNER_FENCED. */
  async announce(owned: Owned): Promise<void> {
    const { state, log } = this.#deps
    const { partition } = owned.fold
    const answer = await state.acquire(partition, owned.epoch, owned.nonce)
    if (answer === 'fenced') {
      throw new OperatingError('OWNER_FENCED', `acquire partition ${partition}`)
    }
    await log.append([this.controlRecord(owned, 'owner', this.#deps.clock.nowMs())])
    owned.isAnnounced = true
  }

  /**
   * The log may hold an owner record of this epoch or a newer one, from a history that the store
   * has lost. A living newer owner would have fenced the commit before, so this one takes an epoch
   * above it; answers true where it did: announce it then.
   */
  isOutdone(owned: Owned): boolean {
    const { meta } = owned.fold.scope
    if (owned.isOwner || meta.epoch < owned.epoch) return false
    owned.epoch = meta.epoch + 1
    owned.isAnnounced = false
    return true
  }

  /**
   * Returns those whose head in the store is not where they left it: fenced, or lost by the store,
   * with nothing to commit that would show it. Looks once in `headLookMs`, and only where others
   * can own.
   */
  async findMoved(owneds: readonly Owned[]): Promise<readonly Owned[]> {
    const { clock, state } = this.#deps
    const isDue = clock.monotonicMs() - this.#lookedAt >= headLookMs
    if (this.#options.handOverMsMax === 0 || !isDue) return []
    this.#lookedAt = clock.monotonicMs()
    const heads = await Promise.all(owneds.map(({ fold }) => state.head(fold.partition)))
    return owneds.filter((owned, index) => {
      const head = heads[index]
      const isOwn = head?.epoch === owned.epoch && head.nonce === owned.nonce
      return !isOwn || head.offset !== owned.fold.committedOffset
    })
  }

  /**
   * Answers whether a partition for which delivery has ended can be released. A claim that the log
   * holds unfolded would be granted by the next owner's fold, and nobody would hand it over; so
   * what the log held is folded first, for a bounded time.
   */
  async mayRelease(owned: Owned): Promise<boolean> {
    const { log, clock } = this.#deps
    const { partition, cursor, stopped } = owned.fold
    const nowMs = clock.monotonicMs()
    owned.leaving ??= { end: await log.end(partition), atMs: nowMs }
    const { end, atMs } = owned.leaving
    return cursor >= end || stopped !== undefined || nowMs - atMs >= this.#options.handOverMsMax
  }

  async release(owned: Owned): Promise<void> {
    await this.#deps.state.release(owned.fold.partition, owned.epoch, owned.nonce)
  }

  /**
   * Answers whether the store has a newer owner; if not, a refused commit means that it lost some.
   */
  async hasNewerOwner(owned: Owned): Promise<boolean> {
    const head = await this.#deps.state.head(owned.fold.partition)
    return head.epoch > owned.epoch || (head.epoch === owned.epoch && head.nonce !== owned.nonce)
  }

  controlRecord(
    owned: Owned,
    kind: 'owner' | 'tick' | 'continue',
    recordedAtMs: number,
  ): NewRecord {
    const { epoch, nonce, fold } = owned
    const { historyMs } = this.#options
    const skeleton = kind === 'owner' ? { epoch, nonce, historyMs } : { epoch, nonce }
    const { partition } = fold
    return controlRecord(this.#deps, { partition, kind, skeleton, recordedAtMs })
  }
}
