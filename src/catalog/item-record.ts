import { sha256Bytes } from '../lib/hash.ts'
import { type NewRecord, partitionOf } from '../log/record.ts'
import type { ItemUpdate } from './item.ts'

const idBytes = 16

/** Returns the record that tells the partition of an item what the shop says of it. */
export function itemRecord(
  place: { readonly workspace: string; readonly partitionCount: number },
  { item, body }: { readonly item: ItemUpdate; readonly body: Uint8Array },
  nowMs: number,
): NewRecord {
  const key = `item:${item.itemId}`
  const version = item.version === undefined ? '' : `\0${item.version}`
  return {
    partition: partitionOf(place.workspace, key, place.partitionCount),
    key,
    kind: 'item',
    id: sha256Bytes(`${item.itemId}\0${item.updatedAtMs}${version}`, idBytes),
    recordedAtMs: nowMs,
    isBackfill: false,
    keyId: 0,
    skeleton: { itemId: item.itemId },
    body,
  }
}
