import { deepStrictEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Item } from '../catalog/item.ts'
import type { Json } from '../lib/json.ts'
import { defaultWeights } from './blend-weights.ts'
import { factsOf } from './item-facts.ts'
import { statedWeights } from './parse-weights.ts'
import {
  boostOf,
  defaultRules,
  fitsRules,
  parseRules,
  type RecommenderRules,
} from './recommender-rules.ts'

function rulesOf(input: Json): RecommenderRules {
  const parsed = parseRules(input, 'test')
  if (parsed.kind === 'rules') return parsed.rules
  throw new Error(JSON.stringify(parsed.faults))
}

function pathsOf(input: Json): readonly string[] {
  const parsed = parseRules(input, 'test')
  return parsed.kind === 'refused' ? parsed.faults.map(({ path }) => path) : []
}

const cup: Item = {
  ...{ itemId: 'cup', name: 'Cup', price: 12, salePrice: 9, brand: 'Oak', updatedAtMs: 1 },
  ...{ categoryPath: ['Home', 'Kitchen', 'Cups'], tags: ['new', 'gift'] },
}
const fits = (rules: Json, item: Item = cup): boolean =>
  fitsRules(rulesOf(rules), factsOf(item), 'EUR')

describe('parseRules', () => {
  it('takes nothing for the rules that hold without a definition', () => {
    deepStrictEqual(rulesOf({}), defaultRules)
  })

  it('reads every field', () => {
    const rules = rulesOf({
      ...{ name: 'test', kind: 'similar', viewed: 'hide', bought: 'show', diversity: 0.5 },
      ...{ maxPerCategory: 2, maxPerBrand: 3, pin: ['a', 7], locales: ['de'] },
      include: { categories: ['Kitchen'] },
      exclude: { tags: ['used'] },
      boost: [{ brands: ['Oak'], by: 2 }],
      price: { from: 1, to: 5, currency: 'GBP' },
    })
    deepStrictEqual(rules, {
      kind: 'similar',
      pins: ['a', '7'],
      boosts: [{ filter: { brands: ['Oak'] }, by: 2 }],
      diversity: 0.5,
      showsViewed: false,
      showsBought: true,
      include: { categories: ['Kitchen'] },
      exclude: { tags: ['used'] },
      price: { from: 1, to: 5, currency: 'GBP' },
      locales: ['de'],
      perCategoryMax: 2,
      perBrandMax: 3,
    })
  })

  it('names the path of all that is wrong', () => {
    deepStrictEqual(pathsOf('x'), [''])
    deepStrictEqual(pathsOf({ name: 'other', kind: 'best', colour: 1 }), ['colour', 'name', 'kind'])
    deepStrictEqual(pathsOf({ include: {}, exclude: { brand: ['x'] } }), [
      'include',
      'exclude.brand',
    ])
    deepStrictEqual(pathsOf({ pin: [], boost: [{ by: 0 }, 3, { tags: ['x'], by: 2 }] }), [
      ...['pin', 'boost[0].by', 'boost[0]', 'boost[1]'],
    ])
    deepStrictEqual(pathsOf({ price: { from: 5, to: 1 }, diversity: 2, maxPerBrand: 0 }), [
      ...['price.to', 'maxPerBrand', 'diversity'],
    ])
    deepStrictEqual(pathsOf({ price: { from: -1, currency: 'eur' }, include: { tags: [''] } }), [
      ...['include.tags[0]', 'price.from', 'price.currency'],
    ])
  })
})

describe('rules', () => {
  it('include what each list names, and exclude what any list names', () => {
    ok(fits({ include: { categories: ['Kitchen'], brands: ['Oak', 'Elm'] } }))
    ok(!fits({ include: { categories: ['Kitchen'], brands: ['Elm'] } }))
    ok(!fits({ include: { tags: ['old'] } }))
    ok(fits({ exclude: { brands: ['Elm'], tags: ['old'] } }))
    ok(!fits({ exclude: { brands: ['Elm'], tags: ['gift'] } }))
    ok(!fits({ exclude: { items: ['cup'] } }))
  })

  it('hold the current price to a range, of items in its currency alone', () => {
    ok(fits({ price: { from: 5, to: 10 } }))
    ok(!fits({ price: { from: 10 } }))
    ok(fits({ price: { to: 10, currency: 'EUR' } }))
    ok(!fits({ price: { to: 10, currency: 'USD' } }))
    ok(!fits({ price: { to: 10 } }, { ...cup, currency: 'USD' }))
    ok(fits({ price: { to: 10, currency: 'USD' } }, { ...cup, currency: 'USD' }))
  })

  it('take an item without a locale for any', () => {
    ok(fits({ locales: ['de'] }))
    ok(fits({ locales: ['de'] }, { ...cup, locale: 'de' }))
    ok(!fits({ locales: ['de'] }, { ...cup, locale: 'en' }))
  })

  it('multiply the boosts that fit', () => {
    const rules = rulesOf({
      boost: [
        { tags: ['new'], by: 2 },
        { brands: ['Oak'], categories: ['Home'], by: 1.5 },
        { brands: ['Elm'], by: 10 },
      ],
    })
    equal(boostOf(rules, factsOf(cup)), 3)
  })
})

describe('weights of a definition', () => {
  it('are shares of one row for all, or of a row for each range of own items', () => {
    const { weights = [] } = rulesOf({ weights: { trending: 3, revisit: 1, 'two-steps': 0 } })
    equal(weights.length, 4)
    for (const row of weights) {
      deepStrictEqual(row, { trending: 0.75, revisit: 0.25, 'two-steps': 0 })
    }
    const ranged = rulesOf({ weights: { 1: { trending: 5 }, '5+': { revisit: 2 } } }).weights
    deepStrictEqual(ranged?.[0], { trending: 1 })
    deepStrictEqual(ranged?.slice(1, 3), defaultWeights.slice(1, 3))
    deepStrictEqual(ranged?.[3], { revisit: 1 })
  })

  it('are read as they are stated', () => {
    deepStrictEqual(Object.keys(statedWeights(defaultWeights)).sort(), ['1', '2', '3-4', '5+'])
    const again = rulesOf({ weights: statedWeights(defaultWeights) as Json }).weights ?? []
    for (const [row, weights] of defaultWeights.entries()) {
      for (const [name, weight] of Object.entries(again[row] ?? {})) {
        ok(Math.abs(weight - (weights[name as keyof typeof weights] ?? 0)) < 0.02, name)
      }
    }
  })

  it('name the path of what is wrong', () => {
    deepStrictEqual(pathsOf({ weights: 3 }), ['weights'])
    deepStrictEqual(pathsOf({ weights: {} }), ['weights'])
    deepStrictEqual(pathsOf({ weights: { trending: Number.NaN, revisit: -1, magic: 1 } }), [
      ...['weights.trending', 'weights.revisit', 'weights.magic'],
    ])
    deepStrictEqual(pathsOf({ weights: { trending: 1 / 0, revisit: '1', 'two-steps': null } }), [
      ...['weights.trending', 'weights.revisit', 'weights.two-steps'],
    ])
    deepStrictEqual(pathsOf({ weights: { trending: 0, revisit: 0 } }), ['weights'])
    deepStrictEqual(pathsOf({ weights: { 1: { trending: 0 }, 2: [], '5+': {}, 6: {} } }), [
      ...['weights.6', 'weights.1', 'weights.2', 'weights.5+'],
    ])
    deepStrictEqual(pathsOf({ kind: 'trending', weights: { trending: 1 } }), ['weights'])
    deepStrictEqual(pathsOf({ kind: 'similar', weights: { trending: 1 } }), [])
  })
})
