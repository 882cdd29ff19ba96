/** What is counted or kept without events that the log had been trimmed of before it came. */

import { systemClock } from '../lib/clock.ts'
import { timeText } from '../lib/time-text.ts'
import { computedKey, decodeInForce } from '../profile/computed/computed-trait.ts'
import { exactFromOf } from '../profile/computed/view-computed.ts'
import type { DataReader } from './data-reader.ts'

export interface MissingLook {
  /** Of a computed trait, or `event/property`. */
  readonly name: string
  /** No event is missing from here on. */
  readonly eventsFrom: string
}

/** Leaves out traits whose window has moved on; a property is as old as the rules that see it. */
export async function lookAtMissing({ state }: DataReader): Promise<readonly MissingLook[]> {
  const [bytes] = await state.get(0, [computedKey])
  const { traits, properties = [] } = decodeInForce(bytes)
  const nowMs = systemClock.nowMs()
  const counted = traits.filter((trait) => (exactFromOf(trait) ?? 0) > nowMs)
  const kept = properties.map(({ event, property, fromMs }) => ({
    name: `${event}/${property}`,
    fromMs,
  }))
  return [...counted, ...kept].flatMap(({ name, fromMs }) =>
    fromMs === undefined ? [] : [{ name, eventsFrom: timeText(fromMs) }],
  )
}
