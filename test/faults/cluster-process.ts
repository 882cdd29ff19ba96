/**
 * `attune` as a process of its own, beside others of the same deployment.
 *
 * Settings come by the environment, as in a container. All its log lines are kept, so that a test
 * can ask what it said, and an end that nobody asked for can be shown.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../../src/lib/clock.ts'
import { isJsonObject } from '../../src/lib/json.ts'
import { variableOf } from '../../src/lib/parse-config.ts'
import type { ProcessEnd } from './server-process.ts'

const ownRoot = fileURLToPath(new URL('../..', import.meta.url))
const lineCountMax = 50_000
const startMsMax = 60_000

/** By the names of the options. */
export type Settings = Readonly<Record<string, string>>

export interface ClusterProcessOptions {
  readonly name: string
  /** What follows `attune`. */
  readonly parameters: readonly string[]
  readonly settings: Settings
  /** Folder of the program; another one for a copy that is broken on purpose. */
  readonly root?: string | undefined
}

export interface SaidLine {
  readonly atMs: number
  readonly msg: string
  readonly [field: string]: unknown
}

export interface ClusterProcess {
  readonly name: string
  readonly pid: number
  /** Where it listens, once it does. */
  readonly url: string
  readonly hasEnded: boolean
  /** Whether its end was asked for. */
  readonly isEndExpected: boolean
  readonly ended: Promise<ProcessEnd>
  /** Log lines whose text has `msg` in it, since `sinceMs`. */
  said(msg: string, sinceMs?: number): readonly SaidLine[]
  /** Its last lines, for a failure. */
  lastWords(): string
  signal(name: NodeJS.Signals): void
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>
  /** SIGTERM; resolves when it is gone, with how long that took. */
  stop(): Promise<ProcessEnd & { readonly tookMs: number }>
}

/** Starts a process and resolves when it listens. Rejects with its last words where it ends. */
export async function openClusterProcess(options: ClusterProcessOptions): Promise<ClusterProcess> {
  const listening = Promise.withResolvers<string>()
  const child = spawnAttune(options)
  const process = watch(child, options.name, listening)
  const late = new AbortController()
  const timeUp = systemClock.sleep(startMsMax, late.signal).then(() => 'late' as const)
  const first = await Promise.race([listening.promise, process.ended, timeUp])
  late.abort()
  if (typeof first === 'string' && first !== 'late') return process
  await process.kill()
  throw new Error(`${options.name} does not listen (${JSON.stringify(first)}):
${process.lastWords()}`)
}

/** Runs a command to its end; returns what it printed. Rejects where it fails. */
export async function runAttune(options: ClusterProcessOptions): Promise<string> {
  const child = spawnAttune(options)
  let printed = ''
  let said = ''
  child.stdout?.on('data', (bytes: Buffer) => {
    printed += bytes.toString()
  })
  child.stderr?.on('data', (bytes: Buffer) => {
    said += bytes.toString()
  })
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  if (code === 0) return printed
  throw new Error(`${options.name} ended with ${code}:\n${printed}\n${said.slice(-4000)}`)
}

function spawnAttune({ parameters, settings, root }: ClusterProcessOptions): ChildProcess {
  const variables = Object.entries(settings).map(([name, value]) => [variableOf(name), value])
  const names = ['PATH', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']
  const kept = names.flatMap((name) => {
    const value = process.env[name]
    return value === undefined ? [] : [[name, value]]
  })
  return spawn(process.execPath, [join(root ?? ownRoot, 'src/main.ts'), ...parameters], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: Object.fromEntries([...kept, ...variables]),
  })
}

function watch(
  child: ChildProcess,
  name: string,
  listening: PromiseWithResolvers<string>,
): ClusterProcess {
  const ended = Promise.withResolvers<ProcessEnd>()
  const lines: SaidLine[] = []
  let url = ''
  let hasEnded = false
  let isEndExpected = false
  if (child.stdout !== null) {
    createInterface(child.stdout).on('line', (line) => {
      url = parseUrl(line) ?? url
      if (url !== '') listening.resolve(url)
    })
  }
  if (child.stderr !== null) {
    createInterface(child.stderr).on('line', (line) => {
      lines.push(parseLine(line))
      if (lines.length > lineCountMax) lines.shift()
    })
  }
  const endWithUs = (): void => {
    if (!hasEnded) child.kill('SIGKILL')
  }
  process.once('exit', endWithUs)
  child.once('close', (code, signal) => {
    hasEnded = true
    process.off('exit', endWithUs)
    ended.resolve({ code, signal })
  })
  const end = async (signal: NodeJS.Signals): Promise<ProcessEnd & { tookMs: number }> => {
    const beganAt = systemClock.monotonicMs()
    isEndExpected = true
    if (!hasEnded) child.kill(signal)
    return { ...(await ended.promise), tookMs: systemClock.monotonicMs() - beganAt }
  }
  return {
    name,
    pid: child.pid ?? 0,
    get url() {
      return url
    },
    get hasEnded() {
      return hasEnded
    },
    get isEndExpected() {
      return isEndExpected
    },
    ended: ended.promise,
    said: (msg, sinceMs = 0) =>
      lines.filter((line) => line.atMs >= sinceMs && line.msg.includes(msg)),
    lastWords: () => lines.slice(-30).map(wordsOf).join('\n'),
    signal(signalName) {
      if (!hasEnded) child.kill(signalName)
    },
    async kill() {
      await end('SIGKILL')
    },
    stop: () => end('SIGTERM'),
  }
}

function parseUrl(line: string): string | undefined {
  try {
    const parsed: unknown = JSON.parse(line)
    return isJsonObject(parsed) && typeof parsed['url'] === 'string' ? parsed['url'] : undefined
  } catch {
    return undefined
  }
}

/** A line that is no JSON is a message of node itself. */
function parseLine(line: string): SaidLine {
  try {
    const parsed: unknown = JSON.parse(line)
    if (isJsonObject(parsed) && typeof parsed['msg'] === 'string') {
      return { ...parsed, atMs: Number(parsed['time']), msg: parsed['msg'] }
    }
  } catch {
    // Kept as it is.
  }
  return { atMs: systemClock.nowMs(), msg: line }
}

function wordsOf({ atMs, msg, time: _time, ...fields }: SaidLine): string {
  return `${new Date(atMs).toISOString().slice(11, 23)} ${msg} ${JSON.stringify(fields)}`
}
