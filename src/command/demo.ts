/**
 * `attune demo`: the shop's whole life without a page, for a fixed amount of work, and a verdict.
 *
 * Replays all real orders as backfill, lets simulated shoppers browse, abandon and buy, waits until
 * every message that is due has come by SMTP, then checks: what a naive program says is due against
 * what the catcher holds, the state's hash against a rebuild from the log, and every message
 * rendered again from its evidence against the bytes received.
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import { countMessagesDue } from '../../examples/shop/expected-messages.ts'
import type { Clock } from '../lib/clock.ts'
import { createFreshnessProbe } from './demo-freshness.ts'
import { openDemoStores } from './demo-stores.ts'
import { type AcknowledgedCall, placeInLog } from './demo-times.ts'
import { type DemoFigures, judgeDemo } from './demo-verdict.ts'
import {
  lagOf,
  loadHistory,
  type OpenDemo,
  openDemo,
  runShoppers,
  waitFolded,
} from './demo-world.ts'
import { createServerDeps } from './run-server.ts'

export interface DemoRunOptions {
  readonly dataDir?: string
  readonly shopperCount: number
  readonly arrivalMs: number
  readonly orderCountMax?: number
  readonly seed: number
  readonly isKept: boolean
  /** Kinds of log and state; absent: files on this machine. */
  readonly stores?: { readonly log: string; readonly state: string }
  /** Workers in all, this process included. */
  readonly workerCount: number
}

/** A run in which nothing is folded and no email comes for so long has come to its end. */
const stillMsMax = 30_000
const lookMs = 50
/** As a shell tells of SIGINT. */
const exitInterrupted = 130

export function addDemoCommand(program: Command, exit: (code: number) => void): void {
  program
    .command('demo')
    .description('replay the example shop, let shoppers visit, check every email; no page')
    .option('--json', 'print one JSON line with the figures')
    .option('--shoppers <count>', 'simulated shoppers', '2000')
    .option('--arrival-ms <ms>', 'mean time between two shoppers', '20')
    .option('--orders <count>', 'only so many of the newest real orders')
    .option('--seed <number>', 'seed of the shoppers', '1')
    .option('--log <kind>', 'sqlite, kafka or kinesis; started unless it is configured')
    .option('--state <kind>', 'sqlite, redis, dynamodb or dynamodb-redis')
    .option('--workers <count>', 'processes that fold and deliver (default 2 where several can)')
    .option('--data-dir <dir>', 'keep the data there (default: a temporary folder, removed)')
    .addHelpText(
      'after',
      '\nExamples:\n  npm run demo -- --json --shoppers 200\n' +
        '  npm run demo -- --json --log kafka --state redis\n\n' +
        'Exit code 1 if a message was lost or doubled, or a check differs.',
    )
    .action(async (options: Record<string, string | boolean | undefined>) => {
      const orders = options['orders']
      const dataDir = options['dataDir']
      const figures = await runDemo({
        shopperCount: countOf(options['shoppers']),
        arrivalMs: countOf(options['arrivalMs']),
        seed: countOf(options['seed']),
        isKept: typeof dataDir === 'string',
        ...storesOf(options),
        ...(typeof dataDir === 'string' ? { dataDir } : {}),
        ...(orders === undefined ? {} : { orderCountMax: countOf(orders) }),
      })
      const text = options['json'] === true ? JSON.stringify(figures.line) : describe(figures.line)
      process.stdout.write(`${text}\n`)
      exit(figures.isGood ? 0 : 1)
    })
}

export async function runDemo(options: DemoRunOptions): Promise<DemoFigures> {
  const deps = createServerDeps('warn')
  const { clock } = deps
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'attune-demo-')))
  const stop = new AbortController()
  const forget = endOnSignal()
  const { orderCountMax, stores } = options
  const services = stores && (await openDemoStores(deps.random, stores))
  const demo = await openDemo(deps, {
    dataDir,
    port: 0,
    workerCount: options.workerCount - 1,
    ...(orderCountMax === undefined ? {} : { orderCountMax }),
    ...(services === undefined ? {} : { flags: services.flags }),
  }).catch(async (error: unknown) => {
    await services?.close()
    throw error
  })
  try {
    say('replaying the real orders as history')
    const startedAt = clock.monotonicMs()
    const history = await loadHistory(deps, { setup: demo.setup, signal: stop.signal }, (at) =>
      say(`  ${at.orderCount} of ${at.orderTotal} orders, ${at.ordersPerSecond} orders/s`, true),
    )
    await waitFolded(demo.server, clock, stop.signal)
    const historySeconds = (clock.monotonicMs() - startedAt) / 1000
    say(`history folded: ${history.sent.length} events in ${historySeconds.toFixed(1)} s`)
    const probe = createFreshnessProbe({ clock, target: demo.target })
    const sent: AcknowledgedCall[] = []
    const { shop } = demo.setup
    const run = {
      count: options.shopperCount,
      arrivalMs: options.arrivalMs,
      seed: options.seed,
      onSent: (call: AcknowledgedCall) => {
        sent.push(call)
        probe.look(call)
        if (sent.length % 500 === 0) {
          say(`  ${sent.length} calls of shoppers, ${demo.setup.catcher.count} emails`, true)
        }
      },
    }
    say(`${options.shopperCount} simulated shoppers come in`)
    await runShoppers(deps, { shop, target: demo.target, run }, stop.signal)
    const logged = await placeInLog(demo.server.log, sent)
    const expected = countMessagesDue([...history.sent, ...logged.calls], timesOf(shop.waits))
    await waitForMails(demo, clock, expected.messagesDue)
    await waitFolded(demo.server, clock, stop.signal)
    const freshnessMs = await probe.close()
    say('checking: a rebuild from the log, and every message from its evidence')
    return await judgeDemo({
      server: demo.server,
      catcher: demo.setup.catcher,
      expected,
      logged,
      events: history.sent.length + sent.length,
      eventsPerSecond: Math.round(history.sent.length / historySeconds),
      freshnessMs,
    })
  } finally {
    await demo.close()
    await services?.close()
    forget()
    if (!options.isKept) await rm(dataDir, { recursive: true })
  }
}

/** An interrupted demo ends at once; what it started ends with it (`exit` listeners). */
function endOnSignal(): () => void {
  const end = (): never => process.exit(exitInterrupted)
  process.once('SIGINT', end)
  process.once('SIGTERM', end)
  return () => {
    process.off('SIGINT', end)
    process.off('SIGTERM', end)
  }
}

/** Reads where log and state are to be; two workers where several can share the partitions. */
function storesOf(
  options: Readonly<Record<string, string | boolean | undefined>>,
): Pick<DemoRunOptions, 'stores' | 'workerCount'> {
  const { log = 'sqlite', state = 'sqlite', workers } = options
  if (log === 'sqlite' && state === 'sqlite') return { workerCount: 1 }
  const workerCount = workers === undefined ? 2 : Math.max(1, countOf(workers))
  return { stores: { log: String(log), state: String(state) }, workerCount }
}

function timesOf(waits: {
  readonly cartMs: number
  readonly thankYouMs: number
  readonly loyalMs: number
}): Parameters<typeof countMessagesDue>[1] {
  return {
    cartWaitMs: waits.cartMs,
    thankYouWaitMs: waits.thankYouMs,
    loyalWaitMs: waits.loyalMs,
  }
}

/**
 * Waits for the count, for as long as there is progress: a slow store is no lost message. Then a
 * little longer, so that a message too many is seen as well.
 */
async function waitForMails(
  { setup, server }: Pick<OpenDemo, 'setup' | 'server'>,
  clock: Clock,
  due: number,
): Promise<void> {
  let movedAt = clock.monotonicMs()
  let before = ''
  while (clock.monotonicMs() - movedAt < stillMsMax) {
    const count = setup.catcher.messageIds().size
    if (count >= due) break
    const now = `${count} ${await lagOf(server)}`
    if (now !== before) movedAt = clock.monotonicMs()
    before = now
    await clock.sleep(lookMs)
  }
  await clock.sleep(1000)
}

function describe(line: DemoFigures['line']): string {
  return Object.entries(line)
    .map(([name, value]) => `${name.padEnd(20)} ${JSON.stringify(value)}`)
    .join('\n')
}

function say(text: string, isPassing = false): void {
  if (isPassing && process.stderr.isTTY) process.stderr.write(`\r\x1b[2K${text}`)
  else if (!isPassing) process.stderr.write(`${process.stderr.isTTY ? '\r\x1b[2K' : ''}${text}\n`)
}

function countOf(text: string | boolean | undefined): number {
  const count = Number(text)
  if (Number.isSafeInteger(count) && count >= 0) return count
  throw new Error(`not a count: ${String(text)}`)
}
