/**
 * Records fetched of one partition, behind one place, until their readers have taken them.
 *
 * What was read stays for a while, for a second reader just behind; what was taken last stays
 * whole, since a reader may come back for what it did not get to.
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
/** Entries that were dropped and still take room in the list, if they are its half. */
const droppedCountMax = 512

export class FollowBuffer {
  readonly #partition: number
  #base: number
  #unreadBytes = 0
  #readBytes = 0
  #readThrough: number
  /** The place behind which was read last: what comes then is not dropped. */
  #takenAfter: number
  #entries: FollowEntry[] = []
  /** Entries before it were dropped. */
  #head = 0

  constructor(partition: number, after: number) {
    this.#partition = partition
    this.#base = after
    this.#readThrough = after
    this.#takenAfter = after
  }

  /** Everything fetched behind this offset is here. */
  get base(): number {
    return this.#base
  }

  /** Bytes that nobody has read yet. */
  get unreadBytes(): number {
    return this.#unreadBytes
  }

  add(entry: FollowEntry): void {
    this.#entries.push(entry)
    this.#unreadBytes += entry.value.length + entryBytes
  }

  /** Returns the records behind `after`, which is no less than the base. */
  take(after: number, countMax: number): LogRecord[] {
    const from = this.#indexBehind(after)
    const taken = this.#entries.slice(from, from + countMax)
    const through = taken.at(-1)?.offset
    this.#takenAfter = after
    if (through !== undefined && through > this.#readThrough) this.#markRead(through)
    this.#drop()
    return taken.map(({ offset, value }) => decodeRecord(this.#partition, offset, value))
  }

  #indexBehind(after: number): number {
    return countThrough(this.#entries, after, this.#head)
  }

  #markRead(through: number): void {
    const from = this.#indexBehind(this.#readThrough)
    const to = this.#indexBehind(through)
    for (let index = from; index < to; index++) {
      const bytes = (this.#entries[index]?.value.length ?? 0) + entryBytes
      this.#unreadBytes -= bytes
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
      this.#base = entry.offset
      this.#head++
    }
    if (this.#head > droppedCountMax && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head)
      this.#head = 0
    }
  }
}
