/**
 * The two requests in which a log spends its time, produce and fetch, as bytes.
 *
 * Batches go through as they are: the client library would make an object of each record, and would
 * throw away a whole answer for an error in one partition.
 */

import { type Connection, Writer } from '@platformatic/kafka'
import { assert } from '../lib/assert.ts'
import type { KafkaCallback } from './kafka-cluster.ts'
import { kafkaErrorName } from './kafka-error.ts'

export interface ProducedPartition {
  readonly partition: number
  /** `NONE` for well. */
  readonly error: string
  /** Kafka's offset of the first record. */
  readonly baseOffset: number
}

export interface FetchWish {
  readonly partition: number
  /** Kafka's offset of the first record wanted. */
  readonly from: number
  /** Epoch of the leader that wrote what was fetched last; -1 for unknown. */
  readonly leaderEpoch: number
  readonly bytesMax: number
}

export interface FetchedPartition {
  readonly partition: number
  readonly error: string
  /** Kafka's offset behind the last record that can be read. */
  readonly end: number
  readonly start: number
  readonly batches: Buffer
  /** True where the log forked behind what was fetched before: records were lost. */
  readonly isDiverged: boolean
}

export interface FetchLimits {
  readonly waitMsMax: number
  readonly bytesMax: number
}

const produceKey = 0
const produceVersion = 9
const fetchKey = 1
const fetchVersion = 13
const acksOfAll = -1
const emptyBytes = Buffer.alloc(0)
/** Most that a request takes besides names and batches. */
const headBytesMax = 64
const partitionBytesMax = 48

/** Appends one batch to each of some partitions of a topic. */
export function sendProduce(
  connection: Connection,
  topic: string,
  batches: readonly { readonly partition: number; readonly batch: Buffer }[],
  ackMsMax: number,
  callback: KafkaCallback<readonly ProducedPartition[]>,
): void {
  const writer = Writer.create()
    .appendString(null)
    .appendInt16(acksOfAll)
    .appendInt32(ackMsMax)
    .appendUnsignedVarInt(2)
    .appendString(topic)
    .appendUnsignedVarInt(batches.length + 1)
  for (const { partition, batch } of batches) {
    writer
      .appendInt32(partition)
      .appendUnsignedVarInt(batch.length + 1)
      .append(batch)
      .appendUnsignedInt8(0)
  }
  writer.appendUnsignedInt8(0).appendUnsignedInt8(0)
  connection.send(
    produceKey,
    produceVersion,
    () => writer,
    (_correlation, _key, _version, reader) => readProduced(new Cursor(reader.buffer.buffer)),
    true,
    true,
    callback,
  )
}

/** Fetches from some partitions; answers when there is anything, or after `waitMsMax`. */
export function sendFetch(
  connection: Connection,
  topicId: string,
  wishes: readonly FetchWish[],
  limits: FetchLimits,
  callback: KafkaCallback<readonly FetchedPartition[]>,
): void {
  connection.send(
    fetchKey,
    fetchVersion,
    () => Writer.create().append(fetchBytes(topicId, wishes, limits)),
    (_correlation, _key, _version, reader) => readFetched(new Cursor(reader.buffer.buffer)),
    true,
    true,
    callback,
  )
}

function fetchBytes(topicId: string, wishes: readonly FetchWish[], limits: FetchLimits): Buffer {
  const bytes = Buffer.alloc(headBytesMax + wishes.length * partitionBytesMax)
  let at = bytes.writeInt32BE(-1, 0)
  at = bytes.writeInt32BE(limits.waitMsMax, at)
  at = bytes.writeInt32BE(1, at)
  at = bytes.writeInt32BE(limits.bytesMax, at)
  at = bytes.writeInt8(0, at)
  // No session: each request says all that it wants.
  at = bytes.writeInt32BE(0, at)
  at = bytes.writeInt32BE(-1, at)
  at = writeCount(bytes, at, 1)
  at += Buffer.from(topicId.replaceAll('-', ''), 'hex').copy(bytes, at)
  at = writeCount(bytes, at, wishes.length)
  for (const { partition, from, leaderEpoch, bytesMax } of wishes) {
    at = bytes.writeInt32BE(partition, at)
    at = bytes.writeInt32BE(-1, at)
    at = bytes.writeBigInt64BE(BigInt(from), at)
    at = bytes.writeInt32BE(leaderEpoch, at)
    at = bytes.writeBigInt64BE(-1n, at)
    at = bytes.writeInt32BE(bytesMax, at)
    at = bytes.writeInt8(0, at)
  }
  at = bytes.writeInt8(0, at)
  // Nothing forgotten, no rack, no tags.
  at = writeCount(bytes, at, 0)
  at = writeCount(bytes, at, 0)
  at = bytes.writeInt8(0, at)
  return bytes.subarray(0, at)
}

/** Writes the length of a compact list: one more than it is, seven bits a byte. */
function writeCount(bytes: Buffer, from: number, count: number): number {
  let rest = count + 1
  let at = from
  while (rest > 127) {
    bytes[at++] = (rest & 127) | 128
    rest >>>= 7
  }
  bytes[at++] = rest
  return at
}

function readProduced(cursor: Cursor): readonly ProducedPartition[] {
  return (
    cursor.list(() => {
      cursor.skipText()
      const partitions = cursor.list((): ProducedPartition => {
        const partition = cursor.int32()
        const error = kafkaErrorName(cursor.int16())
        const baseOffset = cursor.int64()
        cursor.skip(16)
        cursor.list(() => {
          cursor.skip(4)
          cursor.skipText()
          cursor.skipTags()
        })
        cursor.skipText()
        cursor.skipTags()
        return { partition, error, baseOffset }
      })
      cursor.skipTags()
      return partitions
    })[0] ?? []
  )
}

function readFetched(cursor: Cursor): readonly FetchedPartition[] {
  cursor.skip(4)
  const code = cursor.int16()
  if (code !== 0) throw new Error(`a fetch was refused: ${kafkaErrorName(code)}`)
  cursor.skip(4)
  return (
    cursor.list(() => {
      cursor.skip(16)
      const partitions = cursor.list(() => readFetchedPartition(cursor))
      cursor.skipTags()
      return partitions
    })[0] ?? []
  )
}

function readFetchedPartition(cursor: Cursor): FetchedPartition {
  const partition = cursor.int32()
  const error = kafkaErrorName(cursor.int16())
  const end = cursor.int64()
  cursor.skip(8)
  const start = cursor.int64()
  cursor.list(() => {
    cursor.skip(16)
    cursor.skipTags()
  })
  cursor.skip(4)
  const batches = cursor.bytes()
  const isDiverged = cursor.skipTags().includes(0)
  return { partition, error, end, start, batches, isDiverged }
}

/** Reads an answer from front to back. */
class Cursor {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  int16(): number {
    this.#at += 2
    return this.#bytes.readInt16BE(this.#at - 2)
  }

  int32(): number {
    this.#at += 4
    return this.#bytes.readInt32BE(this.#at - 4)
  }

  int64(): number {
    this.#at += 8
    return Number(this.#bytes.readBigInt64BE(this.#at - 8))
  }

  skip(countBytes: number): void {
    this.#at += countBytes
  }

  /** Reads a compact list; an absent one is empty. */
  list<Entry>(read: () => Entry): Entry[] {
    const count = Math.max(0, this.#varint() - 1)
    assert(count <= this.#bytes.length, 'a list fits its answer')
    return Array.from({ length: count }, read)
  }

  bytes(): Buffer {
    const length = Math.max(0, this.#varint() - 1)
    this.#at += length
    return length === 0 ? emptyBytes : this.#bytes.subarray(this.#at - length, this.#at)
  }

  skipText(): void {
    this.bytes()
  }

  /** Returns the numbers of the tags passed over. */
  skipTags(): readonly number[] {
    const count = this.#varint()
    return Array.from({ length: count }, () => {
      const tag = this.#varint()
      this.#at += this.#varint()
      return tag
    })
  }

  #varint(): number {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = this.#bytes[this.#at++]
      assert(byte !== undefined && shift <= 28, 'a length in an answer is whole')
      value |= (byte & 127) << shift
      if (byte < 128) return value
    }
  }
}
