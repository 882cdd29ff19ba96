/**
 * What the log's thread and its clients share: a block of memory, and the messages on their ports.
 *
 * The block holds the bytes that wait in the queue (counted by callers, given back by the writer),
 * the number of the commit (odd while one runs, so that another thread can see one that never
 * ends), a flag per client that wants to hear of new records, the number of answers to each client,
 * and the end of each partition of both logs.
 */

import { assert } from '../lib/assert.ts'
import type { ErrorCode } from '../lib/errors.ts'
import type { LogIdentity } from './event-log.ts'
import { type LogStream, logStreams } from './sqlite-log-file.ts'

/** Clients of one log thread at the same time, both logs together. */
export const clientCountMax = 256
const queueBytesPlace = 0
const commitNumberPlace = 1
const flagPlace = 2
const answeredPlace = flagPlace + clientCountMax
const controlCount = answeredPlace + clientCountMax

export interface AppendMessage {
  readonly kind: 'append'
  readonly call: number
  /**
   * Frames of u32 partition | u32 stored bytes | u32 text bytes | room for the CRC-32 of the record
   * | record | text. What is stored is CRC and record; a text is what the record's id is the hash
   * of. The writer sets id and CRC: the thread that takes requests has less time.
   */
  readonly frames: ArrayBuffer
  readonly count: number
}

export type ToWriter = { readonly kind: 'hello'; readonly stream: LogStream } | AppendMessage

export type FromWriter =
  | {
      readonly kind: 'welcome'
      readonly buffer: SharedArrayBuffer
      readonly client: number
      readonly identity: LogIdentity
      readonly queueBytesHigh: number
      /** The newest records of the log, where they are kept in memory: see `LogTailReader`. */
      readonly tail: SharedArrayBuffer | undefined
    }
  | { readonly kind: 'unwelcome'; readonly code: ErrorCode; readonly says: string }
  | { readonly kind: 'placed'; readonly call: number; readonly offsets: Float64Array }
  | {
      readonly kind: 'refused'
      readonly call: number
      readonly code: ErrorCode
      readonly says: string
    }
  | { readonly kind: 'grown' }

export const frameHeadBytes = 12

export class SharedBlock {
  readonly buffer: SharedArrayBuffer
  readonly #partitionCount: number
  readonly #control: Int32Array
  readonly #ends: BigInt64Array

  constructor(partitionCount: number, buffer?: SharedArrayBuffer) {
    const bytes = controlCount * 4 + logStreams.length * partitionCount * 8
    this.buffer = buffer ?? new SharedArrayBuffer(bytes)
    assert(this.buffer.byteLength === bytes, 'both sides see the same partitions')
    this.#partitionCount = partitionCount
    this.#control = new Int32Array(this.buffer, 0, controlCount)
    this.#ends = new BigInt64Array(this.buffer, controlCount * 4)
  }

  /** Takes room in the queue, or returns false and takes none. */
  takeRoom(bytes: number, queueBytesHigh: number): boolean {
    const before = Atomics.add(this.#control, queueBytesPlace, bytes)
    if (before + bytes <= queueBytesHigh) return true
    this.giveRoom(bytes)
    return false
  }

  giveRoom(bytes: number): void {
    Atomics.sub(this.#control, queueBytesPlace, bytes)
  }

  get queueBytes(): number {
    return Atomics.load(this.#control, queueBytesPlace)
  }

  /** Called by the writer before and after a commit; odd between the two. */
  turnCommit(): void {
    Atomics.add(this.#control, commitNumberPlace, 1)
  }

  get commitNumber(): number {
    return Atomics.load(this.#control, commitNumberPlace)
  }

  /** Asks the writer for a `grown` message. The caller looks at the ends once more after this. */
  raiseFlag(client: number): void {
    Atomics.store(this.#control, flagPlace + client, 1)
  }

  /**
   * Returns whether the client had asked, and takes the question back. Called after the ends are
   * set.
   */
  lowerFlag(client: number): boolean {
    return Atomics.exchange(this.#control, flagPlace + client, 0) === 1
  }

  /** Called by the writer behind each answer, so that who sees the number finds the answer. */
  countAnswer(client: number): void {
    Atomics.add(this.#control, answeredPlace + client, 1)
  }

  /** Changes with each answer to the client; it begins at 0 with a new client and wraps around. */
  answerCount(client: number): number {
    return Atomics.load(this.#control, answeredPlace + client)
  }

  /** Called by the writer before it welcomes a client at this place. */
  clearAnswers(client: number): void {
    Atomics.store(this.#control, answeredPlace + client, 0)
  }

  end(stream: LogStream, partition: number): number {
    return Number(Atomics.load(this.#ends, this.#endPlace(stream, partition)))
  }

  setEnd(stream: LogStream, partition: number, end: number): void {
    Atomics.store(this.#ends, this.#endPlace(stream, partition), BigInt(end))
  }

  #endPlace(stream: LogStream, partition: number): number {
    return logStreams.indexOf(stream) * this.#partitionCount + partition
  }
}
