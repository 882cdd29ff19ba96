/** What a partition has still to do, for tests that wait until all is done. */

import { duePrefix, grantedPrefix } from '../../src/campaign/message.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { dueMsOf, timerPrefix } from '../../src/process/partition-view.ts'
import { outboxPrefix } from '../../src/process/scope.ts'
import type { StateReader } from '../../src/state/state-store.ts'

/** A timer that is further off ends what is kept of the past, and nobody waits for that. */
const soonMsDefault = 3_600_000

/**
 * Returns the keys of work that is open, the first of each kind; a timer that is further off than
 * `soonMs` is none.
 */
export async function findOpenWork(
  state: Pick<StateReader, 'scan'>,
  partition: number,
  soonMs = soonMsDefault,
): Promise<readonly string[]> {
  const open: string[] = []
  for (const prefix of [duePrefix, grantedPrefix, timerPrefix, outboxPrefix]) {
    const [first] = await state.scan(partition, prefix, '', 1)
    if (first === undefined) continue
    if (prefix === timerPrefix && dueMsOf(first.key) > systemClock.nowMs() + soonMs) continue
    open.push(first.key)
  }
  return open
}
