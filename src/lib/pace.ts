import { assert } from './assert.ts'
import type { Clock } from './clock.ts'

/** Spaces calls so that no more than a rate begin; a burst of a tenth of a second is allowed. */
export interface Pace {
  /** Resolves when the next call may begin. Calls begin in the order in which they asked. */
  wait(signal: AbortSignal): Promise<void>
}

const burstSeconds = 0.1

export function createPace(clock: Clock, ratePerSecond: number): Pace {
  assert(ratePerSecond > 0, 'a rate is above 0')
  const gapMs = 1000 / ratePerSecond
  const burstMs = burstSeconds * 1000
  let nextAt = Number.NEGATIVE_INFINITY
  return {
    async wait(signal) {
      const now = clock.monotonicMs()
      nextAt = Math.max(nextAt + gapMs, now - burstMs)
      if (nextAt > now) await clock.sleep(nextAt - now, signal)
    },
  }
}
