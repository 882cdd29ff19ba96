/** Copies a state as it stands into a SQLite file of its own. */

import { OperatingError } from '../lib/errors.ts'
import { openSqliteStateStore, statePath } from '../state/sqlite-state-store.ts'
import type { Change, StateReader, StateStore } from '../state/state-store.ts'
import { copySqliteFile } from './sqlite-copy.ts'
import type { StoreOptions } from './store-options.ts'

const copyNonce = 'rebuild'
const pageCount = 500
const commitBytesMax = 2 * 1024 * 1024

/**
 * Copies a state as it stands into the folder of a base. Where it is not on this machine nothing
 * may own it meanwhile.
 */
export async function copyState(
  stores: StoreOptions,
  state: StateReader,
  partitionCount: number,
  folder: string,
): Promise<void> {
  if (stores.state.kind === 'sqlite') {
    await copySqliteFile(statePath(stores.state.dataDir), statePath(folder))
    return
  }
  const target = await openSqliteStateStore({ dataDir: folder })
  try {
    for (let partition = 0; partition < partitionCount; partition++) {
      await copyPartition(state, target, partition)
    }
  } finally {
    await target.close()
  }
}

async function copyPartition(
  state: StateReader,
  target: StateStore,
  partition: number,
): Promise<void> {
  const head = await state.head(partition)
  if (head.offset === 0) return
  const owner = { partition, epoch: Math.max(1, head.epoch), nonce: copyNonce }
  await target.acquire(partition, owner.epoch, copyNonce)
  const { incarnation, lastRecordId, offset } = head
  const place = { ...owner, previousOffset: 0, incarnation }
  for (let after = ''; ; ) {
    const page = await state.scan(partition, '', after, pageCount)
    let bytes = 0
    let changes: Change[] = []
    for (const entry of page) {
      bytes += entry.value.length
      changes.push(entry)
      if (bytes < commitBytesMax) continue
      await target.commit([{ ...place, offset: 0, lastRecordId: '', changes }])
      changes = []
      bytes = 0
    }
    await target.commit([{ ...place, offset: 0, lastRecordId: '', changes }])
    if (page.length < pageCount) break
    after = page.at(-1)?.key ?? ''
  }
  await target.commit([{ ...place, offset, lastRecordId, changes: [] }])
  const after = await state.head(partition)
  if (after.offset !== offset) {
    throw new OperatingError('OWNER_FENCED', `copy partition ${partition}, which has an owner`)
  }
}
