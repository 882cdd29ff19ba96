/**
 * Time, as the rest of the program may see it. Nobody else reads the system's clocks, so that a
 * simulation can run on a virtual one. `nowMs` is wall time (Unix epoch); `monotonicMs` only ever
 * grows and is for durations.
 */
export interface Clock {
  nowMs(): number
  monotonicMs(): number
  /** Resolves after `ms`, or at once when `signal` aborts. Never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** Longest wait that `setTimeout` takes; a longer one would fire at once. */
const timeoutMsMax = 2 ** 31 - 1

/**
 * Resolves after the thread's event loop has gone round once. A loop of promises that are kept at
 * once lets no message and no socket have its turn; it must ask for one now and then.
 */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep(ms, signal) {
    if (signal?.aborted === true || ms <= 0) return Promise.resolve()
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', done)
        resolve()
      }
      const timer = setTimeout(done, Math.min(ms, timeoutMsMax))
      signal?.addEventListener('abort', done, { once: true })
    })
  },
}
