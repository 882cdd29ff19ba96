import type { Clock } from '../lib/clock.ts'
import type { EventLog } from '../log/event-log.ts'
import type { Freshness } from './freshness.ts'
import type { Owned } from './ownership.ts'

/**
 * Confirms freshness where the state has reached what was the log's end when it was last looked at,
 * and nothing waits to be sent to other partitions.
 */
export async function confirmFreshness(
  deps: { readonly log: EventLog; readonly clock: Clock; readonly freshness: Freshness },
  owned: readonly Owned[],
  pendingCount: (partition: number) => number,
): Promise<void> {
  const atMs = deps.clock.nowMs()
  const unmarked = owned.filter(({ mark }) => mark === undefined)
  const ends = await Promise.all(unmarked.map(({ fold }) => deps.log.end(fold.partition)))
  unmarked.forEach((each, index) => {
    each.mark = { end: ends[index] ?? 0, atMs }
  })
  for (const each of owned) {
    const { fold, mark } = each
    const isReached = fold.stopped === undefined && fold.committedOffset >= (mark?.end ?? 0)
    if (!isReached || pendingCount(fold.partition) > 0) continue
    deps.freshness.confirm(fold.partition, mark?.atMs ?? atMs)
    each.mark = undefined
  }
}
