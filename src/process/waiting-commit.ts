/**
 * Commits, and waits for a store that cannot be reached: the batch is kept, nothing more of its
 * partitions is folded meanwhile. The store knows a commit that it took already.
 */

import type { Clock } from '../lib/clock.ts'
import { isRetryable } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'
import { onceIn } from '../lib/once-in.ts'
import type { CommitAnswer, PartitionCommit, StateStore } from '../state/state-store.ts'

export type WaitingCommit = (
  commits: readonly PartitionCommit[],
) => Promise<readonly CommitAnswer[]>

export function createWaitingCommit(
  deps: { readonly state: StateStore; readonly clock: Clock; readonly logger: Logger },
  retryMs: number,
): WaitingCommit {
  const { state, clock, logger } = deps
  /** Many partitions may wait at a time: one of them says so. */
  const maySay = onceIn(clock, retryMs)
  return async (commits) => {
    for (;;) {
      try {
        return await state.commit(commits)
      } catch (error) {
        if (!isRetryable(error)) throw error
        if (maySay()) {
          logger.warn(
            { error: String(error) },
            'the state cannot be committed; trying again in 1 s',
          )
        }
        await clock.sleep(retryMs)
      }
    }
  }
}
