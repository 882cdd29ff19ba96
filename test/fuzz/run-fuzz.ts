/**
 * Sends bad input of every class to the real server, over several connections, and holds it to its
 * promises: no 5xx but 503 with Retry-After, no crash, one outcome for every input, and counters
 * and logs that add up to the unit.
 */

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ApiKey, keysPath } from '../../src/api/api-keys.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { sha256Hex } from '../../src/lib/hash.ts'
import { createSeededRandom } from '../../src/lib/random.ts'
import { openSqliteEventLogReader } from '../../src/log/sqlite-log-reader.ts'
import {
  freePort,
  openServerProcess,
  type ServerProcess,
  stopServerProcess,
} from '../faults/server-process.ts'
import { writeSmallShop } from '../faults/small-shop.ts'
import { badClasses } from './bad-classes.ts'
import type { BadClass, Outcome, SentRequest } from './bad-input.ts'
import { meaningSources } from './meaning-classes.ts'
import {
  addAnswer,
  compareCounters,
  countOf,
  createTally,
  seriesOf,
  type Tally,
} from './outcome.ts'
import { fuzzApiKey } from './recommendation-classes.ts'
import { wayEnvironment, waySources } from './way-classes.ts'
import { exchangeRaw, type WireAnswer, WireClient, writeRequest } from './wire.ts'

export interface FuzzOptions {
  readonly seed: number
  /** Inputs that are generated, besides the fixed ones. */
  readonly inputCount: number
  /** Tells how far it is. */
  readonly say?: (line: string) => void
}

export interface FuzzResult {
  readonly inputCount: number
  readonly ratePerSecond: number
  readonly outcomes: ReadonlyMap<Outcome, number>
  /** Fixed cases with another outcome than the one that stands beside them. */
  readonly wrong: readonly string[]
  readonly violations: readonly string[]
}

const connectionCount = 16
const sayMs = 5_000
const readCount = 1_000

export async function runFuzz(options: FuzzOptions): Promise<FuzzResult> {
  const folder = await mkdtemp(join(tmpdir(), 'attune-fuzz-'))
  try {
    await writeSmallShop(join(folder, 'shop'))
    for (const [path, text] of Object.entries({ ...meaningSources, ...waySources })) {
      await writeFile(join(folder, 'shop', path), text)
    }
    const dataDir = join(folder, 'data')
    await mkdir(dataDir)
    const key: ApiKey = {
      ...{ name: 'fuzz', scopes: ['read'], createdAtMs: 0, hash: sha256Hex(fuzzApiKey) },
    }
    await writeFile(keysPath(dataDir), JSON.stringify([key]))
    const port = await freePort()
    const server = await openServerProcess({
      dataDir,
      definitionsDir: join(folder, 'shop'),
      port,
      environment: wayEnvironment,
    })
    try {
      const sent = await sendAll(server, port, options)
      const { code } = await stopServerProcess(server)
      const ended = code === 0 ? [] : [`the server ended with ${code}: ${server.said()}`]
      const violations = [...sent.violations, ...ended, ...(await compareLogs(dataDir, sent))]
      return { ...sent, violations }
    } finally {
      if (!server.hasEnded) server.signal('SIGKILL')
      await server.ended
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

interface Sent extends FuzzResult {
  readonly tally: Tally
  readonly metrics: string
}

/**
 * First what is a request: each has its answer, and all counters agree. Then what is broken as a
 * request: the parser may close a connection before what came ahead on it was answered, so that
 * answers are no more than what was counted.
 */
async function sendAll(server: ServerProcess, port: number, options: FuzzOptions): Promise<Sent> {
  const tally = createTally()
  const readMetrics = async (): Promise<string> =>
    await (await fetch(`${server.url}/metrics`)).text()
  const startedAtMs = systemClock.monotonicMs()
  const wrong = await sendFixed(port, tally, (sent) => sent.raw === undefined)
  const broken = await sendGenerated(port, tally, options)
  const counted = compareCounters(tally, await readMetrics())
  wrong.push(...(await sendFixed(port, tally, (sent) => sent.raw !== undefined)))
  await sendBroken(port, tally, { seed: options.seed, numbers: broken })
  const ratePerSecond = (1000 * options.inputCount) / (systemClock.monotonicMs() - startedAtMs)
  const metrics = await readMetrics()
  return {
    tally,
    metrics,
    wrong,
    inputCount: [...tally.outcomes.values()].reduce((sum, count) => sum + count, 0),
    ratePerSecond: Math.round(ratePerSecond),
    outcomes: tally.outcomes,
    violations: [...tally.violations, ...counted],
  }
}

async function sendFixed(
  port: number,
  tally: Tally,
  isMeant: (sent: SentRequest) => boolean,
): Promise<string[]> {
  const wrong: string[] = []
  for (const { number, name, fixed } of badClasses) {
    for (const { says, sent, outcome } of fixed.filter((each) => isMeant(each.sent))) {
      const what = `class ${number}, ${name}: ${says}`
      const client = new WireClient(port)
      const [found] = (await exchange(client, port, sent)).map((each) =>
        addAnswer(tally, each, what),
      )
      client.close()
      if (found !== outcome) wrong.push(`${what}: ${found}, not ${outcome}`)
    }
  }
  return wrong
}

/** Each input follows from the seed and its number alone, so that one can be sent again. */
export function inputOf(
  seed: number,
  number: number,
): { readonly badClass: BadClass; readonly sent: SentRequest } {
  const random = createSeededRandom(Math.imul(seed, 0x9e3779b1) + number)
  const badClass = badClasses[Math.floor(random.unit() * badClasses.length)] as BadClass
  return { badClass, sent: badClass.generate(random) }
}

/** Sends what is a request; returns the numbers of the others. */
async function sendGenerated(
  port: number,
  tally: Tally,
  options: FuzzOptions,
): Promise<readonly number[]> {
  const { seed, inputCount, say } = options
  const startedAtMs = systemClock.monotonicMs()
  const broken: number[] = []
  let next = 0
  let saidAtMs = startedAtMs
  await sideBySide(async () => {
    const client = new WireClient(port)
    while (next < inputCount) {
      const number = next++
      const { badClass, sent } = inputOf(seed, number)
      if (sent.raw !== undefined) broken.push(number)
      else
        addAnswer(tally, await client.exchange(writeRequest(sent)), nameOf(seed, number, badClass))
      const nowMs = systemClock.monotonicMs()
      if (say === undefined || nowMs - saidAtMs < sayMs) continue
      saidAtMs = nowMs
      const rate = Math.round((1000 * next) / (nowMs - startedAtMs))
      say(`${next} of ${inputCount} inputs, ${rate} inputs/s`)
    }
    client.close()
  })
  return broken
}

async function sendBroken(
  port: number,
  tally: Tally,
  { seed, numbers }: { readonly seed: number; readonly numbers: readonly number[] },
): Promise<void> {
  let next = 0
  await sideBySide(async () => {
    for (let number = numbers[next++]; number !== undefined; number = numbers[next++]) {
      const { badClass, sent } = inputOf(seed, number)
      for (const answer of await exchangeRaw(port, sent.raw ?? sent.body)) {
        addAnswer(tally, answer, nameOf(seed, number, badClass))
      }
    }
  })
}

function nameOf(seed: number, number: number, badClass: BadClass): string {
  return `input ${number} of seed ${seed} (class ${badClass.number})`
}

async function sideBySide(run: () => Promise<void>): Promise<void> {
  await Promise.all(Array.from({ length: connectionCount }, run))
}

/** What is broken as a request goes over a connection of its own. */
async function exchange(
  client: WireClient,
  port: number,
  sent: SentRequest,
): Promise<readonly WireAnswer[]> {
  if (sent.raw !== undefined) return await exchangeRaw(port, sent.raw)
  return [await client.exchange(writeRequest(sent))]
}

/** What is kept is what was counted: accepted events, and rejected ones or whole requests. */
async function compareLogs(dataDir: string, sent: Sent): Promise<readonly string[]> {
  const { tally, metrics } = sent
  const faults: string[] = []
  const accepted = countOf(metrics, 'attune_collect_events_total', 'accepted')
  const eventCount = await countRecords(dataDir, 'events')
  if (eventCount !== accepted || eventCount < tally.accepted) {
    const answered = `${tally.accepted} were answered accepted`
    faults.push(`${answered}, ${accepted} counted, ${eventCount} are in the log`)
  }
  const rejected = countOf(metrics, 'attune_collect_events_total', 'rejected')
  const byReason = [...seriesOf(metrics, 'attune_collect_rejected_total').values()]
  const reasons = byReason.reduce((sum, count) => sum + count, 0)
  if (reasons !== rejected) faults.push(`${rejected} events are rejected, ${reasons} by reason`)
  const keptCount = await countRecords(dataDir, 'rejected')
  if (keptCount < tally.rejected) {
    faults.push(`${tally.rejected} events were answered rejected, ${keptCount} are kept`)
  }
  return faults
}

async function countRecords(dataDir: string, stream: 'events' | 'rejected'): Promise<number> {
  const log = await openSqliteEventLogReader({ dataDir, stream })
  let count = 0
  for (let partition = 0; partition < log.identity.partitionCount; partition++) {
    for (let after = 0; ; ) {
      const records = await log.read(partition, after, readCount)
      count += records.filter(({ kind }) => kind === 'event').length
      const last = records.at(-1)
      if (last === undefined) break
      after = last.offset
    }
  }
  await log.close()
  return count
}
