/**
 * What a segment rule is, and how one is read from YAML or JSON.
 *
 * A rule is a tree. Its leaves are conditions on a trait, on events, or on membership of another
 * segment:
 *
 *     all:
 *       - { trait: country, is: UK }
 *       - { event: Order Completed, count: { atLeast: 2 }, within: 30d, where: { valueAtLeast: 50 }
 * }
 *       - { not: { segment: staff } }
 *
 * Several operators in one condition must all hold. `{ all: [] }` is everyone. Without `count` an
 * event condition means at least one. `parseRule` reports all faults at once, each with a JSON
 * pointer.
 */

import { todaysEventName } from '../event/normal-form.ts'
import type { JsonObject } from '../lib/json.ts'
import { isJsonObject } from '../lib/json.ts'
import { parseWindowMs, windowMsMax } from './duration.ts'

/**
 * Depth bounds the stack; the count bounds the work of one evaluation. The rest bounds the size of
 * a rule.
 */
export const ruleLimits = {
  levelCountMax: 10,
  conditionCountMax: 200,
  textLengthMax: 1_000,
  listCountMax: 1_000,
  faultCountMax: 100,
} as const

export type Scalar = string | number | boolean | null

export type TraitTest =
  | { readonly operator: 'is' | 'isNot'; readonly value: Scalar }
  | { readonly operator: 'in' | 'notIn'; readonly value: readonly Scalar[] }
  | { readonly operator: 'exists'; readonly value: boolean }
  | { readonly operator: 'contains'; readonly value: Scalar }
  | { readonly operator: 'startsWith'; readonly value: string }
  | { readonly operator: TraitOrder; readonly value: string | number }

export type TraitOrder = 'moreThan' | 'atLeast' | 'lessThan' | 'atMost'

export const countOperators = ['atLeast', 'atMost', 'exactly', 'moreThan', 'lessThan'] as const
export interface CountTest {
  readonly operator: (typeof countOperators)[number]
  readonly value: number
}

export interface TraitRule {
  readonly kind: 'trait'
  readonly trait: string
  readonly tests: readonly TraitTest[]
}

export interface EventRule {
  readonly kind: 'event'
  readonly event: string
  readonly tests: readonly CountTest[]
  /** Absent: all time, by the person's totals. */
  readonly windowMs?: number
  readonly itemId?: string
  readonly valueMin?: number
}

export interface SegmentRule {
  readonly kind: 'segment'
  readonly segment: string
}

export type Rule =
  | { readonly kind: 'all' | 'any'; readonly rules: readonly Rule[] }
  | { readonly kind: 'not'; readonly rule: Rule }
  | TraitRule
  | EventRule
  | SegmentRule

export interface RuleFault {
  /** JSON pointer to the faulty place, e.g. `/all/0/within`; empty for the whole rule. */
  readonly path: string
  readonly says: string
}

export type ParsedRule =
  | { readonly kind: 'rule'; readonly rule: Rule }
  | { readonly kind: 'refused'; readonly faults: readonly RuleFault[] }

/** Reads a rule from a parsed YAML or JSON value, or refuses it with every fault found. */
export function parseRule(input: unknown): ParsedRule {
  const reader = new RuleReader()
  const rule = reader.read(input, '', 1)
  if (rule === undefined || reader.faults.length > 0) {
    return { kind: 'refused', faults: reader.faults }
  }
  return { kind: 'rule', rule }
}

const forms = ['all', 'any', 'not', 'trait', 'event', 'segment'] as const
type Form = (typeof forms)[number]

/** Collects faults while it reads. A method that reports a fault returns undefined. */
class RuleReader {
  readonly faults: RuleFault[] = []
  #conditionCount = 0

  read(input: unknown, path: string, level: number): Rule | undefined {
    if (level > ruleLimits.levelCountMax) {
      return this.#fault(path, `a rule is at most ${ruleLimits.levelCountMax} levels deep`)
    }
    if (!isJsonObject(input)) return this.#fault(path, 'a rule is an object')
    const named = forms.filter((form) => Object.hasOwn(input, form))
    const form = named[0]
    if (form === undefined || named.length > 1) {
      return this.#fault(path, `a rule has exactly one of ${forms.join(', ')}`)
    }
    switch (form) {
      case 'all':
      case 'any':
        return this.#readGroup(form, input, path, level)
      case 'not': {
        this.#refuseOthers(input, ['not'], path)
        const rule = this.read(input['not'], `${path}/not`, level + 1)
        return rule === undefined ? undefined : { kind: 'not', rule }
      }
      default:
        return this.#readCondition(form, input, path)
    }
  }

  #readGroup(
    kind: 'all' | 'any',
    input: JsonObject,
    path: string,
    level: number,
  ): Rule | undefined {
    this.#refuseOthers(input, [kind], path)
    const list = input[kind]
    if (!Array.isArray(list)) return this.#fault(`${path}/${kind}`, 'must be a list of rules')
    if (list.length === 0) {
      if (kind === 'any') return this.#fault(`${path}/any`, 'must hold at least one rule')
      this.#conditionCount += 1
    }
    const rules: Rule[] = []
    for (const [index, entry] of list.entries()) {
      if (this.#isFull(path)) return undefined
      const rule = this.read(entry, `${path}/${kind}/${index}`, level + 1)
      if (rule !== undefined) rules.push(rule)
    }
    return { kind, rules }
  }

  #readCondition(
    form: Exclude<Form, 'all' | 'any' | 'not'>,
    input: JsonObject,
    path: string,
  ): Rule | undefined {
    this.#conditionCount += 1
    if (this.#isFull(path)) return undefined
    switch (form) {
      case 'trait':
        return this.#readTrait(input, path)
      case 'event':
        return this.#readEvent(input, path)
      case 'segment': {
        this.#refuseOthers(input, ['segment'], path)
        const segment = this.#readName(input['segment'], `${path}/segment`)
        return segment === undefined ? undefined : { kind: 'segment', segment }
      }
    }
  }

  /** True when reading on is pointless; says so once for too many conditions. */
  #isFull(path: string): boolean {
    if (this.faults.length >= ruleLimits.faultCountMax) return true
    if (this.#conditionCount <= ruleLimits.conditionCountMax) return false
    const says = `a rule has at most ${ruleLimits.conditionCountMax} conditions`
    if (!this.faults.some((fault) => fault.says === says)) this.#fault(path, says)
    return true
  }

  #readTrait(input: JsonObject, path: string): Rule | undefined {
    const trait = this.#readName(input['trait'], `${path}/trait`)
    const tests: TraitTest[] = []
    for (const [name, value] of Object.entries(input)) {
      if (name === 'trait') continue
      const read = Object.hasOwn(traitTests, name) ? traitTests[name] : undefined
      if (read === undefined) {
        const known = Object.keys(traitTests).join(', ')
        this.#fault(`${path}/${pointer(name)}`, `is unknown; a trait is tested by ${known}`)
        continue
      }
      const test = read(value)
      if (typeof test === 'string') this.#fault(`${path}/${name}`, test)
      else tests.push(test)
    }
    if (Object.keys(input).length === 1) this.#fault(path, 'a trait needs a test, e.g. `is`')
    return trait === undefined ? undefined : { kind: 'trait', trait, tests }
  }

  #readEvent(input: JsonObject, path: string): Rule | undefined {
    this.#refuseOthers(input, ['event', 'count', 'within', 'where'], path)
    const named = this.#readName(input['event'], `${path}/event`)
    const event = named === undefined ? undefined : todaysEventName(named)
    const tests = this.#readCount(input['count'], `${path}/count`)
    const windowMs = parseWindowMs(input['within'])
    if (input['within'] !== undefined && windowMs === undefined) {
      const dayCountMax = windowMsMax / 86_400_000
      this.#fault(`${path}/within`, `must be like 10s, 5m, 4h or 30d, at most ${dayCountMax}d`)
    }
    const where = this.#readWhere(input, path)
    if (event === undefined) return undefined
    const base = { kind: 'event', event, tests, ...where } as const
    return windowMs === undefined ? base : { ...base, windowMs }
  }

  #readCount(input: unknown, path: string): readonly CountTest[] {
    if (input === undefined) return [{ operator: 'atLeast', value: 1 }]
    if (!isJsonObject(input) || Object.keys(input).length === 0) {
      this.#fault(path, 'must be an object like { atLeast: 1 }')
      return []
    }
    this.#refuseOthers(input, countOperators, path)
    const tests: CountTest[] = []
    for (const operator of countOperators) {
      const value = input[operator]
      if (value === undefined) continue
      if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) {
        tests.push({ operator, value })
      } else {
        this.#fault(`${path}/${operator}`, 'must be a whole number from 0')
      }
    }
    return tests
  }

  #readWhere(input: JsonObject, path: string): { itemId?: string; valueMin?: number } {
    const where = input['where']
    if (where === undefined) return {}
    if (input['within'] === undefined) {
      this.#fault(`${path}/where`, 'needs `within`: totals of all time know no items or values')
    }
    if (!isJsonObject(where)) {
      this.#fault(`${path}/where`, 'must be an object with item, valueAtLeast, or both')
      return {}
    }
    this.#refuseOthers(where, ['item', 'valueAtLeast'], `${path}/where`)
    const read: { itemId?: string; valueMin?: number } = {}
    if (where['item'] !== undefined) {
      const itemId = this.#readName(where['item'], `${path}/where/item`)
      if (itemId !== undefined) read.itemId = itemId
    }
    const valueMin = where['valueAtLeast']
    if (valueMin !== undefined) {
      if (isFiniteNumber(valueMin)) read.valueMin = valueMin
      else this.#fault(`${path}/where/valueAtLeast`, 'must be a number')
    }
    return read
  }

  #readName(input: unknown, path: string): string | undefined {
    if (isText(input) && input.length > 0) return input
    return this.#fault(path, `must be a text of 1 to ${ruleLimits.textLengthMax} characters`)
  }

  #refuseOthers(input: JsonObject, known: readonly string[], path: string): void {
    for (const name of Object.keys(input)) {
      if (known.includes(name)) continue
      this.#fault(`${path}/${pointer(name)}`, `is unknown here; known are ${known.join(', ')}`)
    }
  }

  #fault(path: string, says: string): undefined {
    if (this.faults.length < ruleLimits.faultCountMax) this.faults.push({ path, says })
  }
}

/** By operator: reads its value to a test, or returns what is wrong with it. */
const traitTests: Readonly<Record<string, (value: unknown) => TraitTest | string>> = {
  is: (value) => (isScalar(value) ? { operator: 'is', value } : needsScalar),
  isNot: (value) => (isScalar(value) ? { operator: 'isNot', value } : needsScalar),
  in: (value) => (isScalarList(value) ? { operator: 'in', value } : needsList),
  notIn: (value) => (isScalarList(value) ? { operator: 'notIn', value } : needsList),
  exists: (value) =>
    typeof value === 'boolean' ? { operator: 'exists', value } : 'must be true or false',
  contains: (value) => (isScalar(value) ? { operator: 'contains', value } : needsScalar),
  startsWith: (value) => (isText(value) ? { operator: 'startsWith', value } : 'must be a text'),
  moreThan: (value) => readOrder('moreThan', value),
  atLeast: (value) => readOrder('atLeast', value),
  lessThan: (value) => readOrder('lessThan', value),
  atMost: (value) => readOrder('atMost', value),
}

const scalarNames = 'a text, a number, true, false or null'
const needsScalar = `must be ${scalarNames}`
const needsList = `must be a list of 1 to ${ruleLimits.listCountMax} such values: ${scalarNames}`

function readOrder(operator: TraitOrder, value: unknown): TraitTest | string {
  return isText(value) || isFiniteNumber(value) ? { operator, value } : 'must be a number or a text'
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length <= ruleLimits.textLengthMax
}

function isFiniteNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value)
}

function isScalar(value: unknown): value is Scalar {
  return value === null || typeof value === 'boolean' || isFiniteNumber(value) || isText(value)
}

function isScalarList(value: unknown): value is readonly Scalar[] {
  if (!Array.isArray(value) || value.length === 0) return false
  return value.length <= ruleLimits.listCountMax && value.every(isScalar)
}

/** Escapes a name for use in a JSON pointer (RFC 6901). */
function pointer(name: string): string {
  return name.slice(0, 100).replaceAll('~', '~0').replaceAll('/', '~1')
}
