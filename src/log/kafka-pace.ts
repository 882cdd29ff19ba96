/** How long a loop that polls a broker waits before it polls again. */

import type { Clock } from '../lib/clock.ts'

/** A poll that brought less is followed by a pause, so that a trickle is not a poll per record. */
const paceBytesMax = 64 * 1024
const paceMs = 3
/** Readers with so much before them are behind. */
const behindBytes = 256 * 1024
const behindPaceMs = 25

export interface Polled {
  readonly broughtBytes: number
  /** Of what was brought before, too, as it is when asked for. */
  unreadBytes(): number
}

/**
 * Resolves when the next poll may leave: later where readers are behind, since nobody waits for
 * more then, and one poll brings at once what many would.
 */
export async function paceKafkaPoll(
  clock: Clock,
  { broughtBytes, unreadBytes }: Polled,
  signal: AbortSignal,
): Promise<void> {
  if (broughtBytes >= paceBytesMax) return
  const endAtMs = clock.monotonicMs() + behindPaceMs
  const isBehind = (): boolean => unreadBytes() > behindBytes && clock.monotonicMs() < endAtMs
  do await clock.sleep(paceMs, signal)
  while (!signal.aborted && isBehind())
}
