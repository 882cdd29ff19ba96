import type { Clock } from '../lib/clock.ts'
import type { EventLog } from '../log/event-log.ts'
import type { Assignment } from './assignment.ts'
import type { Owned } from './ownership.ts'

/**
 * Waits until the log holds more for a partition that can be folded, `waitMs` have passed, other
 * partitions are assigned, or `signal` aborts.
 */
export async function waitForWork(
  { log, clock }: { readonly log: EventLog; readonly clock: Clock },
  given: {
    readonly owned: readonly Owned[]
    readonly assignment: Assignment
    readonly waitMs: number
  },
  signal: AbortSignal,
): Promise<void> {
  const { owned, assignment, waitMs } = given
  const folds = owned.map(({ fold }) => fold).filter((fold) => fold.stopped === undefined)
  // Own ticks and entries of the outbox are there already: nothing to set up.
  const hasMore = folds.some(({ partition, awaits }) => log.hasMore(partition, awaits))
  if (hasMore || signal.aborted) return
  const woken = new AbortController()
  const wake = (): void => woken.abort('woken')
  signal.addEventListener('abort', wake, { once: true })
  assignment.onChange(wake)
  await Promise.race([
    log.wait(
      folds.map(({ partition }) => partition),
      folds.map(({ awaits }) => awaits),
      woken.signal,
    ),
    clock.sleep(waitMs, woken.signal),
  ])
  wake()
  assignment.onChange(undefined)
  signal.removeEventListener('abort', wake)
}
