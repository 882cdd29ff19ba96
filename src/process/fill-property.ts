/**
 * Properties of events that a rule names for the first time. From its place in the log on they are
 * kept with the activity; what events before it say is read from the log, as the past of a computed
 * trait is (fold-filled.ts), and until that is in its segments are left out (plan-segments.ts).
 *
 * What was found is put to the retained events that it belongs to, wherever their part is by now,
 * so nothing more is kept of a person. Each person that it changes gets a new version, by which the
 * past is told (refold.ts).
 */

import { addProperties, type PropertyNames } from '../profile/activity-values.ts'
import type {
  ComputedInForce,
  NamedProperty,
  PropertyInForce,
} from '../profile/computed/computed-trait.ts'
import { cutActivity, type Person } from '../profile/person.ts'
import type { CompiledDefinitions } from './definitions.ts'
import { updateMemberships } from './evaluate-segments.ts'
import { propertiesNamed } from './plan-segments.ts'
import { type FoldScope, readTraits, writePerson } from './scope.ts'

/** Returns the properties that definitions bring, with how far those known before have come. */
export function bringProperties(
  definitions: CompiledDefinitions,
  { properties: before = [] }: ComputedInForce,
  version: number,
): readonly PropertyInForce[] {
  return [...propertiesNamed(definitions)].flatMap(([event, names]) =>
    names.map((property): PropertyInForce => {
      const known = before.find((each) => isSame(each, [event, property]))
      return known ?? { event, property, sinceVersion: version }
    }),
  )
}

/** Returns those that are being filled; of one version, where it is given. */
export function findFilling(
  { properties = [] }: Pick<ComputedInForce, 'properties'>,
  version?: number,
): readonly NamedProperty[] {
  return properties
    .filter(({ readyAtMs }) => readyAtMs === undefined)
    .filter(({ sinceVersion }) => version === undefined || sinceVersion === version)
    .map(({ event, property }) => [event, property])
}

export function isSame(known: PropertyInForce, [event, property]: NamedProperty): boolean {
  return known.event === event && known.property === property
}

export function byEvent(properties: readonly NamedProperty[]): PropertyNames {
  const groups = Map.groupBy(properties, ([event]) => event)
  return new Map([...groups].map(([event, some]) => [event, some.map(([, name]) => name)]))
}

/** Puts values of the past to the retained events of a person whose traits are loaded. */
export function takeValues(scope: FoldScope, person: Person, values: Uint8Array): void {
  let isChanged = false
  // Its lines may have moved on from part to part; a value belongs to its event alone.
  for (const part of person.parts) {
    const activity = addProperties(part.activity, values)
    if (activity === undefined) continue
    part.activity = activity
    isChanged = true
  }
  if (!isChanged) return
  const dropped = new Set<string>()
  cutActivity(person, dropped)
  // What made room is no deed: nothing is triggered by it.
  if (dropped.size > 0) {
    updateMemberships(scope, person, readTraits(scope, person.key), { events: dropped })
  }
  writePerson(scope, person)
}
