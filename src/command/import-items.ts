/**
 * Where an import of a catalog writes: items instead of events. A row that is imported again says
 * the same again, so nothing is looked for in the log after a kill.
 *
 * A row that is refused is told with its line and not kept: the file is still there, and a catalog
 * has no rejected log of its own.
 */

import type { EventResult } from '../collect/collect-batch.ts'
import { defaultCollectorOptions } from '../collect/collect-options.ts'
import { judgeCatalogItem } from '../collect/judge-catalog-item.ts'
import type { Clock } from '../lib/clock.ts'
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'
import type { EventLog } from '../log/event-log.ts'
import type { NewRecord } from '../log/record.ts'
import type { Wire } from './import-http.ts'

/** Names items among the places of imports; no source of events has such a name. */
export const catalogSourceId = 'catalog:items'

/** Judges items and appends the good ones. */
export async function writeItems(
  deps: { readonly clock: Clock; readonly log: EventLog },
  items: readonly JsonObject[],
): Promise<readonly EventResult[]> {
  const records: NewRecord[] = []
  const results = items.map((item): EventResult => {
    const judged = judge(item, deps)
    if (judged.kind === 'refused') return { ...judged, status: 'rejected' }
    records.push(judged.record)
    return { status: 'accepted', eventId: judged.itemId }
  })
  if (records.length > 0) await deps.log.append(records)
  return results
}

/** Takes items by the API, with a key that has the scope `write`. */
export function createItemWire(apiKey: string): Wire {
  return {
    path: '/api/v1/items',
    authorization: `Bearer ${apiKey}`,
    bodyOf: (items) => JSON.stringify({ items: items.map(bareItem) }),
    resultsOf({ status, fields }, items) {
      const { accepted, code, faults } = fields
      const isTaken = status === 200 && typeof accepted === 'number'
      const isNone = status === 400 && code === 'invalid'
      if (!isTaken && !isNone) return undefined
      const says = isNone ? 'was not taken' : undefined
      return resultsOf(items, Array.isArray(faults) ? faults : [], says)
    },
  }
}

/** The first fault of each item; `says` is of those that no fault names. */
function resultsOf(
  items: readonly JsonObject[],
  faults: readonly Json[],
  says: string | undefined,
): readonly EventResult[] {
  const byIndex = new Map<number, { readonly path: string; readonly says: string }>()
  for (const fault of faults) {
    if (!isJsonObject(fault)) continue
    const [, index, path = ''] = /^\/(\d+)(.*)$/.exec(String(fault['path'])) ?? []
    if (index === undefined || byIndex.has(Number(index))) continue
    byIndex.set(Number(index), { path, says: String(fault['says']) })
  }
  return items.map((item, index) => {
    const fault = byIndex.get(index) ?? (says === undefined ? undefined : { path: '', says })
    if (fault === undefined) return { status: 'accepted', eventId: String(item['itemId']) }
    return { status: 'rejected', reason: 'item-unreadable', ...fault }
  })
}

function judge(
  item: JsonObject,
  { clock, log }: { readonly clock: Clock; readonly log: EventLog },
): ReturnType<typeof judgeCatalogItem> {
  const parseDeps = { receivedAtMs: clock.nowMs() }
  return judgeCatalogItem(bareItem(item), {
    deps: { log },
    options: defaultCollectorOptions,
    parseDeps,
  })
}

/** Without the id of the row. What is no row is refused by whoever reads it, and told already. */
function bareItem(item: JsonObject): JsonObject {
  const { messageId: _row, ...bare } = item
  return bare
}
