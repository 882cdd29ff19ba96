/**
 * Runs many seeds in two child processes and says what was found.
 *
 *     npm run simulate -- --seeds 500        seeds 1 to 500
 *     npm run simulate -- --seed 7           one seed, with the end of its trace where it fails
 *     npm run simulate -- --events 5000      at least that many events in each seed
 *
 * A seed that fails is printed with the command that replays it. From 100 seeds on, it is a failure
 * too where something was in none of them: see coverage.ts. Exit code 1 on any failure.
 */

import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { systemClock } from '../../src/lib/clock.ts'
import { findUncovered } from './coverage.ts'
import { faultPointNames } from './fault-plan.ts'
import { type Simulated, simulate } from './simulate.ts'
import { compileWorldTemplate } from './world-documents.ts'

const processCount = 2
const progressMs = 5000
const violationsShown = 5

/** What a child reports of a seed: as `Simulated`, ready to cross processes. */
interface Report {
  readonly seed: number
  readonly violations: readonly string[]
  readonly eventCount: number
  readonly handOverCount: number
  readonly cpuMs: number
  /** How often, by name. */
  readonly counts: Readonly<Record<CountName, readonly (readonly [string, number])[]>>
}

const countNames = ['hits', 'features', 'recordKinds', 'messageEnds', 'endings'] as const
type CountName = (typeof countNames)[number]

interface Totals {
  seedCount: number
  eventCount: number
  handOverCount: number
  cpuMs: number
  leastFaultCount: number
  readonly failed: Report[]
  readonly counts: Readonly<Record<CountName, Map<string, number>>>
}

function reportOf(result: Simulated, cpuMs: number): Report {
  const { seed, violations, eventCount, handOverCount } = result
  return {
    seed,
    cpuMs,
    violations: violations.slice(0, violationsShown),
    eventCount,
    handOverCount,
    counts: {
      hits: [...result.hits],
      features: [...result.features].map((name) => [name, 1]),
      recordKinds: [...result.recordKinds].map((kind) => [kind, 1]),
      messageEnds: [...result.messageEnds],
      endings: [...result.endings],
    },
  }
}

async function runOne(seed: number, eventCountMin: number | undefined): Promise<number> {
  const template = await compileWorldTemplate()
  const result = await simulate({ seed, template, ...(eventCountMin ? { eventCountMin } : {}) })
  const isFailed = result.violations.length > 0
  if (isFailed) console.log(result.recent.join('\n'))
  for (const violation of result.violations) console.log(`FAILED ${violation}`)
  const { eventCount, effectCount, traceHash, handOverCount } = result
  console.log(JSON.stringify({ seed, isFailed, eventCount, effectCount, handOverCount, traceHash }))
  console.log(`holds: ${[...result.features].join(', ')}`)
  printCounts('messages', result.messageEnds)
  printCounts('owners ended', result.endings)
  printCounts('faults', result.hits)
  return isFailed ? 1 : 0
}

/** Serves seeds to a parent: one number in, one report out. */
async function serve(eventCountMin: number | undefined): Promise<void> {
  const template = await compileWorldTemplate()
  process.on('message', (seed: number) => {
    const before = process.cpuUsage()
    const cpuMs = (): number => {
      const { user, system } = process.cpuUsage(before)
      return (user + system) / 1000
    }
    simulate({ seed, template, ...(eventCountMin ? { eventCountMin } : {}) }).then(
      (result) => process.send?.(reportOf(result, cpuMs())),
      (error: unknown) => {
        const says = error instanceof Error ? (error.stack ?? error.message) : String(error)
        const counts = { hits: [], features: [], recordKinds: [], messageEnds: [], endings: [] }
        const empty = { eventCount: 0, handOverCount: 0, cpuMs: cpuMs(), counts }
        process.send?.({ seed, violations: [`error: ${says}`], ...empty } satisfies Report)
      },
    )
  })
  process.send?.('ready')
}

async function runMany(seeds: readonly number[], parameters: readonly string[]): Promise<number> {
  const totals: Totals = {
    seedCount: 0,
    eventCount: 0,
    handOverCount: 0,
    cpuMs: 0,
    leastFaultCount: Number.POSITIVE_INFINITY,
    failed: [],
    counts: {
      hits: new Map(),
      features: new Map(),
      recordKinds: new Map(),
      messageEnds: new Map(),
      endings: new Map(),
    },
  }
  const startedAtMs = systemClock.monotonicMs()
  const left = [...seeds]
  let shownAtMs = startedAtMs
  const onReport = (report: Report): void => {
    add(totals, report, parameters)
    const nowMs = systemClock.monotonicMs()
    if (nowMs - shownAtMs < progressMs) return
    shownAtMs = nowMs
    const rate = (totals.seedCount / (nowMs - startedAtMs)) * 1000
    console.error(`${totals.seedCount} of ${seeds.length} seeds, ${rate.toFixed(2)} seeds/s`)
  }
  const children = Array.from({ length: Math.min(processCount, seeds.length) }, () =>
    serveFrom(left, parameters, onReport),
  )
  await Promise.all(children)
  return printSummary(totals, seeds.length, systemClock.monotonicMs() - startedAtMs)
}

/** Feeds one child from `left` until nothing is left. Rejects where the child ends before. */
function serveFrom(
  left: number[],
  parameters: readonly string[],
  onReport: (report: Report) => void,
): Promise<void> {
  // A seed makes much that lives shortly, and lets go of the rest at its end: a larger nursery
  // halves the time of collecting it, and the rest need not be marked again and again meanwhile.
  const sizes = ['--max-semi-space-size=64', '--initial-old-space-size=800']
  // Much code runs a few times in each seed: compiled at once, it costs 7 % less.
  const execArgv = [...process.execArgv, ...sizes, '--always-sparkplug']
  const path = fileURLToPath(import.meta.url)
  const child: ChildProcess = fork(path, ['--serve', ...parameters], { execArgv })
  return new Promise((resolve, reject) => {
    child.on('exit', (code) => {
      if (left.length === 0 && code === 0) resolve()
      else reject(new Error(`a child ended with ${code}`))
    })
    child.on('message', (message: 'ready' | Report) => {
      if (message !== 'ready') onReport(message)
      const seed = left.shift()
      if (seed === undefined) child.disconnect()
      else child.send(seed)
    })
  })
}

function add(totals: Totals, report: Report, parameters: readonly string[]): void {
  totals.seedCount++
  totals.eventCount += report.eventCount
  totals.handOverCount += report.handOverCount
  totals.cpuMs += report.cpuMs
  totals.leastFaultCount = Math.min(totals.leastFaultCount, sumOf(report.counts.hits))
  for (const name of countNames) {
    const sums = totals.counts[name]
    for (const [key, count] of report.counts[name]) sums.set(key, (sums.get(key) ?? 0) + count)
  }
  if (report.violations.length === 0) return
  totals.failed.push(report)
  const replay = [`--seed ${report.seed}`, ...parameters].join(' ')
  console.log(`FAILED seed ${report.seed}; replay: npm run simulate -- ${replay}`)
  for (const violation of report.violations) console.log(`  ${violation}`)
}

function printSummary(totals: Totals, seedCount: number, spentMs: number): number {
  const { eventCount, handOverCount, leastFaultCount, failed, counts } = totals
  const { hits } = counts
  const cpuSeconds = totals.cpuMs / seedCount / 1000
  const uncovered = findUncovered({ seedCount, leastFaultCount, ...counts })
  printCounts('faults hit', hits)
  printCounts('worlds that hold', counts.features)
  printCounts('worlds with records', counts.recordKinds)
  printCounts('messages', counts.messageEnds)
  printCounts('owners ended', counts.endings)
  for (const says of uncovered) console.log(`FAILED ${says}`)
  const faultCount = sumOf([...hits])
  console.log(
    `${totals.seedCount} seeds, ${eventCount} events, ${handOverCount} hand-overs, ${faultCount} ` +
      `faults (${leastFaultCount} or more in each) at ${hits.size} of ${faultPointNames.length} ` +
      `points, ${failed.length} failed, ` +
      `${Math.round(spentMs / 1000)} s, ${cpuSeconds.toFixed(2)} s of CPU each`,
  )
  return failed.length > 0 || uncovered.length > 0 ? 1 : 0
}

function sumOf(counts: readonly (readonly [string, number])[]): number {
  return counts.reduce((sum, [, count]) => sum + count, 0)
}

function printCounts(title: string, counts: ReadonlyMap<string, number>): void {
  const sorted = [...counts].sort(([left], [right]) => (left < right ? -1 : 1))
  console.log(`${title}: ${sorted.map(([name, count]) => `${name} ${count}`).join(', ')}`)
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string' },
      seed: { type: 'string' },
      events: { type: 'string' },
      serve: { type: 'boolean' },
    },
  })
  const eventCountMin = values.events === undefined ? undefined : Number(values.events)
  const numbers = [values.seeds, values.seed, values.events].filter((text) => text !== undefined)
  if (!numbers.every((text) => /^\d{1,9}$/.test(text))) {
    console.error('Usage: npm run simulate -- [--seeds COUNT] [--seed FIRST] [--events COUNT]')
    return 2
  }
  if (values.serve === true) {
    await serve(eventCountMin)
    return 0
  }
  const first = Number(values.seed ?? 1)
  if (values.seed !== undefined && values.seeds === undefined)
    return await runOne(first, eventCountMin)
  const count = Number(values.seeds ?? 100)
  const seeds = Array.from({ length: count }, (_, index) => first + index)
  const parameters = values.events === undefined ? [] : ['--events', values.events]
  return await runMany(seeds, parameters)
}

process.exitCode = await main()
