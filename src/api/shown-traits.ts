/** How the API shows traits, stated and computed, and how they came to be. */

import type { FoundPerson } from '../delivery/read-state.ts'
import { murmur3 } from '../lib/hash.ts'
import { timeText } from '../lib/time-text.ts'
import type { TraitInForce } from '../profile/computed/computed-trait.ts'
import { exactFromOf, viewComputed } from '../profile/computed/view-computed.ts'
import type { StoredTrait } from '../profile/trait-statement.ts'
import type { settleTraits } from '../profile/view-person.ts'

/** Returns each trait with what counts, and below it what other sources say. */
export function showTraits(settled: ReturnType<typeof settleTraits>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(settled).map(([name, { winner, others }]) => [
      name,
      {
        ...showStatement(winner),
        ...(others.length === 0 ? {} : { others: others.map(showStatement) }),
      },
    ]),
  )
}

function showStatement([value, atMs, source, version, isOnce]: StoredTrait) {
  return {
    value,
    source,
    at: timeText(atMs),
    ...(typeof version === 'number' ? { version } : {}),
    ...(isOnce === true ? { isOnce } : {}),
  }
}

export interface ShownComputed {
  /** Undefined where no computed trait is in force. */
  readonly traits: Record<string, unknown> | undefined
  /** Tells versions of one profile apart that differ by time alone. */
  readonly tag: string
  /** When the values change if nothing happens. */
  readonly untilMs: number
}

const nothing: ShownComputed = { traits: undefined, tag: '', untilMs: Infinity }

/** Returns the computed traits as they are at `nowMs`. */
export function showComputed({ person, inForce }: FoundPerson, nowMs: number): ShownComputed {
  if (inForce.traits.length === 0) return nothing
  const view = viewComputed(person.parts, inForce)
  const traits: Record<string, unknown> = {}
  for (const { trait, value, isExact } of view.answersAt(nowMs)) {
    const { name, kind, sinceVersion, fromMs } = trait
    const exactMs = exactSinceOf(trait)
    const isPending = view.isPending(name)
    traits[name] = {
      value: value ?? null,
      kind,
      state: isPending ? 'pending' : 'ready',
      ...(isPending ? {} : { isExact }),
      definitionVersion: sinceVersion,
      ...(exactMs === undefined || isPending ? {} : { exactSince: timeText(exactMs) }),
      ...(fromMs === undefined || isPending ? {} : { eventsFrom: timeText(fromMs) }),
    }
  }
  const tag = `.${murmur3(JSON.stringify(traits)).toString(36)}`
  return { traits, tag, untilMs: view.nextChangeAt(nowMs) }
}

/** Undefined while it is pending, and for a count of all time that a trimmed log cut short. */
function exactSinceOf(trait: TraitInForce): number | undefined {
  if (trait.readyAtMs === undefined) return undefined
  const atMs = Math.max(trait.readyAtMs, exactFromOf(trait) ?? 0)
  return atMs === Infinity ? undefined : atMs
}
