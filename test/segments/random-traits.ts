/** Random definitions of computed traits, and conditions on them. */

import type { JsonObject } from '../../src/lib/json.ts'
import type { Dice } from './random-segments.ts'

const eventNames = ['View', 'Add', 'Buy']
const lengths = [1, 2, 5, 10, 15, 20, 30, 45, 60]
const kindsOf: readonly JsonObject[] = [
  { kind: 'count' },
  { kind: 'count' },
  { kind: 'sum', of: '$value' },
  { kind: 'sum', of: 'price' },
  { kind: 'average', of: 'size' },
  { kind: 'min', of: 'price' },
  { kind: 'max', of: '$value' },
  { kind: 'first', of: 'category' },
  { kind: 'last', of: 'products.*.category' },
  { kind: 'last', of: '$item' },
  { kind: 'list', of: '$item', length: 2 },
  { kind: 'uniqueCount', of: '$item' },
  { kind: 'uniqueCount', of: '$event' },
  { kind: 'mostFrequent', of: '$item' },
  { kind: 'recency', unit: 'seconds' },
]
const filters: readonly JsonObject[] = [
  { property: 'category', is: 'shoes' },
  { not: { property: 'category', exists: true } },
  {
    any: [
      { property: 'size', atLeast: 3 },
      { property: 'price', lessThan: 4 },
    ],
  },
]

/** `c0` to `c4`, and a ratio of two of them; some are as in `before`, where that is given. */
export function randomTraits(
  dice: Dice,
  before: ReadonlyMap<string, JsonObject> = new Map(),
): ReadonlyMap<string, JsonObject> {
  const traits = new Map<string, JsonObject>()
  for (let index = 0; index < 5; index++) {
    const known = before.get(`c${index}`)
    traits.set(`c${index}`, known !== undefined && dice.chance(0.4) ? known : randomTrait(dice))
  }
  traits.set('orders', { kind: 'count', event: 'Buy' })
  traits.set('spent', { kind: 'sum', event: 'Buy', of: '$value', ...within(dice, 0.5) })
  traits.set('each', { kind: 'ratio', over: 'spent', by: 'orders', whenZero: dice.one([null, 0]) })
  return traits
}

function randomTrait(dice: Dice): JsonObject {
  const shape = dice.one(kindsOf)
  const event = dice.one<JsonObject>([
    ...eventNames.map((name) => ({ event: name })),
    { event: ['Buy', 'View'] },
    {},
  ])
  return {
    ...shape,
    ...event,
    ...(dice.chance(0.3) ? { where: dice.one(filters) } : {}),
    ...(shape['kind'] === 'recency' ? {} : within(dice, 0.6)),
  }
}

function within(dice: Dice, share: number): JsonObject {
  return dice.chance(share) ? { within: `${dice.one(lengths)}s` } : {}
}

export function randomComputedCondition(dice: Dice): JsonObject {
  const trait = dice.one(['c0', 'c1', 'c2', 'c3', 'c4', 'each'])
  const operator = dice.one(['atLeast', 'atMost', 'moreThan', 'lessThan', 'is', 'isNot'])
  const test = dice.one<JsonObject>([
    { [operator]: dice.one([0, 1, 2, 2.5, 3, 5, 10, 15, 20]) },
    { [operator]: dice.one([0, 1, 2, 3]) },
    { exists: dice.chance(0.5) },
    { is: dice.one(['shoes', 'hats', 'i1', 'i2']) },
    { in: ['shoes', 'i1', 2] },
    { contains: 'i1' },
  ])
  return { trait, ...test }
}
