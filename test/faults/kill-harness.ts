/**
 * Kills the real server again and again under load, at named places and at random, and then
 * examines what is left.
 *
 * The catcher and the client live in this process, so they survive the kills and know what was
 * really answered and what really arrived. Every second life of the server ends at a failpoint,
 * whose hit is drawn by the seed; the others end at a random time, some of them before the server
 * listens.
 */

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type MailCatcher, openMailCatcher } from '../../src/catcher/mail-catcher.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { failpointNames } from '../../src/lib/failpoint.ts'
import { createSeededRandom } from '../../src/lib/random.ts'
import { openSqliteEventLogReader } from '../../src/log/sqlite-log-reader.ts'
import { openSqliteStateStore } from '../../src/state/sqlite-state-store.ts'
import { type LoadClient, startLoad } from './load-client.ts'
import { findOpenWork } from './open-work.ts'
import {
  freePort,
  openServerProcess,
  type ServerProcessOptions,
  startServerProcess,
  stopServerProcess,
} from './server-process.ts'
import { writeSmallShop } from './small-shop.ts'
import { type Examined, examineDataDir, type Seen } from './verify-data-dir.ts'

export interface KillOptions {
  /** Where data and definitions are made. */
  readonly folder: string
  readonly killCount: number
  readonly ratePerSecond: number
  readonly seed: number
  /** Tells of each life of the server. */
  readonly say?: (line: string) => void
}

export interface KillResult {
  readonly dataDir: string
  readonly examined: Examined
  readonly seen: Seen & { readonly acknowledged: ReadonlySet<string> }
  /** By the place where the server died; `random` and `starting` are none. */
  readonly kills: Readonly<Record<string, number>>
  /** Acknowledged events per second of the time in which the server listened. */
  readonly ratePerSecond: number
  readonly stop: { readonly code: number | null; readonly tookMs: number }
}

const lifeMsMin = 300
const lifeMsMax = 1600
/** A life whose failpoint was not hit until then ends at random. */
const failpointMsMax = 3500
const startingMsMax = 700
const lastLifeMs = 2000
const quietMsMax = 60_000
const hitCountMax: Readonly<Record<string, number>> = {
  'forward-before-append': 20,
  'forward-after-append': 20,
}
const hitCountMaxDefault = 60

export async function runKills(options: KillOptions): Promise<KillResult> {
  const { folder, seed } = options
  const dataDir = join(folder, 'data')
  const definitionsDir = join(folder, 'shop')
  await mkdir(definitionsDir, { recursive: true })
  await writeSmallShop(definitionsDir)
  const catcher = await openMailCatcher({ host: '127.0.0.1', port: 0, mailCountMax: 100 })
  const port = await freePort()
  const server: ServerProcessOptions = { dataDir, definitionsDir, port, smtpPort: catcher.port }
  const load = startLoad({ port, seed, ratePerSecond: options.ratePerSecond })
  try {
    const lives = await killAgainAndAgain(options, server, load)
    const stop = await liveOnce(server, load, dataDir)
    const { acknowledged, triggered } = load
    const seen = { acknowledged, triggered, mails: catcher.messageIds() }
    const examined = await examineDataDir(dataDir)
    const { upMs, acknowledgedCount, kills } = lives
    const ratePerSecond = (1000 * acknowledgedCount) / upMs
    return { dataDir, examined, seen, kills, ratePerSecond, stop }
  } finally {
    await closeAll(load, catcher)
  }
}

async function closeAll(load: LoadClient, catcher: MailCatcher): Promise<void> {
  await load.finish(AbortSignal.abort())
  await catcher.close()
}

interface Lives {
  readonly kills: Record<string, number>
  readonly upMs: number
  readonly acknowledgedCount: number
}

async function killAgainAndAgain(
  options: KillOptions,
  server: ServerProcessOptions,
  load: LoadClient,
): Promise<Lives> {
  const random = createSeededRandom(options.seed)
  const between = (min: number, max: number): number =>
    min + Math.floor(random.unit() * (max - min))
  const kills: Record<string, number> = {}
  let upMs = 0
  for (let kill = 0; kill < options.killCount; kill++) {
    const name = kill % 2 === 0 ? failpointNames[(kill / 2) % failpointNames.length] : undefined
    const hit = between(2, hitCountMax[name ?? ''] ?? hitCountMaxDefault)
    const isStarting = name === undefined && kill % 10 === 5
    const lifeMs = isStarting ? between(50, startingMsMax) : between(lifeMsMin, lifeMsMax)
    const child = startServerProcess(
      name === undefined ? server : { ...server, failpoint: `${name}:${hit}` },
    )
    const over = new AbortController()
    void child.ended.then(() => over.abort())
    if (isStarting) await systemClock.sleep(lifeMs, over.signal)
    const isUp = !isStarting && (await child.ready)
    const upAt = systemClock.monotonicMs()
    if (isUp) await systemClock.sleep(name === undefined ? lifeMs : failpointMsMax, over.signal)
    const how = child.hasEnded ? (name ?? 'by itself') : isStarting ? 'starting' : 'random'
    child.signal('SIGKILL')
    const { signal } = await child.ended
    if (isUp) upMs += systemClock.monotonicMs() - upAt
    if (signal !== 'SIGKILL') throw new Error(`the server ended by itself:\n${child.said()}`)
    kills[how] = (kills[how] ?? 0) + 1
    options.say?.(
      `kill ${kill + 1}: ${how}${how === name ? ` at hit ${hit}` : ''}, ` +
        `${Math.round(systemClock.monotonicMs() - upAt)} ms, ${load.acknowledged.size} events`,
    )
  }
  return { kills, upMs, acknowledgedCount: load.acknowledged.size }
}

/** Lets the server finish all that is open, and stops it. */
async function liveOnce(
  server: ServerProcessOptions,
  load: LoadClient,
  dataDir: string,
): Promise<KillResult['stop']> {
  const child = await openServerProcess(server)
  await systemClock.sleep(lastLifeMs)
  await load.finish(AbortSignal.timeout(quietMsMax))
  await untilQuiet(dataDir, AbortSignal.timeout(quietMsMax))
  const { code, tookMs } = await stopServerProcess(child)
  if (code !== 0) throw new Error(`the server ended with ${code}:\n${child.said()}`)
  return { code, tookMs }
}

/**
 * Resolves when the fold has reached the log's end and no message or timer is open (a timer that is
 * further off than `soonMs` is not waited for), or when `signal` aborts.
 */
export async function untilQuiet(
  dataDir: string,
  signal: AbortSignal,
  soonMs?: number,
): Promise<void> {
  const log = await openSqliteEventLogReader({ dataDir, stream: 'events' })
  const state = await openSqliteStateStore({ dataDir, readOnly: true })
  try {
    for (let quietCount = 0; quietCount < 3 && !signal.aborted; ) {
      let isQuiet = true
      for (let partition = 0; isQuiet && partition < log.identity.partitionCount; partition++) {
        const { offset } = await state.head(partition)
        if ((await log.end(partition)) !== offset) isQuiet = false
        if ((await findOpenWork(state, partition, soonMs)).length > 0) isQuiet = false
      }
      quietCount = isQuiet ? quietCount + 1 : 0
      await systemClock.sleep(200, signal)
    }
  } finally {
    await log.close()
    await state.close()
  }
}
