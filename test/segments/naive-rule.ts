/**
 * A rule read word for word as it was written, over all events of a person, at one instant. Knows
 * nothing of the engine: no parser, no retention, no windows kept up to date, no order of work.
 */

import { murmur3 } from '../../src/lib/hash.ts'
import { isJsonObject, type Json, type JsonObject } from '../../src/lib/json.ts'
import { type NaiveTraits, traitValueAt } from './naive-trait.ts'

export interface NaiveEvent {
  readonly name: string
  readonly atMs: number
  /** First 32 bits of the record's id: tells the order of events of one instant. */
  readonly ref: number
  readonly properties: JsonObject
  readonly traits?: JsonObject
  /** Says who somebody is, and is no activity. */
  readonly isIdentity: boolean
  /** Where it stands in the order in which it was taken. */
  readonly order: number
  readonly foldMs: number
}

export interface NaivePerson {
  readonly key: string
  readonly keys: readonly string[]
  readonly events: readonly NaiveEvent[]
  /** By name, the keys on it. */
  readonly lists: ReadonlyMap<string, ReadonlySet<string>>
  /** Computed ones, as they were written. */
  readonly traits: NaiveTraits
}

/** One event as a rule about one product sees it: the event, and the products it means. */
interface Line {
  readonly item: string | undefined
  readonly value: number
  readonly of: JsonObject
}

export type NaiveRules = ReadonlyMap<string, JsonObject>

export function isMember(
  rules: NaiveRules,
  name: string,
  person: NaivePerson,
  nowMs: number,
): boolean {
  return holds(rules, rules.get(name) ?? {}, person, nowMs)
}

function holds(rules: NaiveRules, rule: JsonObject, person: NaivePerson, nowMs: number): boolean {
  const part = (one: Json): boolean => holds(rules, one as JsonObject, person, nowMs)
  if (Array.isArray(rule['all'])) return (rule['all'] as readonly Json[]).every(part)
  if (Array.isArray(rule['any'])) return (rule['any'] as readonly Json[]).some(part)
  if (rule['not'] !== undefined) return !part(rule['not'])
  if (typeof rule['segment'] === 'string') return isMember(rules, rule['segment'], person, nowMs)
  if (typeof rule['trait'] === 'string') return hasTrait(rule, rule['trait'], person, nowMs)
  if (typeof rule['event'] === 'string') return countsRightly(rule, person, nowMs)
  if (Array.isArray(rule['sequence'])) return happenedInOrder(rule, person, nowMs)
  if (typeof rule['consent'] === 'string') return !hasLeft(rule['consent'], person)
  if (typeof rule['list'] === 'string') {
    const list = person.lists.get(rule['list'])
    return person.keys.some((key) => list?.has(key))
  }
  const { salt, from, to } = rule['split'] as { salt: string; from: number; to: number }
  const place = (murmur3(`split\0${salt}\0${person.key}`) / 4_294_967_296) * 100
  return place >= from && place < to
}

function hasTrait(rule: JsonObject, name: string, person: NaivePerson, nowMs: number): boolean {
  const { trait: _, ...tests } = rule
  if (person.traits.has(name)) {
    return passes(tests, traitValueAt(person.traits, name, person.events, nowMs), nowMs)
  }
  const [head = '', ...path] = name.split('.')
  const statements = person.events
    .filter(({ traits }) => traits !== undefined && Object.hasOwn(traits, head))
    .toSorted((left, right) => left.atMs - right.atMs || left.order - right.order)
  let value: Json | undefined = statements.at(-1)?.traits?.[head]
  for (const step of path) value = isJsonObject(value) ? value[step] : undefined
  return passes(tests, value, nowMs)
}

export function passes(tests: JsonObject, value: Json | undefined, nowMs: number): boolean {
  return Object.entries(tests).every(([operator, wanted]) => {
    const isOrdered = typeof value === typeof wanted && value !== null
    // Of one type by now; both are numbers or both are texts.
    const [left, right] = [value as number, wanted as number]
    if (operator === 'is') return value === wanted
    if (operator === 'isNot') return value !== wanted
    if (operator === 'in') return (wanted as readonly Json[]).some((one) => one === value)
    if (operator === 'notIn') return !(wanted as readonly Json[]).some((one) => one === value)
    if (operator === 'exists') return (value !== undefined && value !== null) === wanted
    if (operator === 'moreThan') return isOrdered && left > right
    if (operator === 'atLeast') return isOrdered && left >= right
    if (operator === 'lessThan') return isOrdered && left < right
    if (operator === 'atMost') return isOrdered && left <= right
    if (operator === 'contains') {
      if (Array.isArray(value)) return (value as readonly Json[]).some((one) => one === wanted)
      return typeof value === 'string' && typeof wanted === 'string' && value.includes(wanted)
    }
    if (operator === 'startsWith') return typeof value === 'string' && value.startsWith(`${wanted}`)
    if (operator === 'endsWith') return typeof value === 'string' && value.endsWith(`${wanted}`)
    const valueMs = typeof value === 'string' ? Date.parse(value) : Number.NaN
    const otherMs = timeOf(`${wanted}`, nowMs)
    if (operator === 'before') return valueMs < otherMs
    if (operator === 'after') return valueMs >= otherMs
    throw new Error(`no operator ${operator}`)
  })
}

/** `now`, `now-20s`, `now+5s`, or an ISO time. */
function timeOf(text: string, nowMs: number): number {
  if (text === 'now') return nowMs
  if (!text.startsWith('now')) return Date.parse(text)
  const lengthMs = secondsOf(text.slice(4))
  return text[3] === '-' ? nowMs - lengthMs : nowMs + lengthMs
}

export function secondsOf(text: Json | undefined): number {
  return text === undefined ? Number.POSITIVE_INFINITY : Number(`${text}`.slice(0, -1)) * 1000
}

function countsRightly(rule: JsonObject, person: NaivePerson, nowMs: number): boolean {
  const tests = isJsonObject(rule['count']) ? rule['count'] : { atLeast: 1 }
  const withinMs = secondsOf(rule['within'])
  const isTotal = rule['within'] === undefined
  const count = person.events.filter((event) => {
    if (event.name !== rule['event']) return false
    if (isTotal) return true
    if (event.isIdentity || event.atMs > nowMs || nowMs - event.atMs >= withinMs) return false
    return isMeant(rule['where'], linesOf(event))
  }).length
  return Object.entries(tests).every(([operator, value]) => {
    const difference = Math.sign(count - Number(value))
    if (operator === 'atLeast') return difference >= 0
    if (operator === 'atMost') return difference <= 0
    if (operator === 'exactly') return difference === 0
    return operator === 'moreThan' ? difference > 0 : difference < 0
  })
}

function linesOf({ properties }: NaiveEvent): readonly Line[] {
  const products = properties['products']
  const given = Array.isArray(products) ? (products as readonly JsonObject[]) : [properties]
  return given.map((product) => ({
    item: product['product_id'] === undefined ? undefined : `${product['product_id']}`,
    value: Number(product['price'] ?? 0) * Number(product['quantity'] ?? 1),
    of: { ...properties, ...product },
  }))
}

function isMeant(where: Json | undefined, lines: readonly Line[]): boolean {
  if (!isJsonObject(where)) return true
  const { item, valueAtLeast, properties } = where
  const meant = lines.filter((line) => {
    if (item !== undefined && line.item !== item) return false
    return Object.entries((properties ?? {}) as JsonObject).every(([name, tests]) =>
      passes(tests as JsonObject, line.of[name], 0),
    )
  })
  const value = meant.reduce((sum, line) => sum + line.value, 0)
  return meant.length > 0 && value >= Number(valueAtLeast ?? Number.NEGATIVE_INFINITY)
}

interface Part {
  readonly name: string
  readonly atMs: number
  readonly lines: readonly Line[]
}

function happenedInOrder(rule: JsonObject, person: NaivePerson, nowMs: number): boolean {
  const past = person.events
    .filter(({ atMs, isIdentity }) => atMs <= nowMs && !isIdentity)
    .toSorted(
      (left, right) =>
        left.atMs - right.atMs || left.ref - right.ref || (left.name < right.name ? -1 : 1),
    )
  const all = past.map((event): Part => ({ ...event, lines: linesOf(event) }))
  const { same } = rule
  if (same === undefined) return isInOrder(rule, all, nowMs)
  const isItem = same === 'item' || same === 'product_id'
  const valueIn = (line: Line): Json | undefined => (isItem ? line.item : line.of[`${same}`])
  const values = new Set(all.flatMap(({ lines }) => lines.map(valueIn)))
  return [...values].some((value) => {
    if (value === undefined || value === null) return false
    const some = all.map((part) => ({
      ...part,
      lines: part.lines.filter((line) => valueIn(line) === value),
    }))
    return isInOrder(
      rule,
      some.filter(({ lines }) => lines.length > 0),
      nowMs,
    )
  })
}

/** Tries all choices of events. */
function isInOrder(rule: JsonObject, parts: readonly Part[], nowMs: number): boolean {
  const steps = rule['sequence'] as readonly JsonObject[]
  const fits = (filter: JsonObject, part: Part): boolean =>
    part.name === filter['event'] && isMeant(filter['where'], part.lines)
  const tryFrom = (
    at: number,
    chosen: readonly number[],
    barred: readonly JsonObject[],
  ): boolean => {
    const step = steps[at]
    const last = chosen.at(-1) ?? -1
    const lastMs = parts[last]?.atMs ?? 0
    const isBarred = (end: number): boolean =>
      barred.some((bar) => {
        const between = parts.slice(last + 1, end)
        return between.some(
          (part) =>
            fits(bar['not'] as JsonObject, part) && part.atMs - lastMs < secondsOf(bar['within']),
        )
      })
    if (step === undefined) {
      const isOver = barred.every(
        (bar) => bar['within'] === undefined || nowMs - lastMs >= secondsOf(bar['within']),
      )
      const firstMs = parts[chosen[0] ?? 0]?.atMs ?? 0
      return isOver && !isBarred(parts.length) && nowMs - firstMs < secondsOf(rule['within'])
    }
    if (step['not'] !== undefined) return tryFrom(at + 1, chosen, [...barred, step])
    return parts.some((part, index) => {
      if (index <= last || !fits(step, part) || isBarred(index)) return false
      if (chosen.length > 0 && part.atMs - lastMs >= secondsOf(step['within'])) return false
      return tryFrom(at + 1, [...chosen, index], [])
    })
  }
  return tryFrom(0, [], [])
}

function hasLeft(topic: string, { events }: NaivePerson): boolean {
  return events.some(({ name, properties }) => {
    const left = properties['topic']
    return name === 'Unsubscribed' && (typeof left !== 'string' || left === topic || left === '*')
  })
}
