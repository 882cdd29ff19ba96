/**
 * Reads from Kinesis: from memory where a partition is followed, by a scan of its own elsewhere.
 *
 * A partition that is read in order, or waited for, is followed from the noted place nearest to
 * where its reader is, and counted on. Who only asks for the end follows the count without the
 * records. One loop for each shard serves all of them. Bytes kept are bounded, for each partition
 * and for all. One that nobody uses is left after a while; a glance is a scan where it finds none.
 *
 * The end is known once a request that began after the question found nothing more, and has all
 * that this log had acknowledged by then.
 */

import { assert } from '../lib/assert.ts'
import { OperatingError } from '../lib/errors.ts'
import { glanceCountMax } from './event-log.ts'
import { type CountPlace, PartitionCount } from './kinesis-count.ts'
import { toOperatingError } from './kinesis-error.ts'
import { KinesisFollow } from './kinesis-follow.ts'
import type { KinesisLogDeps, KinesisSettings } from './kinesis-options.ts'
import { loadOldestOffset, loadPlace } from './kinesis-place.ts'
import { scanPartition } from './kinesis-scan.ts'
import type { ShardPlace } from './kinesis-shard.ts'
import { lost, ShardLoop } from './kinesis-shard-loop.ts'
import type { KinesisStream } from './kinesis-stream.ts'
import type { LogRecord } from './record.ts'

const partitionUnreadHigh = 1024 * 1024
/** How long a read waits for what is known to be there, in polls. */
const arrivalPolls = 4
const unusedMsMax = 60_000
const watchMs = 5_000

type FollowKind = 'data' | 'count'

export class KinesisReader {
  readonly #deps: KinesisLogDeps
  readonly #stream: KinesisStream
  readonly #options: KinesisSettings
  readonly #follows: Readonly<Record<FollowKind, Map<number, KinesisFollow>>> = {
    data: new Map(),
    count: new Map(),
  }
  readonly #loops = new Map<string, { readonly loop: ShardLoop; readonly ran: Promise<void> }>()
  /** Where a scan of a partition ended: one that goes on from there reads in order. */
  readonly #scanEnds = new Map<number, number>()
  /** Place of the newest record that this log had acknowledged, by partition. */
  readonly #acknowledged = new Map<number, ShardPlace>()
  /** Greatest end heard of. */
  readonly #ends: Float64Array
  readonly #waiters = new Set<() => void>()
  readonly #closing = new AbortController()
  readonly #watch: Promise<void>

  constructor(deps: KinesisLogDeps, stream: KinesisStream, options: KinesisSettings) {
    this.#deps = deps
    this.#stream = stream
    this.#options = options
    this.#ends = new Float64Array(stream.identity.partitionCount)
    stream.whenEnded(() => this.#wakeAll())
    this.#watch = this.#runWatch()
  }

  async read(partition: number, after: number, countMax: number): Promise<readonly LogRecord[]> {
    this.#check(partition)
    if (countMax === 0) return []
    let follow = this.#follows.data.get(partition)
    if (follow === undefined || !this.#covers(follow, after)) {
      const isInOrder = follow === undefined || this.#scanEnds.get(partition) === after
      if (countMax <= glanceCountMax || !isInOrder) return this.#scan(partition, after, countMax)
      follow = this.#follow('data', partition, after)
    }
    follow.usedAtMs = this.#deps.clock.monotonicMs()
    await this.#settle(follow)
    if (after > follow.next) throw lost(partition, after)
    if (follow.next === after) await this.#awaitKnown(follow)
    const taken = follow.records.take(after, countMax)
    if (taken.length > 0 || countMax > glanceCountMax) return taken
    return await this.#scan(partition, after, countMax)
  }

  hasMore(partition: number, after: number): boolean {
    const follow = this.#follows.data.get(partition)
    return follow === undefined || !follow.isSettled || this.#hasNews(follow, after)
  }

  wait(
    partitions: readonly number[],
    after: readonly number[],
    signal: AbortSignal,
  ): Promise<void> {
    const followed = partitions.map((partition, index) => {
      this.#check(partition)
      return this.#follows.data.get(partition) ?? this.#follow('data', partition, after[index] ?? 0)
    })
    for (const follow of followed) this.#addInterest(follow, 1)
    return new Promise((resolve) => {
      const finish = (): void => {
        if (!this.#waiters.delete(look)) return
        const nowMs = this.#deps.clock.monotonicMs()
        for (const follow of followed) {
          this.#addInterest(follow, -1)
          follow.usedAtMs = nowMs
        }
        signal.removeEventListener('abort', finish)
        resolve()
      }
      // A partition that is no longer followed has news of another kind: the next read tells.
      const hasNews = (follow: KinesisFollow, index: number): boolean =>
        this.#follows.data.get(follow.partition) !== follow ||
        (follow.isSettled && (follow.next > (after[index] ?? 0) || follow.isLeftBehind))
      const look = (): void => {
        const isOver = signal.aborted || this.#stream.ended !== undefined
        if (isOver || followed.some(hasNews)) finish()
      }
      this.#waiters.add(look)
      signal.addEventListener('abort', finish, { once: true })
      look()
    })
  }

  async end(partition: number): Promise<number> {
    this.#check(partition)
    const { clock } = this.#deps
    const beganMs = clock.monotonicMs()
    const deadlineMs = beganMs + this.#options.readMsMax
    const isAtTip = (follow: KinesisFollow): boolean =>
      follow.tipMs >= beganMs && !this.#isKnownBehind(follow)
    let follow = this.#followForEnd(partition)
    this.#addInterest(follow, 1)
    const late = new AbortController()
    try {
      const isLate = clock.sleep(this.#options.readMsMax, late.signal)
      while (!isAtTip(follow)) {
        this.#stream.check()
        if (follow.isCountOnly) this.#checkFault(follow)
        if (clock.monotonicMs() >= deadlineMs) {
          throw new OperatingError('STORE_UNREACHABLE', `find the end of partition ${partition}`)
        }
        const current = this.#followForEnd(partition)
        this.#addInterest(current, 1)
        this.#addInterest(follow, -1)
        follow = current
        await follow.arrivals.next(Promise.race([isLate, clock.sleep(watchMs, late.signal)]))
      }
    } finally {
      late.abort()
      this.#addInterest(follow, -1)
      follow.usedAtMs = clock.monotonicMs()
    }
    const end = follow.count?.offset ?? 0
    this.#raiseEnd(partition, end)
    return end
  }

  async start(partition: number): Promise<number> {
    const [end, trimmed, oldest] = await Promise.all([
      this.end(partition),
      this.#stream.table.loadTrimmed(partition),
      loadOldestOffset(this.#deps, this.#stream, partition),
    ])
    const before = Math.max(trimmed, oldest)
    return end > before ? before + 1 : 0
  }

  /** Takes note that this log's record is at a place. */
  raiseAcknowledged(partition: number, place: ShardPlace): void {
    this.#acknowledged.set(partition, place)
    const { map } = this.#stream
    if (!map.has(place.shardId)) this.#stream.refresh().catch(() => undefined)
    for (const { loop } of this.#loops.values()) loop.wake()
    this.#lookAll()
  }

  /** Returns where the counts of these partitions stand, of those that are followed. */
  placesOf(partitions: readonly number[]): ReadonlyMap<number, CountPlace> {
    const places = new Map<number, CountPlace>()
    for (const partition of partitions) {
      const follow = this.#follows.data.get(partition)
      if (follow?.isSettled && follow.count) places.set(partition, follow.count.place())
    }
    return places
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#wakeAll()
    await Promise.all([...[...this.#loops.values()].map(({ ran }) => ran), this.#watch])
  }

  #check(partition: number): void {
    const { partitionCount } = this.#stream.identity
    const isOne = Number.isInteger(partition) && partition >= 0 && partition < partitionCount
    assert(isOne, 'a partition is one of the log')
    this.#stream.check()
  }

  #checkFault(follow: KinesisFollow): void {
    this.#stream.check()
    if (follow.fault !== undefined) throw follow.fault
  }

  #covers(follow: KinesisFollow, after: number): boolean {
    return follow.has(after) || (!follow.isSettled && follow.base === after)
  }

  /**
   * Tells whether a record behind `after` is here, or was found by who asked for the end. What is
   * acknowledged and was not met yet does not count: the next poll brings it, and whoever reads
   * many partitions must not wait for one.
   */
  #hasNews(follow: KinesisFollow, after: number): boolean {
    if (follow.next > after || follow.isLeftBehind) return true
    return (this.#ends[follow.partition] ?? 0) > after
  }

  /** Tells whether this log had a record acknowledged that a follow has not met. */
  #isKnownBehind({ partition, count }: KinesisFollow): boolean {
    const place = this.#acknowledged.get(partition)
    if (place === undefined || count === undefined) return place !== undefined
    return this.#stream.map.isBehind(partition, place, count)
  }

  /** Waits until a follow knows what is behind its base; a moment longer than a look takes. */
  async #settle(follow: KinesisFollow): Promise<void> {
    const { clock } = this.#deps
    const deadlineMs = clock.monotonicMs() + this.#options.readMsMax
    const late = new AbortController()
    const isLate = clock.sleep(this.#options.readMsMax, late.signal)
    this.#addInterest(follow, 1)
    try {
      while (!follow.isSettled) {
        this.#checkFault(follow)
        if (clock.monotonicMs() >= deadlineMs) {
          const says = `read partition ${follow.partition} behind ${follow.base}`
          throw new OperatingError('STORE_UNREACHABLE', says)
        }
        await follow.arrivals.next(isLate)
      }
      this.#checkFault(follow)
      if ((follow.count?.offset ?? 0) < follow.base) {
        this.#unfollow('data', follow)
        throw lost(follow.partition, follow.base)
      }
    } finally {
      late.abort()
      this.#addInterest(follow, -1)
    }
  }

  /** At the end of what is here: waits a little for what is known to be behind it. */
  async #awaitKnown(follow: KinesisFollow): Promise<void> {
    const { next } = follow
    if (follow.isLeftBehind) this.#join('data', follow)
    else if (!this.#hasNews(follow, next)) return
    const { clock } = this.#deps
    const late = new AbortController()
    const msMax = Math.max(200, arrivalPolls * this.#options.pollMs)
    const isLate = clock.sleep(msMax, late.signal).then(() => late.abort())
    this.#addInterest(follow, 1)
    while (follow.next === next && !late.signal.aborted && follow.fault === undefined) {
      await follow.arrivals.next(isLate)
    }
    this.#addInterest(follow, -1)
    late.abort()
    this.#checkFault(follow)
  }

  async #scan(partition: number, after: number, countMax: number): Promise<readonly LogRecord[]> {
    const deps = this.#deps
    const recent = this.#follows.data.get(partition)?.placeBefore(after)
    const place = await loadPlace(deps, this.#stream, { partition, after, recent })
    const wish = { partition, place, after, countMax, readMsMax: this.#options.readMsMax }
    const records = await scanPartition(deps, this.#stream, wish)
    this.#scanEnds.set(partition, records.at(-1)?.offset ?? after)
    return records
  }

  /** A follow that is behind does not tell the end: then the count is followed by itself. */
  #followForEnd(partition: number): KinesisFollow {
    const follow = this.#follows.data.get(partition)
    if (follow !== undefined && !follow.isLeftBehind && !this.#isFull(follow)) return follow
    const count = this.#follows.count.get(partition)
    return count ?? this.#follow('count', partition, Number.MAX_SAFE_INTEGER)
  }

  #follow(kind: FollowKind, partition: number, after: number): KinesisFollow {
    const former = this.#follows[kind].get(partition)
    if (former) this.#unfollow(kind, former)
    const nowMs = this.#deps.clock.monotonicMs()
    const isCountOnly = kind === 'count'
    const follow = new KinesisFollow(partition, after, { nowMs, isCountOnly })
    this.#follows[kind].set(partition, follow)
    void this.#begin(kind, follow, after)
    return follow
  }

  /** Finds where the count begins, and joins the loop of that shard. */
  async #begin(kind: FollowKind, follow: KinesisFollow, after: number): Promise<void> {
    const { partition } = follow
    try {
      const place = await loadPlace(this.#deps, this.#stream, { partition, after })
      if (this.#follows[kind].get(partition) !== follow || this.#closing.signal.aborted) return
      follow.count = new PartitionCount(place)
      this.#join(kind, follow)
    } catch (error) {
      this.#fail(kind, follow, toOperatingError(error, `read partition ${partition}`))
    }
  }

  #join(kind: FollowKind, follow: KinesisFollow): void {
    if (this.#closing.signal.aborted) return
    const shardId = follow.count?.shardId ?? ''
    const name = `${kind} ${shardId}`
    const running = this.#loops.get(name)
    if (running !== undefined && !running.loop.isEmpty) {
      running.loop.add(follow)
      return
    }
    follow.isLeftBehind = false
    const options = {
      shardId,
      pollMs: this.#options.pollMs,
      isFull: (each: KinesisFollow) => this.#isFull(each),
      onAnswer: () => this.#lookAll(),
      onMoved: (moved: KinesisFollow) => this.#join(kind, moved),
      onFault: (each: KinesisFollow, error: OperatingError) => this.#fail(kind, each, error),
    }
    const { signal } = this.#closing
    const loop = new ShardLoop(this.#deps, this.#stream, options, { first: follow, signal })
    const ran = Promise.all([running?.ran, loop.run()]).then(() => {
      if (this.#loops.get(name)?.loop === loop) this.#loops.delete(name)
    })
    this.#loops.set(name, { loop, ran })
  }

  #isFull(follow: KinesisFollow): boolean {
    if (follow.records.unreadBytes >= partitionUnreadHigh) return true
    if (follow.records.unreadBytes === 0) return false
    let unreadBytes = 0
    for (const each of this.#follows.data.values()) unreadBytes += each.records.unreadBytes
    return unreadBytes >= this.#options.bufferBytesHigh
  }

  #fail(kind: FollowKind, follow: KinesisFollow, error: OperatingError): void {
    follow.fault = error
    this.#unfollow(kind, follow)
  }

  #unfollow(kind: FollowKind, follow: KinesisFollow): void {
    if (this.#follows[kind].get(follow.partition) === follow) {
      this.#follows[kind].delete(follow.partition)
    }
    for (const { loop } of this.#loops.values()) loop.remove(follow)
    follow.fault ??= new OperatingError('STORE_UNREACHABLE', `follow partition ${follow.partition}`)
    follow.arrivals.tell()
    this.#lookAll()
  }

  #addInterest(follow: KinesisFollow, change: 1 | -1): void {
    follow.interestCount += change
    if (change > 0) for (const { loop } of this.#loops.values()) loop.wake()
  }

  #raiseEnd(partition: number, end: number): void {
    if (end <= (this.#ends[partition] ?? 0)) return
    this.#ends[partition] = end
    this.#lookAll()
  }

  #lookAll(): void {
    for (const look of [...this.#waiters]) look()
  }

  #wakeAll(): void {
    for (const follows of Object.values(this.#follows)) {
      for (const follow of follows.values()) follow.arrivals.tell()
    }
    this.#lookAll()
  }

  /** Leaves what nobody uses. */
  async #runWatch(): Promise<void> {
    const { clock } = this.#deps
    const { signal } = this.#closing
    while (!signal.aborted) {
      await clock.sleep(watchMs, signal)
      const nowMs = clock.monotonicMs()
      for (const kind of ['data', 'count'] as const) {
        for (const follow of [...this.#follows[kind].values()]) {
          const isUnused = nowMs - follow.usedAtMs > unusedMsMax
          if (follow.interestCount === 0 && isUnused) this.#unfollow(kind, follow)
        }
      }
    }
  }
}
