import { assert } from './assert.ts'
import type { Clock } from './clock.ts'

/**
 * Admits work at a rate. Work of any size is let in while nothing is owed, and what it costs beyond
 * what was there is owed: so a batch larger than the burst is never refused for ever, and over time
 * no more than the rate gets in.
 */
export interface TokenBucket {
  /** Time until work is let in again; 0 for now. */
  waitMs(): number
  /** Counts work that was let in. */
  take(count: number): void
}

const burstSeconds = 1

export function createTokenBucket(clock: Clock, ratePerSecond: number): TokenBucket {
  assert(ratePerSecond > 0, 'a rate is above 0')
  const tokensMax = ratePerSecond * burstSeconds
  let tokens = tokensMax
  let filledAtMs = clock.monotonicMs()
  const fill = (): void => {
    const nowMs = clock.monotonicMs()
    tokens = Math.min(tokensMax, tokens + ((nowMs - filledAtMs) / 1000) * ratePerSecond)
    filledAtMs = nowMs
  }
  return {
    waitMs() {
      fill()
      return tokens > 0 ? 0 : Math.max(1, Math.ceil((-tokens / ratePerSecond) * 1000))
    },
    take(count) {
      fill()
      tokens -= count
    },
  }
}
