/**
 * Appends for a command. On one machine the lock of the directory is taken for it, so a
 * running server refuses; on Kafka and Kinesis workers go on meanwhile.
 */

import { armedFailpoint } from '../config.ts'
import { OperatingError } from '../lib/errors.ts'
import type { EventLog, Place } from '../log/event-log.ts'
import type { NewRecord } from '../log/record.ts'
import type { LogStream } from '../log/sqlite-log-file.ts'
import { startLogThread } from '../log/sqlite-log-thread.ts'
import { type DirectoryLock, lockDataDir } from './data-dir.ts'
import { assertDataDir, createStoreDeps } from './data-reader.ts'
import { openEventLog } from './open-stores.ts'
import { isShared, type StoreOptions } from './store-options.ts'

/** What a writing command attempts, where it could be asked of a server too. */
export const attemptedWrite =
  'write to a log that a running server has; give its --url and a --key-file'

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

/** Runs `work` with what opens the logs for writing, within `withLogLock`; closes them. */
export async function withLogWriters<Result>(
  options: StoreOptions,
  dataDir: string,
  work: (open: (stream: LogStream) => Promise<EventLog>) => Promise<Result>,
): Promise<Result> {
  const closers: (() => Promise<void>)[] = []
  try {
    const failpoint = armedFailpoint()
    const thread = isShared(options) ? undefined : await startLogThread(dataDir, { failpoint })
    if (thread !== undefined) closers.push(() => thread.close())
    const deps = createStoreDeps()
    return await work(async (stream) => {
      const log = await openEventLog(deps, options.log, { stream, port: thread?.connect() })
      closers.push(() => log.close())
      return log
    })
  } finally {
    for (const close of closers.reverse()) await close()
  }
}

/** Appends within `withLogLock`; resolves once the record is durable. */
export async function appendRecord(
  options: StoreOptions,
  dataDir: string,
  record: NewRecord,
): Promise<Place> {
  const append = (log: EventLog): Promise<readonly Place[]> => log.append([record])
  const [place] = await withLogWriters(options, dataDir, async (open) =>
    append(await open('events')),
  )
  return place ?? { partition: record.partition, offset: 0 }
}

async function lockLog(dataDir: string, attempted: string): Promise<DirectoryLock> {
  assertDataDir(dataDir)
  return await lockDataDir(dataDir).catch((error: unknown) => {
    if (!(error instanceof OperatingError)) throw error
    throw new OperatingError('DATA_DIR_LOCKED', attempted, error)
  })
}
