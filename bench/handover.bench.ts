/**
 * Campaigns without a wait, into a mail catcher in another process: from the accepted event to the
 * mail taken over SMTP at a steady rate, and how many messages a second at most. Consent,
 * suppression and freshness are checked, recommendations made, evidence kept.
 */

import { cp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '../src/lib/clock.ts'
import { type AttuneServer, shopDir, startAttune, writeKey } from './attune-server.ts'
import { ask, type BenchWorld, endChild } from './bench-world.ts'
import type { CaughtAt } from './catcher-process.ts'
import { drain } from './drain.ts'
import { percentile, printFigure } from './figure.ts'

const campaign = `name: now
kind: journey
trigger: {event: Help Asked}
steps:
  - send:
      template: thank-you
      topic: orders
      freshWithin: 60s
      notAfter: 24h
      recommendations: {count: 4}
`
const ratePerSecond = 50
/** Sent first and not counted: modules are loaded then, and the code is compiled. */
const warmUpCount = 500
const quietMs = 15_000

interface Mails {
  readonly port: number
  /** When the mail to each address was taken. */
  readonly caught: Map<string, number>
  count: number
  until(count: number): Promise<boolean>
  close(): Promise<void>
}

export async function benchTriggerToHandover(world: BenchWorld): Promise<void> {
  await withCampaign(world, async (attune, mails) => {
    const count = ratePerSecond * (world.settings.isFull ? 60 : 12)
    await introduce(attune, count)
    const accepted = new Map<string, number>()
    const startedAt = systemClock.monotonicMs()
    const sending: Promise<void>[] = []
    for (let index = 0; index < count; index++) {
      await systemClock.sleep(
        startedAt + (index * 1000) / ratePerSecond - systemClock.monotonicMs(),
      )
      sending.push(askHelp(attune, index).then((atMs) => void accepted.set(addressOf(index), atMs)))
    }
    await Promise.all(sending)
    await mails.until(count)
    const samples = [...accepted].flatMap(([address, acceptedAt]) => {
      const caughtAt = mails.caught.get(address)
      return caughtAt === undefined ? [] : [caughtAt - acceptedAt]
    })
    const note =
      `${samples.length} of ${count} messages at ${ratePerSecond}/s, ` +
      `${mails.count} mails caught; ` +
      `p50 ${percentile(samples, 0.5).toFixed(1)} ms, max ${percentile(samples, 1).toFixed(1)} ms`
    const value = percentile(samples, 0.99)
    printFigure({ bench: 'trigger-to-handover-p99', value, unit: 'ms', note })
  })
}

export async function benchDeliver(world: BenchWorld): Promise<void> {
  await withCampaign(world, async (attune, mails) => {
    const count = world.settings.isFull ? 20_000 : 4000
    const events = Array.from({ length: warmUpCount + count }, (_, index) => helpEvent(index))
    await introduce(attune, events.length)
    await sendBatches(attune, events.slice(0, warmUpCount))
    await mails.until(warmUpCount)
    await drain(attune)
    const warmCount = mails.caught.size
    const before = await attune.cpuByThread()
    const startedAt = machineMs()
    await sendBatches(attune, events.slice(warmUpCount))
    await mails.until(events.length)
    const cpu = await attune.cpuByThread()
    const caughtCount = mails.caught.size - warmCount
    const endedAt = Math.max(startedAt, ...mails.caught.values())
    printFigure({
      bench: 'deliver',
      value: caughtCount / ((endedAt - startedAt) / 1000),
      unit: 'messages/s',
      note:
        `${caughtCount} of ${count} messages behind ${warmCount} that warm up, ` +
        `${mails.count} mails caught; from the first event sent to the last mail taken, ` +
        'one render thread, catcher and server on one machine; ' +
        `us of CPU a message: ${describeThreads(before, cpu, caughtCount)}`,
    })
  })
}

/** Says what a message cost on each thread of the server, the most expensive first. */
function describeThreads(
  before: ReadonlyMap<string, number>,
  now: ReadonlyMap<string, number>,
  count: number,
): string {
  const used = [...now].map(([name, ms]) => ({ name, ms: ms - (before.get(name) ?? 0) }))
  const micros = (ms: number): string => ((ms * 1000) / Math.max(1, count)).toFixed(0)
  const threads = used
    .filter(({ ms }) => ms > 0)
    .toSorted((left, right) => right.ms - left.ms)
    .map(({ name, ms }) => `${name} ${micros(ms)}`)
  return `${micros(used.reduce((sum, { ms }) => sum + ms, 0))} (${threads.join(', ')})`
}

async function withCampaign(
  world: BenchWorld,
  run: (attune: AttuneServer, mails: Mails) => Promise<void>,
): Promise<void> {
  const folder = await world.makeFolder()
  const definitionsDir = join(folder, 'shop')
  await cp(shopDir, definitionsDir, { recursive: true })
  await writeFile(join(definitionsDir, 'campaigns', 'now.yaml'), campaign)
  const mails = await startCatcher(world)
  const dataDir = join(folder, 'data')
  const attune = await startAttune(world, { dataDir, definitionsDir, smtpPort: mails.port })
  await run(attune, mails)
  await attune.stop()
  await mails.close()
  await world.removeFolder(folder)
}

async function startCatcher(world: BenchWorld): Promise<Mails> {
  const child = world.fork('./catcher-process.ts')
  const { port } = await ask<{ readonly port: number }>(child, {})
  let lastAt = systemClock.monotonicMs()
  child.on('message', (message) => {
    // The other side sends these alone.
    const { to, atMs } = message as CaughtAt
    mails.count++
    if (!mails.caught.has(to)) mails.caught.set(to, atMs)
    lastAt = systemClock.monotonicMs()
  })
  const mails: Mails = {
    port,
    caught: new Map(),
    count: 0,
    async until(count) {
      lastAt = systemClock.monotonicMs()
      while (mails.caught.size < count && systemClock.monotonicMs() - lastAt < quietMs) {
        await systemClock.sleep(20)
      }
      return mails.caught.size >= count
    },
    close: () => endChild(child, 'SIGKILL'),
  }
  return mails
}

function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

const userIdOf = (index: number): string => `helped-${index}`
const addressOf = (index: number): string => `${userIdOf(index)}@mail.example`

function helpEvent(index: number): Record<string, unknown> {
  return { type: 'track', messageId: `help-${index}`, userId: userIdOf(index), event: 'Help Asked' }
}

/** Makes people with an address and something they have looked at. */
async function introduce(attune: AttuneServer, count: number): Promise<void> {
  const events = Array.from({ length: count }, (_, index) => {
    const userId = userIdOf(index)
    const email = addressOf(index)
    const item = { product_id: `item-${index % 300}`, name: 'Pegs', price: 4.95, quantity: 1 }
    return [
      { type: 'identify', messageId: `who-${index}`, userId, traits: { email, name: 'Ada' } },
      {
        type: 'track',
        messageId: `see-${index}`,
        userId,
        event: 'Product Viewed',
        properties: item,
      },
    ]
  }).flat()
  await sendBatches(attune, events)
  await drain(attune)
}

async function sendBatches(attune: AttuneServer, events: readonly object[]): Promise<void> {
  const batchCount = 500
  for (let from = 0; from < events.length; from += batchCount) {
    await postJson(attune, '/v1/batch', { batch: events.slice(from, from + batchCount) })
  }
}

async function askHelp(attune: AttuneServer, index: number): Promise<number> {
  await postJson(attune, '/v1/track', helpEvent(index))
  return machineMs()
}

async function postJson({ url }: AttuneServer, path: string, body: object): Promise<void> {
  const answer = await fetch(`${url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-write-key': writeKey },
    body: JSON.stringify(body),
  })
  await answer.text()
  if (answer.status !== 200) throw new Error(`${path} was answered ${answer.status}`)
}
