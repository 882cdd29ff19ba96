/**
 * A server as its own process for tests of real clients, and what one can know of it afterwards:
 * the events in its log, and what of them was applied.
 */

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createApiKey } from '../../src/api/api-keys.ts'
import type { Event } from '../../src/event/event.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { systemRandom } from '../../src/lib/random.ts'
import type { EventLog } from '../../src/log/event-log.ts'
import type { LogRecord } from '../../src/log/record.ts'
import { openSqliteEventLogReader } from '../../src/log/sqlite-log-reader.ts'
import { decodeJson } from '../../src/process/meta.ts'
import { freePort, openServerProcess, stopServerProcess } from '../faults/server-process.ts'
import { writeSmallShop } from '../faults/small-shop.ts'
import { type Fault, type FaultyProxy, openFaultyProxy } from './faulty-proxy.ts'

/** A key of each client's own form: Jitsu's has two halves, PostHog's a prefix. */
export const writeKeys = {
  segment: 'wk_clients',
  jitsu: 'jitsuid:jitsusecret',
  posthog: 'phc_clients0123456789',
} as const

const readCount = 10_000
const waitMsMax = 60_000

export interface ClientWorld {
  readonly url: string
  readonly port: number
  /** Through which the page of a browser is told to send; it spoils nothing unless asked. */
  readonly publicProxy: FaultyProxy
  /** Opens a proxy that spoils the first requests. Closed with the world. */
  openProxy(faults: readonly Fault[]): Promise<FaultyProxy>
  /** Events of the log in their order per person; one that was sent again may stand there twice. */
  events(): Promise<readonly Event[]>
  rejectedCount(): Promise<number>
  /**
   * Waits until all that is in the log is applied, then tells how often each event name was applied
   * to a person.
   */
  totalsOf(personKey: string): Promise<Readonly<Record<string, number>>>
  /** Kills the server, and starts it again at the same place. */
  killAndStart(): Promise<void>
  close(): Promise<void>
}

export async function openClientWorld(): Promise<ClientWorld> {
  const folder = await mkdtemp(join(tmpdir(), 'attune-clients-'))
  const definitionsDir = join(folder, 'shop')
  const dataDir = join(folder, 'data')
  await writeSmallShop(definitionsDir, { without: ['at-once', 'waiting'] })
  const keys = Object.values(writeKeys).map((key) => `'${key}'`)
  const source = `name: web\nwriteKeys: [${keys.join(', ')}]\n`
  await writeFile(join(definitionsDir, 'sources/web.yaml'), source)
  const port = await freePort()
  const publicProxy = await openFaultyProxy(port)
  const proxies = [publicProxy]
  const given = { dataDir, definitionsDir, port, publicUrl: publicProxy.url }
  let server = await openServerProcess(given)
  const deps = { clock: systemClock, random: systemRandom }
  const apiKey = await createApiKey(dataDir, deps, { name: 'test', scopes: ['read'] })
  const log = await openSqliteEventLogReader({ dataDir, stream: 'events' })
  const rejected = await openSqliteEventLogReader({ dataDir, stream: 'rejected' })
  return {
    url: server.url,
    port,
    publicProxy,
    async openProxy(faults) {
      const proxy = await openFaultyProxy(port)
      proxies.push(proxy)
      proxy.spoil(faults)
      return proxy
    },
    events: async () => (await readRecords(log)).map(({ body }) => decodeJson<Event>(body)),
    rejectedCount: async () => (await readRecords(rejected)).length,
    totalsOf: (personKey) => readTotals(server.url, apiKey, personKey),
    async killAndStart() {
      server.signal('SIGKILL')
      await server.ended
      server = await openServerProcess(given)
    },
    async close() {
      for (const proxy of proxies) await proxy.close()
      await log.close()
      await rejected.close()
      const { code } = await stopServerProcess(server)
      await rm(folder, { recursive: true, force: true })
      assert.equal(code, 0, server.said())
    },
  }
}

/** Returns the events of a user, in the order of the log. */
export function eventsOfUser(events: readonly Event[], userId: string): readonly Event[] {
  return events.filter((event) => event.userId === userId)
}

/** Polls until `read` finds what it looks for. */
export async function waitFor<Found>(
  says: string,
  read: () => Promise<Found | undefined> | Found | undefined,
): Promise<Found> {
  const deadlineMs = systemClock.monotonicMs() + waitMsMax
  for (;;) {
    const found = await read()
    if (found !== undefined) return found
    if (systemClock.monotonicMs() > deadlineMs) assert.fail(`waited in vain: ${says}`)
    await systemClock.sleep(20)
  }
}

async function readRecords(log: EventLog): Promise<readonly LogRecord[]> {
  const all: LogRecord[] = []
  for (let partition = 0; partition < log.identity.partitionCount; partition++) {
    const records = await log.read(partition, 0, readCount)
    assert.ok(records.length < readCount, 'the test reads all of the log')
    all.push(...records.filter(({ kind }) => kind === 'event'))
  }
  return all
}

async function readTotals(
  url: string,
  apiKey: string,
  personKey: string,
): Promise<Readonly<Record<string, number>>> {
  const wantedMs = systemClock.nowMs()
  const path = `/api/v1/profiles/${encodeURIComponent(personKey)}`
  const headers = { authorization: `Bearer ${apiKey}` }
  return await waitFor(`the profile of ${personKey} is of now`, async () => {
    const answer = await fetch(url + path, { headers })
    // An unknown key is looked up again at most once a second.
    if (answer.status === 404 || answer.status === 401) return undefined
    assert.equal(answer.status, 200)
    const { asOf, totals } = (await answer.json()) as {
      readonly asOf: string | null
      readonly totals: Readonly<Record<string, { readonly count: number }>>
    }
    if (asOf === null || Date.parse(asOf) < wantedMs) return undefined
    return Object.fromEntries(Object.entries(totals).map(([name, { count }]) => [name, count]))
  })
}
