/**
 * What `start`, `dev` and `demo` share: signals, the exit code, the logger.
 *
 * A first SIGTERM or SIGINT stops cleanly, within `server.stopMsMax`; repeats within five seconds
 * are taken for the same key press, a later one ends at once. Exit 70 where the store or a thread
 * failed: what was acknowledged is on the disk.
 */

import pino from 'pino'
import { systemClock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import { createMetrics } from '../lib/metrics.ts'
import { systemRandom } from '../lib/random.ts'
import { lowerHelperPriority } from '../lib/thread-niceness.ts'
import { describeError } from './describe-error.ts'
import { endProcess } from './end-process.ts'
import { nicenessOf } from './recommend-thread.ts'
import { openServer, type RunningServer, type ServerDeps, type ServerOptions } from './server.ts'
import { limitHeaps } from './thread-heaps.ts'

/** EX_SOFTWARE of sysexits: the process cannot go on. */
export const exitFailed = 70

const samePressMs = 5000

export interface StartFlags {
  readonly config?: string
  readonly [name: string]: string | undefined
}

/** Log lines as JSON on stderr; stdout is for data. */
export function createLogger(level: string): Logger {
  return pino({ level, base: null }, pino.destination({ dest: 2, sync: false }))
}

export function createServerDeps(level: string): ServerDeps {
  return {
    clock: systemClock,
    random: systemRandom,
    logger: createLogger(level),
    metrics: createMetrics({ hasProcessMetrics: true }),
  }
}

/**
 * Opens a server and runs `work` until it resolves, a signal comes, or the server fails. Returns
 * the exit code.
 */
export async function runServer(
  deps: ServerDeps,
  options: ServerOptions,
  work: (server: RunningServer, signal: AbortSignal) => Promise<number>,
): Promise<number> {
  limitHeaps(options.values)
  const stop = new AbortController()
  const ended = new AbortController()
  const forget = onStopSignal(deps, stop)
  const stopMs = options.values['server.stopMsMax']
  // Also while the server is being opened: nothing is acknowledged yet then.
  const onStop = (): void => {
    void deps.clock.sleep(stopMs, ended.signal).then(() => {
      if (ended.signal.aborted) return
      // The logger writes a moment later, which does not come any more.
      process.stderr.write(`attune: the stop took longer than ${stopMs} ms; ending\n`)
      endProcess(exitFailed)
    })
  }
  stop.signal.addEventListener('abort', onStop, { once: true })
  try {
    const server = await openServer(deps, { ...options, signal: stop.signal })
    // Not before: the start takes all that the cores give.
    lowerHelperPriority(nicenessOf(options.values))
    const failed = server.failed.then((error) => {
      // The store is gone: nothing can be committed any more, so nothing is waited for.
      process.stderr.write(describeError(error))
      endProcess(exitFailed)
    })
    const code = await Promise.race([work(server, stop.signal), failed])
    stop.abort()
    await server.close()
    return code
  } finally {
    ended.abort()
    forget()
  }
}

/** Resolves when `signal` aborts. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

function onStopSignal(deps: ServerDeps, stop: AbortController): () => void {
  let firstAt: number | undefined
  const onSignal = (name: NodeJS.Signals): void => {
    const now = deps.clock.monotonicMs()
    if (firstAt !== undefined && now - firstAt > samePressMs) endProcess(exitFailed)
    firstAt ??= now
    if (!stop.signal.aborted) deps.logger.info({ signal: name }, 'stopping')
    stop.abort()
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
  return () => {
    process.off('SIGTERM', onSignal)
    process.off('SIGINT', onSignal)
  }
}
