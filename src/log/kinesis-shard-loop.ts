/**
 * Reads one shard for all of its partitions that are followed here.
 *
 * One request at a time, `pollMs` apart. A follow that joins behind the place of the loop takes the
 * loop back to it; the others pass over what they have. Where a partition is full and its reader is
 * at work, the shard waits for it; where nobody reads it, it is left behind, and joins again when
 * it is read. At the end of a shard, which was split or merged, each follow goes on in the child.
 */

import { OperatingError } from '../lib/errors.ts'
import { countAnswer, type ShardAnswer, ShardCursor } from './kinesis-cursor.ts'
import { toOperatingError } from './kinesis-error.ts'
import type { KinesisFollow } from './kinesis-follow.ts'
import type { KinesisLogDeps } from './kinesis-options.ts'
import { compareSequences } from './kinesis-shard.ts'
import type { KinesisStream } from './kinesis-stream.ts'

export interface ShardLoopOptions {
  readonly shardId: string
  readonly pollMs: number
  /** Tells whether a follow has no room for more. */
  isFull(follow: KinesisFollow): boolean
  /** Told after each answer. */
  onAnswer(): void
  /** Told when a follow has come to the end of the shard; its count stands in the next one. */
  onMoved(follow: KinesisFollow): void
  /** Told when a follow cannot go on. */
  onFault(follow: KinesisFollow, error: OperatingError): void
}

/** How soon a loop looks again whether there is room. */
const fullMs = 10
/** How soon it looks again whether it is wanted, unless it is told. */
const idleMs = 500
const retryMs = 200
const retryMsMax = 2_000

export class ShardLoop {
  readonly #deps: KinesisLogDeps
  readonly #stream: KinesisStream
  readonly #options: ShardLoopOptions
  readonly #follows = new Set<KinesisFollow>()
  readonly #cursor: ShardCursor
  readonly #signal: AbortSignal
  #woken = new AbortController()
  /** Rises when the cursor is taken back: an answer from before is of no use. */
  #turn = 0

  constructor(
    deps: KinesisLogDeps,
    stream: KinesisStream,
    options: ShardLoopOptions,
    given: { readonly first: KinesisFollow; readonly signal: AbortSignal },
  ) {
    this.#deps = deps
    this.#stream = stream
    this.#options = options
    this.#signal = given.signal
    const { shardId } = options
    const sequence = given.first.count?.sequence ?? ''
    this.#cursor = new ShardCursor(deps, stream, { shardId, sequence })
    this.#follows.add(given.first)
  }

  get isEmpty(): boolean {
    return this.#follows.size === 0
  }

  /** Joins a follow whose count stands in this shard. */
  add(follow: KinesisFollow): void {
    const sequence = follow.count?.sequence ?? ''
    this.#follows.add(follow)
    follow.isLeftBehind = false
    if (compareSequences(sequence, this.#cursor.sequence) < 0) {
      this.#cursor.seek(sequence)
      this.#turn++
    }
    this.wake()
  }

  remove(follow: KinesisFollow): void {
    this.#follows.delete(follow)
    if (this.isEmpty) this.wake()
  }

  /** Lets the loop look at once whether somebody wants something. */
  wake(): void {
    this.#woken.abort()
  }

  /** Runs until nothing is followed, or the signal given aborts. */
  async run(): Promise<void> {
    const { clock, logger } = this.#deps
    const { shardId, pollMs } = this.#options
    let failedCount = 0
    while (!this.#signal.aborted && !this.isEmpty && this.#stream.ended === undefined) {
      this.#woken = new AbortController()
      const beganMs = clock.monotonicMs()
      if (!this.#isWanted(beganMs)) {
        await clock.sleep(idleMs, AbortSignal.any([this.#signal, this.#woken.signal]))
        continue
      }
      if (!this.#hasRoom(beganMs)) {
        await clock.sleep(fullMs, this.#signal)
        continue
      }
      try {
        await this.#poll()
        if (failedCount > 1) logger.info({ shardId, failedCount }, 'log poll goes on')
        failedCount = 0
        await clock.sleep(pollMs - (clock.monotonicMs() - beganMs), this.#signal)
      } catch (error) {
        if (this.#signal.aborted) return
        const ours = toOperatingError(error, `read shard ${shardId}`)
        failedCount++
        const fields = { shardId, code: ours.code, says: ours.message }
        if (failedCount === 2) logger.warn(fields, 'log poll failed')
        if (!ours.retryable) this.#failAll(ours)
        await clock.sleep(Math.min(retryMsMax, retryMs * failedCount), this.#signal)
      }
    }
  }

  #isWanted(nowMs: number): boolean {
    for (const follow of this.#follows) if (follow.isWanted(nowMs)) return true
    return false
  }

  /** Leaves behind who is full and not read; answers false where one that is read is full. */
  #hasRoom(nowMs: number): boolean {
    for (const follow of [...this.#follows]) {
      if (!this.#options.isFull(follow)) continue
      if (follow.isActive(nowMs)) return false
      follow.isLeftBehind = true
      this.#follows.delete(follow)
    }
    return !this.isEmpty
  }

  async #poll(): Promise<void> {
    const turn = this.#turn
    const answer = await this.#cursor.ask()
    if (turn !== this.#turn || this.#signal.aborted) return
    answer.pass()
    const byPartition = Map.groupBy(answer.records, ({ partition }) => partition)
    for (const follow of [...this.#follows]) {
      this.#count(follow, answer, byPartition.get(follow.partition) ?? [])
    }
    if (answer.isEnd) await this.#moveAll()
    this.#options.onAnswer()
  }

  #count(follow: KinesisFollow, answer: ShardAnswer, records: ShardAnswer['records']): void {
    const { count, partition } = follow
    if (count === undefined) return
    try {
      countAnswer(this.#deps, this.#stream.retentionMs, answer, {
        partition,
        count,
        records,
        take: (offset, value) => follow.add({ offset, value }),
      })
      follow.notePlace()
      if (answer.isTip) follow.tipMs = answer.beganMs
      follow.arrivals.tell()
    } catch (error) {
      this.remove(follow)
      this.#options.onFault(follow, toOperatingError(error, `read partition ${partition}`))
    }
  }

  async #moveAll(): Promise<void> {
    const { shardId } = this.#options
    const { clock } = this.#deps
    // The children of a shard that has ended may be news to us.
    while (!this.#signal.aborted && this.#follows.size > 0) {
      for (const follow of [...this.#follows]) {
        const child = this.#stream.map.after(follow.partition, shardId)
        if (child === undefined || follow.count === undefined) continue
        this.#follows.delete(follow)
        follow.count.shardId = child.id
        follow.count.sequence = ''
        this.#options.onMoved(follow)
      }
      if (this.isEmpty) return
      await this.#stream.refresh()
      const isKnown = [...this.#follows].some(
        ({ partition }) => this.#stream.map.after(partition, shardId) !== undefined,
      )
      if (!isKnown) await clock.sleep(retryMs, this.#signal)
    }
  }

  #failAll(error: OperatingError): void {
    for (const follow of [...this.#follows]) {
      this.remove(follow)
      this.#options.onFault(follow, error)
    }
  }
}

export function lost(partition: number, after: number): OperatingError {
  return new OperatingError('LOG_OFFSET_LOST', `read partition ${partition} behind ${after}`)
}
