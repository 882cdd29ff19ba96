/**
 * The cluster as one log sees it: who leads which partition, and a connection to each of them.
 *
 * Brokers answer the requests of one connection one after another, so appends, long polls and
 * short questions have connections of their own. Where a call fails, the leaders are asked for
 * again before it is repeated; asking is joined and paced, whoever asks. The topic's id is its
 * identity: when the topic was made anew under the same name, everything rejects from then on with
 * LOG_MISMATCH.
 *
 * Versions of requests are fixed at the oldest that do what is needed (Kafka 3.1 and newer).
 */

import { type Connection, ConnectionPool, metadataV12, parseBroker } from '@platformatic/kafka'
import type { Clock } from '../lib/clock.ts'
import { isRetryable, OperatingError } from '../lib/errors.ts'
import { errorOfName, kafkaErrorName, toOperatingError } from './kafka-error.ts'
import { connectionOptionsOf, type KafkaClusterOptions } from './kafka-options.ts'

export type KafkaPurpose = 'append' | 'follow' | 'ask'

/** Who answers what was sent over a connection; the client library's form. */
export type KafkaCallback<Answer> = (error: Error | null, answer?: Answer) => void

interface Place {
  readonly host: string
  readonly port: number
}

const refreshMsMin = 50
const retryMsMin = 50
const retryMsMax = 500

export class KafkaCluster {
  readonly topic: string
  readonly #clock: Clock
  readonly #options: KafkaClusterOptions
  readonly #pools = new Map<KafkaPurpose, ConnectionPool>()
  #brokers = new Map<number, Place>()
  #leaders: readonly number[] = []
  #topicId = ''
  /** Place in the list of brokers of the one to ask first. */
  #askedFirst = 0
  #refreshing: Promise<void> | undefined
  #refreshedAtMs = Number.NEGATIVE_INFINITY
  /** Why the leaders could not be learned last time; undefined where they could. */
  #fault: OperatingError | undefined
  #ended: OperatingError | undefined
  readonly #endListeners: (() => void)[] = []

  constructor(clock: Clock, options: KafkaClusterOptions) {
    this.#clock = clock
    this.#options = options
    this.topic = options.topic
  }

  get topicId(): string {
    return this.#topicId
  }

  get partitionCount(): number {
    return this.#leaders.length
  }

  /** Set when the log was closed, or is not the one that was opened. */
  get ended(): OperatingError | undefined {
    return this.#ended
  }

  end(error: OperatingError): void {
    if (this.#ended) return
    this.#ended = error
    for (const listener of this.#endListeners) listener()
  }

  /** Calls `listener` when the log was closed, or is not the one that was opened. */
  whenEnded(listener: () => void): void {
    this.#endListeners.push(listener)
  }

  /** Why the leaders are not known, where they are not; more telling than a call that failed. */
  get fault(): OperatingError | undefined {
    return this.#ended ?? this.#fault
  }

  /** Returns the broker that leads a partition, undefined while nobody does. */
  leaderOf(partition: number): number | undefined {
    const leader = this.#leaders[partition]
    return leader === undefined || !this.#brokers.has(leader) ? undefined : leader
  }

  /** Asks for the leaders anew; calls that come meanwhile get the same answer. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  /** Sends one request and returns its answer; errors are the library's. */
  async call<Answer>(
    purpose: KafkaPurpose,
    node: number | undefined,
    send: (connection: Connection, callback: KafkaCallback<Answer>) => void,
  ): Promise<Answer> {
    if (this.#ended) throw this.#ended
    const pool = this.#pool(purpose)
    const place = node === undefined ? undefined : this.#brokers.get(node)
    if (node !== undefined && place === undefined) {
      throw new OperatingError('STORE_UNREACHABLE', `find broker ${node} of the cluster`)
    }
    const connection =
      place === undefined ? await pool.getFirstAvailable(this.#known()) : await pool.get(place)
    return new Promise((resolve, reject) => {
      send(connection, (error, answer) => {
        if (error) reject(error)
        else resolve(answer as Answer)
      })
    })
  }

  /** Repeats what may succeed later until `msMax` have passed, with the leaders asked for anew. */
  async retry<Result>(
    attempted: string,
    msMax: number,
    attempt: () => Promise<Result>,
  ): Promise<Result> {
    const deadlineMs = this.#clock.monotonicMs() + msMax
    for (let pauseMs = retryMsMin; ; pauseMs = Math.min(pauseMs * 2, retryMsMax)) {
      try {
        return await attempt()
      } catch (error) {
        const ours = this.#ended ?? toOperatingError(error, attempted)
        if (!isRetryable(ours)) throw ours
        if (this.#clock.monotonicMs() + pauseMs > deadlineMs) throw this.#fault ?? ours
      }
      await this.#clock.sleep(pauseMs)
      // A failure is that of the next attempt: it does not know the leader then.
      await this.refresh().catch(() => undefined)
    }
  }

  /** Drops the connections of one purpose; the next call makes new ones. */
  async reconnect(purpose: KafkaPurpose): Promise<void> {
    const pool = this.#pools.get(purpose)
    this.#pools.delete(purpose)
    await pool?.close()
  }

  async close(): Promise<void> {
    this.end(new OperatingError('STORE_UNREACHABLE', 'use a log that is closed'))
    const purposes = [...this.#pools.keys()]
    await Promise.all(purposes.map((purpose) => this.reconnect(purpose)))
  }

  #pool(purpose: KafkaPurpose): ConnectionPool {
    const known = this.#pools.get(purpose)
    if (known) return known
    const pool = new ConnectionPool(this.#options.clientId, connectionOptionsOf(this.#options))
    // Calls in hand are told of a failure by their callbacks; the event has nobody else to tell.
    pool.on('connecting', ({ connection }: { connection?: Connection }) => {
      connection?.on('error', () => undefined)
    })
    this.#pools.set(purpose, pool)
    return pool
  }

  #known(): Place[] {
    const seeds = this.#options.brokers.map((broker) => parseBroker(broker, 9092))
    const all = [...this.#brokers.values(), ...seeds]
    const distinct = all.filter(
      (one, index) =>
        all.findIndex(({ host, port }) => host === one.host && port === one.port) === index,
    )
    const first = this.#askedFirst % distinct.length
    return [...distinct.slice(first), ...distinct.slice(0, first)]
  }

  async #refresh(): Promise<void> {
    const sinceMs = this.#clock.monotonicMs() - this.#refreshedAtMs
    await this.#clock.sleep(refreshMsMin - sinceMs)
    const attempted = `ask for the leaders of topic ${this.topic}`
    try {
      this.#take(await this.#askMetadata(), attempted)
      this.#fault = undefined
    } catch (error) {
      this.#fault = toOperatingError(error, attempted)
      throw this.#ended ?? this.#fault
    } finally {
      this.#refreshedAtMs = this.#clock.monotonicMs()
    }
  }

  async #askMetadata(): Promise<metadataV12.MetadataResponse> {
    try {
      return await this.call('ask', undefined, (connection, callback) =>
        metadataV12.api(connection, [this.topic], false, false, callback),
      )
    } catch (error) {
      // A partition without a leader makes an error of the whole answer.
      const answer = (error as { response?: metadataV12.MetadataResponse } | undefined)?.response
      if (answer !== undefined) return answer
      // One that hangs takes connections still: ask another next time.
      this.#askedFirst++
      throw error
    }
  }

  #take(answer: metadataV12.MetadataResponse, attempted: string): void {
    this.#brokers = new Map(
      answer.brokers.map(({ nodeId, host, port }) => [nodeId, { host, port }]),
    )
    const topic = answer.topics.find(({ name }) => name === this.topic)
    const name = kafkaErrorName(topic?.errorCode ?? 3)
    if (topic === undefined || name !== 'NONE') {
      this.#leaders = this.#leaders.map(() => -1)
      throw errorOfName(name, attempted)
    }
    const leaders: number[] = []
    for (const { partitionIndex, leaderId } of topic.partitions) leaders[partitionIndex] = leaderId
    this.#checkSame(topic.topicId, leaders.length)
    this.#leaders = leaders
  }

  #checkSame(topicId: string, partitionCount: number): void {
    const isFirst = this.#topicId === ''
    if (isFirst) this.#topicId = topicId
    const isSame = topicId === this.#topicId
    if (isFirst || (isSame && partitionCount === this.#leaders.length)) return
    const what = isSame ? `it has ${partitionCount} partitions now` : 'it was made anew'
    const error = new OperatingError('LOG_MISMATCH', `use topic ${this.topic}: ${what}`)
    this.end(error)
    throw error
  }
}
