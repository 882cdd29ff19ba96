/**
 * Notices from another thread a piece of work that does not come back: the thread that waits for it
 * cannot.
 *
 * It looks at the number of the work that runs, and when it is the same at each look for `stuckMs`,
 * calls it stuck. It counts looks and not time: a process that was stopped and goes on has looked
 * only once.
 */

import { type Clock, systemClock } from './clock.ts'

export interface StuckWatch {
  /** Looks once; called by itself every `stuckMs` / 20. */
  look(): void
  close(): Promise<void>
}

export interface StuckWatchOptions {
  /** Work that takes longer is stuck. */
  readonly stuckMs?: number
  readonly clock?: Clock
}

const stuckMsDefault = 10_000
const lookCountMax = 20

/** `numberOf` tells which piece of work runs, undefined for none; `onStuck` is called once. */
export function openStuckWatch(
  numberOf: () => number | undefined,
  onStuck: () => void,
  { stuckMs = stuckMsDefault, clock = systemClock }: StuckWatchOptions = {},
): StuckWatch {
  let lastNumber: number | undefined
  let lookCount = 0
  const look = (): void => {
    const number = numberOf()
    lookCount = number !== undefined && number === lastNumber ? lookCount + 1 : 0
    lastNumber = number
    if (lookCount === lookCountMax) onStuck()
  }
  const closing = new AbortController()
  const run = async (): Promise<void> => {
    while (!closing.signal.aborted) {
      await clock.sleep(stuckMs / lookCountMax, closing.signal)
      if (!closing.signal.aborted) look()
    }
  }
  const running = run()
  return {
    look,
    async close() {
      closing.abort()
      await running
    },
  }
}
