/**
 * Says whether events are taken now.
 *
 * Closed where the fold lags by more than the limit (429), where the wall clock and the monotonic
 * clock have come over 60 s apart (503: a jump must not fire every timer), or while stopping (503).
 */

import type { Intake } from '../collect/exchange.ts'
import type { ServerValues } from '../config.ts'
import type { Clock } from '../lib/clock.ts'
import type { EventLog } from '../log/event-log.ts'
import type { Freshness } from '../process/freshness.ts'

export interface IntakeGate {
  intake(): Intake
  stop(): void
  close(): void
  /** How far the slowest partition lies behind, in ms. */
  lagMs(): number
}

export interface IntakeGateDeps {
  readonly clock: Clock
  readonly freshness: Freshness
  readonly log: EventLog
}

const jumpMsMax = 60_000
const lookMs = 100
const open: Intake = { kind: 'open' }

export function createIntakeGate(deps: IntakeGateDeps, values: ServerValues): IntakeGate {
  const { clock, freshness, log } = deps
  const { partitionCount } = log.identity
  const startedAtMs = clock.nowMs()
  const baseMs = startedAtMs - clock.monotonicMs()
  let isStopping = false
  let lookedAt = Number.NEGATIVE_INFINITY
  let lag = 0
  const closed = (reason: 'lag' | 'clock' | 'stopping', retryAfterSeconds: number): Intake => ({
    kind: 'closed',
    reason,
    retryAfterSeconds,
  })
  const lagMs = (): number => {
    const monotonicMs = clock.monotonicMs()
    if (monotonicMs - lookedAt < lookMs) return lag
    lookedAt = monotonicMs
    let oldestMs = Number.POSITIVE_INFINITY
    for (let partition = 0; partition < partitionCount; partition++) {
      // A partition that no one has confirmed since the start lags by no more than is known of it;
      // counted from 1970, every start would begin by refusing.
      oldestMs = Math.min(oldestMs, freshness.confirmedAtMs(partition) || startedAtMs)
    }
    lag = Math.max(0, clock.nowMs() - oldestMs)
    return lag
  }
  return {
    lagMs,
    intake() {
      if (isStopping) return closed('stopping', 5)
      if (Math.abs(clock.nowMs() - clock.monotonicMs() - baseMs) > jumpMsMax) {
        return closed('clock', 30)
      }
      return lagMs() > values['collect.lagMsMax'] ? closed('lag', 5) : open
    },
    stop() {
      isStopping = true
    },
    close() {
      isStopping = true
    },
  }
}
