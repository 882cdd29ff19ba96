/**
 * Whether a person is in a segment now, and when time alone could change that.
 *
 * A window is `(now - within, now]`: an event leaves it at `occurredAtMs + within`, and one dated
 * in the future enters at `occurredAtMs`. For each condition the next instant is exact: the first
 * edge at which it turns. For groups it is a lower bound: an `all` that is false stays so until the
 * last of its false rules turns, one that is true until the first rule turns; `any` is the mirror
 * image.
 *
 * So while nothing happens to the person, the answer holds until `changesAtMs`, and for ever
 * without it.
 */

import { unreachable } from '../lib/assert.ts'
import { murmur3 } from '../lib/hash.ts'
import { isCountMatch, judgeTest, type Verdict } from './condition.ts'
import { type Facts, isMeant } from './facts.ts'
import { judgeProfile } from './profile-field.ts'
import type { EventRule, Rule, SplitRule, TraitRule } from './rule.ts'
import { judgeSequence } from './sequence.ts'
import { judgeTimed } from './timed-trait.ts'

export interface RuleAnswer {
  readonly isMember: boolean
  /** The next instant at which time alone could change the answer; absent if none can. */
  readonly changesAtMs?: number
}

/** Evaluates `rule` for the person at `nowMs`. Total: never throws, whatever the traits hold. */
export function evaluateRule(rule: Rule, facts: Facts, nowMs: number): RuleAnswer {
  const verdict = judge(rule, facts, nowMs)
  if (verdict.untilMs === Infinity) return { isMember: verdict.isTrue }
  return { isMember: verdict.isTrue, changesAtMs: verdict.untilMs }
}

/** Returns the verdict on an event condition, with the count it saw. */
export function judgeEvent(
  rule: EventRule,
  facts: Facts,
  nowMs: number,
): Verdict & { readonly count: number } {
  const { windowMs } = rule
  if (windowMs === undefined) {
    const { totals } = facts.view
    const total = Object.hasOwn(totals, rule.event) ? totals[rule.event] : undefined
    const count = total?.count ?? 0
    return { isTrue: isCountMatch(rule.tests, count), untilMs: Infinity, count }
  }
  const times = matchTimes(rule, facts, nowMs - windowMs)
  const left = firstAfter(times, nowMs - windowMs)
  let entered = left
  while (entered < times.length && (times[entered] ?? 0) <= nowMs) entered += 1
  const count = entered - left
  const isTrue = isCountMatch(rule.tests, count)
  return { isTrue, untilMs: nextTurn(rule, times, left, entered), count }
}

/** Returns the verdict on a trait, computed or stated. */
export function judgeTrait({ trait, tests }: TraitRule, facts: Facts, nowMs: number): Verdict {
  const timed = facts.timedTrait(trait)
  if (timed !== undefined) return judgeTimed(tests, timed, nowMs)
  const value = facts.traitValue(trait)
  return joinVerdicts(
    'all',
    tests.map((test) => judgeTest(test, value, nowMs)),
  )
}

/** Tells whether the person has not left the topic, nor all. */
export function hasConsent({ view }: Facts, topic: string): boolean {
  return !Object.hasOwn(view.withdrawn, '*') && !Object.hasOwn(view.withdrawn, topic)
}

/** Returns the person's place in [0, 100): evenly spread, and another one for each salt. */
export function placeOf({ salt }: SplitRule, { view }: Facts): number {
  return (murmur3(`split\0${salt}\0${view.key}`) / 2 ** 32) * 100
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

function judge(rule: Rule, facts: Facts, nowMs: number): Verdict {
  switch (rule.kind) {
    case 'all':
    case 'any': {
      const decides = rule.kind === 'any'
      const verdicts: Verdict[] = []
      for (const part of rule.rules) {
        const verdict = judge(part, facts, nowMs)
        // Decided for good: no other part can change the answer by time.
        if (verdict.isTrue === decides && verdict.untilMs === Infinity) return verdict
        verdicts.push(verdict)
      }
      return joinVerdicts(rule.kind, verdicts)
    }
    case 'not': {
      const verdict = judge(rule.rule, facts, nowMs)
      return { isTrue: !verdict.isTrue, untilMs: verdict.untilMs }
    }
    case 'event':
      return judgeEvent(rule, facts, nowMs)
    case 'sequence':
      return judgeSequence(rule, facts, nowMs)
    case 'trait':
      return judgeTrait(rule, facts, nowMs)
    case 'profile':
      return judgeProfile(rule, facts, nowMs)
    case 'segment':
      return forEver(facts.memberships.has(rule.segment))
    case 'consent':
      return forEver(hasConsent(facts, rule.topic))
    case 'list':
      return forEver(facts.isListed(rule.list))
    case 'split':
      return forEver(isInSplit(rule, facts))
    default:
      return unreachable(rule)
  }
}

export function isInSplit(rule: SplitRule, facts: Facts): boolean {
  const place = placeOf(rule, facts)
  return rule.fromPercent <= place && place < rule.toPercent
}

function forEver(isTrue: boolean): Verdict {
  return { isTrue, untilMs: Infinity }
}

/**
 * Returns the times of the events that are meant, oldest first, the future included; of those up to
 * `leftMs` some or none.
 */
function matchTimes(rule: EventRule, facts: Facts, leftMs: number): readonly number[] {
  const { itemId, properties, valueMin } = rule
  const isAny = itemId === undefined && properties === undefined && valueMin === undefined
  if (isAny) return facts.times(rule.event)
  const times: number[] = []
  for (const { lines, atMs } of facts.happenings(rule.event)) {
    if (atMs > leftMs && isMeant(rule, lines)) times.push(atMs)
  }
  return times
}

/** Returns the index of the first time later than `afterMs`. */
function firstAfter(times: readonly number[], afterMs: number): number {
  let low = 0
  let high = times.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((times[middle] ?? Infinity) > afterMs) high = middle
    else low = middle + 1
  }
  return low
}

/**
 * Returns the first edge at which the condition turns. Of `times` those before `firstLeft` have
 * left the window, those before `firstEntered` have entered it.
 */
function nextTurn(
  { tests, windowMs = Infinity }: EventRule,
  times: readonly number[],
  firstLeft: number,
  firstEntered: number,
): number {
  const isTrue = isCountMatch(tests, firstEntered - firstLeft)
  let left = firstLeft
  let entered = firstEntered
  while (left < times.length) {
    const leaveMs = (times[left] ?? Infinity) + windowMs
    const enterMs = times[entered] ?? Infinity
    const edgeMs = Math.min(leaveMs, enterMs)
    while (left < times.length && (times[left] ?? Infinity) + windowMs === edgeMs) left += 1
    while (entered < times.length && times[entered] === edgeMs) entered += 1
    if (isCountMatch(tests, entered - left) !== isTrue) return edgeMs
  }
  return Infinity
}
