import type { Clock } from '../lib/clock.ts'
import type { EventLog } from '../log/event-log.ts'
import type { Freshness } from './freshness.ts'
import type { Owned } from './ownership.ts'

/** A log that is asked by polling answers at its next poll. */
const askMsMax = 20
const promiseTurnCount = 12

export interface ConfirmOptions {
  /** Number of entries of a partition that have not reached the log. */
  pendingCount(partition: number): number
  /** True where there is more to fold: a log elsewhere is then asked, and not waited for. */
  readonly isBusy: boolean
}

/**
 * Confirms freshness where the state has reached what was the log's end when it was last looked at,
 * and nothing waits to be sent to other partitions. Tells the log how far each is folded.
 */
export async function confirmFreshness(
  deps: { readonly log: EventLog; readonly clock: Clock; readonly freshness: Freshness },
  owned: readonly Owned[],
  { pendingCount, isBusy }: ConfirmOptions,
): Promise<void> {
  const atMs = deps.clock.nowMs()
  const asks: Promise<void>[] = []
  for (const each of owned) {
    if (each.mark !== undefined || each.isMarking === true) continue
    asks.push(setMark(deps.log, each, atMs))
  }
  const asked = asks.length === 0 ? undefined : Promise.all(asks)
  // A log on this machine answers from memory: no timer is set for it.
  for (let turn = 0; turn < promiseTurnCount && isAsking(owned); turn++) await Promise.resolve()
  if (isAsking(owned) && isBusy) {
    // A question that fails is asked again by a later turn.
    asked?.catch(() => undefined)
  } else if (isAsking(owned)) {
    // Where the answer takes longer the fold goes on, and finds the mark in a later turn.
    const late = new AbortController()
    await Promise.race([asked, deps.clock.sleep(askMsMax, late.signal)])
    late.abort('answered')
  } else {
    await asked
  }
  for (const each of owned) {
    const { fold, mark } = each
    deps.log.noteFolded(fold.partition, fold.committedOffset)
    if (mark === undefined || fold.stopped !== undefined) continue
    if (fold.committedOffset < mark.end || pendingCount(fold.partition) > 0) continue
    deps.freshness.confirm(fold.partition, mark.atMs)
    each.mark = undefined
  }
}

function isAsking(owned: readonly Owned[]): boolean {
  return owned.some(({ isMarking }) => isMarking === true)
}

async function setMark(log: EventLog, owned: Owned, atMs: number): Promise<void> {
  owned.isMarking = true
  try {
    owned.mark = { end: await log.end(owned.fold.partition), atMs }
  } finally {
    owned.isMarking = false
  }
}
