/** Starts the thread of the recommendation index, and ends it. */

import { join } from 'node:path'
import { type MessagePort, Worker } from 'node:worker_threads'
import type { ServerValues } from '../config.ts'
import type { Clock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'
import { answerWithin, createPortCaller, servePort } from '../lib/port-call.ts'
import { readWorkerMemory, type ThreadMemory } from '../lib/thread-memory.ts'
import type { RecommendWorkerData } from '../main-recommend.ts'
import type { IndexState } from '../recommend/advisor.ts'
import { isShared, lookMsOf, type StoreOptions } from './store-options.ts'
import type { ThreadLine } from './thread-logger.ts'

export interface RecommendThreadOptions {
  readonly values: ServerValues
  readonly stores: StoreOptions
  readonly partitionCount: number
  /** For those who ask, one each; they are transferred. */
  readonly ports: readonly MessagePort[]
}

export interface RecommendThread {
  /** Resolves where the thread ends by itself once it had begun: nothing is learned any more. */
  readonly failed: Promise<OperatingError>
  /** Answers nothing while the index fills, and where it does not answer in time. */
  state(): Promise<IndexState | undefined>
  readMemory(): Promise<readonly ThreadMemory[]>
  /** Ends the thread; it writes a snapshot before, if it is filled by then. */
  close(): Promise<void>
}

/** For the last snapshot. A thread that still fills is ended at once: it would not hear of it. */
const closeMsMax = 10_000
const stateAnswerMsMax = 3_000
/**
 * What the thread makes and drops at once. Without a limit V8 lets it grow to 128 MB before it
 * looks; the index itself lies in arrays beside it.
 */
const youngMbMax = 48

/**
 * Threads that may lag give way only where intake is in the same process: elsewhere they would give
 * way to strangers.
 */
export function nicenessOf(values: ServerValues): number {
  return values['server.role'] === 'all' ? values['process.niceness'] : 0
}

/** Resolves when it knows how far the feed goes: from then on the fold may add to it. */
export async function startRecommendThread(
  deps: { readonly clock: Clock; readonly logger: Logger },
  options: RecommendThreadOptions,
): Promise<RecommendThread> {
  const { values, stores, partitionCount, ports } = options
  const data: RecommendWorkerData = {
    state: stores.state,
    partitionCount,
    eventCountMax: values['recommend.eventCountMax'],
    niceness: nicenessOf(values),
    ports,
    snapshot: {
      path: join(values['server.dataDir'], 'recommend-index.snapshot'),
      everyCount: values['recommend.snapshotEveryCount'],
    },
    ...(isShared(stores) ? { followMs: lookMsOf(values) } : {}),
  }
  const worker = new Worker(new URL('../main-recommend.ts', import.meta.url), {
    name: 'recommend',
    workerData: data,
    resourceLimits: { maxYoungGenerationSizeMb: youngMbMax },
    transferList: [...ports],
  })
  const opened = Promise.withResolvers<void>()
  const failed = Promise.withResolvers<OperatingError>()
  let isFilled = false
  let isEndExpected = false
  worker.on('error', (error) => {
    opened.reject(error)
    failed.resolve(new OperatingError('INDEX_FAILED', 'run the recommendation index', error))
  })
  worker.on('exit', () => {
    if (isEndExpected) return
    const error = new OperatingError('INDEX_FAILED', 'run the recommendation index, which ended')
    opened.reject(error)
    failed.resolve(error)
  })
  servePort(worker, {
    opened: () => opened.resolve(),
    filled: () => {
      isFilled = true
    },
    log: ({ level, fields, event }: ThreadLine) => deps.logger[level](fields, event),
  })
  const caller = createPortCaller(worker)
  await opened.promise
  return {
    failed: failed.promise,
    state: async () =>
      isFilled
        ? await answerWithin(deps.clock, caller.call<IndexState>('state'), stateAnswerMsMax)
        : undefined,
    readMemory: () => readWorkerMemory(deps.clock, worker),
    async close() {
      isEndExpected = true
      const done = new AbortController()
      // Where it ends by itself or cannot write, what it would have kept is in the feed.
      const closed = isFilled ? caller.call('close').catch(() => undefined) : undefined
      await Promise.race([closed, deps.clock.sleep(closeMsMax, done.signal)])
      done.abort()
      await worker.terminate()
    },
  }
}
