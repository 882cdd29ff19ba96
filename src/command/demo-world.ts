/**
 * The demo's world, shared by `dev` and `demo`: a mail catcher, the shop of `examples/shop` with
 * its overlay of short waits, its orders as history, and simulated shoppers.
 *
 * Everything goes the way a customer's would: items over the API, history to `/v1/import` as
 * backfill (it triggers nothing), shoppers' calls to `/v1/<type>` in real time, emails by SMTP.
 * What was sent is given back with the time at which it was sent, so that a second opinion can say
 * which emails are due.
 *
 * Order of effects: items, customers, orders. One person's calls go through one lane, so they keep
 * their order. The shift of the orders to just before the first start is stored before the first
 * one is sent: a load that was cut off goes on with the same times, and what came twice is a
 * duplicate.
 */

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { SentCall } from '../../examples/shop/expected-messages.ts'
import {
  customerCalls,
  orderCall,
  type SegmentCall,
  type ShopOrder,
} from '../../examples/shop/shop-data.ts'
import { createShoppers, type Shopper } from '../../examples/shop/shoppers.ts'
import { createApiKey, revokeApiKeys } from '../api/api-keys.ts'
import { type MailCatcher, openMailCatcher } from '../catcher/mail-catcher.ts'
import type { ServerValues } from '../config.ts'
import type { Clock } from '../lib/clock.ts'
import { isRetryable, OperatingError } from '../lib/errors.ts'
import { silentLogger } from '../lib/logger.ts'
import { createSeededRandom, type Random } from '../lib/random.ts'
import { partitionOf } from '../log/record.ts'
import { type DemoShop, demoOverlay, readDemoShop, shopFolder } from './demo-shop.ts'
import type { AcknowledgedCall } from './demo-times.ts'
import { startDemoWorkers } from './demo-workers.ts'
import { initStores } from './init-stores.ts'
import { pickPort } from './pick-port.ts'
import { readServerConfig } from './read-config.ts'
import {
  type ExtraRoutes,
  openServer,
  type RunningServer,
  type ServerDeps,
  type ServerOptions,
} from './server.ts'
import { isShared, storeOptionsOf } from './store-options.ts'

const host = '127.0.0.1'
const apiKeyName = 'demo'
const itemsPerCall = 500
const callsPerBatch = 500
/** Below the collector's limit of 512 KiB, with room for the envelope. */
const batchBytesMax = 400 * 1024
const laneCount = 4
const sendMsMax = 15_000
const tryCountMax = 20
/** How long a server may say that it has too much to do. */
const busyMsMax = 600_000
const retryWaitMs = 250
const lookMs = 20

export interface DemoOptions {
  readonly dataDir: string
  /** Absent: 8080, or any free one where that is taken. 0: any free one. */
  readonly port?: number
  /** So many of the newest orders; absent: all. */
  readonly orderCountMax?: number
  readonly logLevel?: string
  /** Further settings, by the names of the options. */
  readonly flags?: Readonly<Record<string, string>>
  /** Further processes that fold and deliver, where log and state are elsewhere. */
  readonly workerCount?: number
}

/** All that a server of the demo needs, made before it is opened. */
export interface DemoSetup {
  readonly shop: DemoShop
  readonly catcher: MailCatcher
  readonly apiKey: string
  readonly dataDir: string
  readonly url: string
  /** True where the usual port was taken. */
  readonly isOtherPort: boolean
  readonly server: ServerOptions
  /** Of a further worker, by the names of the options. */
  readonly workerSettings: Readonly<Record<string, string>>
  close(): Promise<void>
}

/** Where calls go; the server may be in this process or in another. */
export interface DemoTarget {
  readonly url: string
  readonly writeKey: string
  readonly apiKey: string
}

export interface DemoDeps {
  readonly clock: Clock
  readonly random: Random
}

/** Reads the shop, opens the catcher, picks the port, makes an API key. */
export async function prepareDemo(deps: DemoDeps, options: DemoOptions): Promise<DemoSetup> {
  const shop = await readDemoShop(options.orderCountMax)
  const { port, isOtherPort } = await pickPort(options.port)
  const url = `http://${host}:${port}`
  const { dataDir } = options
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  await revokeApiKeys(dataDir, apiKeyName)
  const scopes = ['read', 'render', 'write', 'admin'] as const
  const apiKey = await createApiKey(dataDir, deps, { name: apiKeyName, scopes })
  const catcher = await openMailCatcher({ host, port: 0, clock: deps.clock })
  const close = (): Promise<void> => catcher.close()
  const workerSettings = {
    'server.host': host,
    'server.dataDir': dataDir,
    'server.publicUrl': url,
    'delivery.from': shop.from,
    'delivery.smtpUrl': `smtp://${host}:${catcher.port}`,
    ...(options.logLevel === undefined ? {} : { logLevel: options.logLevel }),
    ...options.flags,
  }
  const values: ServerValues = await readServerConfig(undefined, {
    'server.port': String(port),
    'server.definitionsDir': shopFolder,
    ...workerSettings,
  })
  if (isShared(storeOptionsOf(values))) {
    await initStores({ ...deps, logger: silentLogger }, values).catch(async (error: unknown) => {
      await close()
      throw error
    })
  }
  const server: ServerOptions = { values, overlay: demoOverlay }
  return { shop, catcher, apiKey, dataDir, url, isOtherPort, server, workerSettings, close }
}

export interface OpenDemo {
  readonly setup: DemoSetup
  readonly server: RunningServer
  readonly target: DemoTarget
  close(): Promise<void>
}

/** Opens a server of the demo in this process; `close` ends server and catcher. */
export async function openDemo(
  deps: ServerDeps,
  options: DemoOptions & { readonly extraRoutes?: ExtraRoutes },
): Promise<OpenDemo> {
  const setup = await prepareDemo(deps, options)
  const { extraRoutes } = options
  const withRoutes = { ...setup.server, ...(extraRoutes === undefined ? {} : { extraRoutes }) }
  const server = await openServer(deps, withRoutes).catch(async (error: unknown) => {
    await setup.close()
    throw error
  })
  const workers = startDemoWorkers(options.workerCount ?? 0, setup.workerSettings)
  return {
    setup,
    server,
    target: targetOf(setup),
    async close() {
      await workers.stop()
      await server.close()
      await setup.close()
    },
  }
}

export function targetOf(setup: DemoSetup): DemoTarget {
  return { url: setup.url, writeKey: setup.shop.writeKey, apiKey: setup.apiKey }
}

export interface HistoryProgress {
  readonly orderCount: number
  readonly orderTotal: number
  readonly ordersPerSecond: number
}

/** Where a data directory keeps what history it has. */
interface HistoryMark {
  readonly lastOrderAtMs: number
  readonly orderCount: number
  readonly isLoaded: boolean
}

/**
 * Sends catalog and orders, unless the data directory has them. Resolves when all are acknowledged,
 * with what was sent, now or then, at the times at which it happened.
 */
export async function loadHistory(
  deps: DemoDeps,
  given: { readonly setup: DemoSetup; readonly signal: AbortSignal },
  onProgress: (progress: HistoryProgress) => void,
): Promise<{ readonly isNew: boolean; readonly sent: readonly SentCall[] }> {
  const { setup, signal } = given
  const { orders, items } = setup.shop
  const path = join(setup.dataDir, 'demo-history.json')
  const known = await readMark(path)
  const mark: HistoryMark =
    known?.orderCount === orders.length
      ? known
      : { lastOrderAtMs: deps.clock.nowMs() - 60_000, orderCount: orders.length, isLoaded: false }
  const sent = historyCalls(orders, mark.lastOrderAtMs)
  if (mark.isLoaded) return { isNew: false, sent }
  await writeFile(path, JSON.stringify(mark))
  const sender: Sender = { clock: deps.clock, target: targetOf(setup), signal }
  for (let from = 0; from < items.length; from += itemsPerCall) {
    const body = JSON.stringify({ items: items.slice(from, from + itemsPerCall) })
    await post(sender, '/api/v1/items', body)
  }
  await sendHistory(sender, sent, onProgress)
  if (!signal.aborted) await writeFile(path, JSON.stringify({ ...mark, isLoaded: true }))
  return { isNew: true, sent }
}

/** Returns customers and orders as calls of the past, the newest order at `lastOrderAtMs`. */
export function historyCalls(
  orders: readonly ShopOrder[],
  lastOrderAtMs: number,
): readonly SentCall[] {
  const lastMinute = orders.at(-1)?.minute ?? 0
  const atMs = (minute: number): number => lastOrderAtMs - (lastMinute - minute) * 60_000
  const firstAtMs = atMs(orders[0]?.minute ?? 0) - 60_000
  const past = (sentAtMs: number, call: SegmentCall) => ({ sentAtMs, call, isBackfill: true })
  return [
    ...customerCalls(orders).map((call) => past(firstAtMs, call)),
    ...orders.map((order) => past(atMs(order.minute), orderCall(order))),
  ]
}

/** Resolves when the fold has reached the end of the log. */
export async function waitFolded(
  server: RunningServer,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    if ((await lagOf(server)) === 0) return
    await clock.sleep(lookMs, signal)
  }
}

/** Records not folded yet; undefined where a slow store does not tell now. */
export async function lagOf({ owner }: RunningServer): Promise<number | undefined> {
  try {
    return (await owner.health()).lagCount
  } catch (error) {
    if (isRetryable(error)) return undefined
    throw error
  }
}

export interface ShopperRun {
  readonly count: number
  /** Mean time between two shoppers. */
  readonly arrivalMs: number
  readonly seed: number
  onSent?(call: AcknowledgedCall): void
}

/**
 * Lets shoppers visit in real time until all have left or `signal` aborts. Each sends one call at a
 * time, and only acknowledged calls are told of.
 */
export async function runShoppers(
  deps: DemoDeps,
  given: { readonly shop: DemoShop; readonly target: DemoTarget; readonly run: ShopperRun },
  signal: AbortSignal,
): Promise<void> {
  const { shop, target, run } = given
  const { clock } = deps
  const sender: Sender = { clock, target, signal }
  const shoppers = createShoppers({
    ...shop,
    runId: Buffer.from(deps.random.bytes(4)).toString('hex'),
    random: createSeededRandom(run.seed),
    startMs: clock.nowMs(),
    shopperCount: run.count,
    arrivalMs: run.arrivalMs,
  })
  const visits = new Set<Promise<void>>()
  const failed = Promise.withResolvers<never>()
  for (const shopper of shoppers) {
    await Promise.race([clock.sleep(shopper.startAtMs - clock.nowMs(), signal), failed.promise])
    if (signal.aborted) break
    const visit = sendVisit(sender, shopper, run).finally(() => visits.delete(visit))
    visit.catch(failed.reject)
    visits.add(visit)
  }
  await Promise.race([Promise.all(visits), failed.promise])
}

async function sendVisit(sender: Sender, shopper: Shopper, run: ShopperRun): Promise<void> {
  const { clock, signal } = sender
  for (const { atMs, call } of shopper.calls) {
    await clock.sleep(shopper.startAtMs + atMs - clock.nowMs(), signal)
    if (signal.aborted) return
    const sentAtMs = clock.nowMs()
    const timestamp = new Date(sentAtMs).toISOString()
    const isSafe = await post(sender, `/v1/${call.type}`, JSON.stringify({ ...call, timestamp }))
    if (isSafe) run.onSent?.({ sentAtMs, acknowledgedAtMs: clock.nowMs(), call })
  }
}

async function sendHistory(
  sender: Sender,
  sent: readonly SentCall[],
  onProgress: (progress: HistoryProgress) => void,
): Promise<void> {
  const { clock, signal } = sender
  const startedAt = clock.monotonicMs()
  let orderCount = 0
  const orderTotal = sent.filter(({ call }) => call.type === 'track').length
  const lanes = Map.groupBy(sent, ({ call }) =>
    partitionOf('', call.userId ?? call.anonymousId ?? '', laneCount),
  )
  const sendLane = async (calls: readonly SentCall[]): Promise<void> => {
    for (const batch of batchesOf(calls)) {
      if (signal.aborted) return
      await post(sender, '/v1/import', `{"batch":[${batch.join(',')}]}`)
      orderCount += batch.filter((text) => text.startsWith('{"type":"track"')).length
      const seconds = (clock.monotonicMs() - startedAt) / 1000
      onProgress({ orderCount, orderTotal, ordersPerSecond: Math.round(orderCount / seconds) })
    }
  }
  await Promise.all([...lanes.values()].map(sendLane))
}

function* batchesOf(calls: readonly SentCall[]): Generator<readonly string[]> {
  let batch: string[] = []
  let bytes = 0
  for (const { call, sentAtMs } of calls) {
    const text = JSON.stringify({ ...call, timestamp: new Date(sentAtMs).toISOString() })
    if (batch.length === callsPerBatch || bytes + text.length > batchBytesMax) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(text)
    bytes += Buffer.byteLength(text) + 1
  }
  if (batch.length > 0) yield batch
}

interface Sender {
  readonly clock: Clock
  readonly target: DemoTarget
  readonly signal: AbortSignal
}

/**
 * Posts until it is acknowledged; false where `signal` aborted before. Repeats what cannot be
 * answered now, so a server may be started again meanwhile; one that has too much to do is given
 * time.
 */
async function post(sender: Sender, path: string, body: string): Promise<boolean> {
  const { target, clock, signal } = sender
  const key = path.startsWith('/api/') ? `Bearer ${target.apiKey}` : basicOf(target.writeKey)
  const headers = { 'content-type': 'application/json', authorization: key }
  const busyUntilMs = clock.monotonicMs() + busyMsMax
  let last: unknown
  for (let attempt = 0; attempt < tryCountMax; attempt++) {
    if (signal.aborted) return false
    try {
      const timed = AbortSignal.timeout(sendMsMax)
      const init = { method: 'POST', headers, body, signal: timed }
      const response = await fetch(target.url + path, init)
      const text = await response.text()
      if (response.ok) return true
      last = new Error(`${response.status}: ${text.slice(0, 300)}`)
      if (response.status === 429 && clock.monotonicMs() < busyUntilMs) attempt = 0
      else if (response.status < 500) break
    } catch (error) {
      last = error
    }
    await clock.sleep(retryWaitMs * Math.min(attempt + 1, 8), signal)
  }
  throw new OperatingError('SERVER_UNREACHABLE', `post to ${path}`, last)
}

function basicOf(writeKey: string): string {
  return `Basic ${Buffer.from(`${writeKey}:`).toString('base64')}`
}

async function readMark(path: string): Promise<HistoryMark | undefined> {
  const text = await readFile(path, 'utf8').catch(() => undefined)
  return text === undefined ? undefined : (JSON.parse(text) as HistoryMark)
}
