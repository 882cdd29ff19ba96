/** Turns stored parts into what rules, rankings, templates and the API see. Pure. */

import type { Json } from '../lib/json.ts'
import {
  addEventTimes,
  decodeActivity,
  type EventTimes,
  type PackedActivity,
} from './activity-pack.ts'
import { joinBought } from './bought-pack.ts'
import type { ComputedInForce } from './computed/computed-trait.ts'
import { type ComputedView, type TimedValue, viewComputed } from './computed/view-computed.ts'
import type { HabitPart } from './habit/habit-pack.ts'
import type { Person, PersonTraits } from './person.ts'
import type { Activity, EventTotal, PersonView } from './person-view.ts'
import {
  type SettledTrait,
  type StoredTrait,
  settleTrait,
  statementsOf,
} from './trait-statement.ts'

/**
 * Returns one view over all parts; with computed traits where `inForce` tells of them. What a rule
 * does not ask for is not made, so the person may change only when the view is done with.
 */
export function viewPerson(
  person: Person,
  traits: PersonTraits,
  inForce?: ComputedInForce,
): PersonView {
  return new StoredView(person, traits, inForce)
}

class StoredView implements PersonView {
  readonly key: string
  readonly identities: readonly string[]
  readonly habitParts: readonly HabitPart[]
  readonly memberships: readonly string[]
  readonly withdrawn: PersonView['withdrawn']
  readonly #person: Person
  readonly #stored: PersonTraits
  readonly #inForce: ComputedInForce | undefined
  #traits: PersonView['traits'] | undefined
  #activity: PersonView['activity'] | undefined
  #totals: PersonView['totals'] | undefined
  #times: ReadonlyMap<string, EventTimes> | undefined
  #timesAfterMs = -Infinity
  #computed: ComputedView | undefined

  constructor(person: Person, stored: PersonTraits, inForce: ComputedInForce | undefined) {
    this.key = person.key
    this.identities = person.parts.map(({ key }) => key)
    this.habitParts = person.parts
    this.memberships = Object.keys(person.memberships)
    this.withdrawn = person.withdrawn
    this.#person = person
    this.#stored = stored
    this.#inForce = inForce
  }

  get traits(): PersonView['traits'] {
    this.#traits ??= valuesOf(currentTraits(this.#person, this.#stored, this.#inForce))
    return this.#traits
  }

  get activity(): PersonView['activity'] {
    this.#activity ??= mergedActivity(this.#person)
    return this.#activity
  }

  get bought(): Uint8Array | undefined {
    return joinBought(this.#person.parts)
  }

  get totals(): PersonView['totals'] {
    this.#totals ??= mergedTotals(this.#person)
    return this.#totals
  }

  eventTimes(name: string, afterMs: number): readonly number[] {
    if (this.#times === undefined || afterMs < this.#timesAfterMs) {
      this.#times = mergedTimes(this.#person, afterMs)
      this.#timesAfterMs = afterMs
    }
    const times = this.#times.get(name)
    if (times?.isOrdered === false) putInOrder(times)
    return times?.atMs ?? noTimes
  }

  computed(name: string): TimedValue | undefined {
    if (this.#inForce === undefined) return undefined
    this.#computed ??= viewComputed(this.#person.parts, this.#inForce)
    return this.#computed.timed(name)
  }
}

const noTimes: readonly number[] = []

function valuesOf(traits: Readonly<Record<string, StoredTrait>>): PersonView['traits'] {
  return Object.fromEntries(Object.entries(traits).map(([name, [value]]) => [name, value]))
}

/** Returns the statement of each trait that counts. */
export function currentTraits(
  person: Person,
  traits: PersonTraits,
  inForce?: ComputedInForce,
): Readonly<Record<string, StoredTrait>> {
  const settled = settleTraits(person, traits, inForce)
  return Object.fromEntries(Object.entries(settled).map(([name, { winner }]) => [name, winner]))
}

/** Returns all traits with what counts and what does not, over all parts. */
export function settleTraits(
  { parts }: Person,
  traits: PersonTraits,
  inForce?: ComputedInForce,
): Readonly<Record<string, SettledTrait>> {
  const stated = new Map<string, StoredTrait[]>()
  for (const { key } of parts) {
    for (const [name, stored] of Object.entries(traits[key] ?? {})) {
      const known = stated.get(name)
      if (known === undefined) stated.set(name, [...statementsOf(stored)])
      else known.push(...statementsOf(stored))
    }
  }
  const priorities = inForce?.priorities ?? {}
  const settled: [string, SettledTrait][] = []
  for (const [name, statements] of stated) {
    const priority = Object.hasOwn(priorities, name) ? priorities[name] : undefined
    const trait = settleTrait(statements, priority)
    if (trait !== undefined) settled.push([name, trait])
  }
  return Object.fromEntries(settled)
}

function mergedActivity(person: Person): readonly Activity[] {
  const [first] = person.parts
  const isOne = first !== undefined && person.parts.length === 1
  const entries = isOne
    ? decodeActivity(first.activity)
    : person.parts.flatMap((part) => decodeActivity(part.activity))
  return isOrdered(entries) ? entries : entries.toSorted(compareActivity)
}

/** As the entries of one part mostly are: then nothing has to be sorted. */
function isOrdered(entries: readonly PackedActivity[]): boolean {
  for (let index = 1; index < entries.length; index++) {
    const before = entries[index - 1]
    const entry = entries[index]
    if (before === undefined || entry === undefined) continue
    if (compareActivity(before, entry) > 0) return false
  }
  return true
}

/** By name, what grouping `mergedActivity` to events would tell of those later than `afterMs`. */
function mergedTimes({ parts }: Person, afterMs: number): ReadonlyMap<string, EventTimes> {
  const byName = new Map<string, EventTimes>()
  for (const { activity } of parts) addEventTimes(activity, afterMs, byName)
  return byName
}

function putInOrder(times: EventTimes): void {
  const { atMs, refs } = times
  const events = atMs.map((each, index) => ({ atMs: each, ref: refs[index] ?? 0 }))
  events.sort((left, right) => left.atMs - right.atMs || left.ref - right.ref)
  const isOther = (each: (typeof events)[number], index: number): boolean => {
    const before = events[index - 1]
    return before === undefined || before.atMs !== each.atMs || before.ref !== each.ref
  }
  const inOrder = events.filter(isOther)
  times.atMs = inOrder.map((each) => each.atMs)
  times.refs = inOrder.map((each) => each.ref)
  times.isOrdered = true
}

function compareActivity(left: PackedActivity, right: PackedActivity): number {
  return left.occurredAtMs - right.occurredAtMs || left.eventRef - right.eventRef
}

function mergedTotals(person: Person): Readonly<Record<string, EventTotal>> {
  const totals: Record<string, EventTotal> = {}
  for (const part of person.parts) {
    for (const [name, [count, valueSum, firstAtMs, lastAtMs]] of Object.entries(part.totals)) {
      const before = Object.hasOwn(totals, name) ? totals[name] : undefined
      totals[name] = {
        count: count + (before?.count ?? 0),
        valueSum: valueSum + (before?.valueSum ?? 0),
        firstAtMs: Math.min(firstAtMs, before?.firstAtMs ?? firstAtMs),
        lastAtMs: Math.max(lastAtMs, before?.lastAtMs ?? lastAtMs),
      }
    }
  }
  return totals
}

/** Returns the different items of events named `name`, newest first, at most `countMax`. */
export function recentItems(
  activity: readonly Activity[],
  name: string,
  countMax: number,
): readonly Activity[] {
  const recent = new Map<string, Activity>()
  for (let index = activity.length - 1; index >= 0 && recent.size < countMax; index--) {
    const entry = activity[index]
    if (entry?.name !== name || entry.itemId === undefined) continue
    if (!recent.has(entry.itemId)) recent.set(entry.itemId, entry)
  }
  return [...recent.values()]
}

/** Returns one trait as text, or undefined where it is absent or not text. */
export function textTrait(
  traits: Readonly<Record<string, Json>>,
  name: string,
): string | undefined {
  const value = Object.hasOwn(traits, name) ? traits[name] : undefined
  return typeof value === 'string' ? value : undefined
}
