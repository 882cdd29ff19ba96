/**
 * Opens the list of rejected events for a command: over the API of a running server, or on the
 * stores themselves.
 *
 * On one machine reading goes on beside a running server; writing takes the lock of the directory,
 * as `attune skip` does. On Kafka and Kinesis a command appends by itself. Either way the same
 * collector judges, with the limits of the configuration and the definitions in force.
 */

import type { CollectMetrics } from '../collect/collect-batch.ts'
import { createSourceDirectory } from '../collect/source-directory.ts'
import type { WorkList } from '../collect/work-list.ts'
import { armedFailpoint, type ServerValues } from '../config.ts'
import { systemClock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import { systemRandom } from '../lib/random.ts'
import type { EventLog } from '../log/event-log.ts'
import { startLogThread } from '../log/sqlite-log-thread.ts'
import type { DefinitionsDocument } from '../process/definitions.ts'
import { decodeJson } from '../process/meta.ts'
import { definitionsHashOf } from './apply-definitions.ts'
import { collectSourcesOf } from './collect-sources.ts'
import { createCollecting } from './collecting.ts'
import { lockDataDir } from './data-dir.ts'
import { assertDataDir, createStoreDeps, type DataReader, withStores } from './data-reader.ts'
import { openEventLog } from './open-stores.ts'
import { readServerConfig } from './read-config.ts'
import { createRemoteWorkList, readTarget } from './remote-work-list.ts'
import { isShared, type StoreOptions, storeOptionsOf } from './store-options.ts'

export interface WorkListFlags {
  readonly dataDir: string
  readonly config?: string
  /** Address of a server, instead of the stores. */
  readonly url?: string
  readonly keyFile?: string
}

const noMetrics: CollectMetrics = { accepted: () => {}, rejected: () => {} }

/** Runs `work` on the list, and closes what was opened whatever happens. */
export async function withWorkList<Result>(
  flags: WorkListFlags,
  purpose: 'read' | 'write',
  work: (list: WorkList) => Promise<Result>,
): Promise<Result> {
  const target = await readTarget(flags)
  if (target !== undefined) return await work(createRemoteWorkList({ clock: systemClock }, target))
  const values = await readServerConfig(flags.config, { 'server.dataDir': flags.dataDir })
  const options = storeOptionsOf(values)
  const run = async (data: DataReader, logs: Pick<DataReader, 'log' | 'rejected'>) =>
    await work(await createLocalWorkList(data, logs, values))
  if (purpose === 'read') return await withStores(options, (data) => run(data, data))
  return await withWriters(options, (logs) => withStores(options, (data) => run(data, logs)))
}

async function createLocalWorkList(
  { state, blobs }: DataReader,
  logs: Pick<DataReader, 'log' | 'rejected'>,
  values: ServerValues,
): Promise<WorkList> {
  const bytes = await blobs.get(await definitionsHashOf(state))
  const written = bytes === undefined ? [] : decodeJson<DefinitionsDocument>(bytes).sources
  const sources = createSourceDirectory(collectSourcesOf(written))
  const deps = { ...logs, sources, clock: systemClock, random: systemRandom, metrics: noMetrics }
  return createCollecting(deps, values).workList
}

async function withWriters<Result>(
  options: StoreOptions,
  work: (logs: { readonly log: EventLog; readonly rejected: EventLog }) => Promise<Result>,
): Promise<Result> {
  const closers: (() => unknown)[] = []
  try {
    const connect = isShared(options) ? () => undefined : await openThread(options, closers)
    const deps = createStoreDeps()
    const open = async (stream: 'events' | 'rejected'): Promise<EventLog> => {
      const log = await openEventLog(deps, options.log, { stream, port: connect() })
      closers.push(() => log.close())
      return log
    }
    return await work({ log: await open('events'), rejected: await open('rejected') })
  } finally {
    for (const close of closers.reverse()) await close()
  }
}

async function openThread(options: StoreOptions, closers: (() => unknown)[]) {
  const { dataDir } = options.log as { readonly dataDir: string }
  assertDataDir(dataDir)
  const lock = await lockDataDir(dataDir).catch((error: unknown) => {
    if (!(error instanceof OperatingError)) throw error
    const says = 'write to a log that a running server has; give its --url and a --key-file'
    throw new OperatingError('DATA_DIR_LOCKED', says, error)
  })
  closers.push(() => lock.release())
  const thread = await startLogThread(dataDir, { failpoint: armedFailpoint() })
  closers.push(() => thread.close())
  return () => thread.connect()
}
