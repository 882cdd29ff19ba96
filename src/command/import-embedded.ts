/**
 * Imports into a data directory without a server: takes its lock, and runs the collector in this
 * process on the same logs, so that limits, tracking plans, ids and the `rejected` log are the
 * same.
 *
 * What was durable when a process was killed, and not yet noted in the state of imports, is found
 * again in the logs themselves: they are read from where they ended before the first row that is
 * in doubt. So each row is in the log once, whenever the kill came.
 */

import {
  type CollectAnswer,
  type CollectorDeps,
  createCollector,
  type EventResult,
} from '../collect/collect-batch.ts'
import { defaultCollectorOptions } from '../collect/collect-options.ts'
import { createSourceDirectory } from '../collect/source-directory.ts'
import { armedFailpoint } from '../config.ts'
import { assert } from '../lib/assert.ts'
import type { Clock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import { isJsonObject, type JsonObject } from '../lib/json.ts'
import type { Random } from '../lib/random.ts'
import type { EventLog } from '../log/event-log.ts'
import { startLogThread } from '../log/sqlite-log-thread.ts'
import type { DefinitionsDocument } from '../process/definitions.ts'
import { decodeJson } from '../process/meta.ts'
import { definitionsHashOf } from './apply-definitions.ts'
import { collectSourcesOf } from './collect-sources.ts'
import { lockDataDir } from './data-dir.ts'
import { assertDataDir, createStoreDeps } from './data-reader.ts'
import { catalogSourceId, writeItems } from './import-items.ts'
import type { ImportTarget, KnownItems } from './import-target.ts'
import { assertNotMoved } from './move-data.ts'
import { openBlobStore, openEventLog, openStateStore } from './open-stores.ts'
import { refuseUse } from './output.ts'
import { closeAll } from './server.ts'

export interface EmbeddedOptions {
  readonly dataDir: string
  /** Undefined for the source `import`, which needs no definition. */
  readonly source: string | undefined
  readonly isBackfill: boolean
  /** Whether items are written and not events. */
  readonly isCatalog?: boolean
}

export interface EmbeddedDeps {
  readonly clock: Clock
  readonly random: Random
}

const batchCountMax = 1_000
const batchBytesMax = 4 * 1024 * 1024
const windowCountMax = 4
const readCount = 1_000
/** Ids held at most; a repeat beyond them is dropped by the fold. */
const knownCountMax = 1_000_000
const sourceDefault = 'import'
/** Kept of an item that is nested too deep to be written again. */
const tooDeepBytes = Buffer.from('"nested too deep"')
const noMetrics = { accepted() {}, rejected() {} }

/** Opens the directory; rejects with DATA_DIR_LOCKED where a server has it. */
export async function openEmbeddedTarget(
  deps: EmbeddedDeps,
  options: EmbeddedOptions,
): Promise<ImportTarget> {
  const { dataDir } = options
  const closers: (() => unknown)[] = []
  try {
    assertDataDir(dataDir)
    await assertNotMoved(dataDir)
    const lock = await lockDataDir(dataDir).catch(explainLock)
    closers.push(() => lock.release())
    const thread = await startLogThread(dataDir, { failpoint: armedFailpoint() })
    closers.push(() => thread.close())
    const storeDeps = createStoreDeps()
    const place = { kind: 'sqlite', dataDir } as const
    const events = { stream: 'events', port: thread.connect() } as const
    const log = await openEventLog(storeDeps, place, events)
    closers.push(() => log.close())
    const kept = { stream: 'rejected', port: thread.connect() } as const
    const rejected = await openEventLog(storeDeps, place, kept)
    closers.push(() => rejected.close())
    const sources = await readSources(dataDir)
    const isCatalog = options.isCatalog === true
    const sourceId = isCatalog ? catalogSourceId : chooseSource(sources, options.source)
    const collectorDeps = {
      ...deps,
      ...{ log, rejected, metrics: noMetrics, sources: createSourceDirectory(sources) },
    }
    const logs = { log, rejected }
    return {
      id: log.identity.incarnation,
      ...writerOf(collectorDeps, { ...options, sourceId }),
      ends: async () => [...(await endsOf(log)), ...(await endsOf(rejected))],
      knownBehind: async (ends) =>
        isCatalog ? new Map() : await knownBehind(logs, ends, { ...options, sourceId }),
      close: () => closeAll(closers),
    }
  } catch (error) {
    await closeAll(closers)
    throw error
  }
}

/** Judges as the collector of `dataDir` would, and keeps nothing. */
export async function openDryTarget(
  deps: EmbeddedDeps,
  options: Omit<EmbeddedOptions, 'dataDir'> & { readonly dataDir: string | undefined },
): Promise<ImportTarget> {
  const { dataDir } = options
  const sources = dataDir === undefined ? [] : await readSources(dataDir)
  const isCatalog = options.isCatalog === true
  const sourceId = isCatalog ? catalogSourceId : chooseSource(sources, options.source)
  const nowhere = createNowhere()
  const collectorDeps = {
    ...deps,
    ...{ log: nowhere, rejected: nowhere, metrics: noMetrics },
    sources: createSourceDirectory(sources),
  }
  return {
    id: 'dry-run',
    ...writerOf(collectorDeps, { ...options, sourceId }),
    ends: async () => [],
    knownBehind: async () => new Map(),
    close: async () => {},
  }
}

function writerOf(
  deps: CollectorDeps,
  options: {
    readonly sourceId: string
    readonly isBackfill: boolean
    readonly isCatalog?: boolean
  },
): Pick<ImportTarget, 'sourceId' | 'batchCountMax' | 'batchBytesMax' | 'windowCountMax' | 'write'> {
  const { sourceId, isBackfill } = options
  const collector = createCollector(deps, defaultCollectorOptions)
  return {
    sourceId,
    batchCountMax,
    batchBytesMax,
    windowCountMax,
    async write(items) {
      if (options.isCatalog === true) return await writeItems(deps, items)
      const body = { batch: items }
      const call = { kind: 'batch', body, bytes: tooDeepBytes, isBackfill } as const
      return resultsOf(await collector.collect(sourceId, call))
    },
  }
}

function resultsOf(answer: CollectAnswer): readonly EventResult[] {
  assert(answer.kind === 'taken', 'a batch of an import is within its limits')
  return answer.results
}

function explainLock(error: unknown): never {
  if (!(error instanceof OperatingError) || error.code !== 'DATA_DIR_LOCKED') throw error
  const says =
    'import into a data directory that a running server has: stop it first, or import through ' +
    'it with --url URL --write-key KEY'
  throw new OperatingError('DATA_DIR_LOCKED', says, error)
}

/** Reads the sources that are in force, for their tracking plans. */
async function readSources(dataDir: string): ReturnType<typeof sourcesAt> {
  assertDataDir(dataDir)
  return await sourcesAt(dataDir)
}

async function sourcesAt(dataDir: string) {
  const storeDeps = createStoreDeps()
  const place = { kind: 'sqlite', dataDir } as const
  const state = await openStateStore(storeDeps, place, { isReader: true })
  const blobs = await openBlobStore(storeDeps, place, { isReader: true })
  try {
    const hash = await definitionsHashOf(state)
    const bytes = hash === '' ? undefined : await blobs.get(hash)
    if (bytes === undefined) return []
    return collectSourcesOf(decodeJson<DefinitionsDocument>(bytes).sources)
  } finally {
    await blobs.close()
    await state.close()
  }
}

function chooseSource(
  sources: readonly { readonly source: { readonly sourceId: string } }[],
  given: string | undefined,
): string {
  if (given === undefined) return sourceDefault
  const known = sources.map(({ source }) => source.sourceId)
  if (known.length === 0 || known.includes(given)) return given
  return refuseUse(`there is no source ${given}; the definitions name ${known.join(', ')}`)
}

function endsOf(log: EventLog): Promise<readonly number[]> {
  return Promise.all(partitionsOf(log).map((partition) => log.end(partition)))
}

function partitionsOf(log: EventLog): readonly number[] {
  return Array.from({ length: log.identity.partitionCount }, (_, partition) => partition)
}

/** Reads what a killed process may have written and not noted, and what others wrote since. */
async function knownBehind(
  logs: { readonly log: EventLog; readonly rejected: EventLog },
  ends: readonly number[],
  options: { readonly sourceId: string; readonly isBackfill: boolean },
): Promise<KnownItems> {
  const { sourceId, isBackfill } = options
  const known = new Map<string, EventResult['status']>()
  const partitionCount = logs.log.identity.partitionCount
  for (const [index, after] of ends.entries()) {
    const isRejected = index >= partitionCount
    const log = isRejected ? logs.rejected : logs.log
    const partition = isRejected ? index - partitionCount : index
    for (let at = after; known.size < knownCountMax; ) {
      const records = await log.read(partition, at, readCount)
      for (const record of records) {
        const skeleton = (record.skeleton ?? {}) as Readonly<Record<string, unknown>>
        if (record.kind !== 'event' || skeleton['sourceId'] !== sourceId) continue
        if (!isRejected && record.isBackfill !== isBackfill) continue
        const id = isRejected ? idOfRejected(record.body) : skeleton['eventId']
        if (typeof id === 'string') known.set(id, isRejected ? 'rejected' : 'accepted')
      }
      const last = records.at(-1)
      if (last === undefined) break
      at = last.offset
    }
  }
  return known
}

/** What was refused is kept as it came, with its id, unless it was cut. */
function idOfRejected(body: Uint8Array): unknown {
  const item = readItem(body)
  return isJsonObject(item) ? item['messageId'] : undefined
}

function readItem(body: Uint8Array): JsonObject | undefined {
  try {
    return decodeJson<JsonObject>(body)
  } catch {
    return undefined
  }
}

function createNowhere(): EventLog {
  return {
    identity: { incarnation: 'dry-run', partitionCount: 1 },
    append: async (records) => records.map(({ partition }) => ({ partition, offset: 0 })),
    read: async () => [],
    hasMore: () => false,
    wait: async () => {},
    end: async () => 0,
    start: async () => 0,
    async *assign() {},
    queueBytes: () => 0,
    noteFolded: () => {},
    close: async () => {},
  }
}
