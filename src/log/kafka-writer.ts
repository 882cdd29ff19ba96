/**
 * Appends to Kafka, in order and acknowledged by all in-sync copies.
 *
 * One batch of a partition is on its way at a time, and two requests to a broker. A batch that
 * fails is sent again as it was, with the same sequence number, so the broker tells a repeat.
 *
 * An append that is not acknowledged within `appendMsMax` rejects with STORE_UNREACHABLE. Its
 * records may be there or not, and may even be on their way still. So the partition goes on with
 * a higher epoch of the producer: once a batch of it is written, brokers refuse what an older epoch
 * left in the network, and nothing comes late into the order of a key.
 */

import { assert } from '../lib/assert.ts'
import type { OperatingError } from '../lib/errors.ts'
import { type AppendItem, type AppendPiece, AppendQueue } from './append-queue.ts'
import type { Place } from './event-log.ts'
import { encodeBatch } from './kafka-batch.ts'
import type { KafkaCluster } from './kafka-cluster.ts'
import { errorOfName, toOperatingError } from './kafka-error.ts'
import {
  bytesInBatch,
  createKafkaLane,
  type KafkaLane,
  leaderless,
  pauseMsMin,
} from './kafka-lane.ts'
import { batchBytesMax, type KafkaCompression, type KafkaLogDeps } from './kafka-options.ts'
import { openProducer } from './kafka-producer.ts'
import { type ProducedPartition, sendProduce } from './kafka-request.ts'
import type { NewRecord } from './record.ts'

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
  readonly #queue: AppendQueue<KafkaLane>
  /** Requests on their way, by broker. */
  readonly #flying = new Map<number, number>()
  #producerId: bigint
  #retriedCount = 0

  constructor(
    deps: KafkaLogDeps,
    cluster: KafkaCluster,
    options: KafkaWriterOptions & { readonly producerId: bigint },
  ) {
    this.#deps = deps
    this.#cluster = cluster
    this.#options = options
    this.#producerId = options.producerId
    this.#queue = new AppendQueue({
      clock: deps.clock,
      queueBytesHigh: options.queueBytesHigh,
      appendMsMax: options.appendMsMax,
      lanes: Array.from({ length: cluster.partitionCount }, (_, partition) =>
        createKafkaLane(partition, options.producerId),
      ),
      send: (lanes) => this.#sendAll(lanes),
    })
  }

  get queueBytes(): number {
    return this.#queue.bytes
  }

  get retriedCount(): number {
    return this.#retriedCount
  }

  append(records: readonly NewRecord[]): Promise<readonly Place[]> {
    if (this.#cluster.ended) throw this.#cluster.ended
    return this.#queue.append(records)
  }

  /** Resolves when all calls in hand are answered; refuses further ones at once. */
  async close(): Promise<void> {
    await this.#queue.close()
  }

  #sendAll(lanes: readonly KafkaLane[]): void {
    const byNode = new Map<number, KafkaLane[]>()
    for (const lane of lanes) {
      const node = this.#cluster.leaderOf(lane.partition)
      if (node === undefined) {
        this.#retryLater([lane], leaderless(lane))
      } else if ((this.#flying.get(node) ?? 0) < flyingCountMax) {
        const led = byNode.get(node)
        if (led) led.push(lane)
        else byNode.set(node, [lane])
      }
    }
    for (const [node, led] of byNode) void this.#send(node, led)
  }

  async #send(node: number, candidates: readonly KafkaLane[]): Promise<void> {
    const lanes = this.#queue.depart(candidates, {
      bytesMax: requestBytesMax,
      countMax: candidates.length,
      pieceOf: (lane) => this.#nextBatch(lane),
    })
    this.#flying.set(node, (this.#flying.get(node) ?? 0) + 1)
    const batches = lanes.map(({ partition, sent }) => {
      assert(sent, 'a lane on its way has a batch')
      return { partition, batch: sent.bytes }
    })
    try {
      const { topic } = this.#cluster
      const ackMsMax = Math.ceil(this.#options.requestMsMax * 0.8)
      const answers = await this.#cluster.call<readonly ProducedPartition[]>(
        'append',
        node,
        (connection, callback) => sendProduce(connection, topic, batches, ackMsMax, callback),
      )
      this.#queue.land(lanes)
      this.#take(lanes, answers)
    } catch (error) {
      this.#queue.land(lanes)
      this.#retryLater(lanes, toOperatingError(error, `append by broker ${node}`))
    }
    this.#flying.set(node, (this.#flying.get(node) ?? 0) - 1)
    this.#queue.pumpSoon()
  }

  #nextBatch(lane: KafkaLane): AppendPiece {
    const items = this.#queue.take(lane, bytesInBatch, batchBytesMax)
    return { items, bytes: this.#encodeBatch(lane, items) }
  }

  #encodeBatch(lane: KafkaLane, items: readonly AppendItem[]): Buffer {
    return encodeBatch(items, lane, this.#options.compression)
  }

  #take(lanes: readonly KafkaLane[], answers: readonly ProducedPartition[]): void {
    const byPartition = new Map(answers.map((answer) => [answer.partition, answer]))
    for (const lane of lanes) {
      const answer = byPartition.get(lane.partition)
      const error = answer?.error ?? 'REQUEST_TIMED_OUT'
      if (answer !== undefined && error === 'NONE') this.#placeBatch(lane, answer.baseOffset)
      else if (producerLost.has(error)) void this.#renewProducer(lane, error)
      else this.#fail(lane, error)
    }
  }

  #placeBatch(lane: KafkaLane, baseOffset: number): void {
    assert(baseOffset >= 0, 'an acknowledged batch has a place')
    const count = lane.sent?.items.length ?? 0
    lane.pauseMs = pauseMsMin
    lane.sequence = (lane.sequence + count) % 2 ** 31
    this.#options.onAppended(lane.partition, baseOffset + count)
    // Our offsets are one above Kafka's.
    this.#queue.placed(lane, baseOffset + 1)
  }

  #fail(lane: KafkaLane, name: string): void {
    const error = errorOfName(name, `append to partition ${lane.partition}`)
    // A topic that is not known may be news that did not reach the broker yet.
    const mayPass = error.retryable || name === 'UNKNOWN_TOPIC_OR_PARTITION'
    if (mayPass) this.#retryLater([lane], error)
    else this.#queue.refused(lane, error)
  }

  /** Sends batches again after a pause, with the leaders asked for anew; rejects what is late. */
  #retryLater(lanes: readonly KafkaLane[], error: OperatingError): void {
    const nowMs = this.#deps.clock.monotonicMs()
    const isOver = this.#cluster.ended !== undefined
    for (const lane of lanes) {
      const notBeforeMs = nowMs + lane.pauseMs
      const failed = { error: this.#cluster.fault ?? error, isOver, notBeforeMs }
      const isSentLate = this.#queue.putOff(lane, failed)
      if (isSentLate) this.#raiseEpoch(lane)
      lane.pauseMs = Math.min(lane.pauseMs * 2, pauseMsMax)
      this.#retriedCount++
    }
    // A failure of this one shows at the next attempt, which does not know the leader then.
    this.#cluster.refresh().catch(() => undefined)
    this.#queue.pumpSoon()
  }

  #raiseEpoch(lane: KafkaLane): void {
    const isLast = lane.epoch === epochMax && lane.producerId === this.#producerId
    assert(!isLast, 'an epoch of a producer is at most 32767')
    const isSame = lane.producerId === this.#producerId
    lane.producerId = this.#producerId
    lane.epoch = isSame ? lane.epoch + 1 : 0
    lane.sequence = 0
  }

  /** Goes on under a new producer id: the broker has lost, or refuses, what we were. */
  async #renewProducer(lane: KafkaLane, name: string): Promise<void> {
    const { partition, sent } = lane
    this.#deps.logger.warn({ partition, error: name }, 'log producer renewed')
    lane.isFlying = true
    try {
      this.#producerId = await openProducer(this.#cluster)
      this.#raiseEpoch(lane)
      if (sent) sent.bytes = this.#encodeBatch(lane, sent.items)
      lane.isFlying = false
      this.#retryLater([lane], errorOfName(name, `append to partition ${partition}`))
    } catch (error) {
      lane.isFlying = false
      this.#retryLater([lane], toOperatingError(error, 'open a producer'))
    }
  }
}
