/**
 * A queue between a producer and a consumer, bounded in count and in bytes.
 *
 * Two marks keep intake from fluttering: the queue becomes full when count or bytes reach the high
 * mark, and stays full until both are at or below the low mark. While it is full, `offer` refuses,
 * and the caller says so to whoever sends (429, 503, or a pause in reading). Nothing is dropped and
 * nothing buffers without limit.
 *
 * An item larger than `bytesHigh` is taken when the queue is empty, since refusing it for ever
 * would stop the flow; callers bound the size of one item before.
 */

import { assert } from './assert.ts'

export interface BoundedQueueOptions<T> {
  readonly countHigh: number
  readonly countLow: number
  readonly bytesHigh: number
  readonly bytesLow: number
  readonly bytesOf: (item: T) => number
  /** Told at each pause and resumption of intake: the place for a metric and one log line. */
  readonly onFullChange?: (isFull: boolean, queue: BoundedQueue<T>) => void
}

interface Slot<T> {
  readonly item: T
  readonly bytes: number
}

export class BoundedQueue<T> {
  readonly #options: BoundedQueueOptions<T>
  #slots: (Slot<T> | undefined)[] = []
  /** Index of the oldest item in `#slots`; what lies before it is taken already. */
  #head = 0
  #bytes = 0
  #isFull = false
  /** Wakers of callers that wait for an item, and of those that wait for room. */
  #itemWaiters: (() => void)[] = []
  #roomWaiters: (() => void)[] = []

  constructor(options: BoundedQueueOptions<T>) {
    assert(options.countLow >= 0 && options.bytesLow >= 0, 'low marks are not negative')
    assert(options.countHigh > options.countLow, 'the high mark of the count is above the low one')
    assert(options.bytesHigh > options.bytesLow, 'the high mark of the bytes is above the low one')
    this.#options = options
  }

  get count(): number {
    return this.#slots.length - this.#head
  }

  get bytes(): number {
    return this.#bytes
  }

  /** True from reaching a high mark until both fills are at or below the low marks. */
  get isFull(): boolean {
    return this.#isFull
  }

  /** Adds `item` and returns true, or returns false while the queue is full. */
  offer(item: T): boolean {
    if (this.#isFull) return false
    const bytes = this.#options.bytesOf(item)
    assert(bytes >= 0, 'an item has a size')
    if (this.count > 0 && this.#bytes + bytes > this.#options.bytesHigh) {
      this.#setFull(true)
      return false
    }
    this.#slots.push({ item, bytes })
    this.#bytes += bytes
    this.#settle()
    wakeAll(this.#itemWaiters)
    return true
  }

  /** Removes and returns the oldest item, undefined if there is none. */
  take(): T | undefined {
    return this.takeBatch(1, Number.POSITIVE_INFINITY)[0]
  }

  /**
   * Removes and returns the oldest items: at most `countMax`, and at most `bytesMax` unless the
   * first alone is larger.
   */
  takeBatch(countMax: number, bytesMax: number): readonly T[] {
    assert(countMax > 0, 'a batch holds at least one item')
    const batch: T[] = []
    let batchBytes = 0
    while (batch.length < countMax) {
      const slot = this.#slots[this.#head]
      if (slot === undefined) break
      if (batch.length > 0 && batchBytes + slot.bytes > bytesMax) break
      this.#slots[this.#head] = undefined
      this.#head++
      this.#bytes -= slot.bytes
      batchBytes += slot.bytes
      batch.push(slot.item)
    }
    this.#compact()
    this.#settle()
    return batch
  }

  /** Resolves once there is an item, or when `signal` aborts. Never rejects. */
  waitForItem(signal: AbortSignal): Promise<void> {
    if (this.count > 0 || signal.aborted) return Promise.resolve()
    return waitIn(this.#itemWaiters, signal)
  }

  /** Resolves once intake is open, or when `signal` aborts. Never rejects. */
  waitForRoom(signal: AbortSignal): Promise<void> {
    if (!this.#isFull || signal.aborted) return Promise.resolve()
    return waitIn(this.#roomWaiters, signal)
  }

  /**
   * Cuts what is taken off the array now and then, so that taking stays cheap and the array does
   * not grow for ever.
   */
  #compact(): void {
    if (this.#head < 1_024 || this.#head * 2 < this.#slots.length) return
    this.#slots = this.#slots.slice(this.#head)
    this.#head = 0
  }

  #settle(): void {
    const { countHigh, countLow, bytesHigh, bytesLow } = this.#options
    if (this.count >= countHigh || this.#bytes >= bytesHigh) this.#setFull(true)
    else if (this.count <= countLow && this.#bytes <= bytesLow) this.#setFull(false)
  }

  #setFull(isFull: boolean): void {
    if (this.#isFull === isFull) return
    this.#isFull = isFull
    this.#options.onFullChange?.(isFull, this)
    if (!isFull) wakeAll(this.#roomWaiters)
  }
}

function wakeAll(waiters: (() => void)[]): void {
  for (const wake of waiters.splice(0)) wake()
}

function waitIn(waiters: (() => void)[], signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const wake = (): void => {
      signal.removeEventListener('abort', abort)
      resolve()
    }
    const abort = (): void => {
      waiters.splice(waiters.indexOf(wake), 1)
      resolve()
    }
    waiters.push(wake)
    signal.addEventListener('abort', abort, { once: true })
  })
}
