/**
 * Appends one record for a command. On one machine the lock of the directory is taken for it, so a
 * running server refuses; on Kafka and Kinesis workers go on meanwhile.
 */

import { armedFailpoint } from '../config.ts'
import { OperatingError } from '../lib/errors.ts'
import type { EventLog, Place } from '../log/event-log.ts'
import type { NewRecord } from '../log/record.ts'
import { startLogThread } from '../log/sqlite-log-thread.ts'
import { type DirectoryLock, lockDataDir } from './data-dir.ts'
import { assertDataDir, createStoreDeps } from './data-reader.ts'
import { openEventLog } from './open-stores.ts'
import { isShared, type StoreOptions } from './store-options.ts'

/** Runs `work` with the log at hand; `attempted` says what it does, for who is refused. */
export async function withLogLock<Result>(
  options: StoreOptions,
  dataDir: string,
  attempted: string,
  work: () => Promise<Result>,
): Promise<Result> {
  const lock = isShared(options) ? undefined : await lockLog(dataDir, attempted)
  try {
    return await work()
  } finally {
    lock?.release()
  }
}

/** Runs `work` with the log open for writing, within `withLogLock`. */
export async function withLogWriter<Result>(
  options: StoreOptions,
  dataDir: string,
  work: (log: EventLog) => Promise<Result>,
): Promise<Result> {
  const failpoint = armedFailpoint()
  const thread = isShared(options) ? undefined : await startLogThread(dataDir, { failpoint })
  try {
    const port = thread?.connect()
    const log = await openEventLog(createStoreDeps(), options.log, { stream: 'events', port })
    try {
      return await work(log)
    } finally {
      await log.close()
    }
  } finally {
    await thread?.close()
  }
}

/** Appends within `withLogLock`; resolves once the record is durable. */
export async function appendRecord(
  options: StoreOptions,
  dataDir: string,
  record: NewRecord,
): Promise<Place> {
  const [place] = await withLogWriter(options, dataDir, (log) => log.append([record]))
  return place ?? { partition: record.partition, offset: 0 }
}

async function lockLog(dataDir: string, attempted: string): Promise<DirectoryLock> {
  assertDataDir(dataDir)
  return await lockDataDir(dataDir).catch((error: unknown) => {
    if (!(error instanceof OperatingError)) throw error
    throw new OperatingError('DATA_DIR_LOCKED', attempted, error)
  })
}
