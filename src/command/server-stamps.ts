import { defaultCollectorOptions, defaultStampOptions } from '../collect/collect-options.ts'
import { createItemStamps, type ItemStamps } from '../collect/item-stamp.ts'
import type { ServerValues } from '../config.ts'
import type { Clock } from '../lib/clock.ts'
import type { Metrics } from '../lib/metrics.ts'
import type { Stores } from './server-stores.ts'

/** Returns what stamps the events of a server, or nothing where that is turned off. */
export function createServerStamps(
  { clock, metrics }: { readonly clock: Clock; readonly metrics: Metrics },
  given: { readonly values: ServerValues; readonly stores: Stores },
): { readonly stamps?: ItemStamps } {
  const { values, stores } = given
  const ageMsMax = values['collect.stampAgeMsMax']
  const role = values['server.role']
  if (ageMsMax === 0 || role === 'work') return {}
  const count = metrics.counter('attune_collect_stamps_total')
  const waitMsMax = values['collect.stampWaitMsMax']
  const { workspace } = defaultCollectorOptions
  const { partitionCount } = stores.log.identity
  const place = { state: stores.state, workspace, partitionCount }
  const stamps = createItemStamps(
    { place, clock, counted: (outcome) => count({ outcome }) },
    { ...defaultStampOptions, ageMsMax, waitMsMax },
  )
  return { stamps }
}
