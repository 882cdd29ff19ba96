/**
 * The owner's word on time: ticks where a timer is due and nothing arrives, and where a record has
 * come so long after the last word that it waits for the next.
 */

import type { Clock } from '../lib/clock.ts'
import { isRetryable } from '../lib/errors.ts'
import type { EventLog } from '../log/event-log.ts'
import type { NewRecord } from '../log/record.ts'
import type { Owned } from './ownership.ts'
import { dueMsOf } from './partition-view.ts'

export interface TickerDeps {
  readonly log: EventLog
  readonly clock: Clock
}

/** Appends ticks where time has to move; returns when the next timer is due, in wall time. */
export async function appendTicks(
  { log, clock }: TickerDeps,
  { tickMs }: { readonly tickMs: number },
  given: {
    readonly owned: readonly Owned[]
    readonly retryMs: number
    recordOf(owned: Owned, nowMs: number): NewRecord
  },
): Promise<number> {
  const nowMs = clock.nowMs()
  let nextDueMs = Number.POSITIVE_INFINITY
  const ticking: Owned[] = []
  const ready = given.owned.filter(({ fold, isOwner, tickedAtMs }) => {
    const isOnItsWay = fold.scope.meta.ownerMs < Math.floor(tickedAtMs)
    return isOwner && fold.stopped === undefined && !isOnItsWay
  })
  // Mostly in memory; side by side where each is a round trip.
  const unread = ready.filter(({ fold }) => !fold.knowsFirstTimer())
  if (unread.length > 0) await Promise.all(unread.map(({ fold }) => fold.firstTimer()))
  for (const owned of ready) {
    const { meta } = owned.fold.scope
    const timer = owned.fold.earliestTimer()
    const dueMs = timer === undefined ? Number.POSITIVE_INFINITY : dueMsOf(timer)
    // Where the owner's own clock is behind, ticking faster would not move it: one per `tickMs`.
    const nextTickMs = meta.ownerMs + tickMs
    const isBehind = meta.foldMs > nextTickMs && nowMs >= nextTickMs
    if (dueMs <= nowMs || isBehind || owned.fold.isAwaitingWord) ticking.push(owned)
    else nextDueMs = Math.min(nextDueMs, dueMs)
  }
  if (ticking.length === 0) return nextDueMs
  try {
    await log.append(ticking.map((owned) => given.recordOf(owned, nowMs)))
  } catch (error) {
    // A full disk, or a log that does not answer: nothing moves until it does.
    if (!isRetryable(error)) throw error
    return nowMs + given.retryMs
  }
  for (const owned of ticking) owned.tickedAtMs = nowMs
  return nowMs
}
