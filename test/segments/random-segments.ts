/** Random rules, as one would write them, and a random history of one person with a device. */

import type { JsonObject } from '../../src/lib/json.ts'
import type { Random } from '../../src/lib/random.ts'
import { randomComputedCondition } from './random-traits.ts'

export const baseMs = 1_800_000_000_000
export const lengthMs = 120_000
export const userId = 'ada'
export const deviceId = 'phone'
export const listNames = ['vip', 'staff'] as const

export interface Step {
  readonly atMs: number
  readonly happens:
    | { readonly kind: 'event'; readonly event: GivenEvent }
    | { readonly kind: 'list'; readonly name: string; readonly keys: readonly string[] }
    | { readonly kind: 'definitions' }
}

export interface GivenEvent {
  readonly type: 'track' | 'identify'
  readonly name: string
  readonly userId?: string
  readonly anonymousId?: string
  readonly occurredAtMs: number
  readonly isBackfill: boolean
  readonly properties?: JsonObject
  readonly traits?: JsonObject
}

/** Draws from `random`. */
export class Dice {
  readonly #random: Random

  constructor(random: Random) {
    this.#random = random
  }

  chance(share: number): boolean {
    return this.#random.unit() < share
  }

  whole(min: number, max: number): number {
    return min + Math.floor(this.#random.unit() * (max - min + 1))
  }

  one<Value>(values: readonly Value[]): Value {
    const value = values[this.whole(0, values.length - 1)]
    if (value === undefined) throw new Error('a list to choose from is not empty')
    return value
  }
}

/** Returns `count` rules by name; a rule may name those before it. */
export function randomRules(dice: Dice, count: number): ReadonlyMap<string, JsonObject> {
  const rules = new Map<string, JsonObject>([['viewers', { event: 'View', within: '60s' }]])
  for (let index = 0; index < count; index++) {
    rules.set(`s${index}`, randomRule(dice, [...rules.keys()], 0))
  }
  return rules
}

const eventNames = ['View', 'Add', 'Buy']
const seconds = (dice: Dice): string => `${dice.one([1, 2, 5, 10, 15, 20, 30, 45, 60])}s`

function randomRule(dice: Dice, names: readonly string[], level: number): JsonObject {
  const draw = level > 2 ? 1 : dice.whole(0, 100) / 100
  if (draw < 0.12) return { not: randomRule(dice, names, level + 1) }
  if (draw < 0.36) {
    const rules = Array.from({ length: dice.whole(1, 3) }, () => randomRule(dice, names, level + 1))
    return { [dice.one(['all', 'any'])]: rules }
  }
  return randomCondition(dice, names)
}

function randomCondition(dice: Dice, names: readonly string[]): JsonObject {
  const kind = dice.one([
    ...['event', 'event', 'event', 'event', 'total', 'sequence', 'sequence', 'sequence'],
    ...['trait', 'trait', 'time', 'segment', 'consent', 'list', 'split'],
    ...['computed', 'computed', 'computed'],
  ])
  switch (kind) {
    case 'event':
      return { event: dice.one(eventNames), within: seconds(dice), ...count(dice), ...where(dice) }
    case 'total':
      return { event: dice.one([...eventNames, 'identify']), ...count(dice) }
    case 'sequence':
      return randomSequence(dice)
    case 'time': {
      const time = dice.one(['now', `now-${seconds(dice)}`, `now+${seconds(dice)}`, isoAt(dice)])
      return { trait: 'seenAt', [dice.one(['before', 'after'])]: time }
    }
    case 'trait':
      return { trait: dice.one(['plan', 'age', 'tags', 'home.city', 'none']), ...test(dice) }
    case 'computed':
      return randomComputedCondition(dice)
    case 'segment':
      return { segment: dice.one(names) }
    case 'consent':
      return { consent: dice.one(['news', 'orders', '*']) }
    case 'list':
      return { list: dice.one(listNames) }
    default: {
      const from = dice.whole(0, 90)
      return { split: { salt: dice.one(['a', 'b']), from, to: dice.whole(from + 1, 100) } }
    }
  }
}

function count(dice: Dice): JsonObject {
  if (dice.chance(0.4)) return {}
  const operator = dice.one(['atLeast', 'atMost', 'exactly', 'moreThan', 'lessThan'])
  const other = dice.chance(0.2) ? { atMost: dice.whole(1, 4) } : {}
  return { count: { ...other, [operator]: dice.whole(0, 3) } }
}

function where(dice: Dice): JsonObject {
  if (dice.chance(0.5)) return {}
  const filter: Record<string, JsonObject[string]> = {}
  if (dice.chance(0.4)) filter['item'] = dice.one(['i1', 'i2'])
  if (dice.chance(0.4)) filter['valueAtLeast'] = dice.whole(1, 30)
  const properties: Record<string, JsonObject> = {}
  if (dice.chance(0.4)) properties['category'] = dice.one<JsonObject>(categoryTests)
  if (dice.chance(0.3))
    properties['size'] = { [dice.one(['atLeast', 'lessThan'])]: dice.whole(1, 4) }
  if (Object.keys(properties).length > 0) filter['properties'] = properties
  return Object.keys(filter).length === 0 ? {} : { where: filter }
}

const categoryTests = [
  { is: 'shoes' },
  { isNot: 'shoes' },
  { in: ['shoes', 'hats'] },
  { startsWith: 'h' },
  { exists: false },
]

function test(dice: Dice): JsonObject {
  return dice.one<JsonObject>([
    { is: dice.one(['pro', 'free', 30]) },
    { isNot: 'pro' },
    { in: ['pro', 'Rome', 30] },
    { notIn: ['free'] },
    { exists: dice.chance(0.5) },
    { atLeast: 20, lessThan: 40 },
    { contains: dice.one(['a', 'b']) },
    { startsWith: 'R' },
    { endsWith: 'o' },
  ])
}

function randomSequence(dice: Dice): JsonObject {
  const within = (share: number): JsonObject =>
    dice.chance(share) ? { within: seconds(dice) } : {}
  const event = (): JsonObject => ({ event: dice.one(eventNames), ...where(dice) })
  const steps: JsonObject[] = [event()]
  for (let left = dice.whole(1, 3); left > 0; left--) {
    if (dice.chance(0.4)) steps.push({ not: event(), ...within(0.7) })
    else steps.push({ ...event(), ...within(0.5) })
  }
  return {
    sequence: steps,
    ...(dice.chance(0.5) ? { same: dice.one(['item', 'product_id', 'category', 'size']) } : {}),
    ...within(0.6),
  }
}

/** Times are mostly multiples of half a second, so that events and edges fall together. */
function timeAt(dice: Dice, from: number, to: number): number {
  return dice.chance(0.8) ? dice.whole(from / 500, to / 500) * 500 : dice.whole(from, to)
}

function isoAt(dice: Dice): string {
  return new Date(baseMs + timeAt(dice, -60_000, lengthMs + 60_000)).toISOString()
}

/** Returns what happens, in order of time. The device is the user's from some login on. */
export function randomHistory(dice: Dice, eventCount: number): readonly Step[] {
  const times = Array.from({ length: eventCount }, () => timeAt(dice, 0, lengthMs)).sort(
    (left, right) => left - right,
  )
  const loginAt = dice.whole(0, eventCount)
  return times.flatMap((atMs, index): readonly Step[] => {
    const event = randomEvent(dice, baseMs + atMs, index === loginAt ? 'both' : dice.one(who))
    const steps: Step[] = [{ atMs: baseMs + atMs, happens: { kind: 'event', event } }]
    if (dice.chance(0.06)) {
      const keys = [`user:${userId}`, `anonymous:${deviceId}`, 'user:else']
      const happens = {
        kind: 'list',
        name: dice.one(listNames),
        keys: keys.filter(() => dice.chance(0.4)),
      } as const
      steps.push({ atMs: baseMs + atMs, happens })
    }
    return steps
  })
}

const who = ['user', 'user', 'user', 'device', 'device'] as const

function randomEvent(dice: Dice, nowMs: number, by: 'user' | 'device' | 'both'): GivenEvent {
  const ids = {
    ...(by === 'device' ? {} : { userId }),
    ...(by === 'user' ? {} : { anonymousId: deviceId }),
  }
  const shift = dice.one([0, 0, 0, 0, -500, -5_000, -30_000, 2_000, 15_000])
  const shared = { ...ids, occurredAtMs: nowMs + shift, isBackfill: dice.chance(0.1) }
  if (by === 'user' && dice.chance(0.25)) {
    const traits: Record<string, JsonObject[string]> = {}
    if (dice.chance(0.5)) traits['plan'] = dice.one(['pro', 'free'])
    if (dice.chance(0.5)) traits['age'] = dice.one([10, 30, '30'])
    if (dice.chance(0.5)) traits['tags'] = dice.one([['a'], ['a', 'b'], 'ab'])
    if (dice.chance(0.5)) traits['home'] = { city: dice.one(['Rome', 'Oslo']) }
    if (dice.chance(0.7)) traits['seenAt'] = dice.one([isoAt(dice), isoAt(dice), 'soon'])
    return { type: 'identify', name: 'identify', ...shared, traits }
  }
  if (dice.chance(0.06)) {
    const properties = { topic: dice.one(['news', 'orders', '*']) }
    return { type: 'track', name: 'Unsubscribed', ...shared, properties }
  }
  const properties = dice.chance(0.2)
    ? { products: [product(dice), product(dice)], size: dice.whole(1, 4) }
    : product(dice)
  return { type: 'track', name: dice.one(eventNames), ...shared, properties }
}

function product(dice: Dice): JsonObject {
  return {
    product_id: dice.one(['i1', 'i2', 'i3']),
    price: dice.whole(1, 10),
    ...(dice.chance(0.5) ? { quantity: dice.whole(1, 3) } : {}),
    ...(dice.chance(0.7) ? { category: dice.one(['shoes', 'hats', 'home']) } : {}),
    ...(dice.chance(0.5) ? { size: dice.whole(1, 4) } : {}),
  }
}
