/**
 * Lets the fold give way to intake where both want the same cores and intake cannot keep up.
 *
 * What arrives must be durable before it can be answered, and what is durable can be folded a
 * little later: so in a burst the fold stands still between two rounds, longer the longer the burst
 * lasts, and catches up behind it. Only the time of commits moves; what the fold makes of the log
 * does not depend on it.
 *
 * It stands still only where all of this is true, so it is never for nothing and never for ever:
 * 1. the thread that takes requests has had no rest: it ran, or stood ready, nearly all the time;
 * 2. it stood ready without a core: with a core of its own it loses nothing to the fold;
 * 3. no partition lies further behind than `lagMsMax`. Beyond it the fold runs at full speed.
 *
 * Even then a round follows each pause, so the fold goes on with a share of its core.
 */

import type { Clock } from '../lib/clock.ts'
import type { ThreadLoad } from '../lib/thread-load.ts'

export interface GiveWayDeps {
  readonly clock: Clock
  /** Reads the load of the thread that takes requests; undefined where the system does not tell. */
  readIntake(): ThreadLoad | undefined
  /** CPU time of the fold's own thread since its start, in ms. */
  ranMs(): number
  /** How far the slowest partition lies behind, in ms. */
  lagMs(): number
  /** Told how long the fold stood still. */
  paused(ms: number): void
}

export interface GiveWay {
  /** Called between two rounds; resolves at once where intake has what it needs. */
  pause(signal: AbortSignal): Promise<void>
}

/** Between two looks at the load: a running thread's time is only known to a few ms. */
const lookMs = 50
/** Of the time since the last look: above it intake has had no rest. */
const busyShareHigh = 0.7
/** Of the time since the last look: below it the cores suffice for both. */
const waitShareHigh = 0.03
const pauseMsMin = 5
/** Beside rounds of 20 ms it leaves the fold a sixth of a core. */
const pauseMsMax = 100
/**
 * What a round takes of a core where the state is in a file. Where it is elsewhere, the commits of
 * many partitions and what comes with them make a round longer, and a pause longer with it.
 */
const roundMs = 20
const longPauseMsMax = 1000

/** `lagMsMax` 0: the fold never stands still. */
export function createGiveWay(
  deps: GiveWayDeps,
  { lagMsMax }: { readonly lagMsMax: number },
): GiveWay {
  const { clock } = deps
  let lookedAtMs = clock.monotonicMs()
  let before = deps.readIntake()
  let pauseMs = 0
  let ranMs = deps.ranMs()

  const look = (): void => {
    const nowMs = clock.monotonicMs()
    const sinceMs = nowMs - lookedAtMs
    if (sinceMs < lookMs) return
    const now = deps.readIntake()
    const isShort = isShortOfCores(before, now, sinceMs)
    lookedAtMs = nowMs
    before = now
    if (isShort) pauseMs = Math.min(pauseMsMax, Math.max(pauseMsMin, 2 * pauseMs))
    else pauseMs = pauseMs > pauseMsMin ? pauseMs / 2 : 0
  }

  return {
    async pause(signal) {
      if (lagMsMax === 0) return
      look()
      const nowRanMs = deps.ranMs()
      const roundsRan = (nowRanMs - ranMs) / roundMs
      ranMs = nowRanMs
      if (pauseMs === 0 || signal.aborted || deps.lagMs() >= lagMsMax) return
      const startedAtMs = clock.monotonicMs()
      await clock.sleep(Math.min(longPauseMsMax, pauseMs * Math.max(1, roundsRan)), signal)
      deps.paused(clock.monotonicMs() - startedAtMs)
    },
  }
}

function isShortOfCores(
  before: ThreadLoad | undefined,
  now: ThreadLoad | undefined,
  sinceMs: number,
): boolean {
  if (before === undefined || now === undefined) return false
  const waitedMs = now.waitedMs - before.waitedMs
  const busyMs = now.ranMs - before.ranMs + waitedMs
  return busyMs >= busyShareHigh * sinceMs && waitedMs >= waitShareHigh * sinceMs
}
