/**
 * How one condition is judged. Total: a trait of another type than the test expects is simply not a
 * match.
 *
 * Equality has no wrong type: `isNot` and `notIn` are the exact opposites of `is` and `in`, so they
 * hold for a person without the trait. Order compares number with number and text with text (by
 * code unit, so ISO dates order rightly). A trait name with dots that is no trait itself is a path
 * into objects: `address.city`.
 *
 * An event of several items has several entries in the activity. Entries of one name, one
 * `occurredAtMs` and one `eventRef` (or none) are one event. `where.item` looks at the entries of
 * that item, and `where.valueAtLeast` at the sum of the values of the entries looked at: the line,
 * or the whole order.
 */

import { unreachable } from '../lib/assert.ts'
import type { Json } from '../lib/json.ts'
import { isJsonObject } from '../lib/json.ts'
import type { Activity, PersonView } from '../profile/person-view.ts'
import type { CountTest, EventRule, Scalar, TraitTest } from './rule.ts'

/** The value of a trait, or of a dotted path into one; undefined where there is none. */
export function traitValue(view: PersonView, name: string): Json | undefined {
  if (Object.hasOwn(view.traits, name)) return view.traits[name]
  let value: Json | undefined = view.traits
  for (const step of name.split('.')) {
    if (!isJsonObject(value) || !Object.hasOwn(value, step)) return undefined
    value = value[step]
  }
  return value
}

/** Tells whether a trait's value passes a test; `undefined` stands for an absent trait. */
export function isTraitMatch(test: TraitTest, value: Json | undefined): boolean {
  switch (test.operator) {
    case 'is':
      return value === test.value
    case 'isNot':
      return value !== test.value
    case 'in':
      return isOneOf(test.value, value)
    case 'notIn':
      return !isOneOf(test.value, value)
    case 'exists':
      return (value !== undefined && value !== null) === test.value
    case 'contains':
      if (typeof value === 'string' && typeof test.value === 'string') {
        return value.includes(test.value)
      }
      return Array.isArray(value) && value.includes(test.value)
    case 'startsWith':
      return typeof value === 'string' && value.startsWith(test.value)
    case 'moreThan':
      return isSameType(value, test.value) && value > test.value
    case 'atLeast':
      return isSameType(value, test.value) && value >= test.value
    case 'lessThan':
      return isSameType(value, test.value) && value < test.value
    case 'atMost':
      return isSameType(value, test.value) && value <= test.value
    default:
      return unreachable(test)
  }
}

/** Tells whether a count passes all tests. */
export function isCountMatch(tests: readonly CountTest[], count: number): boolean {
  return tests.every((test) => {
    switch (test.operator) {
      case 'atLeast':
        return count >= test.value
      case 'atMost':
        return count <= test.value
      case 'exactly':
        return count === test.value
      case 'moreThan':
        return count > test.value
      case 'lessThan':
        return count < test.value
      default:
        return unreachable(test.operator)
    }
  })
}

/**
 * Returns the times of the events that match `rule` and lie after `fromMs`, oldest first, the
 * future included.
 */
export function matchTimes(
  rule: EventRule,
  activity: readonly Activity[],
  fromMs: number,
): readonly number[] {
  const times: number[] = []
  let index = firstAfter(activity, fromMs)
  while (index < activity.length) {
    const atMs = activity[index]?.occurredAtMs ?? 0
    let end = index
    while (end < activity.length && activity[end]?.occurredAtMs === atMs) end += 1
    const count = countMatches(rule, activity, index, end)
    for (let nth = 0; nth < count; nth++) times.push(atMs)
    index = end
  }
  return times
}

function isOneOf(list: readonly Scalar[], value: Json | undefined): boolean {
  return list.some((entry) => entry === value)
}

function isSameType(value: Json | undefined, other: string | number): value is typeof other {
  return typeof value === typeof other
}

/** Returns the index of the first entry later than `afterMs`. The activity is ordered by time. */
function firstAfter(activity: readonly Activity[], afterMs: number): number {
  let low = 0
  let high = activity.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const entry = activity[middle]
    if (entry !== undefined && entry.occurredAtMs > afterMs) high = middle
    else low = middle + 1
  }
  return low
}

/**
 * Counts the matching events among the entries from `start` to `end`, which are all of one instant.
 */
function countMatches(
  rule: EventRule,
  activity: readonly Activity[],
  start: number,
  end: number,
): number {
  if (end - start === 1) {
    const only = activity[start]
    return only !== undefined && isLine(rule, only) && hasValue(rule, only.value ?? 0) ? 1 : 0
  }
  const valueByEvent = new Map<string | undefined, number>()
  for (let index = start; index < end; index++) {
    const entry = activity[index]
    if (entry === undefined || !isLine(rule, entry)) continue
    const before = valueByEvent.get(entry.eventRef) ?? 0
    valueByEvent.set(entry.eventRef, before + (entry.value ?? 0))
  }
  let count = 0
  for (const value of valueByEvent.values()) if (hasValue(rule, value)) count += 1
  return count
}

function isLine(rule: EventRule, entry: Activity): boolean {
  if (entry.name !== rule.event) return false
  return rule.itemId === undefined || entry.itemId === rule.itemId
}

function hasValue(rule: EventRule, value: number): boolean {
  return rule.valueMin === undefined || value >= rule.valueMin
}
