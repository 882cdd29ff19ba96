/**
 * Why a person is in a segment or not: the tree of the rule with what each condition saw. It judges
 * every part, where `evaluateRule` stops early, and always comes to the same answer.
 */

import { unreachable } from '../lib/assert.ts'
import { formatDuration } from '../lib/duration.ts'
import type { Json } from '../lib/json.ts'
import type { PersonView } from '../profile/person-view.ts'
import { traitValue } from './condition.ts'
import type { Verdict } from './evaluate.ts'
import { isConditionMet, joinVerdicts, judgeEvent } from './evaluate.ts'
import type { EventRule, Rule } from './rule.ts'

export interface RuleExplanation {
  readonly kind: Rule['kind']
  /** The condition in words, e.g. `trait country is "UK"`. */
  readonly says: string
  readonly isMet: boolean
  /** The trait's value, the count, or the membership; absent for groups and for an absent trait. */
  readonly saw?: Json
  readonly changesAtMs?: number
  /** The parts of `all`, `any` and `not`. */
  readonly of?: readonly RuleExplanation[]
}

/** Explains `rule` for the person at `nowMs`. */
export function explainRule(rule: Rule, view: PersonView, nowMs: number): RuleExplanation {
  switch (rule.kind) {
    case 'all':
    case 'any': {
      const parts = rule.rules.map((part) => explainRule(part, view, nowMs))
      const verdict = joinVerdicts(rule.kind, parts.map(verdictOf))
      const says = rule.kind === 'all' ? 'all of these hold' : 'any of these holds'
      return { kind: rule.kind, says, ...shown(verdict), of: parts }
    }
    case 'not': {
      const part = explainRule(rule.rule, view, nowMs)
      const verdict = { isTrue: !part.isMet, untilMs: part.changesAtMs ?? Infinity }
      return { kind: 'not', says: 'this does not hold', ...shown(verdict), of: [part] }
    }
    case 'event': {
      const verdict = judgeEvent(rule, view, nowMs)
      return { kind: 'event', says: eventWords(rule), ...shown(verdict), saw: verdict.count }
    }
    case 'trait': {
      const tests = rule.tests.map((test) => `${test.operator} ${JSON.stringify(test.value)}`)
      const says = `trait ${rule.trait} ${tests.join(' and ')}`
      const saw = traitValue(view, rule.trait)
      const isMet = isConditionMet(rule, view)
      return saw === undefined
        ? { kind: 'trait', says, isMet }
        : { kind: 'trait', says, isMet, saw }
    }
    case 'segment': {
      const isMet = isConditionMet(rule, view)
      return { kind: 'segment', says: `in segment ${rule.segment}`, isMet, saw: isMet }
    }
    default:
      return unreachable(rule)
  }
}

function shown(verdict: Verdict): { isMet: boolean; changesAtMs?: number } {
  if (verdict.untilMs === Infinity) return { isMet: verdict.isTrue }
  return { isMet: verdict.isTrue, changesAtMs: verdict.untilMs }
}

function verdictOf(explanation: RuleExplanation): Verdict {
  return { isTrue: explanation.isMet, untilMs: explanation.changesAtMs ?? Infinity }
}

function eventWords(rule: EventRule): string {
  const words = [`event ${rule.event} counted`]
  words.push(rule.tests.map((test) => `${test.operator} ${test.value}`).join(' and '))
  words.push(
    rule.windowMs === undefined ? 'in all time' : `within ${formatDuration(rule.windowMs)}`,
  )
  if (rule.itemId !== undefined) words.push(`with item ${rule.itemId}`)
  if (rule.valueMin !== undefined) words.push(`worth at least ${rule.valueMin}`)
  return words.join(' ')
}
