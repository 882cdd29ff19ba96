/**
 * The frames of what one turn of the event loop appends, written one behind the other, so that a
 * record is copied once on its way to the writer's thread.
 */

import { assert } from '../lib/assert.ts'
import {
  bytesPerUnitMax,
  hashedTextOf,
  type NewRecord,
  prepareRecord,
  recordBytesMax,
  writeRecord,
} from './record.ts'
import { crcBytes } from './sqlite-log-file.ts'
import { frameHeadBytes } from './sqlite-log-protocol.ts'

const bytesMin = 64 * 1024
/** What a message of the most bytes makes it grow to. A longer one is not kept. */
const bytesKept = 2 * 1024 * 1024

export class FrameBuffer {
  #bytes = Buffer.allocUnsafeSlow(bytesMin)
  #length = 0

  /** Bytes of the frames that are in it. */
  get length(): number {
    return this.#length
  }

  add(record: NewRecord): void {
    const prepared = prepareRecord(record)
    const headAt = this.#length
    const recordAt = headAt + frameHeadBytes + crcBytes
    const text = record.id instanceof Uint8Array ? '' : hashedTextOf(record.id)
    this.#makeRoom(recordAt + prepared.bytesMax + text.length * bytesPerUnitMax)
    const end = writeRecord(prepared, this.#bytes, recordAt)
    assert(end - recordAt <= recordBytesMax, 'a record is at most recordBytesMax')
    const textBytes = text === '' ? 0 : this.#bytes.write(text, end)
    this.#bytes.writeUInt32BE(record.partition, headAt)
    this.#bytes.writeUInt32BE(end - recordAt + crcBytes, headAt + 4)
    this.#bytes.writeUInt32BE(textBytes, headAt + 8)
    this.#length = end + textBytes
  }

  /** Takes back what was added beyond `length`. */
  cut(length: number): void {
    assert(length <= this.#length, 'frames are cut, not made up')
    this.#length = length
  }

  /** Returns all frames and is empty then. */
  take(): ArrayBuffer {
    const frames = new Uint8Array(this.#length)
    this.#bytes.copy(frames, 0, 0, this.#length)
    this.#length = 0
    if (this.#bytes.length > bytesKept) this.#bytes = Buffer.allocUnsafeSlow(bytesMin)
    return frames.buffer
  }

  #makeRoom(length: number): void {
    if (length <= this.#bytes.length) return
    const longer = Buffer.allocUnsafeSlow(Math.max(length, 2 * this.#bytes.length))
    this.#bytes.copy(longer, 0, 0, this.#length)
    this.#bytes = longer
  }
}
