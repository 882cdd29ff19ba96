/**
 * The data of one Kinesis record: some of our records of one partition, and who wrote them.
 *
 * A writer numbers its frames of a partition. A frame that is sent again, since its answer was
 * lost, or that comes late from the network, has a number that readers have met: they pass it over,
 * all of them alike, so that nothing comes twice or late into the order of a key.
 *
 * Layout, big endian: u8 version | 8 bytes writer | u48 frame number | u32 count |
 * (u32 length | encoded record)*
 */

import { assert } from '../lib/assert.ts'

export interface Frame {
  /** 16 hex digits, random for each opened log. */
  readonly writer: string
  /** From 1, for each writer and partition. */
  readonly number: number
  readonly records: readonly Buffer[]
}

const frameVersion = 1
const headBytes = 19
export const writerBytes = 8
/** What a record adds to its own bytes. */
export const frameRecordBytes = 4

export function frameBytesOf(records: readonly Buffer[]): number {
  return records.reduce((sum, { length }) => sum + frameRecordBytes + length, headBytes)
}

export function encodeFrame({ writer, number, records }: Frame): Buffer {
  assert(writer.length === writerBytes * 2, 'a writer is 8 bytes')
  const bytes = Buffer.allocUnsafe(frameBytesOf(records))
  bytes[0] = frameVersion
  bytes.write(writer, 1, 'hex')
  bytes.writeUIntBE(number, 9, 6)
  bytes.writeUInt32BE(records.length, 15)
  let at = headBytes
  for (const record of records) {
    bytes.writeUInt32BE(record.length, at)
    bytes.set(record, at + 4)
    at += frameRecordBytes + record.length
  }
  return bytes
}

/** Throws where the bytes are not a frame: a stream of ours holds nothing else. */
export function decodeFrame(source: Uint8Array): Frame {
  const bytes = Buffer.from(source.buffer, source.byteOffset, source.byteLength)
  assert(bytes[0] === frameVersion, `frame version ${bytes[0]} is known`)
  const count = bytes.readUInt32BE(15)
  const records: Buffer[] = []
  let at = headBytes
  for (let index = 0; index < count; index++) {
    const from = at + frameRecordBytes
    at = from + bytes.readUInt32BE(at)
    assert(at <= bytes.length, 'a frame is whole')
    records.push(bytes.subarray(from, at))
  }
  assert(at === bytes.length, 'a frame holds its records alone')
  return { writer: bytes.toString('hex', 1, 9), number: bytes.readUIntBE(9, 6), records }
}
