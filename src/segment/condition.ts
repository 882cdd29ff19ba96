/**
 * How one test is judged. Total: a value of another type than the test expects is simply not a
 * match.
 *
 * Equality has no wrong type: `isNot` and `notIn` are the exact opposites of `is` and `in`, so they
 * hold for a person without the trait. Order compares number with number and text with text (by
 * code unit, so ISO dates order rightly). `before` and `after` read the value as a time; `before`
 * is earlier, `after` is at or later.
 */

import { parseTimeMs } from '../event/event-time.ts'
import { unreachable } from '../lib/assert.ts'
import type { Json } from '../lib/json.ts'
import type { CountTest, Scalar, TraitTest } from './rule.ts'

/** An answer and the instant until which it holds; infinity where time changes nothing. */
export interface Verdict {
  readonly isTrue: boolean
  readonly untilMs: number
}

/** Judges a test of a value at `nowMs`; `undefined` stands for an absent one. */
export function judgeTest(test: TraitTest, value: Json | undefined, nowMs: number): Verdict {
  if (!('time' in test) || 'atMs' in test.time) {
    return { isTrue: isTestMet(test, value), untilMs: Infinity }
  }
  const valueMs = parseTimeMs(value)
  if (valueMs === undefined) return { isTrue: false, untilMs: Infinity }
  // The first ms at which the value is earlier than the instant so far from now.
  const turnMs = valueMs - test.time.fromNowMs + 1
  const isBefore = nowMs >= turnMs
  const isTrue = isBefore === (test.operator === 'before')
  return { isTrue, untilMs: isBefore ? Infinity : turnMs }
}

/** Tells whether a value passes a test that does not depend on the present. */
export function isTestMet(test: TraitTest, value: Json | undefined): boolean {
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
    case 'endsWith':
      return typeof value === 'string' && value.endsWith(test.value)
    case 'moreThan':
      return isSameType(value, test.value) && value > test.value
    case 'atLeast':
      return isSameType(value, test.value) && value >= test.value
    case 'lessThan':
      return isSameType(value, test.value) && value < test.value
    case 'atMost':
      return isSameType(value, test.value) && value <= test.value
    case 'before':
    case 'after': {
      const valueMs = parseTimeMs(value)
      if (valueMs === undefined || !('atMs' in test.time)) return false
      return valueMs < test.time.atMs === (test.operator === 'before')
    }
    default:
      return unreachable(test)
  }
}

/** Tells whether a count passes all tests. */
export function isCountMatch(tests: readonly CountTest[], count: number): boolean {
  for (const test of tests) if (!isCountMet(test, count)) return false
  return true
}

function isCountMet({ operator, value }: CountTest, count: number): boolean {
  switch (operator) {
    case 'atLeast':
      return count >= value
    case 'atMost':
      return count <= value
    case 'exactly':
      return count === value
    case 'moreThan':
      return count > value
    case 'lessThan':
      return count < value
    default:
      return unreachable(operator)
  }
}

function isOneOf(list: readonly Scalar[], value: Json | undefined): boolean {
  return list.some((entry) => entry === value)
}

function isSameType(value: Json | undefined, other: string | number): value is typeof other {
  return typeof value === typeof other
}
