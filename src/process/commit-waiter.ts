import { assert } from '../lib/assert.ts'
import type { Clock } from '../lib/clock.ts'
import type { Place } from '../log/event-log.ts'

/** Lets callers wait until the state holds a record they appended. */
export interface CommitWaiter {
  committed(partition: number, offset: number): void
  /** Answers false where `msMax` passes first. */
  wait(places: readonly Place[], msMax: number): Promise<boolean>
}

export function createCommitWaiter(clock: Clock): CommitWaiter {
  const offsets = new Map<number, number>()
  const waiting = new Set<() => void>()
  const hasAll = (places: readonly Place[]): boolean =>
    places.every(({ partition, offset }) => (offsets.get(partition) ?? 0) >= offset)
  return {
    committed(partition, offset) {
      offsets.set(partition, offset)
      for (const look of [...waiting]) look()
    },
    async wait(places, msMax) {
      // The commits heard of here cannot tell such a place from one that was never given.
      const isTold = places.every(({ offset }) => offset > 0)
      assert(isTold, 'a log that tells no offsets is followed by its state')
      if (hasAll(places)) return true
      const done = new AbortController()
      const look = (): void => {
        if (hasAll(places)) done.abort()
      }
      waiting.add(look)
      await clock.sleep(msMax, done.signal)
      waiting.delete(look)
      return hasAll(places)
    },
  }
}
