/**
 * Says whether events are taken now.
 *
 * Closed where the fold lags by more than the limit, or the log's queue has passed its high mark
 * and not yet come down to the low one (both 429); where the wall clock and the monotonic clock
 * have come over 60 s apart (503: a jump must not fire every timer); or while stopping (503).
 *
 * A request that is refused here costs neither memory nor parsing: its body is not read. The room
 * above the high mark is for requests that are in hand already.
 */

import type { Intake } from '../collect/exchange.ts'
import type { ServerValues } from '../config.ts'
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import type { EventLog } from '../log/event-log.ts'
import { type Freshness, lagMsOf } from '../process/freshness.ts'

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
  readonly logger: Logger
}

const jumpMsMax = 60_000
const lookMs = 100
/** Shares of `log.queueBytesHigh`, at which an append itself is refused. */
const queueShareHigh = 0.75
const queueShareLow = 0.5
const open: Intake = { kind: 'open' }

export function createIntakeGate(deps: IntakeGateDeps, values: ServerValues): IntakeGate {
  const { clock, freshness, log, logger } = deps
  const partitions = Array.from({ length: log.identity.partitionCount }, (_, index) => index)
  const startedAtMs = clock.nowMs()
  const baseMs = startedAtMs - clock.monotonicMs()
  let isStopping = false
  let isQueueFull = false
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
    lag = lagMsOf(freshness, partitions, { nowMs: clock.nowMs(), startedAtMs })
    return lag
  }
  const lookAtQueue = (): boolean => {
    const queueBytes = log.queueBytes()
    const share = queueBytes / values['log.queueBytesHigh']
    if (isQueueFull ? share > queueShareLow : share < queueShareHigh) return isQueueFull
    isQueueFull = !isQueueFull
    const says =
      'intake pauses, since the log is slower than what comes: look at its disk or brokers'
    if (isQueueFull) logger.warn({ queueBytes }, says)
    else logger.info({ queueBytes }, 'intake goes on')
    return isQueueFull
  }
  return {
    lagMs,
    intake() {
      if (isStopping) return closed('stopping', 5)
      if (Math.abs(clock.nowMs() - clock.monotonicMs() - baseMs) > jumpMsMax) {
        return closed('clock', 30)
      }
      if (lookAtQueue()) return closed('lag', 1)
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
