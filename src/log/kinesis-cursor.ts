/**
 * A place in one shard, and what comes behind it.
 *
 * Begins at the shard's beginning or behind a sequence number, never at its end. An iterator that
 * has expired is made anew from the last sequence number. What is read is whole up to a time: that
 * of the request where the answer is the tip of the shard, else that of the last record. Records
 * older than the retention vanish without a word, so a reader compares that time with it.
 */

import { OperatingError } from '../lib/errors.ts'
import type { PartitionCount } from './kinesis-count.ts'
import { nameOf } from './kinesis-error.ts'
import { decodeFrame, type Frame } from './kinesis-frame.ts'
import {
  answerBytesMax,
  answerCountFirst,
  answerCountMax,
  type KinesisLogDeps,
  skewMs,
} from './kinesis-options.ts'
import { compareSequences } from './kinesis-shard.ts'
import type { KinesisStream } from './kinesis-stream.ts'

export interface ShardRecord {
  readonly partition: number
  readonly sequence: string
  readonly frame: Frame
}

export interface ShardAnswer {
  readonly records: readonly ShardRecord[]
  /** Nothing more was there when the request began. */
  readonly isTip: boolean
  /** The shard takes no more records, and all were read. */
  readonly isEnd: boolean
  /** Monotonic time of the request's beginning. */
  readonly beganMs: number
  /** All that came up to this wall time is in this answer or in those before. */
  readonly asOfMs: number
}

export class ShardCursor {
  readonly shardId: string
  sequence: string
  readonly #deps: KinesisLogDeps
  readonly #stream: KinesisStream
  #iterator: string | undefined
  /** Records to ask for, so that an answer stays within its bytes. */
  #countMax = answerCountFirst

  constructor(
    deps: KinesisLogDeps,
    stream: KinesisStream,
    place: { readonly shardId: string; readonly sequence: string },
  ) {
    this.#deps = deps
    this.#stream = stream
    this.shardId = place.shardId
    this.sequence = place.sequence
  }

  /** Goes on from behind another record. */
  seek(sequence: string): void {
    this.sequence = sequence
    this.#iterator = undefined
  }

  /** Asks once for what comes next. The cursor stays where it is until `pass` is called. */
  async ask(): Promise<ShardAnswer & { readonly pass: () => void }> {
    const { clock } = this.#deps
    this.#iterator ??= await this.#openIterator()
    const iterator = this.#iterator
    const beganMs = clock.monotonicMs()
    const beganAtMs = clock.nowMs()
    const countMax = this.#countMax
    const answer = await this.#getRecords(iterator, countMax)
    const records = (answer.Records ?? []).map((record): ShardRecord => {
      return {
        partition: Number(record.PartitionKey),
        sequence: record.SequenceNumber ?? '',
        frame: decodeFrame(record.Data ?? new Uint8Array(0)),
      }
    })
    const behindMs = answer.MillisBehindLatest ?? 0
    const isEnd = answer.NextShardIterator === undefined
    // A shard that was cut may not say yet that it has ended, and its child has more.
    const isOpen = !isEnd && this.#stream.map.isOpen(this.shardId)
    // A full answer may have more behind it, whatever it says.
    const isTip = isOpen && behindMs === 0 && records.length < countMax
    const lastAtMs = answer.Records?.at(-1)?.ApproximateArrivalTimestamp?.getTime()
    const emptyAsOfMs = isOpen ? beganAtMs - behindMs : 0
    const asOfMs = isTip ? beganAtMs : (lastAtMs ?? emptyAsOfMs)
    this.#countMax = nextCountMax(countMax, answer.Records ?? [])
    const pass = (): void => {
      // Sought elsewhere meanwhile: the place of this answer is no longer ours.
      if (this.#iterator !== iterator) return
      this.sequence = records.at(-1)?.sequence ?? this.sequence
      this.#iterator = answer.NextShardIterator
    }
    return { records, isTip, isEnd, beganMs, asOfMs, pass }
  }

  async #getRecords(iterator: string, countMax: number) {
    const { client } = this.#stream
    try {
      return await client.send('GetRecords', { ShardIterator: iterator, Limit: countMax })
    } catch (error) {
      if (nameOf(error) !== 'ExpiredIteratorException') throw error
      if (this.#iterator === iterator) this.#iterator = undefined
      throw new OperatingError('STORE_UNREACHABLE', `read shard ${this.shardId}`, error)
    }
  }

  async #openIterator(): Promise<string> {
    const { client, name } = this.#stream
    const { shardId, sequence } = this
    const place =
      sequence === ''
        ? ({ ShardIteratorType: 'TRIM_HORIZON' } as const)
        : ({
            ShardIteratorType: 'AFTER_SEQUENCE_NUMBER',
            StartingSequenceNumber: sequence,
          } as const)
    try {
      const input = { StreamName: name, ShardId: shardId, ...place }
      const { ShardIterator } = await client.send('GetShardIterator', input)
      if (ShardIterator !== undefined) return ShardIterator
    } catch (error) {
      const isUnknown = ['InvalidArgumentException', 'ResourceNotFoundException']
      if (!isUnknown.includes(nameOf(error))) throw error
      // Throws where the stream itself is another one.
      await this.#stream.refresh()
      throw new OperatingError('LOG_OFFSET_LOST', `read shard ${shardId} behind ${sequence}`, error)
    }
    throw new OperatingError('STORE_UNREACHABLE', `read shard ${shardId}`)
  }
}

/** Returns how many records to ask for after an answer to `countMax`. */
function nextCountMax(
  countMax: number,
  records: readonly { readonly Data?: Uint8Array | undefined }[],
): number {
  const bytes = records.reduce((sum, { Data }) => sum + (Data?.length ?? 0), 0)
  if (bytes > answerBytesMax) return Math.max(1, countMax >> 1)
  const isFull = records.length === countMax
  return isFull && 2 * bytes <= answerBytesMax ? Math.min(answerCountMax, 2 * countMax) : countMax
}

/**
 * Counts the records of an answer that are a partition's and behind its place; calls `take` with
 * the offset of each. Throws LOG_OFFSET_LOST where some may have vanished before they were read.
 */
export function countAnswer(
  deps: KinesisLogDeps,
  retentionMs: number,
  answer: ShardAnswer,
  counted: {
    readonly partition: number
    readonly count: PartitionCount
    /** The answer's records of this partition. */
    readonly records: readonly ShardRecord[]
    take(offset: number, value: Buffer): void
  },
): void {
  const { partition, count, records, take } = counted
  checkKept(deps, retentionMs, partition, count)
  for (const { sequence, frame } of records) {
    if (compareSequences(sequence, count.sequence) <= 0) continue
    count.sequence = sequence
    const before = count.offset
    if (!count.take(frame)) continue
    for (const [index, value] of frame.records.entries()) take(before + index + 1, value)
  }
  const last = answer.records.at(-1)?.sequence ?? ''
  if (compareSequences(last, count.sequence) > 0) count.sequence = last
  count.asOfMs = Math.max(count.asOfMs, answer.asOfMs)
}

/** Throws LOG_OFFSET_LOST where records behind a place may be older than the retention. */
export function checkKept(
  { clock }: KinesisLogDeps,
  retentionMs: number,
  partition: number,
  place: { readonly offset: number; readonly asOfMs: number },
): void {
  if (clock.nowMs() - place.asOfMs <= retentionMs - skewMs) return
  const says = `read partition ${partition} behind ${place.offset}: older than the stream keeps`
  throw new OperatingError('LOG_OFFSET_LOST', says)
}
