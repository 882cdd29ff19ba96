/** How tests of a value are read: of a trait, or of a property of an event. */

import { parseTimeMs } from '../event/event-time.ts'
import { parseDurationMs } from '../lib/duration.ts'
import type { JsonObject } from '../lib/json.ts'
import { windowMsMax } from './duration.ts'
import { type RuleTime, ruleLimits, type Scalar, type TraitOrder, type TraitTest } from './rule.ts'
import { isFiniteNumber, isText, pointer, type RuleReader } from './rule-reader.ts'

/** Reads all tests of `input` but those fields that are `others`. */
export function readTests(
  reader: RuleReader,
  input: JsonObject,
  path: string,
  { others, of }: { readonly others: readonly string[]; readonly of: string },
): readonly TraitTest[] {
  const tests: TraitTest[] = []
  const names = Object.keys(input).filter((name) => !others.includes(name))
  for (const name of names) {
    const read = Object.hasOwn(testReaders, name) ? testReaders[name] : undefined
    if (read === undefined) {
      const known = Object.keys(testReaders).join(', ')
      reader.fault(`${path}/${pointer(name)}`, `is unknown; ${of} is tested by ${known}`)
      continue
    }
    const test = read(input[name])
    if (typeof test === 'string') reader.fault(`${path}/${name}`, test)
    else tests.push(test)
  }
  if (names.length === 0) reader.fault(path, `${of} needs a test, e.g. \`is\``)
  return tests
}

/** By operator: reads its value to a test, or returns what is wrong with it. */
const testReaders: Readonly<Record<string, (value: unknown) => TraitTest | string>> = {
  is: (value) => (isScalar(value) ? { operator: 'is', value } : needsScalar),
  isNot: (value) => (isScalar(value) ? { operator: 'isNot', value } : needsScalar),
  in: (value) => (isScalarList(value) ? { operator: 'in', value } : needsList),
  notIn: (value) => (isScalarList(value) ? { operator: 'notIn', value } : needsList),
  exists: (value) =>
    typeof value === 'boolean' ? { operator: 'exists', value } : 'must be true or false',
  contains: (value) => (isScalar(value) ? { operator: 'contains', value } : needsScalar),
  startsWith: (value) => (isText(value) ? { operator: 'startsWith', value } : 'must be a text'),
  endsWith: (value) => (isText(value) ? { operator: 'endsWith', value } : 'must be a text'),
  moreThan: (value) => readOrder('moreThan', value),
  atLeast: (value) => readOrder('atLeast', value),
  lessThan: (value) => readOrder('lessThan', value),
  atMost: (value) => readOrder('atMost', value),
  before: (value) => readTimeTest('before', value),
  after: (value) => readTimeTest('after', value),
}

const scalarNames = 'a text, a number, true, false or null'
const needsScalar = `must be ${scalarNames}`
const needsList = `must be a list of 1 to ${ruleLimits.listCountMax} such values: ${scalarNames}`
const needsTime =
  'must be an ISO 8601 date or time, now, now-30d or now+12h, ' +
  `at most ${windowMsMax / 86_400_000}d away`
const relativeForm = /^now(?:([+-])(\d+(?:s|m|h|d)))?$/

function readOrder(operator: TraitOrder, value: unknown): TraitTest | string {
  return isText(value) || isFiniteNumber(value) ? { operator, value } : 'must be a number or a text'
}

function readTimeTest(operator: 'before' | 'after', value: unknown): TraitTest | string {
  const time = isText(value) ? readRuleTime(value) : undefined
  return isText(value) && time !== undefined ? { operator, value, time } : needsTime
}

function readRuleTime(text: string): RuleTime | undefined {
  const match = relativeForm.exec(text.replaceAll(' ', ''))
  if (match === null) {
    const atMs = parseTimeMs(text)
    return atMs === undefined ? undefined : { atMs }
  }
  const lengthMs = match[2] === undefined ? 0 : parseDurationMs(match[2])
  if (lengthMs === undefined || lengthMs > windowMsMax) return undefined
  return { fromNowMs: match[1] === '-' ? -lengthMs : lengthMs }
}

function isScalar(value: unknown): value is Scalar {
  return value === null || typeof value === 'boolean' || isFiniteNumber(value) || isText(value)
}

function isScalarList(value: unknown): value is readonly Scalar[] {
  if (!Array.isArray(value) || value.length === 0) return false
  return value.length <= ruleLimits.listCountMax && value.every(isScalar)
}
