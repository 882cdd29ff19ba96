/**
 * Starts the threads of the owner and of the recommendation index, and speaks to them. Where other
 * processes own partitions too, what is known of those comes from a look at the state.
 */

import { MessageChannel, Worker } from 'node:worker_threads'
import type { ApiDeps, StoppedPartition } from '../api/api-deps.ts'
import type { ServerValues } from '../config.ts'
import { parseMailbox } from '../event/address.ts'
import type { Clock } from '../lib/clock.ts'
import { catalog, type ErrorCode, OperatingError } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'
import { createPortCaller, type PortCaller, servePort } from '../lib/port-call.ts'
import { openStuckWatch } from '../lib/stuck-watch.ts'
import { readWorkerMemory, type ThreadMemory } from '../lib/thread-memory.ts'
import type { EventLog } from '../log/event-log.ts'
import type { LogThread } from '../log/sqlite-log-thread.ts'
import type { WorkWorkerData } from '../main-work.ts'
import type { OwnerMeasures } from '../monitor/owner-measures.ts'
import { openStateFollower, type StateFollower } from '../process/follow-state.ts'
import { createFreshness, createFreshnessBuffer, type Freshness } from '../process/freshness.ts'
import { processorDefaults } from '../process/processor-options.ts'
import { changeBoardBytes, createChangeBoard } from '../state/change-board.ts'
import { commitMarkBytes, runningCommit } from '../state/commit-mark.ts'
import type { StateReader } from '../state/state-store.ts'
import { type RenderPoolOptions, renderPoolDefaults } from '../template/render-pool.ts'
import { createAdvise, pageAnswerMsMax } from './advise-port.ts'
import type { Secrets } from './data-dir.ts'
import { nicenessOf, startRecommendThread } from './recommend-thread.ts'
import { isShared, lookMsOf, type StoreOptions } from './store-options.ts'
import { workYoungMbOf } from './thread-heaps.ts'
import type { ThreadLine } from './thread-logger.ts'

export interface Owner
  extends Pick<
    ApiDeps,
    'advise' | 'indexState' | 'changes' | 'render' | 'waitCommitted' | 'health'
  > {
  readonly freshness: Freshness
  readonly failed: Promise<OperatingError>
  /**
   * Calls `listener` with the hash of the definitions in force, now if known and after each change.
   */
  onDefinitions(listener: (hash: string) => Promise<void>): void
  /** What the thread measured since the last call. */
  takeMeasures(): Promise<OwnerMeasures>
  /** What the threads hold that belong to it. */
  readMemory(): Promise<readonly ThreadMemory[]>
  close(): Promise<void>
}

export interface OwnerOptions {
  readonly values: ServerValues
  readonly secrets: Secrets
  readonly stores: StoreOptions
  /** Where the log is on this machine. */
  readonly logThread: LogThread | undefined
  readonly log: EventLog
  readonly state: StateReader
  readonly failpoint: string | undefined
}

const dayMs = 86_400_000
/** Few more than the connections: all of them are unclear after a crash. */
const attemptCountMax = 32
const deliveryQueueCountMax = 20_000
const smtpTimeLimitMs = 30_000
const staleWaitMs = 20
/** Of the time that the next owner waits: the rest is for the last commit and the release. */
const drainShare = 0.7
/** Partitions folded side by side where each read of the state is a round trip. */
const sideBySideCount = 16

/** Resolves when the fold is running. On failure both threads are ended. */
export async function openOwner(
  deps: { readonly clock: Clock; readonly logger: Logger },
  options: OwnerOptions,
): Promise<Owner> {
  const { values, stores, logThread, log } = options
  const { partitionCount } = log.identity
  const shared = createFreshnessBuffer(partitionCount)
  const freshness = createFreshness(shared)
  const follower = isShared(stores)
    ? await openStateFollower({ ...deps, ...options, freshness }, { lookMs: lookMsOf(values) })
    : undefined
  const apiAdvisor = new MessageChannel()
  const workAdvisor = new MessageChannel()
  const ports = [apiAdvisor.port1, workAdvisor.port1]
  const recommend = await startRecommendThread(deps, { values, stores, partitionCount, ports })
  const logPort = logThread?.connect()
  // What other processes commit is on no board of this one.
  const changes = isShared(stores) ? undefined : new SharedArrayBuffer(changeBoardBytes)
  const commitMark = isShared(stores) ? undefined : new SharedArrayBuffer(commitMarkBytes)
  const given = { logPort, advisorPort: workAdvisor.port2, freshness: shared, changes, commitMark }
  const data = workDataOf(options, given)
  const work = new Worker(new URL('../main-work.ts', import.meta.url), {
    name: 'work',
    workerData: data,
    transferList: [workAdvisor.port2, ...(logPort === undefined ? [] : [logPort])],
    // The fold makes much that lives for one batch: a small nursery would promote it.
    resourceLimits: { maxYoungGenerationSizeMb: workYoungMbOf(values) },
  })
  const told = listenTo(work, deps.logger)
  const watch = commitMark && openStuckWatch(() => runningCommit(commitMark), told.callStuck)
  const caller = createPortCaller(work)
  const advisor = createPortCaller(apiAdvisor.port2)
  const end = async (): Promise<void> => {
    await work.terminate()
    await watch?.close()
    apiAdvisor.port2.close()
    await recommend.close()
    await follower?.close()
  }
  try {
    await told.opened
  } catch (error) {
    await end()
    throw error
  }
  return {
    freshness,
    ...(changes === undefined ? {} : { changes: createChangeBoard(changes) }),
    failed: Promise.race([
      ...[told.failed, recommend.failed],
      ...(follower === undefined ? [] : [follower.failed]),
    ]),
    advise: createAdvise(advisor, deps, pageAnswerMsMax),
    indexState: () => recommend.state(),
    render: (input) => caller.call('render', input),
    waitCommitted: (places, msMax) =>
      follower?.waitCommitted(places, msMax) ?? caller.call('waitCommitted', { places, msMax }),
    health: () => healthOf(caller, told, follower),
    takeMeasures: () => caller.call('measures'),
    async readMemory() {
      const renders = caller.call<readonly ThreadMemory[]>('renderMemory')
      const { clock } = deps
      const each = [readWorkerMemory(clock, work), recommend.readMemory(), renders]
      return (await Promise.all(each)).flat()
    },
    onDefinitions: (listener) => (follower ?? told).onDefinitions(listener),
    async close() {
      told.expectEnd()
      await caller.call('stop')
      await end()
    },
  }
}

async function healthOf(
  caller: PortCaller,
  told: Told,
  follower: StateFollower | undefined,
): ReturnType<ApiDeps['health']> {
  const counts = await caller.call<WorkCounts>('counts')
  const stopped = [...told.stopped.values()]
  const unready = stopped.map(
    ({ partition, offset }) => `partition ${partition} stopped before offset ${offset}`,
  )
  if (follower?.isAway === true) unready.push('log or state cannot be reached')
  return {
    unready,
    partitions: { owned: counts.ownedCount, stopped },
    lagCount: follower?.lagCount ?? counts.lagCount,
    ownedLagCount: counts.lagCount,
    messagesWaiting: counts.messagesWaiting,
  }
}

export function renderOptionsOf(values: ServerValues): RenderPoolOptions {
  return {
    ...renderPoolDefaults,
    threadCount: values['render.threadCount'],
    hardMs: values['render.hardMs'],
    softMs: Math.min(renderPoolDefaults.softMs, values['render.hardMs']),
  }
}

interface WorkCounts {
  readonly ownedCount: number
  readonly lagCount: number
  readonly messagesWaiting: number
}

function workDataOf(
  options: OwnerOptions,
  shared: Pick<WorkWorkerData, 'logPort' | 'advisorPort' | 'freshness' | 'changes' | 'commitMark'>,
): WorkWorkerData {
  const { values, stores } = options
  return {
    ...shared,
    stores,
    niceness: nicenessOf(values),
    yieldLagMsMax: yieldLagMsMaxOf(values),
    failpoint: options.failpoint,
    processor: {
      ...processorDefaults,
      batchCountMax: values['process.batchCountMax'],
      batchMsMax: values['process.batchMsMax'],
      historyMs: values['history.retentionDays'] * dayMs,
      ...(isShared(stores)
        ? { handOverMsMax: values['process.handOverMsMax'], sideBySideCount }
        : {}),
    },
    render: renderOptionsOf(values),
    signingKeys: options.secrets.signingKeys,
    ...sendingOf(options),
  }
}

/**
 * The fold gives way to intake of its own process alone, and is at full speed long before intake
 * would be closed for its lag.
 */
function yieldLagMsMaxOf(values: ServerValues): number {
  if (values['server.role'] !== 'all') return 0
  return Math.min(values['process.yieldLagMsMax'], values['collect.lagMsMax'] / 2)
}

interface Told {
  readonly opened: Promise<void>
  readonly failed: Promise<OperatingError>
  /** By partition: those that stand before a record they cannot fold. */
  readonly stopped: ReadonlyMap<number, StoppedPartition>
  onDefinitions(listener: (hash: string) => Promise<void>): void
  /** From now on the end of the thread is no failure. */
  expectEnd(): void
  /** A commit of the state does not come back. */
  callStuck(): void
}

/** Takes what the owner's thread tells. */
function listenTo(work: Worker, logger: Logger): Told {
  const failed = Promise.withResolvers<OperatingError>()
  const opened = Promise.withResolvers<void>()
  const stopped = new Map<number, StoppedPartition>()
  let definitionsHash = ''
  let onDefinitions: (hash: string) => Promise<void> = () => Promise.resolve()
  let isEndExpected = false
  const fail = (error: OperatingError): void => {
    failed.resolve(error)
    opened.reject(error)
  }
  work.on('error', (error) => fail(new OperatingError('STORE_IO', 'run the fold', error)))
  work.on('exit', () => {
    if (!isEndExpected) fail(new OperatingError('STORE_IO', 'run the fold, which ended'))
  })
  servePort(work, {
    opened: () => opened.resolve(),
    failed: ({ code, says }: { code: string; says: string }) =>
      fail(new OperatingError(isErrorCode(code) ? code : 'STORE_IO', says)),
    definitions: async (hash: string) => {
      definitionsHash = hash
      await onDefinitions(hash)
    },
    stopped: (at: { partition: number; stopped?: { offset: number; says: string } }) => {
      if (at.stopped === undefined) stopped.delete(at.partition)
      else stopped.set(at.partition, { partition: at.partition, ...at.stopped })
    },
    log: ({ level, fields, event }: ThreadLine) => logger[level](fields, event),
  })
  return {
    opened: opened.promise,
    failed: failed.promise,
    stopped,
    onDefinitions(listener) {
      onDefinitions = listener
      if (definitionsHash !== '') void listener(definitionsHash)
    },
    expectEnd() {
      isEndExpected = true
    },
    callStuck: () => fail(new OperatingError('STORE_STUCK', 'commit to the state')),
  }
}

/** What is needed to send, or nothing where a part of it was not given. */
function sendingOf(options: OwnerOptions): Pick<WorkWorkerData, 'sending'> {
  const { values, secrets } = options
  const smtpUrl = values['delivery.smtpUrl']
  const publicUrl = values['server.publicUrl']?.replace(/\/$/, '')
  const from = values['delivery.from']
  if (smtpUrl === undefined || publicUrl === undefined || from === undefined) return {}
  const mailbox = parseMailbox(from)
  if (mailbox.kind === 'refused') return {}
  return {
    sending: {
      smtp: {
        url: smtpUrl,
        connectionCountMax: values['delivery.connectionCountMax'],
        timeLimitMs: smtpTimeLimitMs,
      },
      delivery: {
        from,
        envelopeFrom: mailbox.address,
        publicUrl,
        signingKeyId: secrets.signingKeys.currentId,
        addressSecret: secrets.addressSecret,
        staleWaitMs,
        attemptCountMax,
        queueCountMax: deliveryQueueCountMax,
        ratePerSecondMax: values['delivery.ratePerSecondMax'],
        drainMsMax: drainShare * values['process.handOverMsMax'],
      },
    },
  }
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(catalog, code)
}
