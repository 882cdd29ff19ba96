/**
 * The server, in the role it was given: opens everything from the inside out, and closes it from
 * the outside in.
 *
 * Threads: HTTP here; the log, the fold with delivery, the recommendation index and rendering each
 * on their own, so this loop never waits for a fold or an fsync.
 *
 * Order at the start: lock, log, definitions, index, fold, HTTP. Order at the end: refuse new work,
 * answer what is in hand, stop delivery, commit, close. What was acknowledged is in the log
 * whatever happens.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { ApiDeps } from '../api/api-deps.ts'
import { type ApiKeys, openApiKeys } from '../api/api-keys.ts'
import { apiDefaults, profileCacheBytesDefault } from '../api/api-options.ts'
import { createApi } from '../api/create-api.ts'
import { createProfileFastPath } from '../api/profile-fast-path.ts'
import { createAdaptedRoutes } from '../collect/adapted-routes.ts'
import { findBrowserClient, openBrowserClient } from '../collect/browser-client.ts'
import { createBrowserRoutes } from '../collect/browser-routes.ts'
import type { CollectMetrics } from '../collect/collect-batch.ts'
import { createCollectRoutes } from '../collect/collect-http.ts'
import {
  collectServerOptions,
  defaultCollectHttpOptions,
  defaultCollectorOptions,
} from '../collect/collect-options.ts'
import { createSdkRoutes } from '../collect/sdk-script.ts'
import { createSourceDirectory, type SourceDirectory } from '../collect/source-directory.ts'
import { createSourceRates } from '../collect/source-rates.ts'
import type { WorkList } from '../collect/work-list.ts'
import { armedFailpoint, processEnvironment, type ServerValues } from '../config.ts'
import type { Clock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'
import type { Metrics } from '../lib/metrics.ts'
import type { Random } from '../lib/random.ts'
import type { EventLog } from '../log/event-log.ts'
import type { DefinitionsDocument } from '../process/definitions.ts'
import { decodeJson } from '../process/meta.ts'
import type { BlobStore } from '../state/blob-store.ts'
import type { StateStore } from '../state/state-store.ts'
import { applyDefinitions, definitionsHashOf, storeDefinitions } from './apply-definitions.ts'
import { collectSourcesOf } from './collect-sources.ts'
import { type Collecting, createCollecting } from './collecting.ts'
import { readSecrets, type Secrets } from './data-dir.ts'
import { guardServer, trustedProxiesOf } from './guard-server.ts'
import { createIntakeGate, type IntakeGate } from './intake-gate.ts'
import { openOnlooker } from './onlooker.ts'
import { type Owner, openOwner } from './owner-thread.ts'
import { createRejectedMetrics } from './rejected-metrics.ts'
import { joinMetrics } from './server-metrics.ts'
import { createServerStamps } from './server-stamps.ts'
import { openServerStores, type Stores } from './server-stores.ts'
import { type StoreOptions, storeOptionsOf } from './store-options.ts'

export interface ServerDeps {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly metrics: Metrics
}

export interface RunningServer {
  readonly url: string
  readonly port: number
  readonly dataDir: string
  readonly stores: StoreOptions
  readonly log: EventLog
  readonly rejected: EventLog
  readonly apiKeys: ApiKeys
  readonly sources: SourceDirectory
  readonly state: StateStore
  readonly blobs: BlobStore
  readonly owner: Owner
  /** Resolves with the first failure that ends the process. */
  readonly failed: Promise<OperatingError>
  close(): Promise<void>
}

/** Lets a demo answer requests before the API does; true = answered. */
export type ExtraRoutes = (request: IncomingMessage, response: ServerResponse) => boolean

/** How long requests in hand may take once a stop is asked for. */
const requestMsMax = 2000

export interface ServerOptions {
  readonly values: ServerValues
  /** File of the definitions folder laid over the others. */
  readonly overlay?: string
  readonly extraRoutes?: ExtraRoutes
  /** Ends what an opening waits for. */
  readonly signal?: AbortSignal
}

/**
 * Opens the server; resolves when it takes requests. On failure all that was opened is closed
 * again.
 */
export async function openServer(deps: ServerDeps, options: ServerOptions): Promise<RunningServer> {
  const closers: (() => unknown)[] = []
  try {
    return await open(deps, options, closers)
  } catch (error) {
    await closeAll(closers)
    throw error
  }
}

async function open(
  deps: ServerDeps,
  options: ServerOptions,
  closers: (() => unknown)[],
): Promise<RunningServer> {
  const { clock, logger } = deps
  const { values } = options
  const dataDir = values['server.dataDir']
  const role = values['server.role']
  const failpoint = armedFailpoint()
  const stores = await openServerStores(deps, { values, failpoint }, closers)
  const secrets = await readSecrets(dataDir)
  const ownerOptions = { ...stores, values, secrets, stores: storeOptionsOf(values), failpoint }
  const isOwner = role === 'all' || role === 'work'
  const folder = isOwner ? values['server.definitionsDir'] : undefined
  const applied =
    folder === undefined ? undefined : await storeDefinitions(stores, folder, options.overlay)
  const owner = await (isOwner ? openOwner : openOnlooker)(deps, ownerOptions)
  closers.push(() => owner.close())
  const sources = createSourceDirectory([])
  const useDefinitions = async (hash: string): Promise<void> => {
    const bytes = hash === '' ? undefined : await stores.blobs.get(hash)
    if (bytes === undefined) return
    sources.replace(collectSourcesOf(decodeJson<DefinitionsDocument>(bytes).sources))
  }
  owner.onDefinitions(useDefinitions)
  if (applied !== undefined) {
    await applyDefinitions({ ...deps, ...stores }, applied, options.signal)
  }
  await useDefinitions(await definitionsHashOf(stores.state))
  const { log, logThread } = stores
  const gate = createIntakeGate({ clock, logger, log, freshness: owner.freshness }, values)
  closers.push(() => gate.close())
  const apiKeys = await openApiKeys(dataDir, clock)
  const isApi = role === 'all' || role === 'api'
  const stamps = createServerStamps(deps, { values, stores })
  const collecting = createCollecting(
    { ...deps, ...stores, sources, metrics: measure(deps), ...stamps },
    values,
  )
  const { rejectedIndex, workList } = collecting
  const readRejected = isApi ? createRejectedMetrics(deps.metrics, rejectedIndex, clock) : undefined
  const metrics = joinMetrics(deps.metrics, { owner, log, logThread, gate, readRejected })
  const given = { values, secrets, stores, owner, apiKeys, workList }
  const apiDeps = apiDepsOf({ ...deps, metrics }, given)
  const first = routesOf(deps, { options, collecting, sources, gate, apiDeps })
  const api = createApi(apiDeps, { ...apiDefaults, isHealthOnly: !isApi }, (handle) =>
    createServer(collectServerOptions, (request, response) => {
      if (!first(request, response)) handle(request, response)
    }),
  )
  await api.ready()
  guardServer(api.server, values, deps.metrics)
  const server = await listen(api.server, values)
  closers.push(() => stopListening(server, clock))
  const { port } = server.address() as AddressInfo
  const host = values['server.host'].includes(':')
    ? `[${values['server.host']}]`
    : values['server.host']
  const url = `http://${host}:${port}`
  logger.info({ url, dataDir, role }, 'listening')
  return {
    url,
    port,
    dataDir,
    stores: ownerOptions.stores,
    apiKeys,
    sources,
    owner,
    log: stores.log,
    rejected: stores.rejected,
    state: stores.state,
    blobs: stores.blobs,
    failed: Promise.race([stores.failed, owner.failed]),
    async close() {
      gate.stop()
      await closeAll(closers)
    },
  }
}

function apiDepsOf(
  deps: ServerDeps,
  given: {
    readonly values: ServerValues
    readonly secrets: Secrets
    readonly stores: Stores
    readonly owner: Owner
    readonly apiKeys: ApiKeys
    readonly workList: WorkList
  },
): ApiDeps {
  const { values, secrets, stores, owner, apiKeys, workList } = given
  const publicUrl = values['server.publicUrl']?.replace(/\/$/, '')
  const from = values['delivery.from']
  return {
    ...deps,
    ...secrets,
    ...owner,
    apiKeys,
    blobs: stores.blobs,
    log: stores.log,
    rejected: stores.rejected,
    workList,
    place: {
      state: stores.state,
      workspace: defaultCollectorOptions.workspace,
      partitionCount: stores.log.identity.partitionCount,
    },
    ...(publicUrl === undefined ? {} : { publicUrl }),
    ...(from === undefined ? {} : { from }),
  }
}

/** Counts what the collector made durable. */
function measure({ metrics }: ServerDeps): CollectMetrics {
  const events = metrics.counter('attune_collect_events_total')
  const rejectedBy = metrics.counter('attune_collect_rejected_total')
  const marked = metrics.counter('attune_collect_marked_total')
  return {
    accepted: (_sourceId, count) => events({ outcome: 'accepted' }, count),
    rejected: (_sourceId, reason, count) => {
      events({ outcome: 'rejected' }, count)
      rejectedBy({ reason }, count)
    },
    marked: (source, event) => marked({ source, event }),
  }
}

/**
 * What comes before the API's router: the collector, which has its own body reader, and reads of
 * one profile.
 */
function routesOf(
  deps: ServerDeps,
  given: {
    readonly options: ServerOptions
    readonly collecting: Collecting
    readonly sources: SourceDirectory
    readonly gate: IntakeGate
    readonly apiDeps: ApiDeps
  },
): ExtraRoutes {
  const { options, sources, gate } = given
  const { values } = options
  const events = deps.metrics.counter('attune_collect_events_total')
  const refused = deps.metrics.counter('attune_collect_refused_total')
  const publicUrl = values['server.publicUrl']
  const collect = createCollectRoutes(
    {
      collector: given.collecting.collector,
      sources,
      adapted: createAdaptedRoutes({ ...deps, environment: processEnvironment() }),
      intake: () => gate.intake(),
      rates: createSourceRates(deps.clock, values['collect.sourceEventsPerSecondMax']),
      isTrustedProxy: trustedProxiesOf(values),
      logger: deps.logger,
      metrics: {
        refused: (status, code) => refused({ status: String(status), code }),
        ignored: (outcome, count) => events({ outcome }, count),
      },
    },
    {
      ...defaultCollectHttpOptions,
      singleBytesMax: values['collect.eventBytesMax'],
      batchBytesMax: values['collect.batchBytesMax'],
      bodyBytesInFlightMax: values['collect.bodyBytesInFlightMax'],
      ...(publicUrl === undefined ? {} : { publicUrl }),
    },
  )
  const browser = createBrowserRoutes({
    client: openBrowserClient(findBrowserClient()),
    sources,
    metrics: { refused: (status, code) => refused({ status: String(status), code }) },
  })
  const sdk = createSdkRoutes()
  const keptBytesMax = values['api.profileCacheBytesMax'] ?? profileCacheBytesDefault()
  const profile = createProfileFastPath(given.apiDeps, keptBytesMax)
  const role = values['server.role']
  const isCollector = role === 'all' || role === 'collect'
  const isApi = role === 'all' || role === 'api'
  return (request, response) =>
    (isApi && profile(request, response)) ||
    (isCollector &&
      (collect(request, response) || browser(request, response) || sdk(request, response))) ||
    options.extraRoutes?.(request, response) === true
}

async function listen(server: Server, values: ServerValues): Promise<Server> {
  const listening = Promise.withResolvers<void>()
  server.once('error', (error: NodeJS.ErrnoException) => {
    const where = `${values['server.host']}:${values['server.port']}`
    const code = error.code === 'EADDRINUSE' || error.code === 'EACCES' ? 'PORT_BUSY' : 'STORE_IO'
    listening.reject(new OperatingError(code, `listen on ${where}`, error))
  })
  server.listen(values['server.port'], values['server.host'], () => listening.resolve())
  await listening.promise
  return server
}

/**
 * Stops taking connections, waits for the requests in hand, then ends streams that would stay for
 * ever.
 */
async function stopListening(server: Server, clock: Clock): Promise<void> {
  const done = new AbortController()
  server.close(() => done.abort())
  server.closeIdleConnections()
  await clock.sleep(requestMsMax, done.signal)
  server.closeAllConnections()
}

/** Closes in reverse order of opening, all of it; throws the first error at the end. */
export async function closeAll(closers: (() => unknown)[]): Promise<void> {
  let first: unknown
  for (const close of closers.splice(0).reverse()) {
    try {
      await close()
    } catch (error) {
      first ??= error
    }
  }
  if (first !== undefined) throw first
}
