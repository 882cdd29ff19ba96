/**
 * What a run of benchmarks has opened: processes and temporary folders. `close` ends and removes
 * all of them, also after a failure or a signal.
 */

import { type ChildProcess, fork, spawn } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DemoStores, openDemoStores } from '../src/command/demo-stores.ts'
import { initStores } from '../src/command/init-stores.ts'
import { readServerConfig } from '../src/command/read-config.ts'
import { systemClock } from '../src/lib/clock.ts'
import { silentLogger } from '../src/lib/logger.ts'
import { variableOf } from '../src/lib/parse-config.ts'
import { systemRandom } from '../src/lib/random.ts'
import type { AttuneServer } from './attune-server.ts'

export interface BenchSettings {
  /** The sizes of the design; without it smaller ones that end within minutes. */
  readonly isFull: boolean
  /** Where `attune start` leaves CPU profiles of its threads. */
  readonly profileDir?: string
  /** Kinds of log and state, where they are not files of this machine. */
  readonly stores?: { readonly log: string; readonly state: string }
}

export class BenchWorld {
  readonly settings: BenchSettings
  /** A server whose state holds many people, left by one bench for the next. */
  filled: AttuneServer | undefined
  readonly #children = new Set<ChildProcess>()
  readonly #folders: string[] = []
  readonly #stores: DemoStores[] = []
  #closed: Promise<void> | undefined

  constructor(settings: BenchSettings) {
    this.settings = settings
  }

  async makeFolder(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'attune-bench-'))
    this.#folders.push(folder)
    return folder
  }

  /**
   * Starts services, and makes topics and tables with secrets in `dataDir`; answers the settings of
   * a server that uses them. None where log and state are files of this machine.
   */
  async openStores(dataDir: string, partitionCount?: number): Promise<Record<string, string>> {
    const { stores: kinds } = this.settings
    if (kinds === undefined) return {}
    const stores = await openDemoStores(systemRandom, kinds)
    this.#stores.push(stores)
    const flags: Record<string, string> = {
      ...stores.flags,
      ...(partitionCount === undefined ? {} : { 'log.partitionCount': String(partitionCount) }),
    }
    const values = await readServerConfig(undefined, { ...flags, 'server.dataDir': dataDir })
    const deps = { clock: systemClock, random: systemRandom, logger: silentLogger }
    await initStores(deps, values)
    return flags
  }

  /** Ends the services that are open, so that they take nothing from those that come next. */
  async closeStores(): Promise<void> {
    for (const stores of this.#stores.splice(0)) await stores.close()
  }

  async removeFolder(folder: string): Promise<void> {
    await rm(folder, { recursive: true, force: true })
  }

  /** Runs a file of this folder as a process of its own, with messages both ways. */
  fork(file: string): ChildProcess {
    const child = fork(new URL(file, import.meta.url), { serialization: 'advanced' })
    return this.#keep(child)
  }

  /** Runs node with `args`; stdout is piped, stderr is this process's own. */
  spawnNode(args: readonly string[], environment: Readonly<Record<string, string>>): ChildProcess {
    const env = { ...process.env, ...environment }
    const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] })
    return this.#keep(child)
  }

  /** The same for all who ask: nobody goes on while another still removes folders. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    // A process that is killed leaves no profile.
    if (this.settings.profileDir !== undefined) await this.filled?.stop()
    await Promise.all([...this.#children].map((child) => endChild(child, 'SIGKILL')))
    await this.closeStores()
    for (const folder of this.#folders.splice(0)) await this.removeFolder(folder)
  }

  #keep(child: ChildProcess): ChildProcess {
    this.#children.add(child)
    child.once('exit', () => this.#children.delete(child))
    return child
  }
}

const endMsMax = 20_000

/** Resolves when the process has ended; one that does not end in time is killed. */
export async function endChild(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new AbortController()
  child.once('exit', () => ended.abort())
  child.kill(signal)
  await systemClock.sleep(endMsMax, ended.signal)
  if (!ended.signal.aborted) child.kill('SIGKILL')
}

/** Asks a forked process for one answer. */
export function ask<Answer>(child: ChildProcess, question: object): Promise<Answer> {
  const answer = Promise.withResolvers<Answer>()
  const onExit = (): void => answer.reject(new Error('a process of the bench ended'))
  child.once('exit', onExit)
  child.once('message', (message) => {
    child.off('exit', onExit)
    // Both ends are files of this folder.
    answer.resolve(message as Answer)
  })
  child.send(question)
  return answer.promise
}

export async function makeFolders(...folders: readonly string[]): Promise<void> {
  for (const folder of folders) await mkdir(folder, { recursive: true })
}

/** Settings, by the names of the options, as environment variables. */
export function variablesOf(flags: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(flags).map(([name, value]) => [variableOf(name), value]))
}
