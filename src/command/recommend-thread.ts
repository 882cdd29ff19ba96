/** Starts the thread of the recommendation index. */

import { type MessagePort, Worker } from 'node:worker_threads'
import type { ServerValues } from '../config.ts'
import { OperatingError } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'
import { servePort } from '../lib/port-call.ts'
import type { RecommendWorkerData } from '../main-recommend.ts'
import { isShared, lookMsOf, type StoreOptions } from './store-options.ts'
import type { ThreadLine } from './thread-logger.ts'

export interface RecommendThreadOptions {
  readonly values: ServerValues
  readonly stores: StoreOptions
  readonly partitionCount: number
  /** For those who ask, one each; they are transferred. */
  readonly ports: readonly MessagePort[]
}

/** Resolves when it knows how far the feed goes: from then on the fold may add to it. */
export async function startRecommendThread(
  deps: { readonly logger: Logger },
  options: RecommendThreadOptions,
): Promise<Worker> {
  const { values, stores, partitionCount, ports } = options
  const data: RecommendWorkerData = {
    state: stores.state,
    partitionCount,
    eventCountMax: values['recommend.eventCountMax'],
    ports,
    ...(isShared(stores) ? { followMs: lookMsOf(values) } : {}),
  }
  const worker = new Worker(new URL('../main-recommend.ts', import.meta.url), {
    workerData: data,
    transferList: [...ports],
  })
  const opened = Promise.withResolvers<void>()
  worker.once('error', (error) => opened.reject(error))
  worker.once('exit', () =>
    opened.reject(new OperatingError('STORE_IO', 'open the recommendation index, which ended')),
  )
  servePort(worker, {
    opened: () => opened.resolve(),
    log: ({ level, fields, event }: ThreadLine) => deps.logger[level](fields, event),
  })
  await opened.promise
  return worker
}
