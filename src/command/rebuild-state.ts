/**
 * Rebuilds the whole state of a data directory into another one, also while a server runs on it.
 *
 * Order: the state is copied first, so that its offsets and its content are of one instant; then
 * the log is read up to those offsets, which it has by then. Nothing is written to the data
 * directory itself.
 */

import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defaultCollectorOptions } from '../collect/collect-options.ts'
import { OperatingError } from '../lib/errors.ts'
import type { EventLog } from '../log/event-log.ts'
import { openSqliteEventLogReader } from '../log/sqlite-event-log.ts'
import { createDefinitionsCache } from '../process/definitions-cache.ts'
import { pruneOutbox, type RebuiltPartition, rebuildPartition } from '../process/rebuild.ts'
import { openSqliteBlobStore } from '../state/sqlite-blob-store.ts'
import { openSqliteStateStore, statePath } from '../state/sqlite-state-store.ts'
import { noHead, type StateReader } from '../state/state-store.ts'
import { copySqliteFile } from './sqlite-copy.ts'

export interface RebuiltState {
  /**
   * False where there was no state: then all of the log was folded, and there is nothing to
   * compare.
   */
  readonly hasState: boolean
  readonly isEqual: boolean
  /** Over the hashes of all partitions, in order. */
  readonly stateHash: string
  readonly rebuiltHash: string
  readonly recordCount: number
  readonly partitions: readonly RebuiltPartition[]
  readonly outbox: { readonly deleted: number; readonly left: number }
}

export interface RebuildStateOptions {
  readonly dataDir: string
  /** Missing or empty; gets `state.sqlite`. */
  readonly into: string
  onFolded?(count: number): void
}

const copyName = 'state-before.sqlite'

/** Folds every partition again and compares. Rejects where `into` holds anything. */
export async function rebuildState(options: RebuildStateOptions): Promise<RebuiltState> {
  const { dataDir, into } = options
  await mkdir(into, { recursive: true, mode: 0o700 })
  if ((await readdir(into)).length > 0) {
    throw new OperatingError('DATA_DIR_INVALID', `rebuild into ${into}, which is not empty`)
  }
  const copyPath = join(into, copyName)
  const hasState = existsSync(statePath(dataDir))
  if (hasState) await copySqliteFile(statePath(dataDir), copyPath)
  const closers: { close(): Promise<void> }[] = []
  const opened = <Opened extends { close(): Promise<void> }>(one: Opened): Opened => {
    closers.unshift(one)
    return one
  }
  try {
    const log = opened(await openSqliteEventLogReader({ dataDir, stream: 'events' }))
    const state = hasState
      ? opened(await openSqliteStateStore({ dataDir: into, fileName: copyName }))
      : atEndOf(log)
    const blobs = opened(await openSqliteBlobStore({ dataDir, readOnly: true }))
    const rebuilt = opened(await openSqliteStateStore({ dataDir: into }))
    const { definitionsOf } = createDefinitionsCache(blobs)
    const deps = { log, state, rebuilt, definitionsOf }
    const { partitionCount } = log.identity
    const partitions: RebuiltPartition[] = []
    for (let partition = 0; partition < partitionCount; partition++) {
      const { workspace } = defaultCollectorOptions
      const onFolded = (count: number): void => options.onFolded?.(count)
      partitions.push(await rebuildPartition(deps, { workspace, partition, onFolded }))
    }
    const outbox = await pruneOutbox(rebuilt, partitionCount)
    return { hasState, ...summaryOf(partitions), partitions, outbox }
  } finally {
    for (const one of closers) await one.close()
    for (const suffix of ['', '-wal', '-shm']) await rm(`${copyPath}${suffix}`, { force: true })
  }
}

/** Rebuilds into a temporary folder, and removes it. */
export async function compareWithRebuild(
  dataDir: string,
): Promise<{ isEqual: boolean; stateHash: string; rebuildHash: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'attune-rebuild-'))
  try {
    const { isEqual, stateHash, rebuiltHash } = await rebuildState({ dataDir, into: folder })
    return { isEqual, stateHash, rebuildHash: rebuiltHash }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/**
 * Stands in for a state that was lost: it holds nothing, and its heads are at the ends of the log.
 */
function atEndOf(log: EventLog): StateReader {
  return {
    async head(partition) {
      const offset = await log.end(partition)
      const [record] = offset === 0 ? [] : await log.read(partition, offset - 1, 1)
      if (record === undefined) return noHead
      const lastRecordId = Buffer.from(record.id).toString('hex')
      return { ...noHead, offset, lastRecordId, incarnation: log.identity.incarnation }
    },
    get: async (_partition, keys) => keys.map(() => undefined),
    scan: async () => [],
  }
}

function summaryOf(
  partitions: readonly RebuiltPartition[],
): Pick<RebuiltState, 'isEqual' | 'stateHash' | 'rebuiltHash' | 'recordCount'> {
  const stateHash = createHash('sha256')
  const rebuiltHash = createHash('sha256')
  let recordCount = 0
  for (const each of partitions) {
    stateHash.update(each.stateHash)
    rebuiltHash.update(each.rebuiltHash)
    recordCount += each.recordCount
  }
  return {
    isEqual: partitions.every(({ isEqual }) => isEqual),
    stateHash: stateHash.digest('hex'),
    rebuiltHash: rebuiltHash.digest('hex'),
    recordCount,
  }
}
