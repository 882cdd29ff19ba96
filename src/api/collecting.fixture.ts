import { type Collector, createCollector } from '../collect/collect-batch.ts'
import { defaultCollectHttpOptions, defaultCollectorOptions } from '../collect/collect-options.ts'
import { createRejectedIndex } from '../collect/rejected-index.ts'
import { createSourceDirectory } from '../collect/source-directory.ts'
import { createWorkList, type WorkList } from '../collect/work-list.ts'
import type { Clock } from '../lib/clock.ts'
import type { Random } from '../lib/random.ts'
import type { EventLog } from '../log/event-log.ts'

const webSource = { source: { sourceId: 'web', writeKeys: ['wk_12345678'] } }

/** What takes events of the source `web`, and the list of what it rejected. */
export function createCollecting(given: {
  readonly log: EventLog
  readonly rejected: EventLog
  readonly clock: Clock
  readonly random: Random
}): { readonly collector: Collector; readonly workList: WorkList } {
  const sources = createSourceDirectory([webSource])
  const collecting = { ...given, sources, metrics: { accepted: () => {}, rejected: () => {} } }
  const options = defaultCollectorOptions
  const { inflatedBytesMax } = defaultCollectHttpOptions
  const index = createRejectedIndex(given)
  return {
    collector: createCollector(collecting, options),
    workList: createWorkList({ collector: collecting, options, inflatedBytesMax, index }),
  }
}
