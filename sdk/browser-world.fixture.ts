/**
 * A real Attune, a shop whose pages load the SDK from it, and real browsers. Between browser and
 * collector stands a proxy that can answer in the collector's place, or lose its answer.
 */

import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before } from 'node:test'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { createApiKey } from '../src/api/api-keys.ts'
import { withDataReader } from '../src/command/data-reader.ts'
import { mergeRecords, openAtStart } from '../src/command/event-lines.ts'
import type { Event } from '../src/event/event.ts'
import { systemClock } from '../src/lib/clock.ts'
import { systemRandom } from '../src/lib/random.ts'
import { freePort, openServerProcess, stopServerProcess } from '../test/faults/server-process.ts'
import { writeKey, writeSmallShop } from '../test/faults/small-shop.ts'

export { writeKey }

const chromiumPath = '/usr/bin/chromium'
const chromiumFlags = [
  ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'],
  ...['--disable-background-networking', '--disable-component-update'],
  // A name that is not this machine's own, so that the page is no secure context.
  '--host-resolver-rules=MAP shop.example 127.0.0.1',
]
const recordCountMax = 10_000
const waitMsMax = 60_000
/** Of one step of the browser; its own start is one. */
const stepMsMax = 90_000
const lookMs = 20

export const skip = existsSync(chromiumPath) ? false : `no browser at ${chromiumPath}`

/** What became of one request of the SDK. */
export interface Taken {
  readonly at: number
  readonly status: number
  readonly body: string
  readonly headers: IncomingMessage['headers']
}

export interface Fault {
  /** Answered in the collector's place; 0 loses the answer of the collector. */
  readonly status: number
  readonly retryAfterSeconds?: number
  /** Answers late. */
  readonly delayMs?: number
}

export interface BrowserWorld {
  readonly browser: Browser
  /** As browsers reach the collector. */
  readonly collectUrl: string
  readonly shopPort: number
  /** The pages of the shop by their paths; any other path shows `/`, which has the tag alone. */
  readonly pages: Map<string, string>
  /** A page's answer with a policy, if set. */
  policy: string | undefined
  /** What the next requests of the SDK meet, one each. */
  readonly faults: Fault[]
  readonly taken: Taken[]
  /** All that the collector accepted, in the order of their ids. */
  events(): Promise<readonly Event[]>
  /** Why the collector rejected what it kept. */
  rejections(): Promise<readonly string[]>
  profile(id: string): Promise<Profile>
  close(): Promise<void>
}

interface Profile {
  readonly [name: string]: unknown
}

/**
 * Opens a world before the tests of a file and closes it behind them. What it returns is called
 * once by each test.
 */
export function useBrowserWorld(
  environment: Readonly<Record<string, string>> = {},
): () => BrowserWorld {
  let world: BrowserWorld | undefined
  if (skip === false) {
    before(async () => {
      world = await openBrowserWorld(environment)
    })
    after(() => world?.close())
  }
  return () => {
    if (world === undefined) throw new Error('there is no browser')
    // What the test before did not need is not this one's.
    world.faults.length = 0
    return world
  }
}

async function openBrowserWorld(
  environment: Readonly<Record<string, string>>,
): Promise<BrowserWorld> {
  const folder = await mkdtemp(join(tmpdir(), 'attune-sdk-'))
  const definitionsDir = join(folder, 'shop')
  const dataDir = join(folder, 'data')
  await writeSmallShop(definitionsDir)
  const given = { dataDir, definitionsDir, port: await freePort(), environment }
  const server = await openServerProcess(given)
  const deps = { clock: systemClock, random: systemRandom }
  const apiKey = await createApiKey(dataDir, deps, { name: 'test', scopes: ['read'] })
  const faults: Fault[] = []
  const taken: Taken[] = []
  const proxy = await listen((request, response) =>
    passOn(request, response, { target: server.url, faults, taken }),
  )
  const shop = await listen((request, response) => answerPage(world, request, response))
  const world: BrowserWorld = {
    browser: await chromium.launch({
      ...{ executablePath: chromiumPath, args: chromiumFlags, timeout: stepMsMax },
    }),
    collectUrl: `http://127.0.0.1:${portOf(proxy)}`,
    shopPort: portOf(shop),
    pages: new Map(),
    policy: undefined,
    faults,
    taken,
    events: () => readEvents(dataDir),
    rejections: () => readRejections(dataDir),
    async profile(id) {
      const headers = { authorization: `Bearer ${apiKey}` }
      const answer = await fetch(`${server.url}/api/v1/profiles/${id}`, { headers })
      return (await answer.json()) as Profile
    },
    async close() {
      await world.browser.close()
      for (const each of [proxy, shop]) {
        each.close()
        each.closeAllConnections()
      }
      await stopServerProcess(server)
      await rm(folder, { recursive: true, force: true })
    },
  }
  world.pages.set('/', tagOf(world))
  return world
}

async function listen(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<Server> {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}

function answerPage(world: BrowserWorld, request: IncomingMessage, response: ServerResponse): void {
  const path = request.url?.split('?')[0] ?? ''
  const isScript = path.endsWith('.js')
  const text = world.pages.get(path) ?? (isScript ? '' : (world.pages.get('/') ?? ''))
  response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html; charset=utf-8')
  if (world.policy !== undefined) response.setHeader('content-security-policy', world.policy)
  response.end(isScript ? text : `<!doctype html><title>A shop</title>${text}`)
}

function passOn(
  request: IncomingMessage,
  response: ServerResponse,
  given: { readonly target: string; readonly faults: Fault[]; readonly taken: Taken[] },
): void {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', async () => {
    const body = Buffer.concat(chunks)
    const isEvents = request.url === '/v1/b'
    const fault = isEvents ? given.faults.shift() : undefined
    const note = (status: number): void => {
      const { headers } = request
      const at = systemClock.nowMs()
      if (isEvents) given.taken.push({ at, status, body: body.toString(), headers })
    }
    if (fault?.delayMs !== undefined) await systemClock.sleep(fault.delayMs)
    if (fault !== undefined && fault.status > 0 && fault.status !== 200) {
      const wait = fault.retryAfterSeconds
      response.setHeader('access-control-allow-origin', '*')
      response.setHeader('access-control-expose-headers', 'retry-after')
      if (wait !== undefined) response.setHeader('retry-after', String(wait))
      note(fault.status)
      response.writeHead(fault.status).end()
      return
    }
    const { method = 'GET', headers } = request
    const options = { method, headers, agent: false } as const
    const upstream = httpRequest(given.target + request.url, options, (answer) => {
      note(fault?.status ?? answer.statusCode ?? 0)
      if (fault?.status === 0) {
        answer.resume()
        answer.on('end', () => response.destroy())
        return
      }
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
    upstream.on('error', () => response.destroy())
    upstream.end(body)
  })
}

async function readEvents(dataDir: string): Promise<readonly Event[]> {
  return await withDataReader({ dataDir }, async ({ log }) => {
    const cursor = await openAtStart(log, false)
    const wants = ({ kind }: { readonly kind: string }) => kind === 'event'
    const events: Event[] = []
    for await (const [{ body }] of mergeRecords([cursor], { wants, countMax: recordCountMax })) {
      events.push(JSON.parse(Buffer.from(body).toString()) as Event)
    }
    // Ids begin with the time; people of different partitions have no order in the log.
    return events.sort((left, right) => (left.eventId < right.eventId ? -1 : 1))
  })
}

async function readRejections(dataDir: string): Promise<readonly string[]> {
  return await withDataReader({ dataDir }, async ({ rejected }) => {
    const cursor = await openAtStart(rejected, true)
    const reasons: string[] = []
    const options = { wants: () => true, countMax: recordCountMax }
    for await (const [{ skeleton }] of mergeRecords([cursor], options)) {
      reasons.push(String((skeleton as { reason?: string }).reason))
    }
    return reasons
  })
}

/** Waits until `look` returns something that is true, and returns that. */
export async function until<Value>(
  look: () => Promise<Value | undefined> | Value | undefined,
): Promise<Value> {
  const deadlineMs = systemClock.monotonicMs() + waitMsMax
  for (;;) {
    const value = await look()
    if (value) return value
    if (systemClock.monotonicMs() > deadlineMs) throw new Error(`waited in vain: ${look}`)
    await systemClock.sleep(lookMs)
  }
}

/** The tag that loads the SDK, with more attributes. */
export function tagOf(world: BrowserWorld, attributes = ''): string {
  const source = `${world.collectUrl}/sdk/v1/attune.js`
  return `<script async src="${source}" data-write-key="${writeKey}" ${attributes}></script>`
}

export interface Visit {
  readonly context: BrowserContext
  readonly page: Page
  /** What a console would show as wrong. */
  readonly faults: string[]
}

/** Opens the shop in a browser without a past. */
export async function visit(
  world: BrowserWorld,
  t: { after(work: () => unknown): void },
  options: { readonly path?: string; readonly host?: string } = {},
): Promise<Visit> {
  const context = await world.browser.newContext({ locale: 'en-GB', timezoneId: 'Europe/London' })
  t.after(() => context.close())
  context.setDefaultTimeout(stepMsMax)
  const page = await context.newPage()
  const faults: string[] = []
  page.on('pageerror', (error) => faults.push(error.message))
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(message.text())
  })
  await page.goto(`http://${options.host ?? 'localhost'}:${world.shopPort}${options.path ?? '/'}`)
  return { context, page, faults }
}

/** Runs `script` in the page once the SDK is there. */
export async function call(page: Page, script: string): Promise<void> {
  await page.waitForFunction('window.attune?.track && !window.attune.calls')
  await page.evaluate(script)
}

/** Waits until the collector has accepted `count` different events that `isWanted` takes. */
export async function untilAccepted(
  world: BrowserWorld,
  count: number,
  isWanted: (event: Event) => boolean,
): Promise<readonly Event[]> {
  return await until(async () => {
    const events = (await world.events()).filter(isWanted)
    const ids = new Set(events.map(({ eventId }) => eventId))
    return ids.size >= count ? events : undefined
  })
}
