/** Opens the files of a data directory for reading only, whether a server runs on it or not. */

import { existsSync } from 'node:fs'
import { defaultCollectorOptions } from '../collect/collect-options.ts'
import type { StatePlace } from '../delivery/read-state.ts'
import { OperatingError } from '../lib/errors.ts'
import type { EventLog } from '../log/event-log.ts'
import { openSqliteEventLogReader } from '../log/sqlite-event-log.ts'
import { logPath } from '../log/sqlite-log-file.ts'
import type { BlobStore } from '../state/blob-store.ts'
import { openSqliteBlobStore } from '../state/sqlite-blob-store.ts'
import { openSqliteStateStore } from '../state/sqlite-state-store.ts'
import type { StateReader } from '../state/state-store.ts'
import { lockDataDir } from './data-dir.ts'

export interface DataReader {
  readonly log: EventLog
  readonly rejected: EventLog
  readonly state: StateReader
  readonly blobs: BlobStore
  readonly place: StatePlace
}

/** Runs `work` on the open files, and closes them whatever happens. */
export async function withDataReader<Result>(
  dataDir: string,
  work: (data: DataReader) => Promise<Result>,
): Promise<Result> {
  assertDataDir(dataDir)
  const opened: { close(): Promise<void> }[] = []
  try {
    const log = await openSqliteEventLogReader({ dataDir, stream: 'events' })
    opened.push(log)
    const rejected = await openSqliteEventLogReader({ dataDir, stream: 'rejected' })
    opened.push(rejected)
    const state = await openSqliteStateStore({ dataDir, readOnly: true })
    opened.push(state)
    const blobs = await openSqliteBlobStore({ dataDir, readOnly: true })
    opened.push(blobs)
    const { workspace } = defaultCollectorOptions
    const place = { state, workspace, partitionCount: log.identity.partitionCount }
    return await work({ log, rejected, state, blobs, place })
  } finally {
    for (const one of opened.reverse()) await one.close()
  }
}

/** Refuses a folder that was not made by Attune; a typing error must not make a new one. */
export function assertDataDir(dataDir: string): void {
  if (existsSync(logPath(dataDir, 'events'))) return
  throw new OperatingError('DATA_DIR_INVALID', `read ${dataDir}, which holds no log`)
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
