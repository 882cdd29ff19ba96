/**
 * Kafka's record batch (format 2), to bytes and back.
 *
 * Ours because the log spends most of its time here: a batch is written into one buffer, and
 * reading makes no object for what nobody looks at. A batch whose checksum is wrong is refused.
 * What another producer may have left in the topic (control batches of transactions) has offsets
 * but no records, and is passed over.
 *
 *   i64 first offset | i32 length | i32 leader epoch | i8 2 | u32 crc32c of the rest |
 *   i16 attributes | i32 last delta | i64 first time | i64 greatest time |
 *   i64 producer id | i16 producer epoch | i32 first sequence | i32 count | records, compressed
 *   record: length | i8 0 | time delta | offset delta | key length | key | value length | value | 0
 */

import {
  compressionsAlgorithms,
  compressionsAlgorithmsByBitmask,
  crc32c,
} from '@platformatic/kafka'
import { assert } from '../lib/assert.ts'
import { OperatingError } from '../lib/errors.ts'
import type { KafkaCompression } from './kafka-options.ts'

export interface BatchRecord {
  readonly key: string
  readonly value: Uint8Array
  readonly timestampMs: number
}

/** Who appends, so that a broker can tell a repeat. */
export interface BatchProducer {
  readonly producerId: bigint
  readonly epoch: number
  readonly sequence: number
}

export interface BatchEntry {
  /** Kafka's own offset. */
  readonly offset: number
  readonly value: Buffer
}

export interface DecodedBatches {
  readonly entries: readonly BatchEntry[]
  /** Kafka's offset behind the last whole batch; undefined where there was none. */
  readonly nextOffset: number | undefined
  /** Epoch of the leader that wrote the last whole batch; -1 for none. */
  readonly leaderEpoch: number
}

const headBytes = 61
/** From here on the checksum counts. */
const checkedFrom = 21
/** Below it, compression costs more than it saves. */
const compressBytesMin = 700
const compressionMask = 7
const controlFlag = 1 << 5
/** Lengths and deltas of a record take at most this, besides key and value. */
const recordHeadBytesMax = 32

/** Returns the bytes of a batch whose first offset the broker will choose. */
export function encodeBatch(
  records: readonly BatchRecord[],
  producer: BatchProducer,
  compression: KafkaCompression,
): Buffer {
  assert(records.length > 0, 'a batch has records')
  const keyBytes = records.map(({ key }) => Buffer.byteLength(key))
  const sizeMax = records.reduce(
    (sum, { value }, index) => sum + value.length + (keyBytes[index] ?? 0) + recordHeadBytesMax,
    headBytes,
  )
  const bytes = Buffer.allocUnsafe(sizeMax)
  const firstMs = Math.trunc(records[0]?.timestampMs ?? 0)
  let lastMs = firstMs
  let end = headBytes
  for (const [index, record] of records.entries()) {
    const timeMs = Math.trunc(record.timestampMs)
    if (timeMs > lastMs) lastMs = timeMs
    end = writeRecord(bytes, end, record, {
      keyBytes: keyBytes[index] ?? 0,
      timeDelta: timeMs - firstMs,
      index,
    })
  }
  const plain = bytes.subarray(0, end)
  const isSmall = end - headBytes < compressBytesMin
  const algorithm =
    isSmall || compression === 'none' ? undefined : compressionsAlgorithms[compression]
  const batch =
    algorithm === undefined
      ? plain
      : Buffer.concat([
          plain.subarray(0, headBytes),
          algorithm.compressSync(plain.subarray(headBytes)),
        ])
  batch.writeBigInt64BE(0n, 0)
  batch.writeInt32BE(batch.length - 12, 8)
  batch.writeInt32BE(-1, 12)
  batch.writeInt8(2, 16)
  batch.writeInt16BE(algorithm?.bitmask ?? 0, 21)
  batch.writeInt32BE(records.length - 1, 23)
  batch.writeBigInt64BE(BigInt(firstMs), 27)
  batch.writeBigInt64BE(BigInt(lastMs), 35)
  batch.writeBigInt64BE(producer.producerId, 43)
  batch.writeInt16BE(producer.epoch, 51)
  batch.writeInt32BE(producer.sequence, 53)
  batch.writeInt32BE(records.length, 57)
  batch.writeUInt32BE(crc32c(batch.subarray(checkedFrom)), 17)
  return batch
}

/** Returns the records of whole batches, those before `from` left out. */
export function decodeBatches(bytes: Buffer, from: number, place: string): DecodedBatches {
  const entries: BatchEntry[] = []
  let nextOffset: number | undefined
  let leaderEpoch = -1
  let at = 0
  // The last batch may be cut off; it comes whole with a later fetch.
  while (at + headBytes <= bytes.length) {
    const end = at + 12 + bytes.readInt32BE(at + 8)
    if (end > bytes.length) break
    const batch = bytes.subarray(at, end)
    const isWhole =
      batch[16] === 2 && batch.readUInt32BE(17) === crc32c(batch.subarray(checkedFrom))
    if (!isWhole) throw new OperatingError('STORE_CORRUPT', `read ${place}: a batch is damaged`)
    const firstOffset = Number(batch.readBigInt64BE(0))
    readRecords(batch, firstOffset, from, entries)
    leaderEpoch = batch.readInt32BE(12)
    nextOffset = firstOffset + batch.readInt32BE(23) + 1
    at = end
  }
  return { entries, nextOffset, leaderEpoch }
}

function readRecords(
  batch: Buffer,
  firstOffset: number,
  from: number,
  entries: BatchEntry[],
): void {
  const attributes = batch.readInt16BE(21)
  if ((attributes & controlFlag) !== 0) return
  const algorithm = compressionsAlgorithmsByBitmask[attributes & compressionMask]
  assert(algorithm !== undefined, 'a compression is one of five')
  // Copied where it is not decompressed: a record must not hold on to a whole answer.
  const body = batch.subarray(headBytes)
  const isPlain = (attributes & compressionMask) === 0
  const records = isPlain ? Buffer.from(body) : algorithm.decompressSync(body)
  const cursor = { at: 0 }
  const count = batch.readInt32BE(57)
  for (let index = 0; index < count; index++) {
    const recordBytes = readVarint(records, cursor)
    const recordEnd = cursor.at + recordBytes
    cursor.at += 1
    skipVarint(records, cursor)
    const offset = firstOffset + readVarint(records, cursor)
    const keyBytes = readVarint(records, cursor)
    cursor.at += Math.max(0, keyBytes)
    const valueBytes = readVarint(records, cursor)
    if (offset >= from && valueBytes >= 0) {
      entries.push({ offset, value: records.subarray(cursor.at, cursor.at + valueBytes) })
    }
    cursor.at = recordEnd
  }
}

function writeRecord(
  bytes: Buffer,
  from: number,
  record: BatchRecord,
  head: { readonly keyBytes: number; readonly timeDelta: number; readonly index: number },
): number {
  const { keyBytes } = head
  const valueBytes = record.value.length
  const length =
    1 +
    varlongBytes(head.timeDelta) +
    varintBytes(head.index) +
    varintBytes(keyBytes) +
    keyBytes +
    varintBytes(valueBytes) +
    valueBytes +
    1
  let at = writeVarint(bytes, from, length)
  bytes[at++] = 0
  at = writeVarlong(bytes, at, head.timeDelta)
  at = writeVarint(bytes, at, head.index)
  at = writeVarint(bytes, at, keyBytes)
  at += bytes.write(record.key, at)
  at = writeVarint(bytes, at, valueBytes)
  bytes.set(record.value, at)
  at += valueBytes
  bytes[at++] = 0
  return at
}

/** Numbers are written zigzag: 0, -1, 1, -2 ... as 0, 1, 2, 3 ..., seven bits a byte. */
function writeVarint(bytes: Buffer, from: number, value: number): number {
  let rest = ((value << 1) ^ (value >> 31)) >>> 0
  let at = from
  while (rest > 127) {
    bytes[at++] = (rest & 127) | 128
    rest >>>= 7
  }
  bytes[at++] = rest
  return at
}

function varintBytes(value: number): number {
  const rest = ((value << 1) ^ (value >> 31)) >>> 0
  return rest < 128 ? 1 : Math.ceil((32 - Math.clz32(rest)) / 7)
}

const isShort = (value: number): boolean => value === (value | 0)

function writeVarlong(bytes: Buffer, from: number, value: number): number {
  if (isShort(value)) return writeVarint(bytes, from, value)
  let rest = zigzag(value)
  let at = from
  while (rest > 127n) {
    bytes[at++] = Number(rest & 127n) | 128
    rest >>= 7n
  }
  bytes[at++] = Number(rest)
  return at
}

function varlongBytes(value: number): number {
  if (isShort(value)) return varintBytes(value)
  return Math.ceil(zigzag(value).toString(2).length / 7)
}

function zigzag(value: number): bigint {
  return value < 0 ? BigInt(-value) * 2n - 1n : BigInt(value) * 2n
}

function readVarint(bytes: Buffer, cursor: { at: number }): number {
  let value = 0
  let shift = 0
  for (;;) {
    const byte = bytes[cursor.at++]
    assert(byte !== undefined && shift <= 28, 'a number in a batch is whole')
    value |= (byte & 127) << shift
    if (byte < 128) break
    shift += 7
  }
  return (value >>> 1) ^ -(value & 1)
}

function skipVarint(bytes: Buffer, cursor: { at: number }): void {
  while ((bytes[cursor.at++] ?? 0) > 127);
}
