/**
 * What a rule sees of one person: the view, and the activity grouped to events by name, made when
 * the first condition asks for them.
 *
 * An event of several items has several entries in the activity. Entries of one name, one
 * `occurredAtMs` and one `eventRef` (or none) are one event. Events are ordered by time, then by
 * reference, then by name, whatever part of the profile they belong to.
 */

import type { Json } from '../lib/json.ts'
import { valueAt } from '../lib/json.ts'
import { type Cart, viewCart } from '../profile/cart.ts'
import type { TimedValue } from '../profile/computed/view-computed.ts'
import { type HabitView, viewHabits } from '../profile/habit/view-habits.ts'
import type { Activity, PersonView } from '../profile/person-view.ts'
import { isTestMet } from './condition.ts'
import type { EventFilter } from './rule.ts'

/** One event with its lines. */
export interface Happening {
  readonly name: string
  readonly atMs: number
  /** Place in the order of all events of the person. */
  order: number
  readonly ref: number
  readonly lines: Activity[]
}

const none: readonly Happening[] = []
const nowhere = (): boolean => false

export class Facts {
  readonly view: PersonView
  /** As far as they are evaluated: changed by `evaluateSegments` on its way. */
  readonly memberships: Set<string>
  readonly isListed: (list: string) => boolean
  /** No rule asks of times up to here: set by `evaluateSegments`. */
  timesAfterMs = -Infinity
  #habits: HabitView | undefined
  #cart: Cart | undefined
  #byName: ReadonlyMap<string, readonly Happening[]> | undefined

  /** `isListed` tells of a list by its name; without it nobody is on any. */
  constructor(view: PersonView, isListed: (list: string) => boolean = nowhere) {
    this.view = view
    this.memberships = new Set(view.memberships)
    this.isListed = isListed
  }

  /** The retained events of a name, in order, those dated in the future included. */
  happenings(name: string): readonly Happening[] {
    this.#byName ??= groupActivity(this.view.activity)
    return this.#byName.get(name) ?? none
  }

  /**
   * When the retained events of a name occurred, in order, as `happenings` has them; of those up to
   * `timesAfterMs` some or none.
   */
  times(name: string): readonly number[] {
    const times = this.view.eventTimes?.(name, this.timesAfterMs)
    return times ?? this.happenings(name).map(({ atMs }) => atMs)
  }

  /** A computed trait, which goes before a stated one of the same name. */
  timedTrait(name: string): TimedValue | undefined {
    return this.view.computed?.(name)
  }

  get habits(): HabitView {
    this.#habits ??= viewHabits(this.view.habitParts ?? [])
    return this.#habits
  }

  get cart(): Cart {
    this.#cart ??= viewCart(this.view.activity)
    return this.#cart
  }

  /** The value of a stated trait, or of a dotted path into one; undefined where there is none. */
  traitValue(name: string): Json | undefined {
    return valueAt(this.view.traits, name)
  }
}

/**
 * Tells whether lines of one event are meant by a filter: some have the item and the properties,
 * and those together the value.
 */
export function isMeant(filter: EventFilter, lines: readonly Activity[]): boolean {
  let isFound = false
  let value = 0
  for (const line of lines) {
    if (filter.itemId !== undefined && line.itemId !== filter.itemId) continue
    if (filter.properties !== undefined && !hasProperties(filter.properties, line)) continue
    isFound = true
    value += line.value ?? 0
  }
  return isFound && (filter.valueMin === undefined || value >= filter.valueMin)
}

function hasProperties(
  filters: NonNullable<EventFilter['properties']>,
  { properties }: Activity,
): boolean {
  return filters.every(({ property, tests }) => {
    // Kept under the name that the rule has for it, so a dotted path is one name here.
    const isKept = properties !== undefined && Object.hasOwn(properties, property)
    const value = isKept ? properties[property] : undefined
    return tests.every((test) => isTestMet(test, value))
  })
}

function groupActivity(activity: readonly Activity[]): ReadonlyMap<string, readonly Happening[]> {
  const byName = new Map<string, Happening[]>()
  const all: Happening[] = []
  let isInOrder = true
  for (const line of activity) {
    const ref = line.eventRef ?? 0
    const list = byName.get(line.name)
    const known = list === undefined ? undefined : findSame(list, line.occurredAtMs, ref)
    if (known !== undefined) {
      known.lines.push(line)
      continue
    }
    const made: Happening = {
      name: line.name,
      atMs: line.occurredAtMs,
      order: all.length,
      ref,
      lines: [line],
    }
    const last = all.at(-1)
    if (last !== undefined && compareHappenings(last, made) > 0) isInOrder = false
    all.push(made)
    if (list === undefined) byName.set(line.name, [made])
    else list.push(made)
  }
  // As it mostly is, since the activity comes by time.
  if (isInOrder) return byName
  all.sort(compareHappenings)
  for (const [index, happening] of all.entries()) happening.order = index
  for (const list of byName.values()) list.sort((left, right) => left.order - right.order)
  return byName
}

/** The activity comes by time, so those of one instant lie together. */
function findSame(list: readonly Happening[], atMs: number, ref: number): Happening | undefined {
  for (let index = list.length - 1; index >= 0; index--) {
    const happening = list[index]
    if (happening === undefined || happening.atMs !== atMs) return undefined
    if (happening.ref === ref) return happening
  }
  return undefined
}

function compareHappenings(left: Happening, right: Happening): number {
  if (left.atMs !== right.atMs) return left.atMs - right.atMs
  if (left.ref !== right.ref) return left.ref - right.ref
  return left.name < right.name ? -1 : 1
}
