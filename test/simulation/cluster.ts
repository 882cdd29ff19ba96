/**
 * The owners of all partitions over time: at any instant one should be alive; after a death,
 * another starts a little later; while one is paused, another takes over, and the first wakes up
 * beside it.
 *
 * Log, side store and mailbox outlive every owner. The state does too, but may lose its newest
 * commits when an owner dies: it goes back to one of the last snapshots.
 */

import { forgottenEvent } from '../../src/delivery/watch-due.ts'
import { OperatingError } from '../../src/lib/errors.ts'
import { type Logger, silentLogger } from '../../src/lib/logger.ts'
import type { Random } from '../../src/lib/random.ts'
import type { MemoryEventLog } from '../../src/log/memory-event-log.ts'
import type { runWorker, WorkerDeps, WorkerOptions } from '../../src/process/worker.ts'
import { createAdvisor } from '../../src/recommend/advisor.ts'
import { createBlend } from '../../src/recommend/blend.ts'
import type { BlobStore } from '../../src/state/blob-store.ts'
import {
  createMemoryStateStore,
  type MemoryStateSnapshot,
  type MemoryStateStore,
} from '../../src/state/memory-state-store.ts'
import type { StateStore } from '../../src/state/state-store.ts'
import type { Renderer } from '../../src/template/template.ts'
import type { DrawnWorld } from './drawn-world.ts'
import { type FaultPlan, shuffle } from './fault-plan.ts'
import type { Mailbox } from './mailbox.ts'
import type { Observer } from './observer.ts'
import { watchOthers } from './onlooker.ts'
import { type StateDisk, wrapBlobs, wrapLog, wrapMailer, wrapState } from './owner-ports.ts'
import { OwnerProcess } from './owner-process.ts'
import { Sharing } from './sharing.ts'
import type { Timeline } from './virtual-clock.ts'
import {
  addressSecret,
  minuteMs,
  partitionCount,
  secondMs,
  workspace,
} from './world-definitions.ts'

const restartMsMax = 2 * minuteMs
const snapshotShare = 1 / 80
const snapshotCount = 3
const stopMsMax = 60 * minuteMs
const sharedShare = 1 / 5
const sharedOwnerCount = 2
const sessionMs = 10 * secondMs

/** What a broken order of effects puts in place of the real thing. */
export interface Wiring {
  readonly runWorker: typeof runWorker
  wrapState?(process: OwnerProcess, store: StateStore, ports: WorkerDeps['log']): StateStore
}

export interface ClusterDeps {
  readonly timeline: Timeline
  readonly observer: Observer
  readonly plan: FaultPlan
  readonly random: Random
  readonly log: MemoryEventLog
  readonly store: MemoryStateStore
  readonly blobs: BlobStore
  readonly mailbox: Mailbox
  readonly renderer: Renderer
  readonly wiring: Wiring
  readonly drawn: DrawnWorld
}

interface Running {
  readonly process: OwnerProcess
  readonly stop: AbortController
  /** Threads that have not ended. */
  threadCount: number
}

export class Cluster {
  readonly disk: StateDisk = { isFull: false }
  readonly endings = new Map<string, number>()
  readonly #deps: ClusterDeps
  readonly #running = new Set<Running>()
  /** Partitions by thread, where one process has all of them. */
  readonly #layout: readonly (readonly number[])[]
  /** Present where several processes share the partitions. */
  readonly #sharing: Sharing | undefined
  readonly #options: WorkerOptions
  #snapshots: { readonly state: MemoryStateSnapshot }[] = []
  #startedCount = 0
  #isStarting = false

  constructor(deps: ClusterDeps) {
    this.#deps = deps
    const { random, drawn } = deps
    const { tickMs, idleMs, dueLookMs } = drawn.pace
    const layouts = [[[0, 1, 2]], [[0, 1], [2]], [[0], [1], [2]]]
    const isShared = random.unit() < sharedShare
    const layout = layouts[Math.floor(random.unit() * layouts.length)] ?? [[0, 1, 2]]
    this.#layout = isShared ? [[0, 1, 2]] : layout
    this.#sharing = isShared ? new Sharing(deps.timeline, random) : undefined
    this.#options = {
      processor: {
        workspace,
        batchCountMax: [3, 50, 1000][Math.floor(random.unit() * 3)] ?? 50,
        batchMsMax: 20,
        tickMs,
        idleMs,
        historyMs: 600_000,
        handOverMsMax: isShared ? secondMs : 0,
        continuePeopleCountMax: [1, 4, 200][Math.floor(random.unit() * 3)] ?? 4,
        sideBySideCount: isShared ? 2 : 1,
      },
      delivery: {
        from: 'Shop <news@shop.example>',
        envelopeFrom: 'bounce@mail.shop.example',
        publicUrl: 'https://mail.shop.example',
        signingKeyId: 'k1',
        addressSecret,
        staleWaitMs: 30 * secondMs,
        attemptCountMax: 4,
        queueCountMax: 4,
        dueLookMs,
      },
    }
  }

  get live(): OwnerProcess | undefined {
    return [...this.#running].find(({ process }) => !process.isPaused)?.process
  }

  /** Starts an owner after a while, unless enough are awake or one is about to start. */
  ensureOwner(): void {
    const awake = [...this.#running].filter(({ process }) => !process.isPaused)
    const enough = this.#sharing === undefined ? 1 : sharedOwnerCount
    if (awake.length >= enough || this.#isStarting) return
    void this.#startLater(restartMsMax * this.#deps.random.unit())
  }

  /** Starts another owner at once, whoever is there. */
  startBeside(): void {
    this.#start()
  }

  /** Asks the owner that is awake to end in order; another one starts once it has. */
  async stopInOrder(): Promise<void> {
    const { timeline, observer } = this.#deps
    const running = [...this.#running].find(({ process }) => !process.isPaused)
    if (running === undefined) return
    observer.note(running.process.name, 'is asked to stop')
    running.stop.abort()
    await timeline.sleep(stopMsMax)
    if (!running.process.isDead && running.threadCount > 0 && !running.process.isPaused) {
      observer.violate('liveness', `${running.process.name} did not stop within an hour`)
    }
    this.ensureOwner()
  }

  /** All owners die a moment later, and the state loses its newest commits. */
  losePower(): void {
    const { timeline, random, observer } = this.#deps
    void (async () => {
      await timeline.sleep(1 + 3 * secondMs * random.unit() ** 2)
      observer.note('world', 'power is lost')
      await this.#rollBack()
      this.ensureOwner()
    })()
  }

  async #startLater(afterMs: number): Promise<void> {
    this.#isStarting = true
    await this.#deps.timeline.sleep(afterMs)
    this.#isStarting = false
    this.#start()
    this.ensureOwner()
  }

  #start(): void {
    const { timeline, observer, plan, random } = this.#deps
    const process = new OwnerProcess(
      {
        timeline,
        observer,
        plan,
        random,
        onDeath: (dead, isRolledBack) => this.#died(dead, isRolledBack),
        onPause: (_, ms) => {
          void this.#startLater(ms * random.unit())
          void this.#shareAround(ms)
        },
      },
      `owner-${++this.#startedCount}`,
    )
    const stop = new AbortController()
    const running: Running = { process, stop, threadCount: this.#layout.length }
    this.#running.add(running)
    observer.note(process.name, 'starts')
    const deps = this.#portsOf(process)
    for (const partitions of this.#layout) {
      const shuffled = shuffle(random, partitions)
      const assign = (signal: AbortSignal): AsyncGenerator<readonly number[]> =>
        this.#sharing?.join(process, signal) ?? assignOnce(shuffled, signal)
      const log = { ...deps.log, assign }
      this.#deps.wiring.runWorker({ ...deps, log }, this.#options, stop.signal).then(
        () => this.#ended(running, undefined),
        (error: unknown) => this.#ended(running, error),
      )
    }
  }

  #portsOf(process: OwnerProcess): WorkerDeps {
    const { observer, plan, log, store, blobs, mailbox, renderer, wiring, drawn } = this.#deps
    const ports = { process, observer, plan, timeline: this.#deps.timeline, drawn }
    const advisor = createAdvisor(
      createBlend({ sessionCountMax: 256, itemCountMax: 256, eventCountMax: 4096 }),
    )
    const state = wrapState(ports, this.#snapshotting(store), this.disk)
    const owned = wrapLog(ports, log)
    const read = { log: owned, state }
    return {
      log: owned,
      state: wiring.wrapState?.(process, state, owned) ?? state,
      blobs: wrapBlobs(ports, blobs),
      clock: process.clock,
      random: process.random,
      logger: this.#logger(process),
      openScratch: createMemoryStateStore,
      freshness: this.#sharing === undefined ? process.freshness : watchOthers(process, read),
      renderer,
      advisor: {
        learn: (interactions) => advisor.learn(interactions),
        erase: (profileIds) => advisor.erase(profileIds),
        follow: (item) => advisor.follow(item),
        advise: async (request) => advisor.advise(request),
      },
      mailer: wrapMailer(ports, mailbox),
      onCommitted: () => {},
    }
  }

  #logger(process: OwnerProcess): Logger {
    return {
      ...silentLogger,
      warn: (_, event) => this.#deps.observer.note(process.name, `warns: ${event}`),
      error: (fields, event) => {
        this.#deps.observer.note(process.name, `reports: ${event} ${JSON.stringify(fields)}`)
        if (event === forgottenEvent) this.#deps.observer.violate('liveness', event)
      },
    }
  }

  #snapshotting(store: MemoryStateStore): StateStore {
    return {
      ...store,
      commit: async (commits) => {
        if (this.#deps.random.unit() < snapshotShare || this.#snapshots.length === 0) {
          this.#snapshots.push({ state: store.snapshot() })
          if (this.#snapshots.length > snapshotCount) this.#snapshots.shift()
        }
        return await store.commit(commits)
      },
    }
  }

  #died(process: OwnerProcess, isRolledBack: boolean): void {
    this.#remove(process, 'killed')
    if (isRolledBack) void this.#rollBack()
    this.ensureOwner()
  }

  /** A thread ended by itself: a clean stop, or an error that ends the whole process. */
  #ended(running: Running, error: unknown): void {
    const { process } = running
    if (process.isDead) return
    running.threadCount--
    if (error === undefined) {
      if (running.threadCount > 0) return
      process.die()
      this.#remove(process, running.stop.signal.aborted ? 'stopped in order' : 'ended unasked')
    } else {
      const code = error instanceof OperatingError ? error.code : 'no operating error'
      const isExpected =
        error instanceof OperatingError && (error.retryable || code === 'OWNER_FENCED')
      if (!isExpected) {
        const says = error instanceof Error ? (error.stack ?? error.message) : String(error)
        this.#deps.observer.violate('error', `${process.name} ended by ${says}`)
      }
      process.die()
      this.#remove(process, code)
    }
    this.ensureOwner()
  }

  /** A group notices that a member is paused once its session is over, and when it is back. */
  async #shareAround(pausedMs: number): Promise<void> {
    const { timeline } = this.#deps
    await timeline.sleep(Math.min(sessionMs, pausedMs))
    this.#sharing?.share()
    await timeline.sleep(Math.max(0, pausedMs - sessionMs))
    this.#sharing?.share()
  }

  #remove(process: OwnerProcess, how: string): void {
    this.#deps.observer.note(process.name, `ends: ${how}`)
    this.#sharing?.leave(process)
    this.endings.set(how, (this.endings.get(how) ?? 0) + 1)
    for (const running of this.#running) {
      if (running.process === process) this.#running.delete(running)
    }
  }

  /** The machine lost power: all owners on it die, and the state forgets its newest commits. */
  async #rollBack(): Promise<void> {
    const { random, store, observer } = this.#deps
    for (const { process } of [...this.#running]) {
      process.die()
      this.#remove(process, 'killed')
    }
    const kept = this.#snapshots[Math.floor(random.unit() * this.#snapshots.length)]
    if (kept === undefined) return
    store.restore(kept.state)
    this.#snapshots = this.#snapshots.slice(0, this.#snapshots.indexOf(kept) + 1)
    const heads = await Promise.all(
      Array.from({ length: partitionCount }, (_, partition) => store.head(partition)),
    )
    observer.rolledBack(
      heads.map(({ offset }) => offset),
      heads.map(({ epoch }) => epoch),
    )
  }
}

async function* assignOnce(
  partitions: readonly number[],
  signal: AbortSignal,
): AsyncGenerator<readonly number[]> {
  yield partitions
  if (signal.aborted) return
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
