/**
 * `attune dev`: the server with a real shop in it, and a page that shows what it sends.
 *
 * Order: the page answers first; then catalog and a year of orders come in as history, which
 * triggers nothing; then simulated shoppers browse, leave their carts or buy, in real time. Emails
 * go by SMTP to a catcher in this process. Nothing leaves this machine.
 */

import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Command } from 'commander'
import type { Message } from '../campaign/message.ts'
import { OperatingError } from '../lib/errors.ts'
import { lockDataDir } from './data-dir.ts'
import {
  type DemoOptions,
  type DemoSetup,
  type HistoryProgress,
  loadHistory,
  prepareDemo,
  runShoppers,
  targetOf,
  waitFolded,
} from './demo-world.ts'
import { describeDev, describeTrial } from './dev-banner.ts'
import { createDevInbox, type DevInbox } from './dev-inbox.ts'
import { createDevRoutes } from './dev-routes.ts'
import { createServerDeps, runServer, untilAborted } from './run-server.ts'
import type { RunningServer, ServerDeps } from './server.ts'

const shopperCountMax = 1_000_000
const arrivalMsDefault = 700
const callMsMax = 5000
const progressMsMin = 1000

interface DevOptions {
  readonly demo: DemoOptions
  readonly hasSeed: boolean
  readonly hasShoppers: boolean
  readonly isFresh: boolean
  readonly isJson: boolean
  readonly arrivalMs: number
}

/** What the page says is going on. */
interface DevProgress {
  phase: 'starting' | 'history' | 'folding' | 'shoppers' | 'waiting'
  history?: HistoryProgress
  callCount: number
}

export function addDevCommand(program: Command, exit: (code: number) => void): void {
  program
    .command('dev')
    .description('run the server with a real shop, simulated shoppers and a page that shows it all')
    .option('--port <number>', 'port of page and server (default 8080, or a free one if taken)')
    .option('--data-dir <dir>', 'folder of log, state and side store', '.attune/dev')
    .option('--no-seed', 'without catalog, orders and shoppers: send your own events')
    .option('--no-shoppers', 'without simulated shoppers')
    .option('--orders <count>', 'only the newest orders of the shop (default: all of them)')
    .option('--arrival-ms <ms>', 'mean time between two shoppers', String(arrivalMsDefault))
    .option('--fresh', 'empty the data folder first', false)
    .option('--json', 'print one JSON line instead of the text', false)
    .option('--log-level <level>', 'debug, info, warn or error', 'warn')
    .addHelpText('after', devHelp)
    .action(async (flags: Record<string, unknown>) => {
      exit(await runDev(readOptions(flags)))
    })
}

const devHelp = `
Example:
  attune dev --port 8080

Items, prices and orders are real (UCI Online Retail, CC BY 4.0); the shoppers are simulated, and
no email leaves this machine. Open the address that it prints. Ctrl-C stops it.`

function readOptions(flags: Readonly<Record<string, unknown>>): DevOptions {
  const port = readCount('--port', flags['port'], 0, 65_535)
  const orderCountMax = readCount('--orders', flags['orders'], 1, 1_000_000)
  const hasSeed = flags['seed'] !== false
  return {
    demo: {
      dataDir: String(flags['dataDir']),
      logLevel: String(flags['logLevel']),
      ...(port === undefined ? {} : { port }),
      ...(orderCountMax === undefined ? {} : { orderCountMax }),
    },
    hasSeed,
    hasShoppers: hasSeed && flags['shoppers'] !== false,
    isFresh: flags['fresh'] === true,
    isJson: flags['json'] === true,
    arrivalMs: readCount('--arrival-ms', flags['arrivalMs'], 10, 600_000) ?? arrivalMsDefault,
  }
}

function readCount(flag: string, given: unknown, min: number, max: number): number | undefined {
  if (given === undefined) return undefined
  const count = Number(given)
  if (Number.isInteger(count) && count >= min && count <= max) return count
  throw new OperatingError('CONFIG_INVALID', `read ${flag}: a whole number from ${min} to ${max}`)
}

async function runDev(options: DevOptions): Promise<number> {
  const deps = createServerDeps(options.demo.logLevel ?? 'warn')
  if (options.isFresh) await emptyDataDir(options.demo.dataDir)
  const setup = await prepareDemo(deps, options.demo)
  const progress: DevProgress = { phase: 'starting', callCount: 0 }
  const api = createApiReader(setup)
  const inbox = createDevInbox(setup.catcher, (messageId) =>
    api.read<Message>(`/api/v1/messages/${messageId}`),
  )
  const routes = createDevRoutes({
    port: setup.server.values['server.port'],
    apiKey: setup.apiKey,
    items: setup.shop.items,
    inbox,
    readFigures: async () => ({ ...progress, status: await api.read('/api/v1/status') }),
  })
  try {
    const server = { ...setup.server, extraRoutes: routes.handle }
    return await runServer(deps, server, async (running, signal) => {
      process.stdout.write(
        describeDev(setup, { isJson: options.isJson, isSeeded: options.hasSeed }),
      )
      signal.addEventListener('abort', () => routes.close(), { once: true })
      await work(deps, { setup, server: running, progress, inbox, options }, signal)
      await untilAborted(signal)
      return 0
    })
  } finally {
    await setup.close()
  }
}

interface Work {
  readonly setup: DemoSetup
  readonly server: RunningServer
  readonly progress: DevProgress
  readonly inbox: DevInbox
  readonly options: DevOptions
}

async function work(deps: ServerDeps, given: Work, signal: AbortSignal): Promise<void> {
  const { setup, server, progress, options } = given
  const { clock } = deps
  if (options.hasSeed) {
    progress.phase = 'history'
    const startedAt = clock.monotonicMs()
    let toldAt = startedAt
    const { isNew } = await loadHistory(deps, { setup, signal }, (history) => {
      progress.history = history
      if (clock.monotonicMs() - toldAt < progressMsMin) return
      toldAt = clock.monotonicMs()
      tell(describeProgress(history))
    })
    progress.phase = 'folding'
    await waitFolded(server, clock, signal)
    if (signal.aborted) return
    const seconds = ((clock.monotonicMs() - startedAt) / 1000).toFixed(1)
    const count = setup.shop.orders.length.toLocaleString('en')
    tell(
      isNew
        ? `history: ${count} orders in ${seconds} s`
        : `history: ${count} orders are here already`,
    )
    if (!options.isJson) process.stdout.write(describeTrial(setup))
  }
  progress.phase = options.hasShoppers ? 'shoppers' : 'waiting'
  if (!options.hasShoppers) return
  tell('shoppers: simulated, they come now; the first email follows within seconds')
  const run = {
    count: shopperCountMax,
    arrivalMs: options.arrivalMs,
    seed: Math.floor(deps.random.unit() * 2 ** 32),
    onSent: () => {
      progress.callCount++
    },
  }
  const { shop } = setup
  await runShoppers(deps, { shop, target: targetOf(setup), run }, signal)
}

function describeProgress({ orderCount, orderTotal, ordersPerSecond }: HistoryProgress): string {
  const [count, total, rate] = [orderCount, orderTotal, ordersPerSecond].map((value) =>
    value.toLocaleString('en'),
  )
  return `history: ${count} of ${total} orders, ${rate} orders/s`
}

function tell(line: string): void {
  process.stderr.write(`  ${line}\n`)
}

/** Reads this server's own API, as any client would. */
function createApiReader(setup: DemoSetup): {
  read<Body>(path: string): Promise<Body | undefined>
} {
  const headers = { authorization: `Bearer ${setup.apiKey}` }
  return {
    async read<Body>(path: string) {
      try {
        const init = { headers, signal: AbortSignal.timeout(callMsMax) }
        const response = await fetch(setup.url + path, init)
        return response.ok ? ((await response.json()) as Body) : undefined
      } catch {
        // While stopping nothing answers; the page shows what it knows.
        return undefined
      }
    },
  }
}

/** Removes a data folder that a demo made; refuses any other, and one in use. */
async function emptyDataDir(dataDir: string): Promise<void> {
  if (!existsSync(dataDir)) return
  if (!existsSync(join(dataDir, 'lock.sqlite'))) {
    throw new OperatingError('DATA_DIR_INVALID', `empty ${dataDir}, which is no data folder`)
  }
  const lock = await lockDataDir(dataDir)
  lock.release()
  await rm(dataDir, { recursive: true })
}
