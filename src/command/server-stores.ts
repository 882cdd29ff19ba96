/** Opens the stores of a server on its main thread, and what belongs to those of this machine. */

import type { ServerValues } from '../config.ts'
import type { Clock } from '../lib/clock.ts'
import type { OperatingError } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'
import type { Metrics } from '../lib/metrics.ts'
import type { Random } from '../lib/random.ts'
import type { EventLog } from '../log/event-log.ts'
import { type LogThread, startLogThread } from '../log/sqlite-log-thread.ts'
import type { BlobStore } from '../state/blob-store.ts'
import type { StateStore } from '../state/state-store.ts'
import { basesDirOf } from './base-folder.ts'
import { initDataDir, lockDataDir } from './data-dir.ts'
import { enterRules } from './enter-rules.ts'
import { assertNotMoved } from './move-data.ts'
import { openBlobStore, openEventLog, openStateStore } from './open-stores.ts'
import { measureLog } from './server-metrics.ts'
import { isShared, storeOptionsOf } from './store-options.ts'

export interface Stores {
  readonly log: EventLog
  readonly rejected: EventLog
  readonly state: StateStore
  readonly blobs: BlobStore
  /** Where the log is on this machine. */
  readonly logThread: LogThread | undefined
  /** Resolves with a failure for good of what only this machine has. */
  readonly failed: Promise<OperatingError>
}

export interface StoresDeps {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly metrics: Metrics
}

/** Opens them from the inside out; what is opened is added to `closers`, also where it fails. */
export async function openServerStores(
  deps: StoresDeps,
  given: { readonly values: ServerValues; readonly failpoint: string | undefined },
  closers: (() => unknown)[],
): Promise<Stores> {
  const options = storeOptionsOf(given.values)
  const logThread = isShared(options) ? undefined : await openLocal(deps, given, closers)
  const events = { stream: 'events', port: logThread?.connect() } as const
  const log = measureLog(await openEventLog(deps, options.log, events), deps.metrics, deps.clock)
  closers.push(() => log.close())
  const kept = { stream: 'rejected', port: logThread?.connect() } as const
  const rejected = await openEventLog(deps, options.log, kept)
  closers.push(() => rejected.close())
  const state = await openStateStore(deps, options.state, { isReader: true })
  closers.push(() => state.close())
  const blobs = await openBlobStore(deps, options.state)
  closers.push(() => blobs.close())
  const failed = logThread?.failed ?? new Promise<OperatingError>(() => {})
  return { log, rejected, state, blobs, logThread, failed }
}

/** Takes the data directory for this process, and starts the thread that writes its logs. */
async function openLocal(
  deps: StoresDeps,
  given: { readonly values: ServerValues; readonly failpoint: string | undefined },
  closers: (() => unknown)[],
): Promise<LogThread> {
  const { values, failpoint } = given
  const dataDir = values['server.dataDir']
  await assertNotMoved(dataDir)
  const lock = await lockDataDir(dataDir)
  closers.push(() => lock.release())
  await initDataDir(dataDir, { partitionCount: values['log.partitionCount'] }, deps.random)
  const queueBytesHigh = values['log.queueBytesHigh']
  const logThread = await startLogThread(dataDir, { queueBytesHigh, failpoint })
  closers.push(() => logThread.close())
  await enterNewRules(deps, dataDir, logThread)
  return logThread
}

/** A state of an older program becomes a base, and the rules of this one count from there on. */
async function enterNewRules(
  deps: StoresDeps,
  dataDir: string,
  logThread: LogThread,
): Promise<void> {
  const local = { kind: 'sqlite', dataDir } as const
  const events = { stream: 'events', port: logThread.connect() } as const
  const log = await openEventLog(deps, local, events)
  const state = await openStateStore(deps, local)
  try {
    const stores = { log: local, state: local }
    const basesDir = basesDirOf(dataDir, undefined)
    const base = await enterRules({ ...deps, log, state }, { stores, basesDir })
    if (base !== undefined) deps.logger.info({ base: base.name }, 'newer rules of the fold count')
  } finally {
    await log.close()
    await state.close()
  }
}
