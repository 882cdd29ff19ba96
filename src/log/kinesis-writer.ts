/**
 * Appends to Kinesis, in order and acknowledged.
 *
 * What waits for a partition is packed into one frame, and one frame of a partition is on its way
 * at a time. One request at a time goes to a shard, with a frame of each of its partitions that
 * have one. The service may take some records of a request and refuse others: those are sent again,
 * as they were, before anything that came after them. A shard that takes no more for now is asked
 * again after a growing pause.
 *
 * An append that is not acknowledged within `appendMsMax` rejects with STORE_UNREACHABLE. Its
 * records may be there or not, and may even be on their way still: frames are numbered, and readers
 * pass over one that comes late or twice.
 */

import { assert } from '../lib/assert.ts'
import { backoffMs } from '../lib/backoff.ts'
import { OperatingError } from '../lib/errors.ts'
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
import { encodeRecord, type NewRecord, recordBytesMax } from './record.ts'

interface AppendCall {
  readonly places: readonly Place[]
  readonly bytes: number
  readonly deadlineMs: number
  leftCount: number
  isSettled: boolean
  resolve(places: readonly Place[]): void
  reject(error: OperatingError): void
}

interface AppendItem {
  readonly value: Buffer
  readonly call: AppendCall
}

/** What waits to be appended to one partition. */
interface Lane {
  readonly partition: number
  readonly hashKey: string
  waiting: AppendItem[]
  /** What was sent, or will be sent again, before anything that waits. */
  frame: { readonly items: readonly AppendItem[]; readonly bytes: Buffer } | undefined
  frameNumber: number
  isFlying: boolean
  /** After a failure, not sent before. */
  notBeforeMs: number
  failedCount: number
}

interface Answer {
  readonly ErrorCode?: string | undefined
  readonly ErrorMessage?: string | undefined
  readonly ShardId?: string | undefined
  readonly SequenceNumber?: string | undefined
}

export class KinesisWriter {
  readonly #deps: KinesisLogDeps
  readonly #stream: KinesisStream
  readonly #options: KinesisSettings
  readonly #onAppended: (partition: number, place: ShardPlace) => void
  readonly #lanes: readonly Lane[]
  /** Lanes with something to send. */
  readonly #ready = new Set<Lane>()
  /** Shards with a request on its way. */
  readonly #busy = new Set<string>()
  /** Who numbers the frames: another one for each opened log. */
  readonly #writer: string
  #queueBytes = 0
  #callCount = 0
  #retriedCount = 0
  #throttledCount = 0
  #isPumpDue = false
  #isTimerSet = false
  #onDrained: (() => void) | undefined
  #closed: OperatingError | undefined

  constructor(
    deps: KinesisLogDeps,
    stream: KinesisStream,
    options: KinesisSettings,
    onAppended: (partition: number, place: ShardPlace) => void,
  ) {
    this.#deps = deps
    this.#stream = stream
    this.#options = options
    this.#onAppended = onAppended
    this.#writer = Buffer.from(randomOf(deps).bytes(writerBytes)).toString('hex')
    const { partitionCount } = stream.identity
    this.#lanes = Array.from({ length: partitionCount }, (_, partition) => ({
      partition,
      hashKey: hashKeyOf(partition, partitionCount).toString(),
      waiting: [],
      frame: undefined,
      frameNumber: 0,
      isFlying: false,
      notBeforeMs: 0,
      failedCount: 0,
    }))
  }

  get queueBytes(): number {
    return this.#queueBytes
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
    const ended = this.#closed ?? this.#stream.ended
    if (ended) throw ended
    if (records.length === 0) return Promise.resolve([])
    const encoded = records.map((record) => this.#encode(record))
    const bytes = encoded.reduce((sum, value) => sum + value.length, 0)
    if (this.#queueBytes + bytes > this.#options.queueBytesHigh) {
      throw new OperatingError('LOG_OVERLOADED', `append ${records.length} records`)
    }
    return new Promise((resolve, reject) => {
      const call: AppendCall = {
        // Only who reads counts the offsets.
        places: records.map(({ partition }) => ({ partition, offset: 0 })),
        bytes,
        deadlineMs: this.#deps.clock.monotonicMs() + this.#options.appendMsMax,
        leftCount: records.length,
        isSettled: false,
        resolve,
        reject,
      }
      this.#queueBytes += bytes
      this.#callCount++
      for (const [index, { partition }] of records.entries()) {
        const lane = this.#laneOf(partition)
        const value = encoded[index]
        assert(value, 'each record was encoded')
        lane.waiting.push({ value, call })
        this.#ready.add(lane)
      }
      this.#pumpSoon()
    })
  }

  /** Resolves when all calls in hand are answered; refuses further ones at once. */
  async close(): Promise<void> {
    this.#closed ??= new OperatingError('STORE_UNREACHABLE', 'use a log that is closed')
    if (this.#callCount === 0) return
    const drained = Promise.withResolvers<void>()
    this.#onDrained = drained.resolve
    await drained.promise
  }

  #laneOf(partition: number): Lane {
    const lane = this.#lanes[partition]
    assert(lane, 'a partition is one of the log')
    return lane
  }

  #encode(record: NewRecord): Buffer {
    this.#laneOf(record.partition)
    const value = encodeRecord(record)
    assert(value.length <= recordBytesMax, 'a record is at most recordBytesMax')
    return value
  }

  /** Calls of one turn of the event loop travel together. */
  #pumpSoon(): void {
    if (this.#isPumpDue) return
    this.#isPumpDue = true
    setImmediate(() => {
      this.#isPumpDue = false
      this.#pump()
    })
  }

  #pump(): void {
    const nowMs = this.#deps.clock.monotonicMs()
    const byShard = new Map<string, Lane[]>()
    let pauseMs = Number.POSITIVE_INFINITY
    for (const lane of [...this.#ready]) {
      if (lane.isFlying) continue
      if (lane.notBeforeMs > nowMs) {
        pauseMs = Math.min(pauseMs, lane.notBeforeMs - nowMs)
        continue
      }
      // A shard that was split meanwhile is as good a group as any: its partitions are the same.
      const shardId = this.#stream.map.newestOf(lane.partition)?.id ?? ''
      if (this.#busy.has(shardId)) continue
      const lanes = byShard.get(shardId)
      if (lanes) lanes.push(lane)
      else byShard.set(shardId, [lane])
    }
    for (const [shardId, lanes] of byShard) void this.#send(shardId, lanes)
    if (pauseMs < Number.POSITIVE_INFINITY) this.#pumpAfter(pauseMs)
  }

  /** A timer may come a little early; the pump then sets the next one. */
  #pumpAfter(ms: number): void {
    if (this.#isTimerSet) return
    this.#isTimerSet = true
    void this.#deps.clock.sleep(Math.max(1, ms)).then(() => {
      this.#isTimerSet = false
      this.#pumpSoon()
    })
  }

  async #send(shardId: string, candidates: readonly Lane[]): Promise<void> {
    const lanes: Lane[] = []
    let bytes = 0
    for (const lane of candidates) {
      lane.frame ??= this.#nextFrame(lane)
      // The first always goes, and a later turn begins with those that were left out.
      const isOver = bytes + lane.frame.bytes.length > requestBytesMax
      if (lanes.length === requestCountMax || (lanes.length > 0 && isOver)) break
      bytes += lane.frame.bytes.length
      lane.isFlying = true
      lanes.push(lane)
      this.#ready.delete(lane)
    }
    this.#busy.add(shardId)
    const entries = lanes.map(({ partition, hashKey, frame }) => {
      assert(frame, 'a lane on its way has a frame')
      return { PartitionKey: `${partition}`, ExplicitHashKey: hashKey, Data: frame.bytes }
    })
    try {
      const { client, name } = this.#stream
      const input = { StreamName: name, Records: entries }
      const { Records = [] } = await client.send('PutRecords', input)
      this.#land(lanes)
      for (const [index, lane] of lanes.entries()) this.#take(lane, Records[index])
    } catch (error) {
      this.#land(lanes)
      const ours = toOperatingError(error, `append to shard ${shardId}`)
      for (const lane of lanes) this.#fail(lane, ours)
    }
    this.#busy.delete(shardId)
    this.#pumpSoon()
  }

  #land(lanes: readonly Lane[]): void {
    for (const lane of lanes) {
      lane.isFlying = false
      this.#ready.add(lane)
    }
  }

  #nextFrame(lane: Lane): NonNullable<Lane['frame']> {
    let count = 0
    let bytes = frameBytesOf([])
    for (const { value } of lane.waiting) {
      bytes += value.length + frameRecordBytes
      if (count > 0 && bytes > frameBytesMax) break
      count++
    }
    const items = lane.waiting.slice(0, count)
    lane.waiting = lane.waiting.slice(count)
    lane.frameNumber++
    const records = items.map(({ value }) => value)
    const frame = { writer: this.#writer, number: lane.frameNumber, records }
    return { items, bytes: encodeFrame(frame) }
  }

  #take(lane: Lane, answer: Answer | undefined): void {
    const { ErrorCode, ShardId, SequenceNumber } = answer ?? {}
    if (ShardId !== undefined && SequenceNumber !== undefined && ErrorCode === undefined) {
      this.#place(lane, { shardId: ShardId, sequence: SequenceNumber })
      return
    }
    const attempted = `append to partition ${lane.partition}`
    if (ErrorCode === 'ProvisionedThroughputExceededException') this.#throttledCount++
    const says = `${attempted}: ${ErrorCode ?? 'no answer'} ${answer?.ErrorMessage ?? ''}`
    this.#fail(lane, new OperatingError('STORE_UNREACHABLE', says.trim()))
  }

  #place(lane: Lane, place: ShardPlace): void {
    const items = lane.frame?.items ?? []
    lane.frame = undefined
    lane.failedCount = 0
    this.#onAppended(lane.partition, place)
    for (const { call } of items) {
      call.leftCount--
      if (call.leftCount === 0) this.#settle(call)
    }
    if (lane.waiting.length === 0) this.#ready.delete(lane)
  }

  #settle(call: AppendCall, error?: OperatingError): void {
    if (call.isSettled) return
    call.isSettled = true
    this.#queueBytes -= call.bytes
    this.#callCount--
    if (error) call.reject(error)
    else call.resolve(call.places)
    if (this.#callCount === 0) this.#onDrained?.()
  }

  /** Sends again after a pause; rejects what is late, or cannot succeed. */
  #fail(lane: Lane, error: OperatingError): void {
    const nowMs = this.#deps.clock.monotonicMs()
    lane.failedCount++
    this.#retriedCount++
    lane.notBeforeMs = nowMs + backoffMs(randomOf(this.#deps), backoff, lane.failedCount)
    const final = this.#stream.ended ?? error
    const isOver = ({ call }: AppendItem): boolean => call.isSettled
    const isLate = ({ call }: AppendItem): boolean => !final.retryable || call.deadlineMs <= nowMs
    const sent = lane.frame?.items ?? []
    if (sent.some((item) => !isOver(item) && isLate(item)) || sent.every(isOver)) {
      for (const { call } of sent) this.#settle(call, final)
      lane.frame = undefined
    }
    if (lane.frame === undefined) {
      const late = lane.waiting.filter((item) => isOver(item) || isLate(item))
      lane.waiting = lane.waiting.filter((item) => !isOver(item) && !isLate(item))
      for (const { call } of late) this.#settle(call, final)
      if (lane.waiting.length === 0) this.#ready.delete(lane)
    }
  }
}
