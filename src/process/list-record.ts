/**
 * A list of people comes into force: its keys go into the side store, and one record names them in
 * the control partition, from where all partitions hear of it. Until that record is folded nothing
 * has changed; a crash before it leaves bytes that nothing names.
 */

import type { Clock } from '../lib/clock.ts'
import type { Random } from '../lib/random.ts'
import type { EventLog, Place } from '../log/event-log.ts'
import type { BlobStore } from '../state/blob-store.ts'
import type { StateReader } from '../state/state-store.ts'
import { applyRecordOf } from './apply-record.ts'
import type { ListSkeleton } from './fold.ts'
import { encodeKeyList } from './key-list.ts'
import { readMeta } from './meta.ts'

/** Lists that can be in force. */
export const listCountMax = 100

export interface ListDeps {
  readonly log: Pick<EventLog, 'append'>
  readonly blobs: Pick<BlobStore, 'put'>
  readonly state: StateReader
  readonly clock: Clock
  readonly random: Random
}

/**
 * Replaces a list as a whole. Resolves when the log has the record, at the places returned; a new
 * list is refused where there are as many as can be.
 */
export async function replaceList(
  deps: ListDeps,
  name: string,
  keys: readonly string[],
): Promise<{ readonly list: ListSkeleton; readonly places: readonly Place[] } | 'lists-too-many'> {
  const known = (await readMeta(deps.state, 0))?.lists ?? {}
  const isNew = !Object.hasOwn(known, name)
  if (isNew && Object.keys(known).length >= listCountMax) return 'lists-too-many'
  const [hash = ''] = await deps.blobs.put([encodeKeyList(keys)])
  const list: ListSkeleton = { name, hash, keyCount: new Set(keys).size }
  const places = await deps.log.append([applyRecordOf(deps, { list })])
  return { list, places }
}

export const listsFullText: string = `There are ${listCountMax} lists already; replace one of them.`
