import { deepStrictEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Item } from '../catalog/item.ts'
import type { Json } from '../lib/json.ts'
import { factsOf } from './item-facts.ts'
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
