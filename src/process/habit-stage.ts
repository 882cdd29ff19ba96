/** The stage that adds an event to sessions and affinities of the part it belongs to. */

import type { ActivityLine } from '../event/activity.ts'
import type { Event } from '../event/event.ts'
import { tasteOf } from '../event/taste.ts'
import { actionWeights, priceBandOf, type Taste } from '../profile/habit/affinity-pack.ts'
import { addHabits } from '../profile/habit/habit-pack.ts'
import { readTouch } from '../profile/habit/touch.ts'
import type { Person, ProfilePart } from '../profile/person.ts'
import type { CompiledDefinitions } from './definitions.ts'

export interface Behaviour {
  readonly event: Event
  /** Orders events of one instant. */
  readonly order: number
  readonly lines: readonly ActivityLine[]
}

const none: readonly Taste[] = []

/** Adds an event that is activity to the habits of `part`; a late one as one in time. */
export function applyHabits(
  definitions: CompiledDefinitions,
  { parts }: Person,
  part: ProfilePart,
  { event, order, lines }: Behaviour,
): void {
  const { name, occurredAtMs: atMs } = event
  const idleMs = definitions.sessionIdleMsOf(event.sourceId)
  const visit =
    idleMs === 0 ? undefined : { atMs, order, idleMs, readTouch: () => readTouch(event) }
  const action = Object.hasOwn(actionWeights, name) ? (actionWeights[name] ?? 0) : 0
  const tastes = action === 0 ? none : tastesOf(event, lines)
  addHabits(parts, part, { visit, atMs, tastes, action })
}

function tastesOf(event: Event, lines: readonly ActivityLine[]): readonly Taste[] {
  const tastes: Taste[] = []
  for (const line of lines) {
    const taste = tasteOf(event, line)
    if (taste === undefined) continue
    const { category, brand, price } = taste
    tastes.push({ category, brand, priceBand: price === undefined ? price : priceBandOf(price) })
  }
  return tastes
}
