/**
 * Why a person is in a segment or not: the tree of the rule with what each condition saw. It judges
 * every part, where `evaluateRule` stops early, and always comes to the same answer.
 */

import { unreachable } from '../lib/assert.ts'
import { formatDuration } from '../lib/duration.ts'
import type { Json } from '../lib/json.ts'
import { timeText } from '../lib/time-text.ts'
import type { Verdict } from './condition.ts'
import { hasConsent, isInSplit, joinVerdicts, judgeEvent, judgeTrait, placeOf } from './evaluate.ts'
import type { Facts } from './facts.ts'
import { judgeProfile } from './profile-field.ts'
import type { EventFilter, EventRule, Rule, SequenceRule, TraitTest } from './rule.ts'
import { judgeSequence } from './sequence.ts'

export interface RuleExplanation {
  readonly kind: Rule['kind']
  /** The condition in words, e.g. `trait country is "UK"`. */
  readonly says: string
  readonly isMet: boolean
  /**
   * The trait's value, the count, the times of a matching sequence, the place in a split, or the
   * membership; absent for groups and for an absent trait.
   */
  readonly saw?: Json
  /** When time alone changes it. */
  readonly changesAtMs?: number
  /** The parts of `all`, `any` and `not`. */
  readonly of?: readonly RuleExplanation[]
}

/** Explains `rule` for the person at `nowMs`. */
export function explainRule(rule: Rule, facts: Facts, nowMs: number): RuleExplanation {
  const { kind } = rule
  const says = describeRule(rule)
  switch (rule.kind) {
    case 'all':
    case 'any': {
      const parts = rule.rules.map((part) => explainRule(part, facts, nowMs))
      return { kind, says, ...shown(joinVerdicts(rule.kind, parts.map(verdictOf))), of: parts }
    }
    case 'not': {
      const part = explainRule(rule.rule, facts, nowMs)
      const verdict = { isTrue: !part.isMet, untilMs: part.changesAtMs ?? Infinity }
      return { kind, says, ...shown(verdict), of: [part] }
    }
    case 'event': {
      const verdict = judgeEvent(rule, facts, nowMs)
      return { kind, says, ...shown(verdict), saw: verdict.count }
    }
    case 'sequence': {
      const verdict = judgeSequence(rule, facts, nowMs)
      return { kind, says, ...shown(verdict), saw: verdict.match.map(timeText) }
    }
    case 'trait': {
      const timed = facts.timedTrait(rule.trait)
      const saw = timed === undefined ? facts.traitValue(rule.trait) : timed.at(nowMs)
      const verdict = shown(judgeTrait(rule, facts, nowMs))
      return { kind, says, ...verdict, ...(saw === undefined ? {} : { saw }) }
    }
    case 'profile': {
      const { saw, ...verdict } = judgeProfile(rule, facts, nowMs)
      return { kind, says, ...shown(verdict), ...(saw === undefined ? {} : { saw }) }
    }
    case 'split': {
      const saw = Math.floor(placeOf(rule, facts) * 1000) / 1000
      return { kind, says, isMet: isInSplit(rule, facts), saw }
    }
    case 'segment':
      return seen(kind, says, facts.memberships.has(rule.segment))
    case 'consent':
      return seen(kind, says, hasConsent(facts, rule.topic))
    case 'list':
      return seen(kind, says, facts.isListed(rule.list))
    default:
      return unreachable(rule)
  }
}

/** Returns a rule in words; of a group only what joins its parts. */
function describeRule(rule: Rule): string {
  switch (rule.kind) {
    case 'all':
      return 'all of these hold'
    case 'any':
      return 'any of these holds'
    case 'not':
      return 'this does not hold'
    case 'trait':
      return `trait ${rule.trait} ${testWords(rule.tests)}`
    case 'profile':
      return `profile ${rule.field} ${testWords(rule.tests)}`
    case 'event':
      return eventWords(rule)
    case 'sequence':
      return sequenceWords(rule)
    case 'segment':
      return `in segment ${rule.segment}`
    case 'consent':
      return rule.topic === '*' ? 'has not left all mail' : `has not left ${rule.topic}`
    case 'list':
      return `on list ${rule.list}`
    case 'split':
      return `place by ${rule.salt} from ${rule.fromPercent} to below ${rule.toPercent} percent`
    default:
      return unreachable(rule)
  }
}

function seen(kind: Rule['kind'], says: string, isMet: boolean): RuleExplanation {
  return { kind, says, isMet, saw: isMet }
}

function shown(verdict: Verdict): { isMet: boolean; changesAtMs?: number } {
  if (verdict.untilMs === Infinity) return { isMet: verdict.isTrue }
  return { isMet: verdict.isTrue, changesAtMs: verdict.untilMs }
}

function verdictOf(explanation: RuleExplanation): Verdict {
  return { isTrue: explanation.isMet, untilMs: explanation.changesAtMs ?? Infinity }
}

function testWords(tests: readonly TraitTest[]): string {
  return tests.map(({ operator, value }) => `${operator} ${JSON.stringify(value)}`).join(' and ')
}

function eventWords(rule: EventRule): string {
  const words = [`event ${rule.event} counted`]
  words.push(rule.tests.map((test) => `${test.operator} ${test.value}`).join(' and '))
  words.push(
    rule.windowMs === undefined ? 'in all time' : `within ${formatDuration(rule.windowMs)}`,
  )
  return [...words, ...filterWords(rule)].join(' ')
}

function sequenceWords({ steps, same, windowMs }: SequenceRule): string {
  const words = steps.map((step, index) => {
    const within = step.withinMs === undefined ? [] : [`within ${formatDuration(step.withinMs)}`]
    const verb = step.isAbsent ? 'not ' : ''
    const then = index === 0 ? '' : 'then '
    return [`${then}${verb}${step.event}`, ...filterWords(step), ...within].join(' ')
  })
  if (same !== undefined) words.push(`all with the same ${same}`)
  if (windowMs !== undefined) words.push(`begun within ${formatDuration(windowMs)}`)
  return words.join(', ')
}

function filterWords({ itemId, valueMin, properties = [] }: EventFilter): readonly string[] {
  return [
    ...(itemId === undefined ? [] : [`with item ${itemId}`]),
    ...(valueMin === undefined ? [] : [`worth at least ${valueMin}`]),
    ...properties.map(({ property, tests }) => `with ${property} ${testWords(tests)}`),
  ]
}
