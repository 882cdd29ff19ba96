/**
 * The real server as a process of its own, started by node directly: what is killed is the server
 * and nothing else.
 *
 * Its stderr is kept, the newest lines only, so that a failed test can show what the server said
 * last.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { freePorts } from '../../scripts/service.ts'
import { systemClock } from '../../src/lib/clock.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const saidCountMax = 40
/** Others may have the cores: a stop that is slow for that is not one that hangs. */
const stopMsMax = 60_000

export interface ServerProcessOptions {
  readonly dataDir: string
  readonly port: number
  readonly definitionsDir: string
  /** Where clients reach the server; absent: where it listens; null: the server is not told. */
  readonly publicUrl?: string | null
  /** Port of the SMTP server; without one nothing is sent. */
  readonly smtpPort?: number
  /** A place in the server and a hit, see `src/lib/failpoint.ts`. */
  readonly failpoint?: string
  /** Command that runs node, for instance strace with its flags. */
  readonly wrapper?: readonly string[]
  /** Folder of the program. */
  readonly root?: string
  readonly environment?: Readonly<Record<string, string>>
}

export interface ProcessEnd {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface ServerProcess {
  readonly url: string
  /** Of node itself, also where a wrapper runs it. */
  readonly pid: number
  /** Resolves to true when it listens, false where it ended first. */
  readonly ready: Promise<boolean>
  readonly ended: Promise<ProcessEnd>
  readonly hasEnded: boolean
  signal(name: NodeJS.Signals): void
  /** What it wrote to stderr last. */
  said(): string
}

/** Starts `attune start`. The caller ends it. */
export function startServerProcess(options: ServerProcessOptions): ServerProcess {
  const url = `http://127.0.0.1:${options.port}`
  const smtp =
    options.smtpPort === undefined ? [] : ['--smtp', `smtp://127.0.0.1:${options.smtpPort}`]
  const { publicUrl = url } = options
  const [command, ...before] = [...(options.wrapper ?? []), process.execPath]
  const child = spawn(
    command,
    [
      ...before,
      join(options.root ?? root, 'src/main.ts'),
      'start',
      ...['--data-dir', options.dataDir, '--port', String(options.port)],
      ...['--definitions', options.definitionsDir],
      ...(publicUrl === null ? [] : ['--public-url', publicUrl]),
      ...['--from', 'Shop <hello@shop.example>', ...smtp],
    ],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env['PATH'],
        ATTUNE_SERVER__STOP_MS_MAX: String(stopMsMax),
        ...options.environment,
        ...(options.failpoint === undefined ? {} : { ATTUNE_FAILPOINT: options.failpoint }),
      },
    },
  )
  return watchServer(child, url, options.wrapper !== undefined)
}

function watchServer(child: ChildProcess, url: string, isWrapped: boolean): ServerProcess {
  const ready = Promise.withResolvers<boolean>()
  const ended = Promise.withResolvers<ProcessEnd>()
  const said: string[] = []
  let hasEnded = false
  if (child.stdout !== null) {
    createInterface(child.stdout).on('line', (line) => {
      if (line.includes('"url"')) ready.resolve(true)
    })
  }
  if (child.stderr !== null) {
    createInterface(child.stderr).on('line', (line) => {
      said.push(line)
      if (said.length > saidCountMax) said.shift()
    })
  }
  child.on('error', (error) => said.push(String(error)))
  child.on('close', (code, signal) => {
    hasEnded = true
    ready.resolve(false)
    ended.resolve({ code, signal })
  })
  return {
    url,
    get pid() {
      return isWrapped ? childPidOf(child.pid ?? 0) : (child.pid ?? 0)
    },
    ready: ready.promise,
    ended: ended.promise,
    get hasEnded() {
      return hasEnded
    },
    signal(name) {
      // A wrapper keeps signals to itself.
      if (!hasEnded) process.kill(this.pid, name)
    },
    said: () => said.join('\n'),
  }
}

function childPidOf(pid: number): number {
  const [first = ''] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ')
  if (!/^\d+$/.test(first)) throw new Error(`process ${pid} runs nothing`)
  return Number(first)
}

/** Starts a server and waits until it listens. Throws with what it said where it does not. */
export async function openServerProcess(options: ServerProcessOptions): Promise<ServerProcess> {
  const server = startServerProcess(options)
  if (await server.ready) return server
  const end = await server.ended
  throw new Error(`the server ended before it listened (${JSON.stringify(end)}):\n${server.said()}`)
}

/**
 * Stops with SIGTERM; returns how it ended and how long that took. Throws with what it said last
 * where it has not ended long after its own bound, and kills it.
 */
export async function stopServerProcess(
  server: ServerProcess,
): Promise<ProcessEnd & { readonly tookMs: number }> {
  const startedAt = systemClock.monotonicMs()
  server.signal('SIGTERM')
  const inTime = new AbortController()
  const end = await Promise.race([
    server.ended,
    systemClock.sleep(2 * stopMsMax, inTime.signal).then(() => undefined),
  ])
  inTime.abort()
  if (end === undefined) {
    server.signal('SIGKILL')
    throw new Error(`the server has not ended ${2 * stopMsMax} ms after SIGTERM:\n${server.said()}`)
  }
  return { ...end, tookMs: systemClock.monotonicMs() - startedAt }
}

/** Returns a port for a server, which may be ended and started there again. */
export async function freePort(): Promise<number> {
  const [port = 0] = await freePorts(1)
  return port
}
