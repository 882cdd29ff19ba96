import type { Clock } from './clock.ts'

/** Returns what answers true at the first call, and then at most once in `msMin`. */
export function onceIn(clock: Clock, msMin: number): () => boolean {
  let lastAtMs = Number.NEGATIVE_INFINITY
  return () => {
    const nowMs = clock.monotonicMs()
    if (nowMs - lastAtMs < msMin) return false
    lastAtMs = nowMs
    return true
  }
}
