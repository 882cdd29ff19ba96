import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import type { Event } from '../event/event.ts'
import type { Source } from '../event/source.ts'
import { assert } from '../lib/assert.ts'
import { type Clock, systemClock } from '../lib/clock.ts'
import { silentLogger } from '../lib/logger.ts'
import { createSeededRandom } from '../lib/random.ts'
import type { EventLog } from '../log/event-log.ts'
import { createMemoryEventLog, type MemoryEventLog } from '../log/memory-event-log.ts'
import type { AdaptedRoute } from './adapter.ts'
import { createCollector } from './collect-batch.ts'
import { createCollectRoutes } from './collect-http.ts'
import {
  type CollectHttpOptions,
  collectServerOptions,
  defaultCollectHttpOptions,
  defaultCollectorOptions,
} from './collect-options.ts'
import type { Intake } from './exchange.ts'
import type { RejectReason } from './reject-reason.ts'
import { decodeRejected } from './rejected-record.ts'
import { createSourceDirectory } from './source-directory.ts'
import { createSourceRates } from './source-rates.ts'

export const writeKey = 'wk_12345678'
export const basic = { authorization: `Basic ${Buffer.from(`${writeKey}:`).toString('base64')}` }
export interface Stage {
  readonly url: string
  readonly port: number
  readonly log: MemoryEventLog
  readonly rejected: MemoryEventLog
  readonly counts: { accepted: number; rejected: number }
  readonly ignored: { duplicate: number; dropped: number }
  readonly refusals: string[]
}

export interface StageOptions {
  readonly append?: EventLog['append']
  readonly intake?: Intake
  readonly adapted?: readonly AdaptedRoute[]
  /** Besides `web` and `shop`. */
  readonly sources?: readonly Source[]
  readonly requestTimeoutMs?: number
  /** What the source `web` has besides its name and keys. */
  readonly web?: Partial<Source>
  /** Of the rates of sources. */
  readonly clock?: Clock
  readonly http?: Partial<CollectHttpOptions>
}

/** Opens the collector's HTTP over logs in memory, with the sources `web` and `shop`. */
export async function openStage(t: TestContext, options: StageOptions = {}): Promise<Stage> {
  const log = createMemoryEventLog({ identity: { incarnation: 'a', partitionCount: 1 } })
  const rejected = createMemoryEventLog({ identity: { incarnation: 'b', partitionCount: 1 } })
  const counts = { accepted: 0, rejected: 0 }
  const ignored = { duplicate: 0, dropped: 0 }
  const refusals: string[] = []
  const web: Source = { sourceId: 'web', writeKeys: [writeKey, 'id:secret1'], ...options.web }
  const shop: Source = {
    sourceId: 'shop',
    writeKeys: ['wk_shop_1234'],
    allowedOrigins: ['https://shop.example'],
  }
  const sources = createSourceDirectory(
    [web, shop, ...(options.sources ?? [])].map((source) => ({ source })),
  )
  const collector = createCollector(
    {
      log: options.append === undefined ? log : { ...log, append: options.append },
      rejected,
      clock: systemClock,
      random: createSeededRandom(7),
      sources,
      metrics: {
        accepted: (_, count) => (counts.accepted += count),
        rejected: (_, _reason, count) => (counts.rejected += count),
      },
    },
    defaultCollectorOptions,
  )
  const routes = createCollectRoutes(
    {
      collector,
      sources,
      adapted: options.adapted ?? [],
      intake: () => options.intake ?? { kind: 'open' },
      rates: createSourceRates(options.clock ?? systemClock, undefined),
      isTrustedProxy: (address) => address === '127.0.0.1',
      logger: silentLogger,
      metrics: {
        refused: (status, code) => refusals.push(`${status} ${code}`),
        ignored: (outcome, count) => (ignored[outcome] += count),
      },
    },
    { ...defaultCollectHttpOptions, publicUrl: 'https://in.example', ...options.http },
  )
  const requestTimeout = options.requestTimeoutMs ?? collectServerOptions.requestTimeout
  const settings = { ...collectServerOptions, requestTimeout, connectionsCheckingInterval: 50 }
  const server = createServer(
    { ...settings, headersTimeout: requestTimeout },
    (request, response) => {
      if (!routes(request, response)) response.writeHead(404).end('not ours')
    },
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  })
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, port, log, rejected, counts, ignored, refusals }
}

/** Returns the events of the log, oldest first. */
export async function eventsOf(stage: Stage): Promise<readonly Event[]> {
  const records = await stage.log.read(0, 0, 10_000)
  return records.map(({ body }) => JSON.parse(Buffer.from(body).toString()) as Event)
}

/** Returns the events without their time of receipt, which no test can know. */
export async function factsOf(stage: Stage): Promise<readonly Omit<Event, 'receivedAtMs'>[]> {
  return (await eventsOf(stage)).map((event) => {
    const { receivedAtMs, ...facts } = event
    assert(receivedAtMs > 0, 'an event was received')
    return facts
  })
}

export interface Kept {
  readonly reason: RejectReason
  readonly path: string
  readonly format: string | undefined
  readonly text: string
}

/** Returns what was rejected, oldest first. */
export async function keptOf(stage: Stage): Promise<readonly Kept[]> {
  const records = await stage.rejected.read(0, 0, 10_000)
  return records.map((record) => {
    const { skeleton, bytes } = decodeRejected(record)
    const { reason, path, format } = skeleton
    return { reason, path, format, text: Buffer.from(bytes).toString() }
  })
}
