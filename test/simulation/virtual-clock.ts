/**
 * One time line for the whole simulation. Nothing moves by itself: when all other work is idle,
 * time jumps to the next sleeper and wakes it alone, so that for one seed everything happens in
 * one order.
 *
 * The code under test uses promises only. All of them have run when a `process.nextTick` of theirs
 * fires, so one tick settles the world. A turn of the event loop does as well, at several times the
 * price; it is taken first, since a tick of code that no promise called fires before promises run,
 * and now and then, since only there Node ends a process for a rejection that nobody handled.
 */

import type { Clock } from '../../src/lib/clock.ts'

/**
 * Virtual time that one look at the monotonic clock takes: work is never free, so batches have an
 * end.
 */
const readCostMs = 0.25

/** Settlings from one turn of the event loop to the next. */
const turnCount = 16

interface Sleeper {
  readonly atMs: number
  readonly order: number
  wake(): void
  isDone: boolean
}

export class Timeline {
  #nowMs: number
  #order = 0
  #settledCount = 0
  /** A binary heap by (time, order). */
  readonly #heap: Sleeper[] = []

  constructor(startMs: number) {
    this.#nowMs = startMs
  }

  get nowMs(): number {
    return this.#nowMs
  }

  /** Resolves after `ms` of virtual time, or at once when `signal` aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true || ms <= 0) return Promise.resolve()
    return new Promise((resolve) => {
      const sleeper: Sleeper = {
        atMs: this.#nowMs + ms,
        order: this.#order++,
        isDone: false,
        wake: () => {
          sleeper.isDone = true
          signal?.removeEventListener('abort', sleeper.wake)
          resolve()
        },
      }
      signal?.addEventListener('abort', sleeper.wake, { once: true })
      push(this.#heap, sleeper)
    })
  }

  /** Lets the world run until `endMs`, or until `isDone` answers true between two instants. */
  async run(endMs: number, isDone: () => boolean = () => false): Promise<void> {
    await this.#settle()
    while (!isDone()) {
      const next = pop(this.#heap)
      if (next === undefined || next.atMs > endMs) {
        if (next !== undefined) push(this.#heap, next)
        this.#nowMs = Math.max(this.#nowMs, endMs)
        return
      }
      if (next.isDone) continue
      this.#nowMs = Math.max(this.#nowMs, next.atMs)
      next.wake()
      await this.#settle()
    }
  }

  /** Resolves when all that can run without time passing has run. */
  #settle(): Promise<void> {
    const isTurn = this.#settledCount++ % turnCount === 0
    return new Promise((resolve) => (isTurn ? setImmediate(resolve) : process.nextTick(resolve)))
  }
}

/**
 * The clock of one process on the time line: its wall clock may be wrong, and reading it costs a
 * little.
 */
export interface ProcessClock extends Clock {
  /** Moves the wall clock, as an operator or NTP does. */
  jump(ms: number): void
  readonly jumpedMs: number
}

/** What a clock must know of the process that reads it. */
export interface ProcessLife {
  /** Resolves once the process is not paused; never, where it is dead. */
  awake(): Promise<void>
}

export function createProcessClock(timeline: Timeline, life: ProcessLife): ProcessClock {
  let jumpedMs = 0
  let spentMs = 0
  return {
    nowMs: () => Math.floor(timeline.nowMs + jumpedMs),
    monotonicMs: () => {
      spentMs += readCostMs
      return timeline.nowMs + spentMs
    },
    async sleep(ms, signal) {
      await timeline.sleep(ms, signal)
      await life.awake()
    },
    jump(ms) {
      jumpedMs += ms
    },
    get jumpedMs() {
      return jumpedMs
    },
  }
}

function isBefore(left: Sleeper, right: Sleeper): boolean {
  return left.atMs < right.atMs || (left.atMs === right.atMs && left.order < right.order)
}

function push(heap: Sleeper[], sleeper: Sleeper): void {
  let at = heap.push(sleeper) - 1
  while (at > 0) {
    const parent = (at - 1) >> 1
    const above = heap[parent] as Sleeper
    if (!isBefore(sleeper, above)) break
    heap[at] = above
    at = parent
  }
  heap[at] = sleeper
}

function pop(heap: Sleeper[]): Sleeper | undefined {
  const first = heap[0]
  const last = heap.pop()
  if (first === undefined || last === undefined || heap.length === 0) return first
  let at = 0
  for (;;) {
    let child = 2 * at + 1
    if (child >= heap.length) break
    const right = heap[child + 1]
    if (right !== undefined && isBefore(right, heap[child] as Sleeper)) child++
    if (!isBefore(heap[child] as Sleeper, last)) break
    heap[at] = heap[child] as Sleeper
    at = child
  }
  heap[at] = last
  return first
}
