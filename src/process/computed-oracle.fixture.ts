/**
 * What a computed trait says by its definition alone: all events of a person are looked at, word
 * for word, without thought for speed. Written apart from the code that it judges.
 */

import type { Json, JsonObject } from '../lib/json.ts'
import type { Random } from '../lib/random.ts'

export interface NaiveEvent {
  readonly name: string
  readonly occurredAtMs: number
  readonly ref: number
  readonly properties: JsonObject
}

/** What one event says for a trait. */
export interface NaiveSample {
  readonly atMs: number
  readonly value: Json
}

const minuteMs = 60_000
const unitMs: Readonly<Record<string, number>> = {
  seconds: 1000,
  minutes: minuteMs,
  hours: 60 * minuteMs,
  days: 1440 * minuteMs,
}
const lengthMs: Readonly<Record<string, number>> = {
  '90s': 90_000,
  '10m': 600_000,
  '2h': 7_200_000,
}

/** Returns the trait's value at `nowMs`; undefined for none. `all` are its fellow definitions. */
export function naiveValue(
  definition: JsonObject,
  events: readonly NaiveEvent[],
  nowMs: number,
  all: Readonly<Record<string, JsonObject>>,
): Json | undefined {
  const { kind, event, of, within, where } = definition
  if (kind === 'ratio')
    return ratioOf(definition, (name) => naiveValue(all[name] ?? {}, events, nowMs, all))
  const names = event === undefined ? undefined : [event].flat()
  const counted = events.filter(
    (each) =>
      (names === undefined || names.includes(each.name)) &&
      isIn(each, within, events, nowMs) &&
      (where === undefined || isMatch(where as JsonObject, each.properties)),
  )
  const samples = counted
    .toSorted((left, right) => left.occurredAtMs - right.occurredAtMs || left.ref - right.ref)
    .flatMap((each) => valuesOf(each, of).map((value) => ({ value, atMs: each.occurredAtMs })))
  return answerOf(definition, samples, nowMs)
}

/** Returns what a ratio says of its two terms. */
export function ratioOf(
  { over, by, whenZero }: JsonObject,
  termOf: (name: string) => Json | undefined,
): Json | undefined {
  const [dividend, divisor] = [termOf(`${over}`), termOf(`${by}`)]
  const isDivided = typeof dividend === 'number' && typeof divisor === 'number' && divisor !== 0
  return isDivided ? dividend / divisor : (whenZero ?? undefined)
}

/**
 * Returns what any other kind says of the samples that it counts, in the order of their times; one
 * for each event where the definition asks for no value.
 */
export function answerOf(
  { kind, length, unit }: JsonObject,
  samples: readonly NaiveSample[],
  nowMs: number,
): Json | undefined {
  const numbers = samples.map(({ value }) => value).filter((value) => typeof value === 'number')
  const scalars = samples.filter(({ value }) => value !== '' && isScalar(value))
  const sum = Math.round(numbers.reduce((before, each) => before + each, 0) * 1e6) / 1e6
  switch (kind) {
    case 'count':
      return samples.length
    case 'sum':
      return sum
    case 'average':
      return numbers.length === 0 ? undefined : sum / numbers.length
    case 'min':
      return numbers.length === 0 ? undefined : Math.min(...numbers)
    case 'max':
      return numbers.length === 0 ? undefined : Math.max(...numbers)
    case 'first':
      return scalars[0]?.value
    case 'last':
      return scalars.at(-1)?.value
    case 'list':
      return scalars
        .slice(-Number(length))
        .map(({ value }) => value)
        .reverse()
    case 'uniqueCount':
      return new Set(scalars.map(({ value }) => value)).size
    case 'mostFrequent':
      return mostFrequent(scalars)
    case 'recency': {
      const lastMs = samples.at(-1)?.atMs
      if (lastMs === undefined) return undefined
      return Math.max(0, Math.floor((nowMs - lastMs) / (unitMs[String(unit)] ?? Number.NaN)))
    }
    default:
      throw new Error(`no such kind ${JSON.stringify(kind)}`)
  }
}

function isIn(
  { occurredAtMs }: NaiveEvent,
  within: Json | undefined,
  events: readonly NaiveEvent[],
  nowMs: number,
): boolean {
  if (within === undefined) return true
  if (occurredAtMs > nowMs) return false
  if (within !== 'session') return nowMs - occurredAtMs < (lengthMs[String(within)] ?? 0)
  if (nowMs - occurredAtMs >= 1440 * minuteMs) return false
  // From here to now there is no pause of half an hour.
  const times = events
    .map((each) => each.occurredAtMs)
    .filter((atMs) => atMs >= occurredAtMs && atMs <= nowMs)
    .sort((left, right) => left - right)
  return [...times, nowMs].every((atMs, index) => {
    const before = index === 0 ? atMs : (times[index - 1] ?? 0)
    return atMs - before < 30 * minuteMs
  })
}

function isMatch(where: JsonObject, properties: JsonObject): boolean {
  if (where['all']) return (where['all'] as JsonObject[]).every((each) => isMatch(each, properties))
  if (where['any']) return (where['any'] as JsonObject[]).some((each) => isMatch(each, properties))
  if (where['not']) return !isMatch(where['not'] as JsonObject, properties)
  const value = properties[String(where['property'])]
  if (where['is'] !== undefined) return value === where['is']
  return typeof value === 'number' && value >= Number(where['atLeast'])
}

function valuesOf({ name, properties }: NaiveEvent, of: Json | undefined): readonly Json[] {
  if (of === undefined) return [1]
  if (of === '$event') return [name]
  if (of === 'products.*.sku') {
    return ((properties['products'] ?? []) as JsonObject[]).flatMap(({ sku }) => sku ?? [])
  }
  const value = properties[String(of)]
  return value === undefined ? [] : [value]
}

function isScalar(value: Json): boolean {
  return ['string', 'number', 'boolean'].includes(typeof value)
}

function mostFrequent(samples: readonly NaiveSample[]): Json | undefined {
  const groups = Object.values(Object.groupBy(samples, ({ value }) => JSON.stringify(value)))
  const ranked = groups.map((group = []) => ({
    value: group[0]?.value,
    count: group.length,
    lastMs: Math.max(...group.map(({ atMs }) => atMs)),
    text: JSON.stringify(group[0]?.value),
  }))
  ranked.sort(
    (left, right) =>
      right.count - left.count || right.lastMs - left.lastMs || (left.text < right.text ? 1 : -1),
  )
  return ranked[0]?.value
}

/** Returns some definitions by name: every kind, all forms of windows, filters and values. */
export function someDefinitions(random: Random, count: number): Record<string, JsonObject> {
  const pick = <Value>(values: readonly Value[]): Value =>
    values[Math.floor(random.unit() * values.length)] as Value
  const kinds = [
    ...['count', 'sum', 'average', 'min', 'max', 'uniqueCount', 'first', 'last', 'list'],
    ...['mostFrequent', 'recency'],
  ]
  const condition = (): JsonObject =>
    pick<JsonObject>([
      { property: 'colour', is: 'red' },
      { property: 'price', atLeast: 5 },
      {
        any: [
          { property: 'colour', is: 'blue' },
          { property: 'price', atLeast: 9 },
        ],
      },
      { all: [{ not: { property: 'colour', is: 'red' } }, { property: 'price', atLeast: 2 }] },
    ])
  const all: Record<string, JsonObject> = {}
  for (let index = 0; index < count; index++) {
    const kind = pick(kinds)
    const isNumeric = ['sum', 'average', 'min', 'max'].includes(kind)
    const values = isNumeric ? ['price', 'amount'] : ['colour', 'price', '$event', 'products.*.sku']
    const within = kind === 'recency' ? undefined : pick([undefined, 'session', '90s', '10m', '2h'])
    const event = pick([undefined, 'Buy', 'View', ['Buy', 'Leave']])
    all[`t${index}`] = {
      kind,
      ...(kind === 'count' || kind === 'recency' ? {} : { of: pick(values) }),
      ...(kind === 'list' ? { length: 1 + Math.floor(random.unit() * 4) } : {}),
      ...(kind === 'recency' ? { unit: pick(Object.keys(unitMs)) } : {}),
      ...(within === undefined ? {} : { within }),
      ...(event === undefined ? {} : { event }),
      ...(random.unit() < 0.4 ? { where: condition() } : {}),
    }
  }
  const terms = Object.entries(all)
    .filter(([, { kind }]) =>
      ['count', 'sum', 'average', 'min', 'max', 'uniqueCount'].includes(String(kind)),
    )
    .map(([name]) => name)
  if (terms.length > 0) {
    const whenZero = pick<number | null>([null, 0, -1])
    all['ratio'] = { kind: 'ratio', over: pick(terms), by: pick(terms), whenZero }
  }
  return all
}

/** Returns an event around `nowMs`: mostly just then, some late, some dated ahead. */
export function someEvent(random: Random, nowMs: number, lateMsMax: number): NaiveEvent {
  const draw = random.unit()
  const early = draw < 0.1 ? -Math.floor(random.unit() * 300_000) : 0
  const late = draw > 0.8 ? Math.floor(random.unit() * lateMsMax) : 0
  // Coarse times, so that several events share one.
  const occurredAtMs = Math.floor((nowMs - late - early) / 500) * 500
  const skus = Array.from({ length: Math.floor(random.unit() * 3) }, () => ({
    sku: `s${Math.floor(random.unit() * 4)}`,
  }))
  const colours = ['red', 'blue', 'green', '', 7, true, null]
  return {
    name: ['Buy', 'View', 'Leave'][Math.floor(random.unit() * 3)] as string,
    occurredAtMs,
    ref: Math.floor(random.unit() * 2 ** 32),
    properties: {
      ...(random.unit() < 0.8
        ? { colour: colours[Math.floor(random.unit() * colours.length)] as Json }
        : {}),
      ...(random.unit() < 0.8 ? { price: Math.floor(random.unit() * 1200) / 100 } : {}),
      ...(random.unit() < 0.5 ? { amount: Math.floor(random.unit() * 2000 - 1000) / 1000 } : {}),
      ...(skus.length > 0 ? { products: skus } : {}),
    },
  }
}
