/**
 * Rebuilds the whole state from its log into a new folder, also while servers run.
 *
 * Order: a state on this machine is copied first, so that its offsets and its content are of one
 * instant; then the log is read up to those offsets, which it has by then. A state elsewhere is
 * read as it stands; a partition that moves meanwhile is followed. Nothing is written but into the
 * folder. It begins with a base, where one is given, and else with the start of the log.
 */

import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defaultCollectorOptions } from '../collect/collect-options.ts'
import { systemClock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import type { EventLog, LogIdentity } from '../log/event-log.ts'
import { openSqliteEventLogReader } from '../log/sqlite-log-reader.ts'
import { createDefinitionsCache } from '../process/definitions-cache.ts'
import { pruneOutbox, type RebuiltPartition, rebuildPartition } from '../process/rebuild.ts'
import type { BlobStore } from '../state/blob-store.ts'
import { openSqliteBlobStore } from '../state/sqlite-blob-store.ts'
import { openSqliteStateStore, statePath } from '../state/sqlite-state-store.ts'
import { type Head, noHead, type StateReader, type StateStore } from '../state/state-store.ts'
import { type DataReader, withStores } from './data-reader.ts'
import { copySqliteFile } from './sqlite-copy.ts'
import type { StoreOptions } from './store-options.ts'

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
  readonly stores: StoreOptions
  /** Missing or empty; gets `state.sqlite`. */
  readonly into: string
  /**
   * Chooses the base to begin with, given where each partition's state stands; undefined for the
   * start of the log.
   */
  chooseBase?(log: LogIdentity, heads: readonly Head[]): Promise<string | undefined>
  readonly rulesVersion?: number
  onFolded?(count: number): void
}

const copyName = 'state-before.sqlite'

/** Folds every partition again and compares. Rejects where `into` holds anything. */
export async function rebuildState(options: RebuildStateOptions): Promise<RebuiltState> {
  const { stores, into } = options
  await mkdir(into, { recursive: true, mode: 0o700 })
  if ((await readdir(into)).length > 0) {
    throw new OperatingError('DATA_DIR_INVALID', `rebuild into ${into}, which is not empty`)
  }
  if (stores.log.kind !== 'sqlite') {
    return await withStores(stores, async (data) => {
      const hasState = await hasAnyHead(data)
      const state = hasState ? data.state : atEndOf(data.log)
      await placeBase(options, data.log, state)
      const rebuilt = await openSqliteStateStore({ dataDir: into })
      return await rebuildAll({ ...data, state, rebuilt }, options, hasState).finally(() =>
        rebuilt.close(),
      )
    })
  }
  const { dataDir } = stores.log
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
    await placeBase(options, log, state)
    const rebuilt = opened(await openSqliteStateStore({ dataDir: into }))
    return await rebuildAll({ log, state, blobs, rebuilt }, options, hasState)
  } finally {
    for (const one of closers) await one.close()
    for (const suffix of ['', '-wal', '-shm']) await rm(`${copyPath}${suffix}`, { force: true })
  }
}

/** Puts a copy of the chosen base where the rebuilt state will be. */
async function placeBase(
  { into, chooseBase }: RebuildStateOptions,
  log: EventLog,
  state: StateReader,
): Promise<void> {
  if (chooseBase === undefined) return
  const heads: Head[] = []
  for (let partition = 0; partition < log.identity.partitionCount; partition++) {
    heads.push(await state.head(partition))
  }
  const base = await chooseBase(log.identity, heads)
  if (base !== undefined) await copySqliteFile(statePath(base), statePath(into))
}

async function rebuildAll(
  stores: {
    readonly log: EventLog
    readonly state: StateReader
    readonly blobs: BlobStore
    readonly rebuilt: StateStore
  },
  options: RebuildStateOptions,
  hasState: boolean,
): Promise<RebuiltState> {
  const { log, rebuilt } = stores
  const { definitionsOf, listOf } = createDefinitionsCache(stores.blobs)
  const { partitionCount } = log.identity
  const partitions: RebuiltPartition[] = []
  for (let partition = 0; partition < partitionCount; partition++) {
    const { workspace } = defaultCollectorOptions
    const onFolded = (count: number): void => options.onFolded?.(count)
    const { rulesVersion } = options
    const given = {
      ...{ workspace, partition, onFolded },
      ...(rulesVersion === undefined ? {} : { rulesVersion }),
    }
    const deps = { ...stores, clock: systemClock, definitionsOf, listOf }
    partitions.push(await rebuildPartition(deps, given))
  }
  const outbox = await pruneOutbox(rebuilt, partitionCount)
  return { hasState, ...summaryOf(partitions), partitions, outbox }
}

async function hasAnyHead({ log, state }: DataReader): Promise<boolean> {
  for (let partition = 0; partition < log.identity.partitionCount; partition++) {
    if ((await state.head(partition)).offset > 0) return true
  }
  return false
}

/** Rebuilds into a temporary folder, and removes it. */
export async function compareWithRebuild(
  stores: StoreOptions,
): Promise<{ isEqual: boolean; stateHash: string; rebuildHash: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'attune-rebuild-'))
  try {
    const { isEqual, stateHash, rebuiltHash } = await rebuildState({ stores, into: folder })
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
