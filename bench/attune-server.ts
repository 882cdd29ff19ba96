/** `attune start` as a process of its own, with all it does switched on. */

import type { ChildProcess } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { createApiKey } from '../src/api/api-keys.ts'
import { systemClock } from '../src/lib/clock.ts'
import { systemRandom } from '../src/lib/random.ts'
import { type BenchWorld, endChild, makeFolders, variablesOf } from './bench-world.ts'

export interface AttuneServer {
  readonly port: number
  readonly url: string
  readonly dataDir: string
  readonly apiKey: string
  /** From the start of the process to its line on stdout and 200 at /readyz. */
  readonly startMs: number
  lagCount(): Promise<number>
  rssMib(): Promise<number>
  rssMibMax(): Promise<number>
  cpuUsed(): Promise<CpuUsed>
  /** CPU time since the start, in ms, by the name of the thread. */
  cpuByThread(): Promise<ReadonlyMap<string, number>>
  /** Of the thread that takes requests, since `/metrics` was last read. */
  loopDelay(): Promise<LoopDelay>
  /** By the name of the thread. Reads `/metrics` too. */
  threadMemory(): Promise<ReadonlyMap<string, ThreadMib>>
  stop(): Promise<void>
}

/** CPU time since the start, in ms. It hardly depends on who else uses the machine. */
export interface CpuUsed {
  readonly allMs: number
  /** Of the thread that takes requests. */
  readonly mainMs: number
}

/** How late the event loop was, in ms. */
export interface LoopDelay {
  readonly p50: number
  readonly p99: number
  readonly max: number
}

export interface ThreadMib {
  readonly heap: number
  readonly external: number
}

export interface AttuneOptions {
  readonly dataDir: string
  /** Folder of definitions; examples/shop where none is given. */
  readonly definitionsDir?: string
  readonly smtpPort?: number
  /** Of a start before, on the same folder. */
  readonly apiKey?: string
  /** Settings of log and state that are open already. */
  readonly stores?: Readonly<Record<string, string>>
  /** What the process does, where log and state are elsewhere; all where it is absent. */
  readonly role?: 'all' | 'collect' | 'work' | 'api'
  readonly environment?: Readonly<Record<string, string>>
}

export const shopDir = fileURLToPath(new URL('../examples/shop', import.meta.url))
const mainPath = fileURLToPath(new URL('../src/main.ts', import.meta.url))
export const writeKey = 'wk_demo_shop'
const readyMsMax = 60_000
/** Nothing listens there: messages stay due where the bench does not look at them. */
const unusedSmtpPort = 9

export async function startAttune(
  world: BenchWorld,
  options: AttuneOptions,
): Promise<AttuneServer> {
  const { dataDir } = options
  await makeFolders(dataDir)
  const apiKey = options.apiKey ?? (await makeApiKey(dataDir))
  const stores = options.stores ?? (await world.openStores(dataDir))
  const startedAt = systemClock.monotonicMs()
  const child = world.spawnNode(argumentsOf(world, options), {
    ATTUNE_DELIVERY__RATE_PER_SECOND_MAX: '100000',
    ...variablesOf(stores),
    ...options.environment,
  })
  const url = await readUrl(child)
  await untilReady(url)
  const startMs = systemClock.monotonicMs() - startedAt
  return {
    port: Number(new URL(url).port),
    url,
    dataDir,
    apiKey,
    startMs,
    lagCount: () => readLag(url, apiKey),
    rssMib: () => readMemory(child, 'VmRSS'),
    rssMibMax: () => readMemory(child, 'VmHWM'),
    cpuUsed: () => readCpuUsed(child),
    cpuByThread: () => readCpuByThread(child),
    loopDelay: () => readLoopDelay(url),
    threadMemory: () => readThreadMemory(url),
    stop: () => endChild(child, 'SIGTERM'),
  }
}

/** Reading also starts the next period: prom-client resets its histogram at each read. */
async function readLoopDelay(url: string): Promise<LoopDelay> {
  const response = await fetch(`${url}/metrics`)
  const text = await response.text()
  const read = (name: string): number => {
    const match = new RegExp(`^nodejs_eventloop_lag_${name}_seconds (\\S+)$`, 'm').exec(text)
    return Number(match?.[1]) * 1000
  }
  return { p50: read('p50'), p99: read('p99'), max: read('max') }
}

async function readThreadMemory(url: string): Promise<ReadonlyMap<string, ThreadMib>> {
  const text = await (await fetch(`${url}/metrics`)).text()
  const read = (kind: string): ReadonlyMap<string, number> => {
    const line = new RegExp(`^attune_thread_${kind}_bytes\\{thread="(\\w+)"\\} (\\d+)$`, 'gm')
    return new Map(
      [...text.matchAll(line)].map(([, thread = '', bytes]) => [thread, Number(bytes) / 2 ** 20]),
    )
  }
  const external = read('external')
  return new Map(
    [...read('heap')].map(([thread, heap]) => [
      thread,
      { heap, external: external.get(thread) ?? 0 },
    ]),
  )
}

function argumentsOf(world: BenchWorld, options: AttuneOptions): readonly string[] {
  const { profileDir } = world.settings
  return [
    ...(profileDir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDir}`]),
    // As in package.json and the image.
    ...['--max-semi-space-size=16', mainPath, 'start', '--port', '0', '--log-level', 'error'],
    ...['--data-dir', options.dataDir],
    ...['--definitions', options.definitionsDir ?? shopDir, '--role', options.role ?? 'all'],
    ...['--public-url', 'http://127.0.0.1:8080', '--from', 'Shop <hello@shop.example>'],
    ...['--smtp', `smtp://127.0.0.1:${options.smtpPort ?? unusedSmtpPort}`],
  ]
}

async function makeApiKey(dataDir: string): Promise<string> {
  const deps = { clock: systemClock, random: systemRandom }
  return await createApiKey(dataDir, deps, { name: 'bench', scopes: ['admin'] })
}

async function readUrl(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error('the stdout of attune start is piped')
  for await (const line of createInterface({ input: child.stdout })) {
    const { url } = JSON.parse(line) as { readonly url?: string }
    if (url !== undefined) return url
  }
  throw new Error('attune start ended before it listened')
}

async function untilReady(url: string): Promise<void> {
  const startedAt = systemClock.monotonicMs()
  while (systemClock.monotonicMs() - startedAt < readyMsMax) {
    const answer = await fetch(`${url}/readyz`)
    await answer.text()
    if (answer.status === 200) return
    await systemClock.sleep(5)
  }
  throw new Error('attune start is not ready in time')
}

async function readLag(url: string, apiKey: string): Promise<number> {
  const headers = { authorization: `Bearer ${apiKey}` }
  const answer = await fetch(`${url}/api/v1/status`, { headers })
  const status = (await answer.json()) as { readonly lagCount: number }
  return status.lagCount
}

async function readMemory(child: ChildProcess, name: 'VmRSS' | 'VmHWM'): Promise<number> {
  const text = await readFile(`/proc/${child.pid}/status`, 'utf8')
  const kib = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]
  return Number(kib ?? 0) / 1024
}

/** Length of a clock tick in /proc, fixed for user space on Linux. */
const tickMs = 10

export async function readCpuUsed(child: ChildProcess): Promise<CpuUsed> {
  const { pid } = child
  const [allMs, mainMs] = [
    await readCpuMs(`/proc/${pid}/stat`),
    await readCpuMs(`/proc/${pid}/task/${pid}/stat`),
  ]
  return { allMs, mainMs }
}

async function readCpuMs(path: string): Promise<number> {
  const fields = (await readFile(path, 'utf8')).replace(/^.*\) /s, '').split(' ')
  return (Number(fields[11]) + Number(fields[12])) * tickMs
}

/** Threads of one name are counted together. */
async function readCpuByThread(child: ChildProcess): Promise<ReadonlyMap<string, number>> {
  const used = new Map<string, number>()
  const folder = `/proc/${child.pid}/task`
  for (const thread of await readdir(folder)) {
    const name = (await readFile(`${folder}/${thread}/comm`, 'utf8')).trim()
    const ms = await readCpuMs(`${folder}/${thread}/stat`)
    used.set(name, (used.get(name) ?? 0) + ms)
  }
  return used
}

export function cpuSince(before: CpuUsed, now: CpuUsed): CpuUsed {
  return { allMs: now.allMs - before.allMs, mainMs: now.mainMs - before.mainMs }
}

/** Says what one request cost in CPU time. */
export function describeCpu({ allMs, mainMs }: CpuUsed, count: number): string {
  const micros = (ms: number): string => ((ms * 1000) / Math.max(1, count)).toFixed(1)
  return `${micros(mainMs)} us of CPU on the main thread, ${micros(allMs)} on all`
}
