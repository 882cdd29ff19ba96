/** Waits until a server has folded all that it took; how long that takes is up to the machine. */

import { type Clock, systemClock } from '../src/lib/clock.ts'
import { onceIn } from '../src/lib/once-in.ts'
import type { AttuneServer } from './attune-server.ts'

export interface DrainOptions {
  /** A fold that comes no nearer to the end of the log for so long is given up. */
  readonly stillMsMax: number
  readonly clock: Clock
  /** Told now and then how far it is. */
  tell(says: string): void
}

const tellMsMin = 10_000

/**
 * Resolves when the fold has reached the log's end twice in a row; answers how long that took.
 * Rejects where it stands still.
 */
export async function drain(
  server: Pick<AttuneServer, 'lagCount'>,
  options: Partial<DrainOptions> = {},
): Promise<number> {
  const { stillMsMax = 60_000, clock = systemClock, tell = tellOnStderr } = options
  const mayTell = onceIn(clock, tellMsMin)
  const startedAt = clock.monotonicMs()
  let nearest = Number.POSITIVE_INFINITY
  let nearestAt = startedAt
  let doneAt: number | undefined
  while (clock.monotonicMs() - nearestAt < stillMsMax) {
    const now = clock.monotonicMs()
    const count = await server.lagCount()
    if (count === 0 && doneAt !== undefined) return doneAt - startedAt
    doneAt = count === 0 ? now : undefined
    if (count < nearest) {
      nearest = count
      nearestAt = clock.monotonicMs()
    }
    if (count > 0 && mayTell()) tell(`${count} events to fold`)
    await clock.sleep(count === 0 ? 20 : 100)
  }
  throw new Error(`the fold stands still ${nearest} events before the end of the log`)
}

function tellOnStderr(says: string): void {
  process.stderr.write(`${says}\n`)
}
