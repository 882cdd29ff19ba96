/**
 * How a condition on a computed trait is judged: its value may change by time alone, so the verdict
 * says until when it holds.
 *
 * The instant is exact for a value that grows with time, and wherever the answer turns within
 * `edgeCountMax` edges of a window; beyond, it is the last of them: judged again then.
 */

import type { Json } from '../lib/json.ts'
import type { TimedValue } from '../profile/computed/view-computed.ts'
import { isTestMet, judgeTest, type Verdict } from './condition.ts'
import type { TraitTest } from './rule.ts'

const edgeCountMax = 64

/** Judges the tests of one condition on a value that may change by time alone. */
export function judgeTimed(tests: readonly TraitTest[], timed: TimedValue, nowMs: number): Verdict {
  const value = timed.at(nowMs)
  const isTrue = isMetBy(tests, value, nowMs)
  const { fallsFromMs = Infinity } = timed
  const isSettled = !isTrue && fallsFromMs <= nowMs && isOutOfReach(tests, value)
  return { isTrue, untilMs: isSettled ? Infinity : findTurn(tests, timed, { isTrue, nowMs }) }
}

/** Returns the first instant at which the answer may turn. */
function findTurn(
  tests: readonly TraitTest[],
  timed: TimedValue,
  { isTrue, nowMs }: { readonly isTrue: boolean; readonly nowMs: number },
): number {
  const { reachesAt } = timed
  const isMoving = tests.some(isRelative)
  if (reachesAt !== undefined && !isMoving) {
    for (const atMs of edgesOf(tests).map(reachesAt).sort(byNumber)) {
      if (atMs > nowMs && isMetBy(tests, timed.at(atMs), atMs) !== isTrue) return atMs
    }
    return Infinity
  }
  let untilMs = nowMs
  for (let edge = 0; edge < edgeCountMax; edge++) {
    const edgeMs = isMoving ? nextEdge(tests, timed.at(untilMs), untilMs) : Infinity
    untilMs = Math.min(timed.nextChangeAt(untilMs), edgeMs)
    if (untilMs === Infinity || isMetBy(tests, timed.at(untilMs), untilMs) !== isTrue) break
  }
  return untilMs
}

function isMetBy(tests: readonly TraitTest[], value: Json | undefined, atMs: number): boolean {
  for (const test of tests) if (!judgeTest(test, value, atMs).isTrue) return false
  return true
}

/** Tells whether a value that only falls will never pass. */
function isOutOfReach(tests: readonly TraitTest[], value: Json | undefined): boolean {
  for (const test of tests) {
    const isLower = test.operator === 'atLeast' || test.operator === 'moreThan'
    if (isLower && !isTestMet(test, value)) return true
  }
  return false
}

/** Tells whether a test compares with the present. */
function isRelative(test: TraitTest): boolean {
  return 'time' in test && 'fromNowMs' in test.time
}

/** Returns when a test of a value that stays could turn. */
function nextEdge(tests: readonly TraitTest[], value: Json | undefined, nowMs: number): number {
  return Math.min(...tests.map((test) => judgeTest(test, value, nowMs).untilMs))
}

/** Whole numbers at which a test of a growing value can turn. */
function edgesOf(tests: readonly TraitTest[]): number[] {
  const named = tests.flatMap(({ value }): readonly Json[] =>
    Array.isArray(value) ? (value as readonly Json[]) : [value as Json],
  )
  return named.flatMap((value) =>
    typeof value === 'number' ? [Math.ceil(value), Math.floor(value) + 1] : [],
  )
}

function byNumber(left: number, right: number): number {
  return left - right
}
