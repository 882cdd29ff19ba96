import type { RejectedIndex } from '../collect/rejected-index.ts'
import type { Clock } from '../lib/clock.ts'
import type { Metrics } from '../lib/metrics.ts'

/** After a start the index reads a long log; until it has, the figures are of what it has read. */
const readMsMax = 500

/** Returns what sets the figures of the list of rejected events. Never rejects. */
export function createRejectedMetrics(
  metrics: Pick<Metrics, 'gauge'>,
  index: RejectedIndex,
  clock: Clock,
): () => Promise<void> {
  const open = metrics.gauge('attune_rejected_open_events')
  const oldest = metrics.gauge('attune_rejected_oldest_seconds')
  return async () => {
    const done = new AbortController()
    const caughtUp = index.catchUp().catch(() => undefined)
    await Promise.race([caughtUp, clock.sleep(readMsMax, done.signal)])
    done.abort()
    const { openByReason, oldestMs } = index.totals()
    for (const [reason, count] of openByReason) open({ reason }, count)
    oldest({}, oldestMs === undefined ? 0 : Math.max(0, clock.nowMs() - oldestMs) / 1000)
  }
}
