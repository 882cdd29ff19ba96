/**
 * Properties of retained activity that are found later than the activity itself: a rule names one
 * for the first time, and the past is read again for it. Pure.
 *
 * What travels is a pack of the same form (activity-pack.ts): events that have one of the
 * properties, each with all its lines and those properties alone. A value follows from the event,
 * so adding it twice changes nothing, whatever path it came by.
 */

import type { Json, JsonObject } from '../lib/json.ts'
import {
  appendActivity,
  decodeActivity,
  emptyPack,
  type PackedActivity,
  propertiesBytesMax,
} from './activity-pack.ts'

/** By the name of an event, the names of properties of it. */
export type PropertyNames = ReadonlyMap<string, readonly string[]>

/** Returns what a pack says of these properties; empty where it says nothing. */
export function pickProperties(pack: Uint8Array, wanted: PropertyNames): Uint8Array {
  const lines: PackedActivity[] = []
  const told = new Set<string>()
  for (const line of decodeActivity(pack)) {
    const names = wanted.get(line.name)
    if (names === undefined) continue
    const { properties = {}, ...bare } = line
    const some = names.filter((name) => Object.hasOwn(properties, name))
    const picked = some.map((name): [string, Json] => [name, properties[name] as Json])
    if (picked.length > 0) told.add(eventOf(line))
    lines.push(picked.length === 0 ? bare : { ...bare, properties: Object.fromEntries(picked) })
  }
  const found = lines.filter((line) => told.has(eventOf(line)))
  return found.length === 0 ? emptyPack : appendActivity(emptyPack, found)
}

/**
 * Returns the pack with the values that its lines lack, or undefined where they lack none. A line
 * that would have more than `propertiesBytesMax` stays as it is.
 */
export function addProperties(pack: Uint8Array, values: Uint8Array): Uint8Array | undefined {
  const found = byLine(decodeActivity(values))
  let isChanged = false
  const lines = decodeActivity(pack)
  // Lines that are gone are the first of their event, so equal ones are met from the last on.
  const added = lines.toReversed().map((line) => {
    const properties = joinProperties(line.properties, found.get(lineOf(line))?.pop()?.properties)
    if (properties === undefined) return line
    isChanged = true
    return { ...line, properties }
  })
  return isChanged ? appendActivity(emptyPack, added.reverse()) : undefined
}

/** Undefined where nothing is added, or too much. */
function joinProperties(
  known: JsonObject | undefined,
  more: JsonObject | undefined,
): JsonObject | undefined {
  const missing = Object.entries(more ?? {}).filter(([name]) => !Object.hasOwn(known ?? {}, name))
  if (missing.length === 0) return undefined
  const joined = { ...known, ...Object.fromEntries(missing) }
  return Buffer.byteLength(JSON.stringify(joined)) > propertiesBytesMax ? undefined : joined
}

function byLine(lines: readonly PackedActivity[]): ReadonlyMap<string, PackedActivity[]> {
  return Map.groupBy(lines, lineOf)
}

function eventOf({ name, occurredAtMs, eventRef }: PackedActivity): string {
  return `${occurredAtMs}/${eventRef}/${name}`
}

function lineOf(line: PackedActivity): string {
  return `${eventOf(line)}\0${line.itemId ?? ''}`
}
