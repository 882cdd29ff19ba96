/**
 * Reads from Kafka: from memory where a partition is followed, by one request elsewhere.
 *
 * A partition that is read in order, or waited for, is followed: one loop for each broker polls all
 * that it leads, and keeps what comes until it is read. Its bytes are bounded, for each partition
 * and for all; a full one is not fetched further. A partition that nobody reads is left after a
 * while. `ends` holds the greatest end heard of, by appends, answers and questions: `read` says
 * "nothing" from memory only where it has all up to there.
 *
 * Never jumps: a place that Kafka does not have, a fork of the log, and a topic made anew reject.
 */

import { assert } from '../lib/assert.ts'
import { OperatingError } from '../lib/errors.ts'
import { glanceCountMax } from './event-log.ts'
import type { FollowEntry } from './follow-buffer.ts'
import { decodeBatches } from './kafka-batch.ts'
import type { KafkaCluster } from './kafka-cluster.ts'
import { errorOfName, toOperatingError } from './kafka-error.ts'
import { KafkaFollow } from './kafka-follow.ts'
import { createOffsetAsker } from './kafka-offsets.ts'
import type { KafkaLogDeps } from './kafka-options.ts'
import { paceKafkaPoll } from './kafka-pace.ts'
import { type FetchedPartition, type FetchWish, sendFetch } from './kafka-request.ts'
import { decodeRecord, type LogRecord } from './record.ts'

export interface KafkaReaderOptions {
  readonly bufferBytesHigh: number
  readonly readMsMax: number
  readonly stallMsMax: number
}

interface Fetched {
  readonly entries: readonly FollowEntry[]
  readonly next: number
  readonly leaderEpoch: number
}

/** A long poll ends so soon, so that newly followed partitions join it. */
const pollMsMax = 100
const retryMs = 100
/** How soon a loop looks again whether there is room. */
const fullMs = 10
const fetchBytesMax = 8 * 1024 * 1024
const partitionBytesMax = 512 * 1024
const partitionUnreadHigh = 1024 * 1024
const glanceBytesMax = 16 * 1024
/** How long a read waits for the loop to bring what is known to be there. */
const arrivalMsMax = 300
const unusedMsMax = 60_000
const watchMs = 5_000

export class KafkaReader {
  readonly #deps: KafkaLogDeps
  readonly #cluster: KafkaCluster
  readonly #options: KafkaReaderOptions
  readonly #follows = new Map<number, KafkaFollow>()
  /** Where a direct read of a partition ended: one that goes on from there reads in order. */
  readonly #directEnds = new Map<number, number>()
  readonly #ends: Float64Array
  readonly #waiters = new Set<() => void>()
  readonly #loops = new Map<number, Promise<void>>()
  readonly #closing = new AbortController()
  readonly #endOf: (partition: number) => Promise<number>
  readonly #startOf: (partition: number) => Promise<number>
  #reopenedCount = 0
  readonly #watch: Promise<void>

  constructor(deps: KafkaLogDeps, cluster: KafkaCluster, options: KafkaReaderOptions) {
    this.#deps = deps
    this.#cluster = cluster
    this.#options = options
    this.#ends = new Float64Array(cluster.partitionCount)
    this.#endOf = createOffsetAsker(cluster, 'end', options.readMsMax)
    this.#startOf = createOffsetAsker(cluster, 'start', options.readMsMax)
    cluster.whenEnded(() => this.#lookAll())
    this.#watch = this.#runWatch()
  }

  /** How often a stalled connection was opened anew. */
  get reopenedCount(): number {
    return this.#reopenedCount
  }

  async read(partition: number, after: number, countMax: number): Promise<readonly LogRecord[]> {
    const { clock } = this.#deps
    this.#check(partition)
    const follow = this.#follows.get(partition)
    if (follow?.has(after)) {
      follow.usedAtMs = clock.monotonicMs()
      if (follow.next === after && (this.#ends[partition] ?? 0) > after) {
        const giveUp = new AbortController()
        await follow.arrivals.next(clock.sleep(arrivalMsMax, giveUp.signal))
        giveUp.abort()
      }
      const isHere = follow.has(after) && this.#follows.get(partition) === follow
      if (isHere && follow.next > after) return this.#takeOrGoOn(follow, after, countMax)
      const isNothing = isHere && (this.#ends[partition] ?? 0) <= after
      if (isNothing && countMax > glanceCountMax) return []
    }
    return this.#readDirect(partition, after, countMax)
  }

  hasMore(partition: number, after: number): boolean {
    const follow = this.#follows.get(partition)
    return follow === undefined || (this.#ends[partition] ?? 0) > after || follow.next > after
  }

  wait(
    partitions: readonly number[],
    after: readonly number[],
    signal: AbortSignal,
  ): Promise<void> {
    for (const [index, partition] of partitions.entries()) {
      this.#check(partition)
      if (!this.#follows.has(partition)) this.#follow(partition, after[index] ?? 0)
    }
    const followed = partitions.map((partition) => this.#follows.get(partition))
    for (const follow of followed) follow?.addWaiter(1)
    return new Promise((resolve) => {
      const finish = (): void => {
        if (!this.#waiters.delete(look)) return
        for (const follow of followed) follow?.addWaiter(-1)
        signal.removeEventListener('abort', finish)
        resolve()
      }
      // A partition that is no longer followed has news of another kind: the next read tells.
      const hasNews = (partition: number, index: number): boolean =>
        this.#follows.get(partition) !== followed[index] ||
        this.hasMore(partition, after[index] ?? 0)
      const look = (): void => {
        const isOver = signal.aborted || this.#cluster.ended !== undefined
        if (isOver || partitions.some(hasNews)) finish()
      }
      this.#waiters.add(look)
      signal.addEventListener('abort', finish, { once: true })
      look()
    })
  }

  async end(partition: number): Promise<number> {
    this.#check(partition)
    const end = await this.#endOf(partition)
    this.raiseEnd(partition, end)
    return end
  }

  async start(partition: number): Promise<number> {
    this.#check(partition)
    const [start, end] = await Promise.all([this.#startOf(partition), this.end(partition)])
    return start >= end ? 0 : start + 1
  }

  /** Takes note that a partition has records up to `offset`. */
  raiseEnd(partition: number, offset: number): void {
    if (offset <= (this.#ends[partition] ?? 0)) return
    this.#ends[partition] = offset
    this.#lookAll()
  }

  async close(): Promise<void> {
    this.#closing.abort()
    for (const follow of this.#follows.values()) follow.arrivals.tell()
    this.#lookAll()
    await this.#cluster.reconnect('follow')
    await Promise.all([...this.#loops.values(), this.#watch])
  }

  #check(partition: number): void {
    const isOne = partition >= 0 && partition < this.#cluster.partitionCount
    assert(isOne && Number.isInteger(partition), 'a partition is one of the log')
    if (this.#cluster.ended) throw this.#cluster.ended
  }

  #lookAll(): void {
    for (const look of [...this.#waiters]) look()
  }

  async #takeOrGoOn(
    follow: KafkaFollow,
    after: number,
    countMax: number,
  ): Promise<readonly LogRecord[]> {
    const { next } = follow
    const records = follow.records.take(after, countMax)
    // Places without a record: what comes behind them is meant.
    if (records.length === 0 && countMax > 0) return this.read(follow.partition, next, countMax)
    return records
  }

  async #readDirect(
    partition: number,
    after: number,
    countMax: number,
  ): Promise<readonly LogRecord[]> {
    if (countMax === 0) return []
    const attempted = `read partition ${partition} behind ${after}`
    const bytesMax = countMax <= glanceCountMax ? glanceBytesMax : partitionBytesMax
    const wish: FetchWish = { partition, from: after, leaderEpoch: -1, bytesMax }
    const answer = await this.#cluster.retry(attempted, this.#options.readMsMax, async () => {
      const node = this.#leaderOf(partition)
      const [answered] = await this.#fetch('ask', node, [wish], 0)
      if (answered === undefined) throw new OperatingError('STORE_UNREACHABLE', attempted)
      if (answered.error !== 'NONE') throw errorOfName(answered.error, attempted)
      return answered
    })
    const { entries, next, leaderEpoch } = this.#decode(answer, after)
    this.raiseEnd(partition, answer.end)
    if (this.#mayTakeOver(partition, after, countMax)) {
      const follow = this.#follow(partition, after)
      follow.add(entries, next, leaderEpoch)
      return next > after ? this.#takeOrGoOn(follow, after, countMax) : []
    }
    const taken = entries.slice(0, countMax)
    this.#directEnds.set(partition, taken.at(-1)?.offset ?? after)
    return taken.map(({ offset, value }) => decodeRecord(partition, offset, value))
  }

  /** Tells whether a reader at this place is the one to follow for. */
  #mayTakeOver(partition: number, after: number, countMax: number): boolean {
    const follow = this.#follows.get(partition)
    if (follow === undefined) return countMax > glanceCountMax
    const isInOrder = this.#directEnds.get(partition) === after && countMax > glanceCountMax
    return isInOrder || follow.next < after
  }

  #follow(partition: number, after: number): KafkaFollow {
    this.#follows.get(partition)?.arrivals.tell()
    const follow = new KafkaFollow(partition, after, this.#deps.clock.monotonicMs())
    this.#follows.set(partition, follow)
    this.#directEnds.delete(partition)
    this.#startLoops()
    return follow
  }

  #unfollow(follow: KafkaFollow): void {
    if (this.#follows.get(follow.partition) !== follow) return
    this.#follows.delete(follow.partition)
    follow.arrivals.tell()
    this.#lookAll()
  }

  #leaderOf(partition: number): number {
    const node = this.#cluster.leaderOf(partition)
    if (node !== undefined) return node
    throw new OperatingError('STORE_UNREACHABLE', `find who leads partition ${partition}`)
  }

  #fetch(
    purpose: 'ask' | 'follow',
    node: number,
    wishes: readonly FetchWish[],
    waitMsMax: number,
  ): Promise<readonly FetchedPartition[]> {
    const limits = { waitMsMax, bytesMax: fetchBytesMax }
    const { topicId } = this.#cluster
    return this.#cluster.call(purpose, node, (connection, callback) =>
      sendFetch(connection, topicId, wishes, limits, callback),
    )
  }

  #decode(answer: FetchedPartition, after: number): Fetched {
    const place = `partition ${answer.partition} behind ${after}`
    if (answer.isDiverged) throw new OperatingError('LOG_OFFSET_LOST', `read ${place}`)
    const decoded = decodeBatches(answer.batches, after, place)
    const entries = decoded.entries.map(({ offset, value }) => ({ offset: offset + 1, value }))
    return { entries, next: decoded.nextOffset ?? after, leaderEpoch: decoded.leaderEpoch }
  }

  #startLoops(): void {
    for (const { partition } of this.#follows.values()) {
      const node = this.#cluster.leaderOf(partition)
      if (node === undefined || this.#loops.has(node) || this.#closing.signal.aborted) continue
      const loop = this.#runLoop(node).finally(() => this.#loops.delete(node))
      this.#loops.set(node, loop)
    }
  }

  /** Polls one broker for all that it leads, until it leads nothing that is followed. */
  async #runLoop(node: number): Promise<void> {
    const { clock } = this.#deps
    const { signal } = this.#closing
    const unreadBytes = (): number => this.#unreadBytes()
    let failedCount = 0
    while (!signal.aborted && this.#cluster.ended === undefined) {
      const led = [...this.#follows.values()].filter(
        ({ partition }) => this.#cluster.leaderOf(partition) === node,
      )
      if (led.length === 0) return
      const room = this.#withRoom(led)
      if (room.length === 0) {
        await clock.sleep(fullMs, signal)
        continue
      }
      try {
        const broughtBytes = await this.#poll(node, room)
        if (failedCount > 0) this.#deps.logger.info({ node, failedCount }, 'log poll goes on')
        failedCount = 0
        await paceKafkaPoll(clock, { broughtBytes, unreadBytes }, signal)
      } catch (error) {
        if (signal.aborted) return
        failedCount++
        const ours = toOperatingError(error, `follow broker ${node}`)
        const fields = { node, code: ours.code, says: ours.message }
        if (failedCount === 1) this.#deps.logger.warn(fields, 'log poll failed')
        await clock.sleep(retryMs, signal)
        await this.#cluster.refresh().catch(() => undefined)
      }
      this.#startLoops()
    }
  }

  #unreadBytes(): number {
    return [...this.#follows.values()].reduce((sum, { records }) => sum + records.unreadBytes, 0)
  }

  #withRoom(follows: readonly KafkaFollow[]): readonly KafkaFollow[] {
    const isFull = this.#unreadBytes() >= this.#options.bufferBytesHigh
    return follows.filter((follow) =>
      isFull ? follow.records.unreadBytes === 0 : follow.records.unreadBytes < partitionUnreadHigh,
    )
  }

  async #poll(node: number, follows: readonly KafkaFollow[]): Promise<number> {
    const wishes = follows.map(({ partition, next, leaderEpoch }): FetchWish => {
      return { partition, from: next, leaderEpoch, bytesMax: partitionBytesMax }
    })
    const answers = await this.#fetch('follow', node, wishes, pollMsMax)
    const byPartition = new Map(
      follows.map((follow, index) => [follow.partition, { follow, from: wishes[index]?.from }]),
    )
    let bytes = 0
    let hasMoved = false
    for (const answer of answers) {
      const asked = byPartition.get(answer.partition)
      // Followed from another place meanwhile: this answer is about the old one.
      const isOld = asked === undefined || asked.follow.next !== asked.from
      if (isOld || this.#follows.get(answer.partition) !== asked.follow) continue
      bytes += answer.batches.length
      if (answer.error === 'NONE') this.#absorb(asked.follow, answer)
      else if (answer.error === 'OFFSET_OUT_OF_RANGE') this.#unfollow(asked.follow)
      else hasMoved = true
    }
    if (hasMoved) {
      await this.#deps.clock.sleep(retryMs, this.#closing.signal)
      await this.#cluster.refresh()
    }
    return bytes
  }

  #absorb(follow: KafkaFollow, answer: FetchedPartition): void {
    const { partition } = follow
    if (answer.isDiverged) {
      this.#unfollow(follow)
      return
    }
    try {
      const { entries, next, leaderEpoch } = this.#decode(answer, follow.next)
      if (next > follow.next || answer.end <= follow.next) {
        follow.movedAtMs = this.#deps.clock.monotonicMs()
      }
      follow.add(entries, next, leaderEpoch)
      this.raiseEnd(partition, Math.max(answer.end, next))
    } catch (error) {
      this.#deps.logger.error({ partition, says: String(error) }, 'log batch refused')
      // The reader meets the same bytes, and the error with them, at its next read.
      this.#unfollow(follow)
    }
  }

  /** Leaves what nobody reads, and connects anew where more is there and nothing comes. */
  async #runWatch(): Promise<void> {
    const { clock, logger } = this.#deps
    const { signal } = this.#closing
    const { stallMsMax } = this.#options
    while (!signal.aborted) {
      await clock.sleep(Math.min(watchMs, stallMsMax / 2), signal)
      if (signal.aborted || this.#follows.size === 0) continue
      const nowMs = clock.monotonicMs()
      for (const follow of [...this.#follows.values()]) {
        if (!follow.isWaitedFor && nowMs - follow.usedAtMs > unusedMsMax) this.#unfollow(follow)
      }
      await this.#cluster.refresh().catch(() => undefined)
      this.#startLoops()
      const ends = [...this.#follows.keys()].map((partition) => this.end(partition))
      await Promise.allSettled(ends)
      const stalled = this.#withRoom([...this.#follows.values()]).filter(
        ({ partition, next, movedAtMs }) =>
          (this.#ends[partition] ?? 0) > next && clock.monotonicMs() - movedAtMs > stallMsMax,
      )
      if (stalled.length === 0) continue
      const partitions = stalled.map(({ partition }) => partition)
      logger.warn({ partitions, stallMs: stallMsMax }, 'log stalled; connecting anew')
      this.#reopenedCount++
      for (const follow of stalled) follow.movedAtMs = clock.monotonicMs()
      await this.#cluster.reconnect('follow').catch(() => undefined)
    }
  }
}
