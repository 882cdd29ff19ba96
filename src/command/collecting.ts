/** Makes the collector and the list of what it rejected, on the same logs, sources and limits. */

import {
  type Collector,
  type CollectorDeps,
  type CollectorOptions,
  createCollector,
} from '../collect/collect-batch.ts'
import { defaultCollectHttpOptions, defaultCollectorOptions } from '../collect/collect-options.ts'
import { createRejectedIndex, type RejectedIndex } from '../collect/rejected-index.ts'
import { createWorkList, type WorkList } from '../collect/work-list.ts'
import type { ServerValues } from '../config.ts'

export interface Collecting {
  readonly collector: Collector
  readonly rejectedIndex: RejectedIndex
  readonly workList: WorkList
}

export function createCollecting(deps: CollectorDeps, values: ServerValues): Collecting {
  const options: CollectorOptions = {
    ...defaultCollectorOptions,
    batchCountMax: values['collect.batchCountMax'],
    limits: { ...defaultCollectorOptions.limits, eventBytesMax: values['collect.eventBytesMax'] },
  }
  const { inflatedBytesMax } = defaultCollectHttpOptions
  const rejectedIndex = createRejectedIndex(deps)
  return {
    collector: createCollector(deps, options),
    rejectedIndex,
    workList: createWorkList({ collector: deps, options, inflatedBytesMax, index: rejectedIndex }),
  }
}
