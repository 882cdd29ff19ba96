/**
 * Deliveries that were taken, so that a repeat is answered and dropped before anything reads it.
 * Bounded in count and time; what it forgets, the fold still drops by event id.
 */

import type { Clock } from '../lib/clock.ts'

export interface ReplayCache {
  has(key: string): boolean
  add(key: string): void
}

export interface ReplayOptions {
  readonly keyCountMax: number
  readonly keptMs: number
}

export const defaultReplayOptions: ReplayOptions = { keyCountMax: 20_000, keptMs: 24 * 3_600_000 }

export function createReplayCache(clock: Clock, options: ReplayOptions): ReplayCache {
  /** When each key was added, oldest first. */
  const addedAtMs = new Map<string, number>()
  return {
    has(key) {
      const at = addedAtMs.get(key)
      return at !== undefined && clock.monotonicMs() - at < options.keptMs
    },
    add(key) {
      addedAtMs.delete(key)
      addedAtMs.set(key, clock.monotonicMs())
      for (const [oldest, at] of addedAtMs) {
        const isOver = addedAtMs.size > options.keyCountMax
        if (!isOver && clock.monotonicMs() - at < options.keptMs) break
        addedAtMs.delete(oldest)
      }
    },
  }
}
