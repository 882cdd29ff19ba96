/**
 * What was fetched of one partition, behind one place, until its readers have taken it.
 *
 * Offsets here are ours: one above Kafka's, so `next` is both the last offset fetched and Kafka's
 * offset of what comes then. What was read stays for a while, for a second reader just behind; what
 * was taken last stays whole, since a reader may come back for what it did not get to.
 */

import { countThrough } from './count-through.ts'
import { decodeRecord, type LogRecord } from './record.ts'

export interface FollowEntry {
  readonly offset: number
  readonly value: Buffer
}

const readBytesKept = 64 * 1024
/** What an entry costs besides its bytes. */
const entryBytes = 64

export class KafkaFollow {
  readonly partition: number
  /** Everything between `base` and `next` is here. */
  base: number
  next: number
  /** Epoch of the leader that wrote what was fetched last; -1 for unknown. */
  leaderEpoch = -1
  usedAtMs: number
  /** When it last moved on, or was seen at the end. */
  movedAtMs: number
  /** Bytes that nobody has read yet. */
  unreadBytes = 0
  #readBytes = 0
  #readThrough: number
  /** The place behind which was read last: what comes then is not dropped. */
  #takenAfter: number
  #entries: FollowEntry[] = []
  /** Entries before it were dropped. */
  #head = 0
  readonly #arrivals = new Set<() => void>()
  #waiterCount = 0

  constructor(partition: number, after: number, nowMs: number) {
    this.partition = partition
    this.base = after
    this.next = after
    this.#readThrough = after
    this.#takenAfter = after
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
    return after >= this.base && after <= this.next
  }

  add(entries: readonly FollowEntry[], next: number, leaderEpoch: number): void {
    for (const entry of entries) {
      this.#entries.push(entry)
      this.unreadBytes += entry.value.length + entryBytes
    }
    this.next = next
    if (leaderEpoch >= 0) this.leaderEpoch = leaderEpoch
    this.#wake()
  }

  /** Returns the records behind `after`, which must be within what is here. */
  take(after: number, countMax: number): LogRecord[] {
    const from = this.#indexBehind(after)
    const taken = this.#entries.slice(from, from + countMax)
    const through = taken.at(-1)?.offset
    this.#takenAfter = after
    if (through !== undefined && through > this.#readThrough) this.#markRead(through)
    this.#drop()
    return taken.map(({ offset, value }) => decodeRecord(this.partition, offset, value))
  }

  /** Resolves when more than `after` is here, or after what `giveUp` waits for. */
  async arrival(after: number, giveUp: Promise<void>): Promise<void> {
    if (this.next > after) return
    const arrived = Promise.withResolvers<void>()
    this.#arrivals.add(arrived.resolve)
    await Promise.race([arrived.promise, giveUp])
    this.#arrivals.delete(arrived.resolve)
  }

  /** Wakes whoever waits for an arrival, since none will come. */
  abandon(): void {
    this.#wake()
  }

  #wake(): void {
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
  }

  #drop(): void {
    const to = Math.min(this.#takenAfter, this.#readThrough)
    while (this.#readBytes > readBytesKept) {
      const entry = this.#entries[this.#head]
      if (entry === undefined || entry.offset > to) break
      this.#readBytes -= entry.value.length + entryBytes
      this.base = entry.offset
      this.#head++
    }
    if (this.#head > 512 && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head)
      this.#head = 0
    }
  }
}
