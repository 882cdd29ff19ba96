/**
 * Looks whether delivery has forgotten a message: one that is due at two looks, `lookMs` apart, of
 * which delivery knows nothing though it has nothing else to do. There should be none. Where there
 * is one, it is told as an error, and its partition is taken up again.
 *
 * Partitions whose state lags are left out: what stands there as due may be answered in the log.
 */

import { duePrefix } from '../campaign/message.ts'
import type { Clock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'
import type { StateReader } from '../state/state-store.ts'

export interface DueWatchDeps {
  readonly state: StateReader
  readonly clock: Clock
  readonly logger: Logger
  /** Greatest age of what the state shows of a partition. */
  ageMs(partition: number): number
  /** Those for which something may begin. */
  partitions(): readonly number[]
  /** True while messages wait for their turn: more of them are in the index alone then. */
  isBusy(): boolean
  /** True for a message that is in hand, or was put aside for a while. */
  isKnown(messageId: string): boolean
  /** Looks through the index of a partition. */
  lookAgain(partition: number): void
}

const scanCountMax = 1000
/** The event that is logged. */
export const forgottenEvent = 'delivery stood still before due messages; taking them up'

/** Runs until `signal` aborts. */
export async function watchDue(
  deps: DueWatchDeps,
  lookMs: number,
  signal: AbortSignal,
): Promise<void> {
  const { clock, logger } = deps
  let before = new Set<string>()
  while (!signal.aborted) {
    await clock.sleep(lookMs, signal)
    const unknown = new Set<string>()
    for (const partition of signal.aborted ? [] : deps.partitions()) {
      const messageIds = await findUnknown(deps, partition, lookMs)
      const forgotten = messageIds.filter((each) => before.has(each))
      for (const messageId of messageIds) unknown.add(messageId)
      if (forgotten.length === 0) continue
      const fields = { partition, forgottenCount: forgotten.length, messageId: forgotten[0] }
      logger.error(fields, forgottenEvent)
      deps.lookAgain(partition)
    }
    before = unknown
  }
}

async function findUnknown(
  deps: DueWatchDeps,
  partition: number,
  lookMs: number,
): Promise<readonly string[]> {
  if (deps.isBusy() || deps.ageMs(partition) >= lookMs) return []
  try {
    const page = await deps.state.scan(partition, duePrefix, '', scanCountMax)
    const messageIds = page.map(({ key }) => key.slice(duePrefix.length))
    return messageIds.filter((messageId) => !deps.isKnown(messageId))
  } catch (error) {
    // Whoever folds tells of a store that is away, or broken.
    if (error instanceof OperatingError) return []
    throw error
  }
}
