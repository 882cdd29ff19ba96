/**
 * Process of `recommend.bench.ts`: fills the shipped blend with generated interactions, asks it,
 * and prints a JSON line per figure. Its own process, so that resident memory is that of the index.
 *
 *     node --expose-gc bench/recommend-load.ts SESSIONS ITEMS [ALGORITHM | shared]
 *
 * With an algorithm it fills one that has that alone, beside the tables that all share: items,
 * sessions, trends. Those that read the pairs of `co-visitation` have that too.
 *
 * Items are drawn by a power law (P ~ 1/rank). A session stays near an item of its own with 70%:
 * items of one neighbourhood are met together, so lists and neighbours fill as a shop's would.
 * Lengths are geometric, 4.33 on average. 90% views, 8% carts, 2% purchases, over 90 days.
 */

import { createSeededRandom } from '../src/lib/random.ts'
import { algorithmNames } from '../src/recommend/algorithm-names.ts'
import { type Blend, createBlend } from '../src/recommend/blend.ts'
import { type BlendWeights, defaultWeights, onlyWeights } from '../src/recommend/blend-weights.ts'
import type { Interaction, RecommendQuery } from '../src/recommend/recommender.ts'
import { mean, percentile, printFigure } from './figure.ts'

const dayMs = 86_400_000
const daysCovered = 90
const continueShare = 1 - 1 / 4.33
const nearShare = 0.7
const nearWidth = 40
const chunkCount = 100_000
const queryCount = 20_000
const aloneQueryCount = 5_000
const countMax = 20
const seed = 20_261_126

const [sessionCount = 300_000, itemCount = 50_000] = process.argv.slice(2, 4).map(Number)
const only = process.argv[4]
const readers: readonly (string | undefined)[] = ['sequential-rules', 'two-steps']
const random = createSeededRandom(seed)
const itemIds = Array.from({ length: itemCount }, (_, rank) => `item-${rank}`)

function drawRank(): number {
  return Math.min(itemCount - 1, Math.floor(itemCount ** random.unit()) - 1)
}

function drawSession(nth: number): Interaction[] {
  const home = drawRank()
  const atMs = (nth / sessionCount) * daysCovered * dayMs
  const session: Interaction[] = []
  do {
    const offset = Math.floor((random.unit() - 0.5) * nearWidth)
    const rank = random.unit() < nearShare ? Math.abs(home + offset) % itemCount : drawRank()
    const chance = random.unit()
    const kind = chance < 0.9 ? 'view' : chance < 0.98 ? 'cart' : 'purchase'
    const occurredAtMs = atMs + session.length * 20_000
    session.push({ profileId: `p${nth}`, itemId: itemIds[rank] ?? '', kind, occurredAtMs })
  } while (random.unit() < continueShare)
  return session
}

/** Sessions are made apart from the time that is measured. */
function fill(index: Blend): { readonly cpuUs: number; readonly wallMs: number } {
  let cpuUs = 0
  let wallMs = 0
  let chunk: Interaction[] = []
  const learn = (): void => {
    const cpu = process.threadCpuUsage()
    const startedAtMs = performance.now()
    for (const interaction of chunk) index.learn(interaction)
    wallMs += performance.now() - startedAtMs
    const used = process.threadCpuUsage(cpu)
    cpuUs += used.user + used.system
    chunk = []
  }
  for (let nth = 0; nth < sessionCount; nth++) {
    chunk.push(...drawSession(nth))
    if (chunk.length >= chunkCount) learn()
  }
  learn()
  return { cpuUs, wallMs }
}

function ask(index: Blend, name: string, weights: BlendWeights): void {
  const count = name === 'blend' ? queryCount : aloneQueryCount
  const latencies: number[] = []
  const undisturbed: number[] = []
  const sizes: number[] = []
  const cpu = process.threadCpuUsage()
  for (let nth = 0; nth < count; nth++) {
    const session = drawSession(sessionCount + nth)
    const query: RecommendQuery = {
      activity: session,
      weights,
      nowMs: daysCovered * dayMs,
      countMax,
      excludeItemIds: new Set(),
      isAllowed: () => true,
    }
    const times = [0, 1, 2].map(() => {
      const startedAtMs = performance.now()
      sizes.push(index.recommend(query).length)
      return performance.now() - startedAtMs
    })
    latencies.push(times[0] ?? 0)
    undisturbed.push(Math.min(...times))
  }
  const used = process.threadCpuUsage(cpu)
  const print = (figure: string, value: number, unit: string, note?: string): void =>
    printFigure({ bench: `recommend-${name}-${figure}`, value, unit, ...(note ? { note } : {}) })
  print('query-p50', percentile(latencies, 0.5), 'ms')
  print('query-p99', percentile(latencies, 0.99), 'ms')
  print('query-p99-undisturbed', percentile(undisturbed, 0.99), 'ms', 'shortest of three turns')
  print('query-cpu', (used.user + used.system) / (count * 3), 'us', 'drawing the query included')
  print('answer', mean(sizes), 'items')
}

const algorithms = algorithmNames.filter((name) => {
  return only === undefined || name === only || (name === 'co-visitation' && readers.includes(only))
})
const index = createBlend({ algorithms })
const { cpuUs, wallMs } = fill(index)
const events = index.learnedCount
const base = only === undefined ? 'recommend' : `recommend-${only}-alone`
const note =
  only === undefined
    ? `${events} events, ${sessionCount} sessions, ${itemCount} items`
    : `has ${['the shared tables', ...algorithms].join(', ')}`
printFigure({ bench: `${base}-ingest`, value: (events / wallMs) * 1000, unit: 'events/s', note })
printFigure({ bench: `${base}-ingest-cpu`, value: (events / cpuUs) * 1e6, unit: 'events/s of CPU' })
if (only === undefined) {
  ask(index, 'blend', defaultWeights)
  for (const name of algorithmNames) ask(index, name, onlyWeights(name))
}
globalThis.gc?.()
const memory = process.memoryUsage()
const peakBytes = process.resourceUsage().maxRSS * 1024
for (const [figure, bytes] of [
  ['rss', memory.rss],
  ['arrays', memory.arrayBuffers],
  ['rss-peak', peakBytes],
] as const) {
  printFigure({ bench: `${base}-${figure}`, value: bytes / 2 ** 20, unit: 'MiB' })
}
