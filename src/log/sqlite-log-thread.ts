/**
 * Starts the thread that writes both logs, and watches it from outside.
 *
 * A commit that does not come back cannot be noticed by the thread that waits for it, so this side
 * watches it.
 */

import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import { assert } from '../lib/assert.ts'
import { type Clock, systemClock } from '../lib/clock.ts'
import { type ErrorCode, OperatingError } from '../lib/errors.ts'
import { openStuckWatch } from '../lib/stuck-watch.ts'
import { readWorkerMemory, type ThreadMemory } from '../lib/thread-memory.ts'
import { SharedBlock } from './sqlite-log-protocol.ts'

export interface LogThreadOptions {
  /** Bytes that may wait for a commit, of all callers together; beyond it `append` rejects. */
  readonly queueBytesHigh?: number
  /** A commit that takes longer is a disk that does not answer. */
  readonly stuckMs?: number
  readonly clock?: Clock
  /** Only in tests, see `LogFaults`. */
  readonly faults?: SharedArrayBuffer
  /** Only in tests, see `lib/failpoint.ts`. */
  readonly failpoint?: string | undefined
}

export interface LogThread {
  /** Returns a port for one `openSqliteEventLog`; it can be transferred to another worker. */
  connect(): MessagePort
  /** Resolves with the first failure that is for good: STORE_IO, STORE_CORRUPT or STORE_STUCK. */
  readonly failed: Promise<OperatingError>
  readMemory(): Promise<readonly ThreadMemory[]>
  /** Looks at the running commit once; called by itself. */
  checkStuck(): void
  /** Commits what waits, closes the files, ends the thread. */
  close(): Promise<void>
}

export type LogThreadOrder =
  | { readonly kind: 'connect'; readonly port: MessagePort }
  | { readonly kind: 'close' }

export type LogThreadMessage =
  | { readonly kind: 'ready'; readonly buffer: SharedArrayBuffer; readonly partitionCount: number }
  | { readonly kind: 'unready'; readonly code: ErrorCode; readonly says: string }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly says: string }

const queueBytesHighDefault = 64 * 1024 * 1024

/**
 * Opens both logs of `dataDir` in a new thread. Rejects where they are not there or of another
 * format.
 */
export async function startLogThread(
  dataDir: string,
  options: LogThreadOptions = {},
): Promise<LogThread> {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const worker = new Worker(new URL(`../main-log.${extension}`, import.meta.url), {
    name: 'log',
    workerData: {
      dataDir,
      queueBytesHigh: options.queueBytesHigh ?? queueBytesHighDefault,
      failpoint: options.failpoint,
      ...(options.faults ? { faults: options.faults } : {}),
    },
  })
  const failed = Promise.withResolvers<OperatingError>()
  const exited = Promise.withResolvers<void>()
  const ready = Promise.withResolvers<SharedBlock>()
  let isClosing = false
  const fail = (error: OperatingError): void => {
    failed.resolve(error)
    ready.reject(error)
  }
  worker.on('message', (message: LogThreadMessage) => {
    if (message.kind === 'ready') {
      ready.resolve(new SharedBlock(message.partitionCount, message.buffer))
    } else fail(new OperatingError(message.code, message.says))
  })
  worker.on('error', (error) => fail(new OperatingError('STORE_IO', 'run the log thread', error)))
  worker.on('exit', () => {
    if (!isClosing) fail(new OperatingError('STORE_IO', 'run the log thread, which ended'))
    exited.resolve()
  })

  const shared = await ready.promise
  const runningNow = (): number | undefined => {
    const { commitNumber } = shared
    return commitNumber % 2 === 0 ? undefined : commitNumber
  }
  const onStuck = (): void => failed.resolve(new OperatingError('STORE_STUCK', 'commit to the log'))
  const watch = openStuckWatch(runningNow, onStuck, options)
  return {
    failed: failed.promise,
    checkStuck: watch.look,
    readMemory: () => readWorkerMemory(options.clock ?? systemClock, worker),
    connect() {
      assert(!isClosing, 'an open log thread is asked for a port')
      const { port1, port2 } = new MessageChannel()
      worker.postMessage({ kind: 'connect', port: port1 } satisfies LogThreadOrder, [port1])
      return port2
    },
    async close() {
      isClosing = true
      worker.postMessage({ kind: 'close' } satisfies LogThreadOrder)
      await Promise.all([watch.close(), exited.promise])
    },
  }
}
