/**
 * Appends to Kinesis, in order and acknowledged.
 *
 * What waits for a partition is packed into one frame, and one frame of a partition is on its way
 * at a time. One request at a time goes to a shard, with a frame of each of its partitions that
 * have one. The service may take some frames of a request and refuse others. A shard that takes no
 * more for now is asked again after a growing pause.
 *
 * An append that is not acknowledged within `appendMsMax` rejects with STORE_UNREACHABLE. Its
 * records may be there or not, and may even be on their way still: frames are numbered, and readers
 * pass over one that comes late or twice.
 */

import { assert } from '../lib/assert.ts'
import { backoffMs } from '../lib/backoff.ts'
import { OperatingError } from '../lib/errors.ts'
import {
  type AppendItem,
  type AppendLane,
  type AppendPiece,
  AppendQueue,
  createLane,
} from './append-queue.ts'
import type { Place } from './event-log.ts'
import { backoff } from './kinesis-client.ts'
import { toOperatingError } from './kinesis-error.ts'
import { encodeFrame, frameBytesOf, frameRecordBytes, writerBytes } from './kinesis-frame.ts'
import {
  frameBytesMax,
  type KinesisLogDeps,
  type KinesisSettings,
  randomOf,
  requestBytesMax,
  requestCountMax,
} from './kinesis-options.ts'
import { hashKeyOf, type ShardPlace } from './kinesis-shard.ts'
import type { KinesisStream } from './kinesis-stream.ts'
import type { NewRecord } from './record.ts'

interface KinesisLane extends AppendLane {
  readonly hashKey: string
  frameNumber: number
  failedCount: number
}

interface Answer {
  readonly ErrorCode?: string | undefined
  readonly ErrorMessage?: string | undefined
  readonly ShardId?: string | undefined
  readonly SequenceNumber?: string | undefined
}

/** Of a frame's limit, what its records may take. */
const frameItemBytesMax = frameBytesMax - frameBytesOf([])
const bytesInFrame = ({ value }: AppendItem): number => value.length + frameRecordBytes

export class KinesisWriter {
  readonly #deps: KinesisLogDeps
  readonly #stream: KinesisStream
  readonly #onAppended: (partition: number, place: ShardPlace) => void
  readonly #queue: AppendQueue<KinesisLane>
  /** Shards with a request on its way. */
  readonly #busy = new Set<string>()
  /** Who numbers the frames: another one for each opened log. */
  readonly #writer: string
  #retriedCount = 0
  #throttledCount = 0

  constructor(
    deps: KinesisLogDeps,
    stream: KinesisStream,
    options: KinesisSettings,
    onAppended: (partition: number, place: ShardPlace) => void,
  ) {
    this.#deps = deps
    this.#stream = stream
    this.#onAppended = onAppended
    this.#writer = Buffer.from(randomOf(deps).bytes(writerBytes)).toString('hex')
    const { partitionCount } = stream.identity
    this.#queue = new AppendQueue({
      clock: deps.clock,
      queueBytesHigh: options.queueBytesHigh,
      appendMsMax: options.appendMsMax,
      lanes: Array.from({ length: partitionCount }, (_, partition) => ({
        ...createLane(partition),
        hashKey: hashKeyOf(partition, partitionCount).toString(),
        frameNumber: 0,
        failedCount: 0,
      })),
      send: (lanes) => this.#sendAll(lanes),
    })
  }

  get queueBytes(): number {
    return this.#queue.bytes
  }

  /** Frames sent again after a failure. */
  get retriedCount(): number {
    return this.#retriedCount
  }

  /** Frames that their shard had no room for. */
  get throttledCount(): number {
    return this.#throttledCount
  }

  append(records: readonly NewRecord[]): Promise<readonly Place[]> {
    if (this.#stream.ended) throw this.#stream.ended
    return this.#queue.append(records)
  }

  /** Resolves when all calls in hand are answered; refuses further ones at once. */
  async close(): Promise<void> {
    await this.#queue.close()
  }

  #sendAll(lanes: readonly KinesisLane[]): void {
    const byShard = new Map<string, KinesisLane[]>()
    for (const lane of lanes) {
      // A shard that was split meanwhile is as good a group as any: its partitions are the same.
      const shardId = this.#stream.map.newestOf(lane.partition)?.id ?? ''
      if (this.#busy.has(shardId)) continue
      const held = byShard.get(shardId)
      if (held) held.push(lane)
      else byShard.set(shardId, [lane])
    }
    for (const [shardId, held] of byShard) void this.#send(shardId, held)
  }

  async #send(shardId: string, candidates: readonly KinesisLane[]): Promise<void> {
    const lanes = this.#queue.depart(candidates, {
      bytesMax: requestBytesMax,
      countMax: requestCountMax,
      pieceOf: (lane) => this.#nextFrame(lane),
    })
    this.#busy.add(shardId)
    const entries = lanes.map(({ partition, hashKey, sent }) => {
      assert(sent, 'a lane on its way has a frame')
      return { PartitionKey: `${partition}`, ExplicitHashKey: hashKey, Data: sent.bytes }
    })
    try {
      const { client, name } = this.#stream
      const input = { StreamName: name, Records: entries }
      const { Records = [] } = await client.send('PutRecords', input)
      this.#queue.land(lanes)
      for (const [index, lane] of lanes.entries()) this.#take(lane, Records[index])
    } catch (error) {
      this.#queue.land(lanes)
      const ours = toOperatingError(error, `append to shard ${shardId}`)
      for (const lane of lanes) this.#fail(lane, ours)
    }
    this.#busy.delete(shardId)
    this.#queue.pumpSoon()
  }

  #nextFrame(lane: KinesisLane): AppendPiece {
    const items = this.#queue.take(lane, bytesInFrame, frameItemBytesMax)
    lane.frameNumber++
    const records = items.map(({ value }) => value)
    const frame = { writer: this.#writer, number: lane.frameNumber, records }
    return { items, bytes: encodeFrame(frame) }
  }

  #take(lane: KinesisLane, answer: Answer | undefined): void {
    const { ErrorCode, ShardId, SequenceNumber } = answer ?? {}
    if (ShardId !== undefined && SequenceNumber !== undefined && ErrorCode === undefined) {
      lane.failedCount = 0
      this.#onAppended(lane.partition, { shardId: ShardId, sequence: SequenceNumber })
      // Only who reads counts the offsets.
      this.#queue.placed(lane, undefined)
      return
    }
    const attempted = `append to partition ${lane.partition}`
    if (ErrorCode === 'ProvisionedThroughputExceededException') this.#throttledCount++
    const says = `${attempted}: ${ErrorCode ?? 'no answer'} ${answer?.ErrorMessage ?? ''}`
    this.#fail(lane, new OperatingError('STORE_UNREACHABLE', says.trim()))
  }

  /** Sends again after a pause; rejects what is late, or cannot succeed. */
  #fail(lane: KinesisLane, error: OperatingError): void {
    lane.failedCount++
    this.#retriedCount++
    const pauseMs = backoffMs(randomOf(this.#deps), backoff, lane.failedCount)
    const notBeforeMs = this.#deps.clock.monotonicMs() + pauseMs
    const final = this.#stream.ended ?? error
    this.#queue.putOff(lane, { error: final, isOver: !final.retryable, notBeforeMs })
  }
}
