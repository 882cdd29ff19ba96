/**
 * Runs a command of the image without an engine for containers: the same files, environment and
 * user, as process 1 of its own, without any right of root.
 *
 * Root can become the image's user and make a namespace of processes. Where the user may not read
 * this checkout it stays root without capabilities, which is held by the permissions of files as
 * any other. Who is not root runs as they are.
 */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { systemClock } from '../../src/lib/clock.ts'

export interface ImageProcess {
  readonly child: ChildProcess
  /** Of the command itself, seen from outside. */
  pid(): number
  readonly ended: Promise<number | null>
  /** What it wrote to both outputs. */
  said(): string
}

export interface ImageCommand {
  readonly command: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  readonly folder: string
}

const isRoot = process.getuid?.() === 0
const noRights = ['--no-new-privs', '--bounding-set=-all', '--inh-caps=-all']

/** Returns the words before a command that take its rights away; none where we are not root. */
export function wrapperOf(user: number, readable: string): readonly string[] {
  if (!isRoot) return []
  const change = [`--reuid=${user}`, `--regid=${user}`, '--clear-groups']
  const test = spawnSync('setpriv', [
    ...change,
    process.execPath,
    '-e',
    `fs.statSync('${readable}')`,
  ])
  const own = test.status === 0 ? change : []
  return ['unshare', '--pid', '--fork', '--kill-child', 'setpriv', ...own, ...noRights]
}

/** Starts a command. The caller ends it. */
export function startImage(wrapper: readonly string[], given: ImageCommand): ImageProcess {
  const [program = '', ...parameters] = [...wrapper, ...given.command]
  const child = spawn(program, parameters, {
    cwd: given.folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...given.environment, PATH: process.env['PATH'] },
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-10_000)
    })
  }
  const ended = new Promise<number | null>((resolve) => {
    child.once('close', (code) => resolve(code))
    child.once('error', (error) => {
      said += String(error)
      resolve(null)
    })
  })
  const pid = (): number => {
    const own = child.pid ?? 0
    if (wrapper.length === 0) return own
    const children = readFileSync(`/proc/${own}/task/${own}/children`, 'utf8')
    return Number(children.trim().split(' ')[0])
  }
  return { child, pid, ended, said: () => said }
}

/** Resolves when an address answers 200; rejects when the process ends before or it takes long. */
export async function untilAnswers(
  server: ImageProcess,
  url: string,
  msMax: number,
): Promise<void> {
  const deadlineMs = systemClock.monotonicMs() + msMax
  while (systemClock.monotonicMs() < deadlineMs) {
    const answer = await fetch(url).catch(() => undefined)
    await answer?.text()
    if (answer?.status === 200) return
    if (server.child.exitCode !== null) break
    await systemClock.sleep(50)
  }
  throw new Error(`${url} does not answer:\n${server.said()}`)
}
