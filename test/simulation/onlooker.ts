/**
 * How fresh the partitions of other owners are, as one of several owners finds out: it looks at log
 * and state from outside when it wants to know, and not more often than every `lookMsMin`.
 */

import { silentLogger } from '../../src/lib/logger.ts'
import type { EventLog } from '../../src/log/event-log.ts'
import { openStateFollower, type StateFollower } from '../../src/process/follow-state.ts'
import type { Freshness } from '../../src/process/freshness.ts'
import type { StateReader } from '../../src/state/state-store.ts'
import type { OwnerProcess } from './owner-process.ts'
import { minuteMs, secondMs } from './world-definitions.ts'

const lookMsMin = 20 * secondMs
const never = 100 * 24 * 60 * minuteMs

export function watchOthers(
  process: OwnerProcess,
  ports: { readonly log: EventLog; readonly state: StateReader },
): Freshness {
  const { clock, freshness } = process
  let follower: StateFollower | undefined
  let nextAtMs = 0
  const look = async (): Promise<void> => {
    const deps = { ...ports, clock, freshness, logger: silentLogger }
    if (follower === undefined) follower = await openStateFollower(deps, { lookMs: never })
    else await follower.look()
  }
  return {
    ...freshness,
    confirmedAtMs(partition) {
      const now = clock.monotonicMs()
      if (now >= nextAtMs) {
        nextAtMs = now + lookMsMin
        // A fault in between: the data counts as old until the next look.
        look().catch(() => undefined)
      }
      return freshness.confirmedAtMs(partition)
    },
  }
}
