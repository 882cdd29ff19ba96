/**
 * Reads a rule from YAML or JSON:
 *
 *     all:
 *       - { trait: country, is: UK }
 *       - { event: Order Completed, count: { atLeast: 2 }, within: 30d }
 *       - { not: { segment: staff } }
 *
 * Several operators in one condition must all hold. `{ all: [] }` is everyone. Without `count` an
 * event condition means at least one. All faults are told at once, each with a JSON pointer.
 */

import { isJsonObject, type JsonObject } from '../lib/json.ts'
import { isProfileField, profileFieldNames } from './profile-field.ts'
import { readTests } from './read-comparison.ts'
import { readEvent, readSequence } from './read-event.ts'
import { type Rule, ruleLimits } from './rule.ts'
import { isFiniteNumber, type RuleFault, RuleReader } from './rule-reader.ts'

export type ParsedRule =
  | { readonly kind: 'rule'; readonly rule: Rule }
  | { readonly kind: 'refused'; readonly faults: readonly RuleFault[] }

/** What a rule asks of a person; `all`, `any` and `not` join these. */
export const conditionForms = [
  'trait',
  'profile',
  'event',
  'sequence',
  'segment',
  'consent',
  'list',
  'split',
] as const
const forms = ['all', 'any', 'not', ...conditionForms] as const
type ConditionForm = (typeof conditionForms)[number]

const listNameForm = /^[a-z0-9][a-z0-9-]{0,63}$/

/** Tells whether `name` can be the name of a list. */
export function isListName(name: unknown): name is string {
  return typeof name === 'string' && listNameForm.test(name)
}

/** Reads a rule from a parsed YAML or JSON value, or refuses it with every fault found. */
export function parseRule(input: unknown): ParsedRule {
  const reader = new RuleReader()
  const rule = readRule(reader, input, '', 1)
  if (rule === undefined || reader.faults.length > 0) {
    return { kind: 'refused', faults: reader.faults }
  }
  return { kind: 'rule', rule }
}

function readRule(
  reader: RuleReader,
  input: unknown,
  path: string,
  level: number,
): Rule | undefined {
  if (level > ruleLimits.levelCountMax) {
    return reader.fault(path, `a rule is at most ${ruleLimits.levelCountMax} levels deep`)
  }
  if (!isJsonObject(input)) return reader.fault(path, 'a rule is an object')
  const named = forms.filter((form) => Object.hasOwn(input, form))
  const form = named[0]
  if (form === undefined || named.length > 1) {
    return reader.fault(path, `a rule has exactly one of ${forms.join(', ')}`)
  }
  switch (form) {
    case 'all':
    case 'any':
      return readGroup(reader, { kind: form, input, path, level })
    case 'not': {
      reader.refuseOthers(input, ['not'], path)
      const rule = readRule(reader, input['not'], `${path}/not`, level + 1)
      return rule === undefined ? undefined : { kind: 'not', rule }
    }
    default:
      return reader.isFullWith(1, path) ? undefined : readCondition(reader, form, input, path)
  }
}

interface Group {
  readonly kind: 'all' | 'any'
  readonly input: JsonObject
  readonly path: string
  readonly level: number
}

function readGroup(reader: RuleReader, { kind, input, path, level }: Group): Rule | undefined {
  reader.refuseOthers(input, [kind], path)
  const list = input[kind]
  if (!Array.isArray(list)) return reader.fault(`${path}/${kind}`, 'must be a list of rules')
  if (list.length === 0) {
    if (kind === 'any') return reader.fault(`${path}/any`, 'must hold at least one rule')
    reader.isFullWith(1, path)
  }
  const rules: Rule[] = []
  for (const [index, entry] of list.entries()) {
    if (reader.isFullWith(0, path)) return undefined
    const rule = readRule(reader, entry, `${path}/${kind}/${index}`, level + 1)
    if (rule !== undefined) rules.push(rule)
  }
  return { kind, rules }
}

function readCondition(
  reader: RuleReader,
  form: ConditionForm,
  input: JsonObject,
  path: string,
): Rule | undefined {
  switch (form) {
    case 'trait': {
      const trait = reader.readName(input['trait'], `${path}/trait`)
      const tests = readTests(reader, input, path, { others: ['trait'], of: 'a trait' })
      return trait === undefined ? undefined : { kind: 'trait', trait, tests }
    }
    case 'profile':
      return readProfile(reader, input, path)
    case 'event':
      return readEvent(reader, input, path)
    case 'sequence':
      return readSequence(reader, input, path)
    case 'segment': {
      reader.refuseOthers(input, ['segment'], path)
      const segment = reader.readName(input['segment'], `${path}/segment`)
      return segment === undefined ? undefined : { kind: 'segment', segment }
    }
    case 'consent': {
      reader.refuseOthers(input, ['consent'], path)
      const topic = reader.readName(input['consent'], `${path}/consent`)
      return topic === undefined ? undefined : { kind: 'consent', topic }
    }
    case 'list': {
      reader.refuseOthers(input, ['list'], path)
      const list = input['list']
      if (isListName(list)) return { kind: 'list', list }
      return reader.fault(`${path}/list`, 'must be a name: a-z, 0-9 and -, at most 64 characters')
    }
    case 'split':
      return readSplit(reader, input, path)
  }
}

function readProfile(reader: RuleReader, input: JsonObject, path: string): Rule | undefined {
  const field = reader.readName(input['profile'], `${path}/profile`)
  const tests = readTests(reader, input, path, { others: ['profile'], of: 'a field' })
  if (field === undefined) return undefined
  if (isProfileField(field)) return { kind: 'profile', field, tests }
  const known = profileFieldNames.join(', ')
  return reader.fault(`${path}/profile`, `is no field of a profile; they are ${known}`)
}

function readSplit(reader: RuleReader, input: JsonObject, path: string): Rule | undefined {
  reader.refuseOthers(input, ['split'], path)
  const split = input['split']
  if (!isJsonObject(split)) {
    return reader.fault(`${path}/split`, 'must be like { salt: spring, from: 0, to: 10 }')
  }
  reader.refuseOthers(split, ['salt', 'from', 'to'], `${path}/split`)
  const salt = reader.readName(split['salt'], `${path}/split/salt`)
  const { from, to } = split
  const isRange = isFiniteNumber(from) && isFiniteNumber(to) && 0 <= from && from < to && to <= 100
  if (!isRange) {
    return reader.fault(`${path}/split`, 'needs from and to in percent, 0 <= from < to <= 100')
  }
  if (salt === undefined) return undefined
  return { kind: 'split', salt, fromPercent: from, toPercent: to }
}
