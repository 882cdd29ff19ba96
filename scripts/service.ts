/**
 * A real server started as a process of its own, for tests, benchmarks and `scripts/services.ts`.
 *
 * It listens on free ports of the loopback, keeps its files in a folder of its own, and does not
 * outlive the process that started it unless that one is killed by force. Its last lines are kept,
 * so that a failure can show what it said.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { readdir, readFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { systemClock } from '../src/lib/clock.ts'
import { systemRandom } from '../src/lib/random.ts'

export interface ServiceCommand {
  /** For messages: `kafka 1`. */
  readonly name: string
  readonly program: string
  readonly parameters: readonly string[]
  readonly folder: string
  /** Ports it listens on once it is ready. */
  readonly ports: readonly number[]
  readonly environment?: Readonly<Record<string, string>>
}

/** One server process; it can be killed, paused and started again on the same ports and files. */
export interface ServiceNode {
  readonly name: string
  readonly pid: number
  readonly isRunning: boolean
  /** Resolves when it listens. Rejects with its last lines where it ended or took too long. */
  start(): Promise<void>
  /** Sends a signal; resolves at once. */
  signal(name: NodeJS.Signals): void
  /** Stops it where it stands, until SIGCONT; resolves when none of its threads runs any more. */
  pause(): Promise<void>
  /** Ends it and waits until it is gone; by force after `stopMsMax`. */
  stop(signal?: NodeJS.Signals): Promise<void>
  /** What it wrote last. */
  said(): string
}

export interface Service {
  readonly name: string
  /** `host:port` of each node. */
  readonly addresses: readonly string[]
  readonly nodes: readonly ServiceNode[]
  /** Holds all its files. */
  readonly folder: string
  /** Stops all nodes and removes their files. */
  stop(): Promise<void>
}

const host = '127.0.0.1'
const saidCountMax = 60
const startMsMax = 180_000
const stopMsMax = 10_000
const pollMs = 50
/** Systems give ports from 32768 on (Linux) to connections and to whoever asks for any port. */
const [portMin, portMax] = [15_000, 32_767]
const portTriesMax = 1000

/**
 * Returns ports that nobody listens on, all different. Whoever they are for may take its time to
 * listen, and may end and listen again: no process is given one of them by the system meanwhile,
 * nor by this function, as long as this process lives.
 */
export async function freePorts(count: number): Promise<readonly number[]> {
  const ports: number[] = []
  for (let tries = 0; ports.length < count; tries++) {
    if (tries === portTriesMax) throw new Error(`no ${count} ports are free on ${host}`)
    const port = portMin + Math.floor(systemRandom.unit() * (portMax - portMin + 1))
    if (await holdPort(port)) ports.push(port)
  }
  return ports
}

/** The same number among the ports of UDP, which nobody here uses, says that a port is given. */
async function holdPort(port: number): Promise<boolean> {
  const held = createSocket('udp4')
  const isHeld = await new Promise<boolean>((resolve) => {
    held.once('error', () => resolve(false))
    held.bind({ port, address: host, exclusive: true }, () => resolve(true))
  })
  if (isHeld && (await canListen(port))) {
    held.unref()
    return true
  }
  held.close()
  return false
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, host, () => server.close(() => resolve(true)))
  })
}

/** Tells whether somebody accepts connections on a port of the loopback. */
export function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port })
    const answer = (isOpen: boolean): void => {
      socket.destroy()
      resolve(isOpen)
    }
    socket.once('connect', () => answer(true))
    socket.once('error', () => answer(false))
  })
}

/** Makes a node that is not started yet. */
export function createNode(command: ServiceCommand): ServiceNode {
  let child: ChildProcess | undefined
  let ended: Promise<void> = Promise.resolve()
  const said: string[] = []
  const isRunning = (): boolean =>
    child !== undefined && child.exitCode === null && child.signalCode === null
  const endWithUs = (): void => {
    if (isRunning()) child?.kill('SIGKILL')
  }
  return {
    name: command.name,
    get pid() {
      return child?.pid ?? 0
    },
    get isRunning() {
      return isRunning()
    },
    async start() {
      if (isRunning()) throw new Error(`${command.name} runs already`)
      const started = spawn(command.program, command.parameters, {
        cwd: command.folder,
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...process.env, ...command.environment },
      })
      child = started
      ended = new Promise((resolve) => started.once('close', () => resolve()))
      for (const stream of [started.stdout, started.stderr]) {
        createInterface(stream).on('line', (line) => {
          said.push(line)
          if (said.length > saidCountMax) said.shift()
        })
      }
      started.once('error', (error) => said.push(String(error)))
      process.once('exit', endWithUs)
      void ended.then(() => process.off('exit', endWithUs))
      await untilReady(command, isRunning, said)
    },
    signal(name) {
      child?.kill(name)
    },
    async pause() {
      child?.kill('SIGSTOP')
      await untilPaused(child?.pid ?? 0)
    },
    async stop(signal = 'SIGTERM') {
      if (!isRunning()) return
      child?.kill(signal)
      const late = new AbortController()
      const force = systemClock.sleep(stopMsMax, late.signal).then(() => endWithUs())
      await ended
      late.abort()
      await force
    },
    said: () => said.join('\n'),
  }
}

/** A thread that waits for a core takes the signal late, and others go on until it does. */
async function untilPaused(pid: number): Promise<void> {
  for (const deadlineMs = systemClock.monotonicMs() + stopMsMax; ; ) {
    if (!(await isRunningAt(pid))) return
    if (systemClock.monotonicMs() > deadlineMs) throw new Error(`process ${pid} does not stop`)
    await systemClock.sleep(5)
  }
}

/** Tells whether a thread of the process is not stopped; false where the system does not tell. */
async function isRunningAt(pid: number): Promise<boolean> {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => [])
  const stats = await Promise.all(
    threads.map((id) => readFile(`/proc/${pid}/task/${id}/stat`, 'utf8').catch(() => ') T')),
  )
  return stats.some((stat) => stat[stat.lastIndexOf(')') + 2] !== 'T')
}

async function untilReady(
  command: ServiceCommand,
  isRunning: () => boolean,
  said: readonly string[],
): Promise<void> {
  const deadlineMs = systemClock.monotonicMs() + startMsMax
  for (;;) {
    const open = await Promise.all(command.ports.map(isListening))
    if (!isRunning()) throw new Error(`${command.name} ended at once:\n${said.join('\n')}`)
    if (open.every(Boolean)) return
    if (systemClock.monotonicMs() > deadlineMs) {
      throw new Error(`${command.name} does not listen after ${startMsMax} ms:\n${said.join('\n')}`)
    }
    await systemClock.sleep(pollMs)
  }
}
