/**
 * What was fetched of one partition, behind one offset, until its readers have taken it; or, for
 * who wants the end alone, only the count.
 */

import type { OperatingError } from '../lib/errors.ts'
import { Arrivals } from './arrivals.ts'
import { FollowBuffer, type FollowEntry } from './follow-buffer.ts'
import type { CountPlace, PartitionCount } from './kinesis-count.ts'

/** One that was read so recently is taken for being read. */
const activeMs = 2_000
/** Places remembered, and the records that lie between two of them at least. */
const placeCountMax = 128
const placeStepCount = 32

export class KinesisFollow {
  readonly partition: number
  /** Keeps no records. */
  readonly isCountOnly: boolean
  /** Everything between the base and `next`. */
  readonly records: FollowBuffer
  readonly arrivals = new Arrivals()
  /** Set once it is known where the count begins. */
  count: PartitionCount | undefined
  /** Set where it cannot go on; nobody uses it any more then. */
  fault: OperatingError | undefined
  /** Left behind by its shard's loop, since nobody read it. */
  isLeftBehind = false
  /** Monotonic time at which a request began that found nothing more behind the count. */
  tipMs = Number.NEGATIVE_INFINITY
  usedAtMs: number
  /** Those who wait for news, or for the end. */
  interestCount = 0
  /** Where the count stood before, the newest at the end. */
  readonly #places: CountPlace[] = []

  constructor(
    partition: number,
    after: number,
    given: { readonly nowMs: number; readonly isCountOnly: boolean },
  ) {
    this.partition = partition
    this.records = new FollowBuffer(partition, after)
    this.isCountOnly = given.isCountOnly
    this.usedAtMs = given.nowMs
  }

  /** Who wants the count alone begins where it is known to begin. */
  get base(): number {
    return this.isCountOnly && this.count !== undefined ? 0 : this.records.base
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

  /** Remembers where the count stands, now and then. */
  notePlace(): void {
    if (this.count === undefined || this.isCountOnly) return
    const newest = this.#places.at(-1)?.offset ?? Number.NEGATIVE_INFINITY
    if (this.count.offset - newest < placeStepCount) return
    this.#places.push(this.count.place())
    if (this.#places.length > placeCountMax) this.#places.shift()
  }

  /** Returns the nearest place at or before an offset; undefined where none is remembered. */
  placeBefore(after: number): CountPlace | undefined {
    return this.#places.findLast(({ offset }) => offset <= after)
  }

  add(entry: FollowEntry): void {
    if (!this.isCountOnly && entry.offset > this.base) this.records.add(entry)
  }
}
