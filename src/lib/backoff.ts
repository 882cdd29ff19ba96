/**
 * Retries, in one place: bounded in number and in waiting, with jitter so that many callers do not
 * come back together ("equal jitter": half of the exponential wait, and a uniform share of the
 * other half; Brooker, Exponential Backoff And Jitter, AWS 2015). Only errors that `isRetryable`
 * accepts are retried; anything else, and the last error, is thrown as it came.
 */

import { assert } from './assert.ts'
import type { Clock } from './clock.ts'
import { isRetryable } from './errors.ts'
import type { Random } from './random.ts'

export interface BackoffOptions {
  readonly delayMsFirst: number
  readonly delayMsMax: number
  /** Attempts in all, the first included. */
  readonly attemptCountMax: number
}

export interface RetryDeps {
  readonly clock: Clock
  readonly random: Random
  /** Told before each wait: the place for a metric or a log line. */
  readonly onRetry?: (error: unknown, attempt: number, delayMs: number) => void
}

/**
 * Returns the wait before attempt `attempt` + 1: between half of the exponential wait and all of
 * it, never above the bound.
 */
export function backoffDelayMs(options: BackoffOptions, random: Random, attempt: number): number {
  assert(attempt >= 1, 'attempts count from 1')
  // Above 2 ** 30 the bound has won anyway, and 2 ** 1024 would be infinite.
  const wholeMs = Math.min(
    options.delayMsMax,
    options.delayMsFirst * 2 ** Math.min(attempt - 1, 30),
  )
  return Math.ceil(wholeMs / 2 + (wholeMs / 2) * random.unit())
}

/**
 * Runs `attempt` until it succeeds, fails for good, or the attempts are used up. Throws the last
 * error, also on abort.
 */
export async function retry<T>(
  deps: RetryDeps,
  options: BackoffOptions,
  attempt: (signal: AbortSignal, attempt: number) => Promise<T>,
  signal: AbortSignal = new AbortController().signal,
): Promise<T> {
  assert(options.attemptCountMax >= 1, 'there is at least one attempt')
  assert(options.delayMsFirst > 0, 'a retry waits')
  assert(options.delayMsMax >= options.delayMsFirst, 'the longest wait is not below the first')
  for (let count = 1; ; count++) {
    try {
      return await attempt(signal, count)
    } catch (error) {
      if (!isRetryable(error) || count >= options.attemptCountMax || signal.aborted) throw error
      const delayMs = backoffDelayMs(options, deps.random, count)
      deps.onRetry?.(error, count, delayMs)
      await deps.clock.sleep(delayMs, signal)
      if (signal.aborted) throw error
    }
  }
}
