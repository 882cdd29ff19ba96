/**
 * Runs one seed: a world, a cluster, their faults; then peace until all is quiet; then every
 * check.
 */

import { createSeededRandom, type Random } from '../../src/lib/random.ts'
import { createMemoryEventLog, type MemoryEventLog } from '../../src/log/memory-event-log.ts'
import type { RecordKind } from '../../src/log/record.ts'
import { runWorker } from '../../src/process/worker.ts'
import { createMemoryBlobStore, type MemoryBlobStore } from '../../src/state/memory-blob-store.ts'
import {
  createMemoryStateStore,
  type MemoryStateStore,
} from '../../src/state/memory-state-store.ts'
import { createInlineRenderer } from '../../src/template/render-pool.ts'
import type { Template } from '../../src/template/template.ts'
import { BlobLosses } from './blob-losses.ts'
import { isCatchingUp } from './check-computed.ts'
import { checkWorld } from './check-world.ts'
import { Cluster, type Wiring } from './cluster.ts'
import { type DrawnWorld, drawWorld, type Feature } from './drawn-world.ts'
import { FaultPlan } from './fault-plan.ts'
import { Mailbox } from './mailbox.ts'
import { Observer } from './observer.ts'
import { Timeline } from './virtual-clock.ts'
import { World } from './world.ts'
import * as fixed from './world-definitions.ts'

const { dayMs, hourMs, minuteMs, secondMs, lengthMs, startMs, partitionCount } = fixed
const faultCount = 30
const peaceDaysMax = 15
/** Effects for each event, beyond which a world has no end; usual are five to eight. */
const effectsForEach = 100
const chaosMs = 90 * minuteMs
const jumpMsMax = 30 * secondMs

export interface SimulateOptions {
  readonly seed: number
  readonly template: Template
  readonly wiring?: Wiring
  /** Events that all people send together; a few more come by themselves. */
  readonly eventCountMin?: number
  /** Stops at the first thing found wrong, for tests that only want to see whether anything is. */
  readonly isBrief?: boolean
}

export interface Simulated {
  readonly seed: number
  readonly features: ReadonlySet<Feature>
  readonly recordKinds: ReadonlySet<RecordKind>
  readonly violations: readonly string[]
  readonly traceHash: string
  readonly recent: readonly string[]
  readonly eventCount: number
  readonly effectCount: number
  readonly hits: ReadonlyMap<string, number>
  readonly messageEnds: ReadonlyMap<string, number>
  readonly endings: ReadonlyMap<string, number>
  readonly handOverCount: number
}

/** All that a seed made, as the checks see it. */
export interface Scene {
  readonly timeline: Timeline
  readonly observer: Observer
  readonly log: MemoryEventLog
  readonly rejected: MemoryEventLog
  readonly store: MemoryStateStore
  readonly blobs: MemoryBlobStore
  readonly blobLosses: BlobLosses
  readonly world: World
  readonly cluster: Cluster
  readonly plan: FaultPlan
  readonly drawn: DrawnWorld
  readonly random: Random
}

export async function simulate(options: SimulateOptions): Promise<Simulated> {
  const scene = createScene(options)
  const { timeline, observer, world, cluster, plan } = scene
  const isEnough = (): boolean => options.isBrief === true && observer.violations.length > 0
  world.start()
  cluster.ensureOwner()
  void bringChaos(scene)
  await timeline.run(startMs + lengthMs, isEnough)
  plan.disarm()
  scene.log.setFault(undefined)
  cluster.disk.isFull = false
  for (let day = 0; day < peaceDaysMax && !isEnough(); day++) {
    await timeline.run(timeline.nowMs + dayMs, isEnough)
    cluster.ensureOwner()
    if (day >= 1 && world.activeCount === 0 && (await isQuiet(scene))) break
  }
  if (!isEnough()) await checkWorld(scene)
  const messageEnds = new Map<string, number>()
  for (const { state } of observer.messages.values()) {
    const end = state.kind === 'refused' ? `refused: ${state.reason}` : state.kind
    messageEnds.set(end, (messageEnds.get(end) ?? 0) + 1)
  }
  return {
    seed: options.seed,
    features: scene.drawn.features,
    recordKinds: new Set(observer.log.flatMap((records) => records.map(({ kind }) => kind))),
    violations: observer.violations,
    traceHash: observer.traceHash(),
    recent: observer.recent,
    eventCount: world.sent.length,
    effectCount: observer.effectCount,
    hits: plan.hits,
    messageEnds,
    endings: cluster.endings,
    handOverCount: observer.handOvers.length,
  }
}

const parties = ['faults', 'people', 'mailbox', 'owners', 'chaos', 'world', 'gaps'] as const

/** Each party draws its own numbers, so that a change in one leaves the others as they were. */
export function randomOf(seed: number, party: (typeof parties)[number]): Random {
  return createSeededRandom(Math.imul(seed, 0x9e3779b1) + 1 + parties.indexOf(party))
}

/** What the world of a seed holds, and what will go wrong in it. */
export function drawSeed(seed: number): { readonly drawn: DrawnWorld; readonly plan: FaultPlan } {
  const drawn = drawWorld(randomOf(seed, 'world'))
  const { features } = drawn
  const given = { startMs, lengthMs: 0.97 * lengthMs, faultCount, features }
  return { drawn, plan: new FaultPlan(randomOf(seed, 'faults'), given) }
}

function createScene({ seed, template, wiring, eventCountMin = 2000 }: SimulateOptions): Scene {
  const timeline = new Timeline(startMs)
  const observer = new Observer(timeline, effectsForEach * eventCountMin)
  const { drawn, plan } = drawSeed(seed)
  const identity = { incarnation: `seed-${seed}`, partitionCount }
  const gaps = randomOf(seed, 'gaps')
  const hasGaps = drawn.features.has('a log with gaps between offsets')
  const gapCount = (): number => (hasGaps && gaps.unit() < 0.2 ? Math.ceil(3 * gaps.unit()) : 0)
  const log = createMemoryEventLog({ identity, gapCount })
  const rejected = createMemoryEventLog({ identity })
  const store = createMemoryStateStore()
  const blobs = createMemoryBlobStore()
  const random = randomOf(seed, 'chaos')
  const blobLosses = new BlobLosses({ timeline, observer, blobs, random })
  const outside = { timeline, observer, plan, log, rejected, template, eventCountMin, drawn }
  const people = { blobs: blobLosses.ofOperator, random: randomOf(seed, 'people') }
  const world = new World({ ...outside, ...people })
  const mailbox = new Mailbox({
    timeline,
    random: randomOf(seed, 'mailbox'),
    onTaken: (request) => world.taken(request),
  })
  const cluster = new Cluster({
    timeline,
    observer,
    plan,
    log,
    store,
    blobs,
    blobLosses,
    mailbox,
    random: randomOf(seed, 'owners'),
    drawn,
    renderer: createInlineRenderer(fixed.signingKeys),
    wiring: wiring ?? { runWorker },
  })
  observer.onMoment = (moment, what) => {
    const lost = moment === 'suppressed' ? 'state forgets a suppression' : 'state forgets a grant'
    if (moment !== 'due' && plan.take(lost, timeline.nowMs)) cluster.losePower()
    if (moment !== 'suppressed') world.provoke(what)
  }
  const stores = { log, rejected, store, blobs, blobLosses }
  return { timeline, observer, ...stores, world, cluster, plan, drawn, random }
}

/** What goes wrong on its own, not at an effect. */
async function bringChaos(scene: Scene): Promise<void> {
  const { timeline, plan, cluster, log, world, random } = scene
  const fill = async (set: (isFull: boolean) => void): Promise<void> => {
    set(true)
    await timeline.sleep(minuteMs + hourMs * random.unit())
    set(false)
  }
  const isDue = (name: Parameters<FaultPlan['take']>[0]): boolean => plan.take(name, timeline.nowMs)
  while (timeline.nowMs < startMs + lengthMs) {
    await timeline.sleep(chaosMs * random.unit())
    if (isDue('log disk full')) {
      void fill((isFull) => log.setFault(isFull ? 'DISK_FULL' : undefined))
    }
    if (isDue('state disk full')) {
      void fill((isFull) => {
        cluster.disk.isFull = isFull
      })
    }
    const { live } = cluster
    if (live !== undefined && isDue('wall clock jumps forward')) {
      live.clock.jump(jumpMsMax * random.unit())
    }
    if (live !== undefined && isDue('wall clock jumps back')) {
      live.clock.jump(-jumpMsMax * random.unit())
    }
    if (live !== undefined && isDue('second owner beside the first')) cluster.startBeside()
    if (live !== undefined && isDue('all stops in order')) void cluster.stopInOrder()
    if (isDue('record that cannot be folded')) world.poison()
    if (isDue('state is lost, all stop')) cluster.loseState()
    if (isDue('newest evidence is lost')) scene.blobLosses.loseNewest()
    if (isDue('side store is emptied')) void cluster.loseBlobs()
    cluster.ensureOwner()
  }
}

/** True where nothing is left to do but windows that will turn some day. */
async function isQuiet({ store, log }: Scene): Promise<boolean> {
  for (let partition = 0; partition < partitionCount; partition++) {
    if ((await store.head(partition)).offset !== (await log.end(partition))) return false
    for (const family of ['due/', 'granted/', 'outbox/']) {
      if ((await store.scan(partition, family, '', 1)).length > 0) return false
    }
    if (await isCatchingUp(store, partition)) return false
    const timers = await store.scan(partition, 'timer/', '', 10_000)
    if (timers.some(({ key }) => !key.includes('/segment:'))) return false
  }
  return true
}
