/**
 * How many events each source may send in a second, on this process. A source over its rate waits,
 * and no other one does.
 */

import type { Clock } from '../lib/clock.ts'
import { createTokenBucket, type TokenBucket } from '../lib/token-bucket.ts'
import type { CollectSource } from './source-directory.ts'

export interface SourceRates {
  /** Time until the source may send again; 0 for now. */
  waitMs(found: CollectSource): number
  /** Counts events that were let in, accepted or not: judging them costs the same. */
  take(found: CollectSource, count: number): void
}

interface Known {
  readonly ratePerSecond: number
  readonly bucket: TokenBucket
}

/** `ratePerSecondDefault` is for sources whose definition names none; undefined = no bound. */
export function createSourceRates(
  clock: Clock,
  ratePerSecondDefault: number | undefined,
): SourceRates {
  // As many as sources are defined: strangers have none.
  const known = new Map<string, Known>()
  const bucketOf = ({ source }: CollectSource): TokenBucket | undefined => {
    const ratePerSecond = source.eventsPerSecondMax ?? ratePerSecondDefault
    if (ratePerSecond === undefined) return undefined
    const before = known.get(source.sourceId)
    if (before?.ratePerSecond === ratePerSecond) return before.bucket
    const bucket = createTokenBucket(clock, ratePerSecond)
    known.set(source.sourceId, { ratePerSecond, bucket })
    return bucket
  }
  return {
    waitMs: (found) => bucketOf(found)?.waitMs() ?? 0,
    take: (found, count) => bucketOf(found)?.take(count),
  }
}
