/**
 * Opens log, state and side store for reading only, whether servers run on them or not: the files
 * of a data directory, or what the configuration names.
 */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { defaultCollectorOptions } from '../collect/collect-options.ts'
import type { StatePlace } from '../delivery/read-state.ts'
import { systemClock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import type { EventLog } from '../log/event-log.ts'
import { logPath } from '../log/sqlite-log-file.ts'
import type { BlobStore } from '../state/blob-store.ts'
import type { StateStore } from '../state/state-store.ts'
import { lockDataDir } from './data-dir.ts'
import { openBlobStore, openEventLog, openStateStore, type StoreDeps } from './open-stores.ts'
import { readServerConfig } from './read-config.ts'
import { createLogger } from './run-server.ts'
import { type StoreOptions, storeOptionsOf } from './store-options.ts'

export interface DataReader {
  readonly log: EventLog
  readonly rejected: EventLog
  /** Nobody commits with it. */
  readonly state: StateStore
  readonly blobs: BlobStore
  readonly place: StatePlace
}

/** Where a command finds the data. */
export interface DataFlags {
  readonly dataDir: string
  readonly config?: string
}

/** Runs `work` on what the flags and the environment name. */
export async function withDataReader<Result>(
  flags: DataFlags,
  work: (data: DataReader) => Promise<Result>,
): Promise<Result> {
  return await withStores(await readStoreOptions(flags), work)
}

/** Runs `work` on the open stores, and closes them whatever happens. */
export async function withStores<Result>(
  options: StoreOptions,
  work: (data: DataReader) => Promise<Result>,
): Promise<Result> {
  if (options.log.kind === 'sqlite') assertDataDir(options.log.dataDir)
  const deps = createStoreDeps()
  const opened: { close(): Promise<void> }[] = []
  const keep = <Store extends { close(): Promise<void> }>(store: Store): Store => {
    opened.push(store)
    return store
  }
  try {
    const log = keep(await openEventLog(deps, options.log, { stream: 'events' }))
    const rejected = keep(await openEventLog(deps, options.log, { stream: 'rejected' }))
    const state = keep(await openStateStore(deps, options.state, { isReader: true }))
    const blobs = keep(await openBlobStore(deps, options.state, { isReader: true }))
    const { workspace } = defaultCollectorOptions
    const place = { state, workspace, partitionCount: log.identity.partitionCount }
    return await work({ log, rejected, state, blobs, place })
  } finally {
    for (const one of opened.reverse()) await one.close()
  }
}

/** Reads which stores the configuration and the environment name. */
export async function readStoreOptions(flags: DataFlags): Promise<StoreOptions> {
  return storeOptionsOf(await readServerConfig(flags.config, { 'server.dataDir': flags.dataDir }))
}

export function createStoreDeps(): StoreDeps {
  return { clock: systemClock, logger: createLogger('warn') }
}

/** Refuses a folder that was not made by Attune; a typing error must not make a new one. */
export function assertDataDir(dataDir: string): void {
  if (existsSync(logPath(dataDir, 'events'))) return
  throw new OperatingError('DATA_DIR_INVALID', `read ${dataDir}, which holds no log`)
}

/** The same for what only needs the secrets and keys in it: the log may be elsewhere. */
export function assertKeysDir(dataDir: string): void {
  if (existsSync(join(dataDir, 'secrets.json'))) return
  throw new OperatingError('DATA_DIR_INVALID', `use ${dataDir}, which was not made by attune init`)
}

/** Tells whether a server has the directory. */
export async function isServerRunning(dataDir: string): Promise<boolean> {
  try {
    const lock = await lockDataDir(dataDir)
    lock.release()
    return false
  } catch (error) {
    if (error instanceof OperatingError && error.code === 'DATA_DIR_LOCKED') return true
    throw error
  }
}
