/**
 * Runs `attune` as its own process, and makes a data directory by a short run of the real server.
 */

import { spawn } from 'node:child_process'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type MailCatcher, openMailCatcher } from '../../src/catcher/mail-catcher.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { systemRandom } from '../../src/lib/random.ts'
import { emptyBody } from '../../src/log/record.ts'
import { openSqliteEventLog } from '../../src/log/sqlite-event-log.ts'
import { startLogThread } from '../../src/log/sqlite-log-thread.ts'
import {
  freePort,
  openServerProcess,
  type ServerProcess,
  stopServerProcess,
} from '../faults/server-process.ts'
import { writeKey, writeSmallShop } from '../faults/small-shop.ts'

const mainPath = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
/** Where the machine is busy, a command that does nothing takes seconds. */
const commandMsMax = 120_000
const waitMsMax = 90_000
const lookMs = 20

export interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command to its end; `closeAfter` closes its stdout at the first bytes. */
export async function runCommand(
  given: readonly string[],
  options: {
    readonly closeAfter?: boolean
    readonly environment?: Readonly<Record<string, string>>
    /** Kills the process with SIGKILL after so long. */
    readonly killAfterMs?: number
  } = {},
): Promise<Ran> {
  const child = spawn(process.execPath, [mainPath, ...given], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], ...options.environment },
    timeout: options.killAfterMs ?? commandMsMax,
    ...(options.killAfterMs === undefined ? {} : { killSignal: 'SIGKILL' }),
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (bytes: Buffer) => {
    stdout += bytes.toString()
    if (options.closeAfter === true) child.stdout.destroy()
  })
  child.stderr.on('data', (bytes: Buffer) => {
    stderr += bytes.toString()
  })
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve))
  return { code, stdout, stderr }
}

/** Parses stdout as JSON lines. */
export function parseLines<Value>(text: string): readonly Value[] {
  const lines = text.split('\n').filter((line) => line !== '')
  return lines.map((line) => JSON.parse(line) as Value)
}

export async function waitUntil(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = systemClock.monotonicMs() + waitMsMax
  while (!(await isTrue())) {
    if (systemClock.monotonicMs() > deadlineMs) throw new Error('waited in vain')
    await systemClock.sleep(lookMs)
  }
}

export interface World {
  readonly folder: string
  readonly dataDir: string
  readonly definitionsDir: string
  readonly catcher: MailCatcher
  readonly server: ServerProcess
  send(event: Readonly<Record<string, unknown>>): Promise<number>
  stop(): Promise<void>
  close(): Promise<void>
}

export const people = ['ada', 'bob', 'cyd'] as const
/** Both campaigns send to each person. */
export const messageCount = people.length * 2

/** Starts a server, lets three people fill a cart, and resolves when all their emails have come. */
export async function openWorld(): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'attune-command-'))
  const definitionsDir = join(folder, 'shop')
  const dataDir = join(folder, 'data')
  await writeSmallShop(definitionsDir)
  const catcher = await openMailCatcher({ host: '127.0.0.1', port: 0 })
  const port = await freePort()
  const server = await openServerProcess({ dataDir, definitionsDir, port, smtpPort: catcher.port })
  const send = async (event: Readonly<Record<string, unknown>>): Promise<number> => {
    const { type = 'track', ...body } = event
    const authorization = `Basic ${Buffer.from(`${writeKey}:`).toString('base64')}`
    const response = await fetch(`${server.url}/v1/${String(type)}`, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    await response.arrayBuffer()
    return response.status
  }
  for (const userId of people) {
    const anonymousId = `device-${userId}`
    await send({ anonymousId, event: 'Product Viewed', properties: { product_id: 'cup' } })
    const traits = { email: `${userId}@shop.example` }
    await send({ type: 'identify', userId, anonymousId, traits })
    await send({ userId, event: 'Product Added', properties: { product_id: 'cup', price: 4 } })
  }
  await send({ type: 'batch', batch: [{ type: 'track', event: 'Nobody did this' }] })
  await waitUntil(() => catcher.count >= messageCount)
  return {
    folder,
    dataDir,
    definitionsDir,
    catcher,
    server,
    send,
    async stop() {
      if (!server.hasEnded) await stopServerProcess(server)
    },
    async close() {
      if (!server.hasEnded) await stopServerProcess(server)
      await catcher.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Returns a copy that a test may spoil. No server may have the original. */
export async function copyDataDir(world: World, name: string): Promise<string> {
  const copy = join(world.folder, name)
  await cp(world.dataDir, copy, { recursive: true })
  return copy
}

/**
 * Appends a record of a kind that this version does not fold; returns its offset. It is of no time
 * that would have to wait for the word of an owner.
 */
export async function appendUnfoldable(dataDir: string, partition: number): Promise<number> {
  const thread = await startLogThread(dataDir)
  const log = await openSqliteEventLog({ dataDir, stream: 'events', port: thread.connect() })
  const [place] = await log.append([
    {
      partition,
      key: `control:${partition}`,
      kind: 'continue',
      id: systemRandom.bytes(16),
      recordedAtMs: 0,
      isBackfill: false,
      keyId: 0,
      skeleton: {},
      body: emptyBody,
    },
  ])
  await log.close()
  await thread.close()
  return place?.offset ?? 0
}
