import { itemRecord } from '../catalog/item-record.ts'
import { parseItem } from '../catalog/parse-item.ts'
import type { EventLog } from '../log/event-log.ts'
import type { NewRecord } from '../log/record.ts'

export type JudgedCatalogItem =
  | { readonly kind: 'item'; readonly itemId: string; readonly record: NewRecord }
  | {
      readonly kind: 'refused'
      readonly reason: 'item-unreadable'
      readonly path: string
      readonly says: string
    }

/** Makes the record of an item of the catalog, which is of no source: of the item's partition. */
export function judgeCatalogItem(
  input: unknown,
  {
    deps,
    options,
    parseDeps: { receivedAtMs },
  }: {
    readonly deps: { readonly log: Pick<EventLog, 'identity'> }
    readonly options: { readonly workspace: string }
    readonly parseDeps: { readonly receivedAtMs: number }
  },
): JudgedCatalogItem {
  const parsed = parseItem(input, receivedAtMs)
  if (parsed.kind === 'item') {
    const { partitionCount } = deps.log.identity
    const place = { workspace: options.workspace, partitionCount }
    const { itemId } = parsed.item
    return { kind: 'item', itemId, record: itemRecord(place, parsed, receivedAtMs) }
  }
  const [{ path, says } = { path: '', says: 'is wrong' }] = parsed.faults
  return { kind: 'refused', reason: 'item-unreadable', path, says: `Of an item: ${says}.` }
}
