/**
 * The newest records of a log in shared memory: who follows the log's end reads them there, and not
 * from the file. Each commit of the writer makes a reader's pages stale, so in groups of 10 events
 * over 64 partitions a record took 21 to 27 us from SQLite and takes 4 to 7 us from here.
 *
 * A ring of entries: partition u32 | bytes u32 | offset f64 | CRC and record, as they are stored,
 * each beginning at a multiple of 8. Two places that only grow say what it holds: `start` and
 * `end`, in bytes that were ever written. The writer moves `start` beyond what it will overwrite,
 * writes, and then moves `end`; so a reader copies an entry first and believes it only if `start`
 * has not passed it by then. What is not here, too large, or already gone is in the file: a reader
 * that is told nothing looks there.
 */

import { crc32 } from 'node:zlib'
import { assert } from '../lib/assert.ts'
import { crcBytes } from './sqlite-log-file.ts'

const placesBytes = 16
const entryHeadBytes = 16
const alignBytes = 8
/** Some thousands of events; a fold that lies further behind reads long pages of the file. */
export const tailBytesDefault = 4 * 1024 * 1024
/** Of the ring: a longer record would drive all others out. */
const recordShareMax = 1 / 8
/** In place of a partition: the rest of the ring is empty, the next entry is at its beginning. */
const wrapMark = 0xffffffff

class Ring {
  readonly places: BigInt64Array
  readonly bytes: Buffer

  constructor(buffer: SharedArrayBuffer) {
    this.places = new BigInt64Array(buffer, 0, 2)
    this.bytes = Buffer.from(buffer, placesBytes)
    assert(this.size % alignBytes === 0 && this.size > 0, 'entries fit the end of the ring')
  }

  get size(): number {
    return this.bytes.length
  }
  get start(): number {
    return Number(Atomics.load(this.places, 0))
  }
  set start(place: number) {
    Atomics.store(this.places, 0, BigInt(place))
  }
  get end(): number {
    return Number(Atomics.load(this.places, 1))
  }
  set end(place: number) {
    Atomics.store(this.places, 1, BigInt(place))
  }

  /** Place of the entry behind the one at `place`. */
  after(place: number): number {
    const at = place % this.size
    const isWrap = this.bytes.readUInt32BE(at) === wrapMark
    return place + (isWrap ? this.size - at : entryBytes(this.bytes.readUInt32BE(at + 4)))
  }
}

function entryBytes(storedBytes: number): number {
  return Math.ceil((entryHeadBytes + storedBytes) / alignBytes) * alignBytes
}

export function createTailBuffer(bytes: number = tailBytesDefault): SharedArrayBuffer {
  return new SharedArrayBuffer(placesBytes + bytes)
}

/** The writer's side; there is one. */
export class LogTailWriter {
  readonly #ring: Ring
  #start = 0
  #end = 0

  constructor(buffer: SharedArrayBuffer) {
    this.#ring = new Ring(buffer)
  }

  /** Adds a record as it is stored, CRC included. Called behind its commit, in order. */
  add(partition: number, offset: number, stored: Uint8Array): void {
    const bytes = entryBytes(stored.length)
    const { size } = this.#ring
    if (bytes > size * recordShareMax) return
    const at = this.#end % size
    if (at + bytes > size) {
      this.#makeRoom(size - at)
      this.#ring.bytes.writeUInt32BE(wrapMark, at)
      this.#move(size - at)
    }
    this.#makeRoom(bytes)
    this.#write(this.#end % size, { partition, offset, stored })
    this.#move(bytes)
  }

  #write(
    at: number,
    entry: { readonly partition: number; readonly offset: number; readonly stored: Uint8Array },
  ): void {
    const { bytes } = this.#ring
    bytes.writeUInt32BE(entry.partition, at)
    bytes.writeUInt32BE(entry.stored.length, at + 4)
    bytes.writeDoubleBE(entry.offset, at + 8)
    bytes.set(entry.stored, at + entryHeadBytes)
  }

  #makeRoom(bytes: number): void {
    const before = this.#start
    while (this.#end + bytes - this.#start > this.#ring.size) {
      this.#start = this.#ring.after(this.#start)
    }
    if (this.#start !== before) this.#ring.start = this.#start
  }

  #move(bytes: number): void {
    this.#end += bytes
    this.#ring.end = this.#end
  }
}

interface Entry {
  readonly offset: number
  readonly place: number
}

/** One thread's side. It keeps where the entries of each partition are. */
export class LogTailReader {
  readonly #ring: Ring
  readonly #entries: Entry[][]
  /** Up to where the ring was looked through. */
  #seen = 0

  constructor(buffer: SharedArrayBuffer, partitionCount: number) {
    this.#ring = new Ring(buffer)
    this.#entries = Array.from({ length: partitionCount }, () => [])
  }

  /**
   * Returns the stored bytes of the records behind `after`, without a gap, at most `countMax`; none
   * where the first of them is not here.
   */
  read(partition: number, after: number, countMax: number): readonly Uint8Array[] {
    this.#catchUp()
    const entries = this.#entries[partition] ?? []
    const passed = entries.findIndex(({ offset }) => offset > after)
    if (passed < 0) {
      entries.length = 0
      return []
    }
    if (passed > 0) entries.splice(0, passed)
    const found: Uint8Array[] = []
    for (const { offset, place } of entries) {
      if (offset !== after + found.length + 1 || found.length === countMax) break
      const stored = this.#copy(partition, offset, place)
      if (stored === undefined) break
      found.push(stored)
    }
    return found
  }

  #catchUp(): void {
    const ring = this.#ring
    const { end } = ring
    if (this.#seen === end) return
    if (this.#seen < ring.start) this.#forget()
    for (let place = this.#seen; place < end; ) {
      const at = place % ring.size
      const partition = ring.bytes.readUInt32BE(at)
      // No entry begins so near the end; what stands there may be of the writer's next round.
      const isWhole = partition !== wrapMark && at + entryHeadBytes <= ring.size
      const offset = isWhole ? ring.bytes.readDoubleBE(at + 8) : 0
      const next = ring.after(place)
      const { start } = ring
      if (place < start || next > end) {
        // The writer has come round to it, so what was read is of another time.
        this.#forget()
        // Where that brings it no further the rest is left to the file: no ring may hold it up.
        if (this.#seen <= place) this.#seen = end
        place = this.#seen
        continue
      }
      if (isWhole) this.#keep(partition, { offset, place }, start)
      place = next
      this.#seen = next
    }
  }

  /** What the writer has come round to is dropped, so that nobody's entries grow without bound. */
  #keep(partition: number, entry: Entry, start: number): void {
    const entries = this.#entries[partition]
    if (entries === undefined) return
    const first = entries[0]
    if (first !== undefined && first.place < start) {
      const valid = entries.findIndex(({ place }) => place >= start)
      entries.splice(0, valid < 0 ? entries.length : valid)
    }
    entries.push(entry)
  }

  #forget(): void {
    for (const entries of this.#entries) entries.length = 0
    this.#seen = this.#ring.start
  }

  #copy(partition: number, offset: number, place: number): Uint8Array | undefined {
    const { bytes, size } = this.#ring
    const at = place % size
    const length = bytes.readUInt32BE(at + 4)
    if (length < crcBytes || at + entryHeadBytes + length > size) return undefined
    const entry = Buffer.allocUnsafe(entryHeadBytes + length)
    bytes.copy(entry, 0, at, at + entry.length)
    if (this.#ring.start > place) return undefined
    // Only the writer's thread is sure of the order in which another processor sees its writes.
    if (entry.readUInt32BE(0) !== partition || entry.readDoubleBE(8) !== offset) return undefined
    const stored = entry.subarray(entryHeadBytes)
    return stored.readUInt32BE(0) === crc32(stored.subarray(crcBytes)) ? stored : undefined
  }
}
