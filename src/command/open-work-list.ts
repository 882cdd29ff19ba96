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
import type { ServerValues } from '../config.ts'
import { systemClock } from '../lib/clock.ts'
import { systemRandom } from '../lib/random.ts'
import type { DefinitionsDocument } from '../process/definitions.ts'
import { decodeJson } from '../process/meta.ts'
import { attemptedWrite, withLogLock, withLogWriters } from './append-record.ts'
import { definitionsHashOf } from './apply-definitions.ts'
import { collectSourcesOf } from './collect-sources.ts'
import { createCollecting } from './collecting.ts'
import { type DataReader, withStores } from './data-reader.ts'
import { readServerConfig } from './read-config.ts'
import { createRemoteWorkList, readTarget } from './remote-work-list.ts'
import { storeOptionsOf } from './store-options.ts'

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
  return await withLogLock(options, values['server.dataDir'], attemptedWrite, () =>
    withLogWriters(options, values['server.dataDir'], async (open) => {
      const logs = { log: await open('events'), rejected: await open('rejected') }
      return await withStores(options, (data) => run(data, logs))
    }),
  )
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
