/**
 * Whether a person is in a segment now, and when time alone could change that.
 *
 * A window is `(now - within, now]`: an event leaves it at `occurredAtMs + within`, and one dated
 * in the future enters at `occurredAtMs`. For each event condition the next instant is exact: the
 * first edge at which the count passes or fails its tests. For groups it is a lower bound: an `all`
 * that is false stays so until the last of its false rules turns, one that is true until the first
 * rule turns; `any` is the mirror image.
 *
 * So while nothing happens to the person, the answer holds until `changesAtMs`, and for ever
 * without it.
 */

import { unreachable } from '../lib/assert.ts'
import type { PersonView } from '../profile/person-view.ts'
import { isCountMatch, isTraitMatch, matchTimes, traitValue } from './condition.ts'
import type { EventRule, Rule } from './rule.ts'

export interface RuleAnswer {
  readonly isMember: boolean
  /** The next instant at which time alone could change the answer; absent if none can. */
  readonly changesAtMs?: number
}

/** An answer and the instant until which it holds; infinity where time changes nothing. */
export interface Verdict {
  readonly isTrue: boolean
  readonly untilMs: number
}

/** Evaluates `rule` for the person at `nowMs`. Total: never throws, whatever the traits hold. */
export function evaluateRule(rule: Rule, view: PersonView, nowMs: number): RuleAnswer {
  const verdict = judge(rule, view, nowMs)
  if (verdict.untilMs === Infinity) return { isMember: verdict.isTrue }
  return { isMember: verdict.isTrue, changesAtMs: verdict.untilMs }
}

/** Returns the verdict on an event condition, with the count it saw. */
export function judgeEvent(
  rule: EventRule,
  view: PersonView,
  nowMs: number,
): Verdict & { readonly count: number } {
  if (rule.windowMs === undefined) {
    const total = Object.hasOwn(view.totals, rule.event) ? view.totals[rule.event] : undefined
    const count = total?.count ?? 0
    return { isTrue: isCountMatch(rule.tests, count), untilMs: Infinity, count }
  }
  const times = matchTimes(rule, view.activity, nowMs - rule.windowMs)
  let entered = 0
  while (entered < times.length && (times[entered] ?? 0) <= nowMs) entered += 1
  const isTrue = isCountMatch(rule.tests, entered)
  return { isTrue, untilMs: nextTurn(rule, times, entered, rule.windowMs), count: entered }
}

/** Returns the verdict on a trait or membership condition. Time alone never changes it. */
export function isConditionMet(
  rule: Extract<Rule, { kind: 'trait' | 'segment' }>,
  view: PersonView,
): boolean {
  if (rule.kind === 'segment') return view.memberships.includes(rule.segment)
  const value = traitValue(view, rule.trait)
  return rule.tests.every((test) => isTraitMatch(test, value))
}

/** Joins the verdicts on the parts of a group. */
export function joinVerdicts(kind: 'all' | 'any', verdicts: readonly Verdict[]): Verdict {
  const decides = kind === 'any'
  let isDecided = false
  let lastOfDecidingMs = -Infinity
  let firstMs = Infinity
  for (const verdict of verdicts) {
    if (verdict.untilMs < firstMs) firstMs = verdict.untilMs
    if (verdict.isTrue !== decides) continue
    isDecided = true
    if (verdict.untilMs > lastOfDecidingMs) lastOfDecidingMs = verdict.untilMs
  }
  if (isDecided) return { isTrue: decides, untilMs: lastOfDecidingMs }
  return { isTrue: !decides, untilMs: firstMs }
}

function judge(rule: Rule, view: PersonView, nowMs: number): Verdict {
  switch (rule.kind) {
    case 'all':
    case 'any': {
      const decides = rule.kind === 'any'
      const verdicts: Verdict[] = []
      for (const part of rule.rules) {
        const verdict = judge(part, view, nowMs)
        // Decided for good: no other part can change the answer by time.
        if (verdict.isTrue === decides && verdict.untilMs === Infinity) return verdict
        verdicts.push(verdict)
      }
      return joinVerdicts(rule.kind, verdicts)
    }
    case 'not': {
      const verdict = judge(rule.rule, view, nowMs)
      return { isTrue: !verdict.isTrue, untilMs: verdict.untilMs }
    }
    case 'event':
      return judgeEvent(rule, view, nowMs)
    case 'trait':
    case 'segment':
      return { isTrue: isConditionMet(rule, view), untilMs: Infinity }
    default:
      return unreachable(rule)
  }
}

/**
 * Returns the first edge at which the condition turns. `times` are those that have not left the
 * window yet, of which the first `enteredCount` are in it.
 */
function nextTurn(
  rule: EventRule,
  times: readonly number[],
  enteredCount: number,
  windowMs: number,
): number {
  const isTrue = isCountMatch(rule.tests, enteredCount)
  let left = 0
  let entered = enteredCount
  while (left < times.length) {
    const leaveMs = (times[left] ?? Infinity) + windowMs
    const enterMs = times[entered] ?? Infinity
    const edgeMs = Math.min(leaveMs, enterMs)
    while (left < times.length && (times[left] ?? Infinity) + windowMs === edgeMs) left += 1
    while (entered < times.length && times[entered] === edgeMs) entered += 1
    if (isCountMatch(rule.tests, entered - left) !== isTrue) return edgeMs
  }
  return Infinity
}
