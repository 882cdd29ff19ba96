/**
 * Recommendations over HTTP with the whole server, and the index over a restart.
 *
 * - `recommend-http`: `GET` of ten recommendations for a person drawn uniformly, with an API key,
 *   at a steady 1,000 requests/s (open loop): profile, index, catalog and rules for each.
 * - `recommend-freshness`: from an accepted view to the first answer for its person that has an
 *   item because of what was viewed; they were unknown, so their answer was what is popular.
 * - `index-restart`: a generated index (power law) to a file and back; its size is an option.
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadSnapshot, saveSnapshot } from '../src/command/index-snapshot.ts'
import { systemClock } from '../src/lib/clock.ts'
import { createSeededRandom } from '../src/lib/random.ts'
import { createBlend } from '../src/recommend/blend.ts'
import { type AttuneServer, describeCpu, writeKey } from './attune-server.ts'
import type { BenchWorld } from './bench-world.ts'
import { filledServer, peopleCount } from './collect-batch.bench.ts'
import { drain } from './drain.ts'
import { itemCount, itemIdOf, profileRequests, userIdOf } from './event-load.ts'
import { percentile, printFigure } from './figure.ts'
import { describeLoad, ratePerSecond, runCosted } from './run-load.ts'

const requestRate = 1000
const connectionCount = 64
const probeCount = 200
const probeMsMax = 10_000
const itemsAtOnce = 1000

export async function benchRecommendServing(world: BenchWorld): Promise<void> {
  const attune = await filledServer(world)
  await bringCatalog(attune)
  const headers = { authorization: `Bearer ${attune.apiKey}` }
  const url = `${attune.url}/api/v1/profiles/${userIdOf(1)}/recommendations`
  const sample = await (await fetch(url, { headers })).text()
  const { items } = parseAnswer(sample)
  const report = await runCosted(
    world,
    {
      ...{ port: attune.port, connectionCount, userCount: peopleCount(world), itemCount },
      requests: profileRequests(attune.apiKey, '/recommendations'),
      ...{ firstEvent: 0, warmUpMs: 2000, ratePerSecond: requestRate },
      durationMs: world.settings.isFull ? 60_000 : 10_000,
    },
    attune,
  )
  const { p50, p90, p99 } = report.latencyMs
  const held = ratePerSecond(report)
  printFigure({
    bench: 'recommend-http-p90',
    value: p90,
    unit: 'ms',
    note:
      `${Math.round(held)} of ${requestRate} requests/s; p50 ${p50.toFixed(2)} p99 ` +
      `${p99.toFixed(2)} ms; ${items.length} items, ${sample.length} bytes of JSON; ` +
      `${describeCpu(report.cpu, report.sentCount)}; ${describeLoad(report)}`,
  })
  const samples = await probeFreshness(attune)
  printFigure({
    bench: 'recommend-freshness-p99',
    value: percentile(samples, 0.99),
    unit: 'ms',
    note: `p50 ${percentile(samples, 0.5).toFixed(1)} ms; ${samples.length} probes, one at a time`,
  })
}

async function bringCatalog(attune: AttuneServer): Promise<void> {
  const headers = {
    authorization: `Bearer ${attune.apiKey}`,
    'content-type': 'application/json',
  }
  const items = Array.from({ length: itemCount }, (_, index) => ({
    itemId: itemIdOf(index),
    name: `Item ${index}`,
    price: 4.95,
    stockCount: 1 + (index % 9),
    categoryPath: ['Home', `Category ${index % 40}`],
    brand: `Brand ${index % 25}`,
    imageUrl: `https://shop.example/images/${index}.png`,
    url: `https://shop.example/items/${index}`,
  }))
  for (let at = 0; at < items.length; at += itemsAtOnce) {
    const body = JSON.stringify(items.slice(at, at + itemsAtOnce))
    const answer = await fetch(`${attune.url}/api/v1/items`, { method: 'POST', headers, body })
    if (answer.status !== 200) throw new Error(`items were answered ${answer.status}`)
    await answer.text()
  }
  await drain(attune)
}

async function probeFreshness(attune: AttuneServer): Promise<readonly number[]> {
  const samples: number[] = []
  for (let index = 0; index < probeCount; index++) {
    const userId = `prober-${index}`
    const itemId = itemIdOf(index)
    if (await isAnsweredBy(attune, userId, itemId)) throw new Error('a prober is known before')
    const answer = await fetch(`${attune.url}/v1/track`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-write-key': writeKey },
      body: JSON.stringify({ userId, event: 'Product Viewed', properties: { product_id: itemId } }),
    })
    await answer.text()
    const acceptedAt = systemClock.monotonicMs()
    const waitedMs = (): number => systemClock.monotonicMs() - acceptedAt
    while (!(await isAnsweredBy(attune, userId, itemId))) {
      if (waitedMs() > probeMsMax) throw new Error(`no answer by a view within ${probeMsMax} ms`)
    }
    samples.push(waitedMs())
  }
  return samples
}

/** Tells whether an item comes to a person because of one that they viewed. */
async function isAnsweredBy(attune: AttuneServer, userId: string, itemId: string) {
  const headers = { authorization: `Bearer ${attune.apiKey}` }
  const url = `${attune.url}/api/v1/profiles/${userId}/recommendations?count=10`
  const { items } = parseAnswer(await (await fetch(url, { headers })).text())
  return items.some(({ reason }) => reason.itemId === itemId)
}

interface Answer {
  readonly items: readonly { readonly reason: { readonly itemId?: string } }[]
}

function parseAnswer(text: string): Answer {
  return JSON.parse(text) as Answer
}

const sessionLength = 4

/** Learns, saves and loads an index in this process; `ATTUNE_BENCH_EVENTS` names another size. */
export async function benchIndexRestart(world: BenchWorld): Promise<void> {
  const asked = Number(process.env['ATTUNE_BENCH_EVENTS'] ?? 0)
  const eventCount = asked > 0 ? asked : world.settings.isFull ? 10_000_000 : 1_000_000
  const folder = await mkdtemp(join(tmpdir(), 'attune-bench-index-'))
  try {
    const path = join(folder, 'index')
    const index = createBlend()
    const learning = startCosting()
    learnPowerLaw(index, eventCount)
    const learned = learning()
    const saving = startCosting()
    const place = { incarnation: 'bench', next: [1] }
    let pausedMs = 0
    const done = (): void => {
      pausedMs = saving().ms
    }
    const byteCount = (await saveSnapshot(path, place, index, { done })) ?? 0
    const saved = saving()
    const loading = startCosting()
    const { kind } = loadSnapshot(path, createBlend(), () => undefined)
    const loaded = loading()
    if (kind !== 'loaded') throw new Error('a snapshot that was just written fits')
    printFigure({
      bench: 'index-restart',
      value: loaded.ms / 1000,
      unit: 's',
      note:
        `${eventCount} interactions, ${Math.round(byteCount / 2 ** 20)} MiB; ` +
        `CPU ${Math.round(loaded.cpuMs)} ms; written in ${Math.round(saved.ms)} ms (CPU ` +
        `${Math.round(saved.cpuMs)} ms), no learning for ${Math.round(pausedMs)} ms; ` +
        `learned in ${Math.round(learned.ms)} ms (CPU ${Math.round(learned.cpuMs)} ms)`,
    })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function learnPowerLaw(index: ReturnType<typeof createBlend>, eventCount: number): void {
  const random = createSeededRandom(5)
  const ids = Array.from({ length: Math.max(1000, eventCount / 25) }, (_, item) => `item-${item}`)
  for (let count = 0; count < eventCount; count++) {
    const session = Math.floor(count / sessionLength)
    index.learn({
      profileId: `person-${session % 500_000}`,
      itemId: ids[Math.floor(random.unit() ** 3 * ids.length)] ?? '',
      kind: count % 20 === 0 ? 'cart' : 'view',
      // Ten thousand sessions run side by side.
      occurredAtMs: 1_700_000_000_000 + Math.floor(session / 10_000) * 60_000,
    })
  }
}

function startCosting(): () => { readonly ms: number; readonly cpuMs: number } {
  const startedAt = systemClock.monotonicMs()
  const before = process.cpuUsage()
  return () => {
    const { user, system } = process.cpuUsage(before)
    return { ms: systemClock.monotonicMs() - startedAt, cpuMs: (user + system) / 1000 }
  }
}
