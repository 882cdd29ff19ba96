/**
 * The owners of all partitions over time: at any instant one should be alive; after a death,
 * another starts a little later; while one is paused, another takes over, and the first wakes up
 * beside it.
 *
 * Log, side store and mailbox outlive every owner. The state does too, but may lose its newest
 * commits, with its owners or under them: see state-losses.ts.
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
  type MemoryStateStore,
} from '../../src/state/memory-state-store.ts'
import type { StateCopy } from '../../src/state/state-copy.ts'
import type { StateStore } from '../../src/state/state-store.ts'
import type { Renderer } from '../../src/template/template.ts'
import type { BlobLosses } from './blob-losses.ts'
import { copiedFeature, type DrawnWorld, sharedFeature } from './drawn-world.ts'
import { type FaultPlan, shuffle } from './fault-plan.ts'
import { HotCopy } from './hot-copy.ts'
import type { Mailbox } from './mailbox.ts'
import type { Observer } from './observer.ts'
import { watchOthers } from './onlooker.ts'
import {
  type StateDisk,
  watchShown,
  wrapBlobs,
  wrapLog,
  wrapMailer,
  wrapState,
} from './owner-ports.ts'
import { OwnerProcess } from './owner-process.ts'
import { Sharing } from './sharing.ts'
import { StateLosses } from './state-losses.ts'
import type { Timeline } from './virtual-clock.ts'
import { addressSecret, minuteMs, secondMs, workspace } from './world-definitions.ts'

const restartMsMax = 2 * minuteMs
const stopMsMax = 60 * minuteMs
const sharedOwnerCount = 2
const sessionMs = 10 * secondMs
/** Each owner that starts makes one: at its usual size that was a tenth of the time of a seed. */
const smallBlend = {
  sessionCountMax: 256,
  itemCountMax: 256,
  eventCountMax: 4096,
  neighbourPoolMax: 64,
  purchaseCountMax: 1024,
}

/** What a broken order of effects puts in place of the real thing. */
export interface Wiring {
  readonly runWorker: typeof runWorker
  wrapState?(process: OwnerProcess, store: StateStore, ports: WorkerDeps['log']): StateStore
  wrapCopy?(copy: StateCopy): StateCopy
}

export interface ClusterDeps {
  readonly timeline: Timeline
  readonly observer: Observer
  readonly plan: FaultPlan
  readonly random: Random
  readonly log: MemoryEventLog
  readonly store: MemoryStateStore
  readonly blobs: BlobStore
  readonly blobLosses: BlobLosses
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
  readonly #losses: StateLosses
  readonly #hotCopy: HotCopy | undefined
  #startedCount = 0
  #isStarting = false

  constructor(deps: ClusterDeps) {
    this.#deps = deps
    this.#losses = new StateLosses(deps)
    this.#hotCopy = deps.drawn.features.has(copiedFeature)
      ? new HotCopy(deps, deps.wiring.wrapCopy)
      : undefined
    const { random, drawn } = deps
    const { tickMs, idleMs, dueLookMs } = drawn.pace
    const layouts = [[[0, 1, 2]], [[0, 1], [2]], [[0], [1], [2]]]
    const isShared = drawn.features.has(sharedFeature)
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
    const running = [...this.#running].find(({ process }) => !process.isPaused)
    if (running !== undefined) await this.#stop(running)
  }

  /** The side store is emptied; once it is mended, all are started again, one after the other. */
  async loseBlobs(): Promise<void> {
    await this.#deps.blobLosses.loseAll()
    for (const running of [...this.#running]) await this.#stop(running)
  }

  async #stop(running: Running): Promise<void> {
    const { timeline, observer } = this.#deps
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
      this.#rollBack()
      this.ensureOwner()
    })()
  }

  /** All owners die, and the state with them; the log is all there is. */
  loseState(): void {
    this.#killAll()
    this.#losses.empty()
    this.ensureOwner()
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
        onLoss: (kind) => {
          this.#losses.lose(kind)
          if (kind === 'empty') void this.loseBlobs()
        },
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
    const { observer, plan, log, blobs, mailbox, renderer, wiring, drawn } = this.#deps
    const { timeline } = this.#deps
    const ports = { process, observer, plan, timeline, drawn, losses: this.#losses }
    const advisor = createAdvisor(createBlend(smallBlend))
    const primary = wrapState(ports, this.#losses.watch(), this.disk)
    const copied = this.#hotCopy?.before(primary, process) ?? primary
    const state = watchShown(ports, copied)
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

  #died(process: OwnerProcess, isRolledBack: boolean): void {
    this.#remove(process, 'killed')
    if (isRolledBack) this.#rollBack()
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
      const isWanting = code === 'BLOB_MISSING' && this.#deps.blobLosses.isLacking
      const isExpected =
        error instanceof OperatingError && (error.retryable || code === 'OWNER_FENCED' || isWanting)
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
  #rollBack(): void {
    this.#killAll()
    this.#losses.rollBack()
  }

  #killAll(): void {
    for (const { process } of [...this.#running]) {
      process.die()
      this.#remove(process, 'killed')
    }
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
