/**
 * How long to wait before a call is tried again: a random part of a delay that doubles, so that
 * many callers that failed together do not come back together ("full jitter").
 */

import { assert } from './assert.ts'
import type { Random } from './random.ts'

export interface Backoff {
  /** Bound of the first delay. */
  readonly delayMs: number
  readonly delayMsMax: number
}

/** Returns the delay before the next attempt; `failedCount` attempts have failed so far. */
export function backoffMs(random: Random, backoff: Backoff, failedCount: number): number {
  assert(failedCount > 0, 'a delay comes after a failure')
  const boundMs = Math.min(backoff.delayMsMax, backoff.delayMs * 2 ** (failedCount - 1))
  return random.unit() * boundMs
}
