/**
 * Appends to Kafka, in order and acknowledged by all in-sync copies.
 *
 * One batch of a partition is on its way at a time, and two requests to a broker: what is called
 * meanwhile waits and goes into the next one, so that a request serves many callers. A batch that
 * fails is sent again as it was, with the same sequence number, so the broker tells a repeat; what
 * waits behind it stays behind it. Nothing else is sent for its partition meanwhile.
 *
 * An append that is not acknowledged within `appendMsMax` rejects with STORE_UNREACHABLE. Its
 * records may be there or not, and may even be on their way still. So the partition goes on with
 * a higher epoch of the producer: once a batch of it is written, brokers refuse what an older epoch
 * left in the network, and nothing comes late into the order of a key.
 */

import { assert } from '../lib/assert.ts'
import { OperatingError } from '../lib/errors.ts'
import type { Place } from './event-log.ts'
import { encodeBatch } from './kafka-batch.ts'
import type { KafkaCluster } from './kafka-cluster.ts'
import { errorOfName, toOperatingError } from './kafka-error.ts'
import {
  type AppendCall,
  type AppendItem,
  type AppendLane,
  createLane,
  leaderless,
  pauseMsMin,
  recordOverheadOf,
} from './kafka-lane.ts'
import { batchBytesMax, type KafkaCompression, type KafkaLogDeps } from './kafka-options.ts'
import { openProducer } from './kafka-producer.ts'
import { type ProducedPartition, sendProduce } from './kafka-request.ts'
import { encodeRecord, type NewRecord, recordBytesMax } from './record.ts'

export interface KafkaWriterOptions {
  readonly queueBytesHigh: number
  readonly compression: KafkaCompression
  readonly appendMsMax: number
  readonly requestMsMax: number
  /** Called for each partition as soon as records of it are acknowledged. */
  onAppended(partition: number, offset: number): void
}

const requestBytesMax = 8 * 1024 * 1024
const pauseMsMax = 500
/** Requests to one broker at a time: it works on one while the next is made. */
const flyingCountMax = 2
const epochMax = 32_767
/** The broker does not know our place in the partition: begin anew with an id of its own. */
const producerLost = new Set([
  ...['OUT_OF_ORDER_SEQUENCE_NUMBER', 'DUPLICATE_SEQUENCE_NUMBER', 'INVALID_PRODUCER_EPOCH'],
  ...['UNKNOWN_PRODUCER_ID', 'PRODUCER_FENCED', 'INVALID_PRODUCER_ID_MAPPING'],
])

export class KafkaWriter {
  readonly #deps: KafkaLogDeps
  readonly #cluster: KafkaCluster
  readonly #options: KafkaWriterOptions
  readonly #lanes: readonly AppendLane[]
  /** AppendLanes with something to send. */
  readonly #ready = new Set<AppendLane>()
  /** Requests on their way, by broker. */
  readonly #flying = new Map<number, number>()
  #producerId: bigint
  #queueBytes = 0
  #callCount = 0
  #retriedCount = 0
  #isPumpDue = false
  #isTimerSet = false
  #onDrained: (() => void) | undefined
  #closed: OperatingError | undefined

  constructor(
    deps: KafkaLogDeps,
    cluster: KafkaCluster,
    options: KafkaWriterOptions & { readonly producerId: bigint },
  ) {
    this.#deps = deps
    this.#cluster = cluster
    this.#options = options
    this.#producerId = options.producerId
    this.#lanes = Array.from({ length: cluster.partitionCount }, (_, partition) =>
      createLane(partition, options.producerId),
    )
  }

  get queueBytes(): number {
    return this.#queueBytes
  }

  get retriedCount(): number {
    return this.#retriedCount
  }

  append(records: readonly NewRecord[]): Promise<readonly Place[]> {
    const ended = this.#closed ?? this.#cluster.ended
    if (ended) throw ended
    if (records.length === 0) return Promise.resolve([])
    const encoded = records.map((record) => this.#encode(record))
    const bytes = encoded.reduce((sum, value) => sum + value.length, 0)
    if (this.#queueBytes + bytes > this.#options.queueBytesHigh) {
      throw new OperatingError('LOG_OVERLOADED', `append ${records.length} records`)
    }
    return new Promise((resolve, reject) => {
      const call: AppendCall = {
        places: [],
        bytes,
        deadlineMs: this.#deps.clock.monotonicMs() + this.#options.appendMsMax,
        leftCount: records.length,
        isSettled: false,
        resolve,
        reject,
      }
      this.#queueBytes += bytes
      this.#callCount++
      for (const [index, { partition, key, recordedAtMs }] of records.entries()) {
        const lane = this.#laneOf(partition)
        const value = encoded[index]
        assert(value, 'each record was encoded')
        lane.waiting.push({ key, value, timestampMs: recordedAtMs, call, index })
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

  #laneOf(partition: number): AppendLane {
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
    const byNode = new Map<number, AppendLane[]>()
    let pauseMs = Number.POSITIVE_INFINITY
    for (const lane of [...this.#ready]) {
      if (lane.isFlying) continue
      if (lane.notBeforeMs > nowMs) {
        pauseMs = Math.min(pauseMs, lane.notBeforeMs - nowMs)
        continue
      }
      const node = this.#cluster.leaderOf(lane.partition)
      if (node === undefined) {
        this.#retryLater([lane], leaderless(lane))
      } else if ((this.#flying.get(node) ?? 0) < flyingCountMax) {
        const lanes = byNode.get(node)
        if (lanes) lanes.push(lane)
        else byNode.set(node, [lane])
      }
    }
    for (const [node, lanes] of byNode) void this.#send(node, lanes)
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

  async #send(node: number, candidates: readonly AppendLane[]): Promise<void> {
    const lanes: AppendLane[] = []
    let bytes = 0
    for (const lane of candidates) {
      lane.batch ??= this.#nextBatch(lane)
      const { batch } = lane
      // The first always goes, and a later turn begins with those that were left out.
      if (lanes.length > 0 && bytes + batch.bytes.length > requestBytesMax) break
      bytes += batch.bytes.length
      lane.isFlying = true
      lanes.push(lane)
      this.#ready.delete(lane)
    }
    this.#flying.set(node, (this.#flying.get(node) ?? 0) + 1)
    const batches = lanes.map(({ partition, batch }) => {
      assert(batch, 'a lane on its way has a batch')
      return { partition, batch: batch.bytes }
    })
    try {
      const { topic } = this.#cluster
      const ackMsMax = Math.ceil(this.#options.requestMsMax * 0.8)
      const answers = await this.#cluster.call<readonly ProducedPartition[]>(
        'append',
        node,
        (connection, callback) => sendProduce(connection, topic, batches, ackMsMax, callback),
      )
      this.#land(lanes)
      this.#take(lanes, answers)
    } catch (error) {
      this.#land(lanes)
      this.#retryLater(lanes, toOperatingError(error, `append by broker ${node}`))
    }
    this.#flying.set(node, (this.#flying.get(node) ?? 0) - 1)
    this.#pumpSoon()
  }

  #land(lanes: readonly AppendLane[]): void {
    for (const lane of lanes) {
      lane.isFlying = false
      this.#ready.add(lane)
    }
  }

  #nextBatch(lane: AppendLane): { readonly items: readonly AppendItem[]; bytes: Buffer } {
    let count = 0
    let bytes = 0
    for (const { value } of lane.waiting) {
      bytes += value.length + recordOverheadOf(lane.waiting[count])
      if (count > 0 && bytes > batchBytesMax) break
      count++
    }
    const items = lane.waiting.slice(0, count)
    lane.waiting = lane.waiting.slice(count)
    return { items, bytes: this.#encodeBatch(lane, items) }
  }

  #encodeBatch(lane: AppendLane, items: readonly AppendItem[]): Buffer {
    return encodeBatch(items, lane, this.#options.compression)
  }

  #take(lanes: readonly AppendLane[], answers: readonly ProducedPartition[]): void {
    const byPartition = new Map(answers.map((answer) => [answer.partition, answer]))
    for (const lane of lanes) {
      const answer = byPartition.get(lane.partition)
      const error = answer?.error ?? 'REQUEST_TIMED_OUT'
      if (answer !== undefined && error === 'NONE') this.#placeBatch(lane, answer.baseOffset)
      else if (producerLost.has(error)) void this.#renewProducer(lane, error)
      else this.#fail(lane, error)
    }
  }

  #placeBatch(lane: AppendLane, baseOffset: number): void {
    const items = lane.batch?.items ?? []
    assert(baseOffset >= 0, 'an acknowledged batch has a place')
    lane.batch = undefined
    lane.pauseMs = pauseMsMin
    lane.sequence = (lane.sequence + items.length) % 2 ** 31
    const { partition } = lane
    this.#options.onAppended(partition, baseOffset + items.length)
    for (const [index, { call, index: at }] of items.entries()) {
      call.places[at] = { partition, offset: baseOffset + index + 1 }
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

  #fail(lane: AppendLane, name: string): void {
    const attempted = `append to partition ${lane.partition}`
    const error = errorOfName(name, attempted)
    // A topic that is not known may be news that did not reach the broker yet.
    const mayPass = error.retryable || name === 'UNKNOWN_TOPIC_OR_PARTITION'
    if (mayPass) {
      this.#retryLater([lane], error)
      return
    }
    const items = lane.batch?.items ?? []
    lane.batch = undefined
    for (const { call } of items) this.#settle(call, error)
    if (lane.waiting.length === 0) this.#ready.delete(lane)
  }

  /** Sends batches again after a pause, with the leaders asked for anew; rejects what is late. */
  #retryLater(lanes: readonly AppendLane[], error: OperatingError): void {
    const nowMs = this.#deps.clock.monotonicMs()
    for (const lane of lanes) {
      this.#expire(lane, nowMs, error)
      lane.notBeforeMs = nowMs + lane.pauseMs
      lane.pauseMs = Math.min(lane.pauseMs * 2, pauseMsMax)
      this.#retriedCount++
    }
    // A failure of this one shows at the next attempt, which does not know the leader then.
    this.#cluster.refresh().catch(() => undefined)
    this.#pumpSoon()
  }

  #expire(lane: AppendLane, nowMs: number, error: OperatingError): void {
    const final = this.#cluster.fault ?? error
    const hasEnded = this.#cluster.ended !== undefined
    const isOver = ({ call }: AppendItem): boolean => call.isSettled
    const isLate = ({ call }: AppendItem): boolean => hasEnded || call.deadlineMs <= nowMs
    const sent = lane.batch?.items ?? []
    const isBatchLate = sent.some((item) => !isOver(item) && isLate(item)) || sent.every(isOver)
    if (sent.length > 0 && isBatchLate) {
      for (const { call } of sent) this.#settle(call, final)
      lane.batch = undefined
      this.#raiseEpoch(lane)
    }
    if (lane.batch === undefined) {
      const late = lane.waiting.filter((item) => isOver(item) || isLate(item))
      lane.waiting = lane.waiting.filter((item) => !isOver(item) && !isLate(item))
      for (const { call } of late) this.#settle(call, final)
      if (lane.waiting.length === 0) this.#ready.delete(lane)
    }
  }

  #raiseEpoch(lane: AppendLane): void {
    const isLast = lane.epoch === epochMax && lane.producerId === this.#producerId
    assert(!isLast, 'an epoch of a producer is at most 32767')
    const isSame = lane.producerId === this.#producerId
    lane.producerId = this.#producerId
    lane.epoch = isSame ? lane.epoch + 1 : 0
    lane.sequence = 0
  }

  /** Goes on under a new producer id: the broker has lost, or refuses, what we were. */
  async #renewProducer(lane: AppendLane, name: string): Promise<void> {
    const { partition, batch } = lane
    this.#deps.logger.warn({ partition, error: name }, 'log producer renewed')
    lane.isFlying = true
    try {
      this.#producerId = await openProducer(this.#cluster)
      this.#raiseEpoch(lane)
      if (batch) batch.bytes = this.#encodeBatch(lane, batch.items)
      lane.isFlying = false
      this.#retryLater([lane], errorOfName(name, `append to partition ${partition}`))
    } catch (error) {
      lane.isFlying = false
      this.#retryLater([lane], toOperatingError(error, 'open a producer'))
    }
  }
}
