/**
 * Thread of the owner: folds the partitions that the log assigns, and delivers beside the fold. The
 * state is written here alone.
 *
 * The main thread calls `render`, `waitCommitted`, `counts`, `measures`, `renderMemory` and `stop`;
 * it is told `opened`, `definitions`, `stopped`, `log` and `failed`.
 */

import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { duePrefix } from './campaign/message.ts'
import { createAdvise, emailAnswerMsMax, orNothing } from './command/advise-port.ts'
import { basesDirOf } from './command/base-folder.ts'
import type { LearnMessage } from './command/index-keeper.ts'
import { createOpenFillBase } from './command/open-fill-base.ts'
import { openBlobStore, openEventLog, openStateStore } from './command/open-stores.ts'
import type { StoreOptions } from './command/store-options.ts'
import { createThreadLogger } from './command/thread-logger.ts'
import type { DeliveryOptions } from './delivery/delivery.ts'
import { openSmtpMailer, type SmtpMailerOptions } from './delivery/smtp-mailer.ts'
import { assert } from './lib/assert.ts'
import { type Clock, nextTurn, systemClock } from './lib/clock.ts'
import { type ErrorCode, OperatingError } from './lib/errors.ts'
import { createFailpoint } from './lib/failpoint.ts'
import { keepTicksFast } from './lib/fast-ticks.ts'
import type { Logger } from './lib/logger.ts'
import { createPortCaller, servePort } from './lib/port-call.ts'
import { systemRandom } from './lib/random.ts'
import { openMainThreadLoad } from './lib/thread-load.ts'
import { lowerOwnPriority } from './lib/thread-niceness.ts'
import type { EventLog, Place } from './log/event-log.ts'
import { createOwnerMeter, type OwnerMeter } from './monitor/owner-measures.ts'
import { createCommitWaiter } from './process/commit-waiter.ts'
import { withFailpoints } from './process/failpoint-ports.ts'
import { createFreshness, type Freshness, lagMsOf } from './process/freshness.ts'
import { createGiveWay, type GiveWay } from './process/give-way.ts'
import type { Published } from './process/processor.ts'
import type { ProcessorOptions } from './process/processor-options.ts'
import { itemPrefix } from './process/scope.ts'
import { type AdvisorPort, runWorker, type WorkerDeps } from './process/worker.ts'
import { computedKey } from './profile/computed/computed-trait.ts'
import { personPrefix } from './profile/person.ts'
import { createChangeBoard, withChangeBoard } from './state/change-board.ts'
import { withCommitMark } from './state/commit-mark.ts'
import { createMemoryStateStore } from './state/memory-state-store.ts'
import type { StateStore } from './state/state-store.ts'
import type { SigningKeys } from './template/links.ts'
import { openRenderPool, type RenderPoolOptions } from './template/render-pool.ts'
import type { RenderInput } from './template/template.ts'

export interface WorkWorkerData {
  readonly stores: StoreOptions
  /** How far this thread, and those that render, give way to intake; 0 where none is here. */
  readonly niceness: number
  /** Lag up to which the fold stands still for intake; 0 where none is here. */
  readonly yieldLagMsMax: number
  /** Only in tests, see `lib/failpoint.ts`. */
  readonly failpoint?: string | undefined
  /** Where the log is on this machine: to the thread that writes it. */
  readonly logPort?: MessagePort | undefined
  readonly advisorPort: MessagePort
  readonly freshness: SharedArrayBuffer
  /** Of `createChangeBoard`; absent where other processes write the state too. */
  readonly changes?: SharedArrayBuffer | undefined
  /** Of `withCommitMark`; absent where the state is elsewhere. */
  readonly commitMark?: SharedArrayBuffer | undefined
  readonly processor: ProcessorOptions
  readonly render: RenderPoolOptions
  readonly signingKeys: SigningKeys
  /** Absent where the server was started without what is needed to send. */
  readonly sending?: {
    readonly smtp: SmtpMailerOptions
    readonly delivery: DeliveryOptions
  }
}

/** What servers show from memory, and have to know the changes of. */
const watchedPrefixes = [personPrefix, itemPrefix, computedKey]

/** What the past is read with. On one machine the folder is at hand that `attune base` fills. */
function fillPortsOf(
  { log }: StoreOptions,
  { identity }: EventLog,
  logger: Logger,
): Pick<WorkerDeps, 'openScratch' | 'openFillBase'> {
  const openScratch = createMemoryStateStore
  if (log.kind !== 'sqlite') return { openScratch }
  const tell = (says: string): void => logger.warn({}, says)
  const openFillBase = createOpenFillBase(basesDirOf(log.dataDir, undefined), identity, tell)
  return { openScratch, openFillBase }
}

async function run(data: WorkWorkerData): Promise<void> {
  assert(parentPort !== null, 'main-work runs as a worker')
  keepTicksFast()
  lowerOwnPriority(data.niceness)
  const main = createPortCaller(parentPort)
  const logger = createThreadLogger(main)
  const deps = { clock: systemClock, logger }
  const { stores, logPort: port, failpoint } = data
  const opened = await openStateStore(deps, stores.state)
  const store = data.commitMark === undefined ? opened : withCommitMark(opened, data.commitMark)
  const blobs = await openBlobStore(deps, stores.state, { hasPutThread: true })
  const log = await openEventLog(deps, stores.log, { stream: 'events', port, isWorker: true })
  const meter = createOwnerMeter(systemClock)
  const renderPool = await openRenderPool(data.render, data.signingKeys)
  const renderer = meter.measureRenderer(renderPool)
  const measured = meter.measureState(store)
  const state =
    data.changes === undefined
      ? measured
      : withChangeBoard(measured, createChangeBoard(data.changes), watchedPrefixes)
  const mailer = data.sending && meter.measureMailer(await openSmtpMailer(data.sending.smtp))
  const waiter = createCommitWaiter(systemClock)
  const stop = new AbortController()
  const owned = new Set<number>()
  const onCommitted = (published: Published): void => {
    waiter.committed(published.partition, published.offset)
    meter.committed(published)
    if (published.ownedEpoch !== undefined) owned.add(published.partition)
    for (const effect of published.effects) {
      if (effect.kind === 'definitions-changed' && published.partition === 0) {
        main.tell('definitions', effect.hash)
      }
    }
  }
  const freshness = createFreshness(data.freshness)
  const giveWay = openGiveWay(data, { owned, freshness, meter })
  const ports = { log, state, ...(mailer === undefined ? {} : { mailer }) }
  const worker = runWorker(
    {
      ...(failpoint === undefined ? ports : withFailpoints(ports, createFailpoint(failpoint))),
      blobs,
      renderer,
      advisor: connectAdvisor(deps, data.advisorPort, stores.log.kind === 'sqlite'),
      ...fillPortsOf(stores, log, logger),
      ...turnsOf(giveWay, stop.signal),
      ...deps,
      random: systemRandom,
      freshness,
      onCommitted,
      onLost: (partition) => owned.delete(partition),
      reportStopped: (partition, stopped) => main.tell('stopped', { partition, stopped }),
    },
    { processor: data.processor, delivery: data.sending?.delivery ?? noDelivery },
    stop.signal,
  )
  worker.catch((error: unknown) => main.tell('failed', failureOf(error)))
  servePort(parentPort, {
    render: (input: RenderInput) => renderer.render(input),
    waitCommitted: (asked: { places: readonly Place[]; msMax: number }) =>
      waiter.wait(asked.places, asked.msMax),
    counts: async () => ({
      ownedCount: owned.size,
      lagCount: await countLag(log, state, owned),
      messagesWaiting: await countDue(state, owned),
    }),
    measures: () => meter.take(),
    renderMemory: () => renderPool.readMemory(),
    stop: async () => {
      stop.abort()
      await worker
      await renderer.close()
      await mailer?.close()
      await log.close()
      await state.close()
      await blobs.close()
      giveWay.close()
      data.advisorPort.close()
    },
  })
  main.tell('opened')
}

function turnsOf(giveWay: GiveWay, signal: AbortSignal): Pick<WorkerDeps, 'nextTurn' | 'handOver'> {
  return { nextTurn: () => nextTurn().then(() => giveWay.pause(signal)), handOver: nextTurn }
}

function failureOf(error: unknown): { readonly code: ErrorCode; readonly says: string } {
  return {
    code: error instanceof OperatingError ? error.code : 'STORE_IO',
    says: error instanceof Error ? (error.stack ?? '') : String(error),
  }
}

function ownCpuMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}

/** Lets the fold give way to the thread of this process that takes requests. */
function openGiveWay(
  { yieldLagMsMax }: WorkWorkerData,
  given: {
    readonly owned: ReadonlySet<number>
    readonly freshness: Freshness
    readonly meter: OwnerMeter
  },
): GiveWay & { close(): void } {
  const { owned, freshness, meter } = given
  const startedAtMs = systemClock.nowMs()
  const intake = openMainThreadLoad()
  const giveWay = createGiveWay(
    {
      clock: systemClock,
      readIntake: () => intake.read(),
      ranMs: ownCpuMs,
      lagMs: () => lagMsOf(freshness, owned, { nowMs: systemClock.nowMs(), startedAtMs }),
      paused: (ms) => meter.yielded(ms),
    },
    { lagMsMax: yieldLagMsMax },
  )
  return { ...giveWay, close: () => intake.close() }
}

/** Counts records that are in the log and not in the state, of the partitions owned here. */
async function countLag(
  log: EventLog,
  state: StateStore,
  owned: ReadonlySet<number>,
): Promise<number> {
  const lags = await Promise.all(
    [...owned].map(async (each) => (await log.end(each)) - (await state.head(each)).offset),
  )
  return lags.reduce((sum, lag) => sum + Math.max(0, lag), 0)
}

/** Counts messages that are due, up to a bound per partition. */
async function countDue(state: StateStore, owned: ReadonlySet<number>): Promise<number> {
  const pages = await Promise.all(
    [...owned].map((each) => state.scan(each, duePrefix, '', dueCountMax)),
  )
  return pages.reduce((sum, page) => sum + page.length, 0)
}

const dueCountMax = 10_000

const noDelivery: DeliveryOptions = {
  from: '',
  envelopeFrom: '',
  publicUrl: '',
  signingKeyId: '',
  addressSecret: new Uint8Array(0),
  staleWaitMs: 100,
  attemptCountMax: 1,
  queueCountMax: 1,
}

/** Where several processes fold, the index follows the feed of all of them in the state. */
function connectAdvisor(
  deps: { readonly clock: Clock; readonly logger: Logger },
  port: MessagePort,
  isFedHere: boolean,
): AdvisorPort {
  const caller = createPortCaller(port)
  return {
    learn: (interactions, feed) => {
      if (isFedHere) caller.tell('learn', { interactions, feed } satisfies LearnMessage)
    },
    erase: (erased, feed) => {
      if (isFedHere) caller.tell('learn', { interactions: [], erased, feed } satisfies LearnMessage)
    },
    follow: (item) => {
      if (isFedHere) caller.tell('follow', item)
    },
    advise: orNothing(createAdvise(caller, deps, emailAnswerMsMax), deps),
  }
}

await run(workerData as WorkWorkerData)
