/**
 * What is followed of one partition in Kafka.
 *
 * Offsets here are ours: one above Kafka's, so `next` is both the last offset fetched and Kafka's
 * offset of what comes then.
 */

import { Arrivals } from './arrivals.ts'
import { FollowBuffer, type FollowEntry } from './follow-buffer.ts'

export class KafkaFollow {
  readonly partition: number
  /** Everything between its base and `next`. */
  readonly records: FollowBuffer
  readonly arrivals = new Arrivals()
  next: number
  /** Epoch of the leader that wrote what was fetched last; -1 for unknown. */
  leaderEpoch = -1
  usedAtMs: number
  /** When it last moved on, or was seen at the end. */
  movedAtMs: number
  #waiterCount = 0

  constructor(partition: number, after: number, nowMs: number) {
    this.partition = partition
    this.records = new FollowBuffer(partition, after)
    this.next = after
    this.usedAtMs = nowMs
    this.movedAtMs = nowMs
  }

  get isWaitedFor(): boolean {
    return this.#waiterCount > 0
  }

  /** Counts those who wait for news of this partition; it is kept for them. */
  addWaiter(change: 1 | -1): void {
    this.#waiterCount += change
  }

  has(after: number): boolean {
    return after >= this.records.base && after <= this.next
  }

  add(entries: readonly FollowEntry[], next: number, leaderEpoch: number): void {
    for (const entry of entries) this.records.add(entry)
    this.next = next
    if (leaderEpoch >= 0) this.leaderEpoch = leaderEpoch
    this.arrivals.tell()
  }
}
