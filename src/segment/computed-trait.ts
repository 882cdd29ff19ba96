/**
 * Computed traits as definitions: `traits/<name>.yaml`.
 *
 *     kind: sum
 *     event: Order Completed
 *     of: $value
 *     within: 30d
 *     where: { property: currency, is: EUR }
 *
 * `where` speaks the language of segments, with `property` in place of `trait`. `of` is a property,
 * by a dotted path in which one `*` stands for each entry of a list, or `$value` (the event's
 * money), `$item` (each item it names) or `$event` (its name). All faults are reported at once,
 * with a JSON pointer that begins with the trait's name.
 */

import { todaysEventName } from '../event/normal-form.ts'
import { isJsonObject, type Json, type JsonObject, valueAt } from '../lib/json.ts'
import {
  type ComputedKind,
  type ComputedShape,
  computedKinds,
  computedTraitCountMax,
  listCountMax,
  sessionWindowMs,
} from '../profile/computed/computed-trait.ts'
import { isTestMet } from './condition.ts'
import { parseWindowMs, windowMsMax } from './duration.ts'
import { conditionForms, parseRule } from './parse-rule.ts'
import type { Rule } from './rule.ts'
import { pointer, type RuleFault } from './rule-reader.ts'

export interface ComputedTrait extends ComputedShape {
  readonly description?: string
  /** In today's spelling; absent: all events but those that say who a person is. */
  readonly events?: readonly string[]
  /** Absent where no value is looked at. */
  readonly of?: string
  matches(properties: JsonObject): boolean
}

/** Returns what reading the trait's value takes, without what counting takes. */
export function shapeOf(trait: ComputedTrait): ComputedShape {
  const left: readonly string[] = ['description', 'events', 'of', 'matches']
  const kept = Object.entries(trait).filter(([field]) => !left.includes(field))
  // What is left out is all that a `ComputedTrait` adds.
  return Object.fromEntries(kept) as unknown as ComputedShape
}

export interface TraitFile {
  readonly name: string
  readonly content: unknown
}

export type ParsedTraits =
  | {
      readonly kind: 'traits'
      readonly computed: readonly ComputedTrait[]
      /** By name of a stated trait: sources whose word counts more, the first most. */
      readonly priorities: ReadonlyMap<string, readonly string[]>
    }
  | { readonly kind: 'refused'; readonly faults: readonly RuleFault[] }

/** Part of what a trait's id is made of; another number makes all states anew. */
const kindsVersion = 1
const nameForm = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/
const pathForm = /^[^.*$][^*$]{0,199}$|^(?:[^.*$][^*$]{0,199}\.)?\*(?:\.[^*$]{1,199})?$/
const eventCountMax = 20
const sourceCountMax = 20
const faultCountMax = 100
const unitMsOf: Readonly<Record<string, number>> = {
  seconds: 1000,
  minutes: 60_000,
  hours: 3_600_000,
  days: 86_400_000,
}
const whereForms = ['property', 'all', 'any', 'not'] as const
const specialValues: readonly string[] = ['$value', '$item', '$event']

const counted = ['event', 'where'] as const
const windowed = [...counted, 'within'] as const
const fieldsOf: Readonly<Record<ComputedKind, readonly string[]>> = {
  count: windowed,
  sum: [...windowed, 'of'],
  average: [...windowed, 'of'],
  min: [...windowed, 'of'],
  max: [...windowed, 'of'],
  first: [...windowed, 'of'],
  last: [...windowed, 'of'],
  mostFrequent: [...windowed, 'of'],
  uniqueCount: [...windowed, 'of'],
  list: [...windowed, 'of', 'length'],
  recency: [...counted, 'unit'],
  ratio: ['over', 'by', 'whenZero'],
}
/** Kinds whose value is a number that a ratio can take; a recency moves with each second. */
const ratioTerms: ReadonlySet<ComputedKind> = new Set([
  ...(['count', 'sum', 'average', 'min', 'max', 'uniqueCount'] as const),
])

/** Reads all files of the folder, or refuses them with every fault found. */
export function parseTraits(
  files: readonly TraitFile[],
  hashOf: (text: string) => string,
): ParsedTraits {
  const faults: RuleFault[] = []
  const computed: ComputedTrait[] = []
  const priorities = new Map<string, readonly string[]>()
  const names = new Set<string>()
  for (const file of files) {
    const reader = new TraitReader(file.name.slice(0, 100), faults)
    if (names.has(file.name)) reader.fault('', 'is defined twice')
    names.add(file.name)
    if (isJsonObject(file.content) && file.content['kind'] === 'stated') {
      priorities.set(file.name, reader.readPriority(file.content))
      continue
    }
    const trait = reader.read(file, hashOf)
    if (trait !== undefined) computed.push(trait)
  }
  if (computed.length > computedTraitCountMax) {
    const says = `there are at most ${computedTraitCountMax} computed traits`
    faults.push({ path: '', says })
  }
  for (const trait of computed) checkTerms(trait, computed, faults)
  if (faults.length > 0) return { kind: 'refused', faults: faults.slice(0, faultCountMax) }
  return { kind: 'traits', computed, priorities }
}

/** Collects faults while it reads. */
class TraitReader {
  readonly #name: string
  readonly #faults: RuleFault[]

  constructor(name: string, faults: RuleFault[]) {
    this.#name = name
    this.#faults = faults
  }

  fault(path: string, says: string): undefined {
    if (this.#faults.length < faultCountMax) {
      this.#faults.push({ path: this.#name + path, says })
    }
  }

  read({ name, content }: TraitFile, hashOf: (text: string) => string): ComputedTrait | undefined {
    const before = this.#faults.length
    if (!nameForm.test(name)) {
      this.fault('', 'a trait is named by 1 to 64 letters, digits, _ and -, a letter first')
    }
    if (!isJsonObject(content)) return this.fault('', 'must be an object with a kind')
    const kind = computedKinds.find((each) => each === content['kind'])
    if (kind === undefined) {
      return this.fault('/kind', `must be stated or one of ${computedKinds.join(', ')}`)
    }
    this.#refuseOthers(content, ['kind', 'description', ...fieldsOf[kind]], kind)
    const description = content['description']
    if (description !== undefined && typeof description !== 'string') {
      this.fault('/description', 'must be a text')
    }
    const shape = {
      ...this.#readWindow(content['within']),
      ...this.#readLength(kind, content['length']),
      ...this.#readUnit(kind, content['unit']),
      ...this.#readRatio(kind, content),
    }
    const events = this.#readEvents(content['event'])
    const of = this.#readOf(kind, content['of'])
    const rule = this.#readWhere(content['where'])
    if (this.#faults.length > before) return undefined
    const whole = { kindsVersion, kind, events, of, rule, ...shape }
    return {
      name,
      id: hashOf(JSON.stringify(whole)).slice(0, 16),
      kind,
      ...shape,
      ...(typeof description === 'string' ? { description } : {}),
      ...(events === undefined ? {} : { events }),
      ...(of === undefined ? {} : { of }),
      matches: rule === undefined ? () => true : (properties) => isMatch(rule, properties),
    }
  }

  /** Of `kind: stated`: whose word about a trait that people state counts more. */
  readPriority(content: JsonObject): readonly string[] {
    this.#refuseOthers(content, ['kind', 'description', 'sources'], 'stated')
    const { sources } = content
    const isList = Array.isArray(sources) && sources.length > 0 && sources.length <= sourceCountMax
    if (isList && sources.every((each) => typeof each === 'string' && each !== '')) {
      return sources as readonly string[]
    }
    this.fault('/sources', `must be a list of 1 to ${sourceCountMax} names of sources`)
    return []
  }

  #refuseOthers(content: JsonObject, known: readonly string[], kind: string): void {
    for (const field of Object.keys(content)) {
      if (known.includes(field)) continue
      this.fault(`/${pointer(field)}`, `is unknown for ${kind}; known are ${known.join(', ')}`)
    }
  }

  #readWindow(within: Json | undefined): { windowMs?: number; isSession?: boolean } {
    if (within === undefined) return {}
    if (within === 'session') return { windowMs: sessionWindowMs, isSession: true }
    const windowMs = parseWindowMs(within)
    if (windowMs !== undefined) return { windowMs }
    const dayCountMax = windowMsMax / 86_400_000
    this.fault('/within', `must be session, or like 10s, 5m, 4h or 30d, at most ${dayCountMax}d`)
    return {}
  }

  #readLength(kind: ComputedKind, length: Json | undefined): { listCount?: number } {
    if (kind !== 'list') return {}
    const isCount = typeof length === 'number' && Number.isInteger(length)
    if (isCount && length >= 1 && length <= listCountMax) return { listCount: length }
    this.fault('/length', `must be a whole number from 1 to ${listCountMax}`)
    return {}
  }

  #readUnit(kind: ComputedKind, unit: Json | undefined): { unitMs?: number } {
    if (kind !== 'recency') return {}
    const unitMs =
      typeof unit === 'string' && Object.hasOwn(unitMsOf, unit) ? unitMsOf[unit] : undefined
    if (unitMs !== undefined) return { unitMs }
    this.fault('/unit', `must be one of ${Object.keys(unitMsOf).join(', ')}`)
    return {}
  }

  #readRatio(kind: ComputedKind, content: JsonObject): Partial<ComputedShape> {
    if (kind !== 'ratio') return {}
    const { over, by, whenZero = null } = content
    for (const [field, value] of Object.entries({ over, by })) {
      if (typeof value !== 'string') this.fault(`/${field}`, 'must name a computed trait')
    }
    const isAnswer = whenZero === null || typeof whenZero === 'number'
    if (!isAnswer) this.fault('/whenZero', 'must be a number, or null for no value')
    if (typeof over !== 'string' || typeof by !== 'string' || !isAnswer) return {}
    return { over, by, whenZero }
  }

  #readEvents(event: Json | undefined): readonly string[] | undefined {
    if (event === undefined) return undefined
    const list = Array.isArray(event) ? (event as readonly Json[]) : [event]
    const names = list.filter((each) => typeof each === 'string' && each !== '')
    if (names.length === list.length && list.length > 0 && list.length <= eventCountMax) {
      return [...new Set((names as readonly string[]).map(todaysEventName))].sort()
    }
    return this.fault('/event', `must be the name of an event, or 1 to ${eventCountMax} of them`)
  }

  #readOf(kind: ComputedKind, of: Json | undefined): string | undefined {
    if (!fieldsOf[kind].includes('of')) return undefined
    if (typeof of === 'string' && (specialValues.includes(of) || pathForm.test(of))) return of
    const says = `must name a property, like price or products.*.category, or be one of `
    return this.fault('/of', says + specialValues.join(', '))
  }

  #readWhere(where: Json | undefined): Rule | undefined {
    if (where === undefined) return undefined
    const faultCount = this.#faults.length
    const asRule = this.#toRule(where, '/where', 1)
    if (this.#faults.length > faultCount) return undefined
    const parsed = parseRule(asRule)
    if (parsed.kind === 'rule') return parsed.rule
    for (const { path, says } of parsed.faults) {
      const of = says.replaceAll('a trait', 'a property')
      this.fault(`/where${path}`.replaceAll('/trait', '/property'), of)
    }
    return undefined
  }

  /** Puts `trait` for `property`, so that a condition is read and judged as one of segments. */
  #toRule(where: Json | undefined, path: string, level: number): Json {
    // Deeper than a rule may be; that is said by the rule's own reader.
    if (!isJsonObject(where) || level > 20) return where ?? null
    const entries = Object.entries(where).map(([field, value]): readonly [string, Json] => {
      if (field === 'property') return ['trait', value]
      const isList = (field === 'all' || field === 'any') && Array.isArray(value)
      if (isList) {
        const rules = value as readonly Json[]
        const read = (rule: Json, index: number): Json =>
          this.#toRule(rule, `${path}/${field}/${index}`, level + 1)
        return [field, rules.map(read)]
      }
      if (field === 'not') return [field, this.#toRule(value, `${path}/not`, level + 1)]
      return [field, value]
    })
    const isKnown = whereForms.some((form) => Object.hasOwn(where, form))
    if (!isKnown || conditionForms.some((form) => Object.hasOwn(where, form))) {
      this.fault(path, `must have exactly one of ${whereForms.join(', ')}`)
    }
    for (const field of ['before', 'after']) {
      const value = where[field]
      if (typeof value !== 'string' || !value.trimStart().startsWith('now')) continue
      this.fault(`${path}/${field}`, 'a property is compared with a fixed time')
    }
    return Object.fromEntries(entries)
  }
}

/** As a rule is judged whose conditions are on traits alone. */
function isMatch(rule: Rule, properties: JsonObject): boolean {
  switch (rule.kind) {
    case 'all':
      return rule.rules.every((part) => isMatch(part, properties))
    case 'any':
      return rule.rules.some((part) => isMatch(part, properties))
    case 'not':
      return !isMatch(rule.rule, properties)
    case 'trait': {
      const value = valueAt(properties, rule.trait)
      return rule.tests.every((test) => isTestMet(test, value))
    }
    default:
      throw new Error(`broken belief: a filter of events has no condition on ${rule.kind}`)
  }
}

function checkTerms(
  trait: ComputedTrait,
  all: readonly ComputedTrait[],
  faults: RuleFault[],
): void {
  if (trait.kind !== 'ratio') return
  for (const field of ['over', 'by'] as const) {
    const term = all.find(({ name }) => name === trait[field])
    const path = `${trait.name}/${field}`
    if (term === undefined) faults.push({ path, says: `names no computed trait: ${trait[field]}` })
    else if (!ratioTerms.has(term.kind)) {
      const kinds = [...ratioTerms].join(', ')
      faults.push({ path, says: `is a ${term.kind}; a ratio takes ${kinds}` })
    }
  }
}
