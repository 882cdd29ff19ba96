/** What an answer promises, whatever the catalog, the past and the rules are. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type Item, isAvailable } from '../catalog/item.ts'
import { createAdvisor } from './advisor.ts'
import { createBlend } from './blend.ts'
import { factsOf } from './item-facts.ts'
import { type Interaction, interactionKinds } from './recommender.ts'
import {
  defaultRules,
  fitsRules,
  type RecommenderRules,
  recommenderKinds,
} from './recommender-rules.ts'

const nowMs = 1_800_000_000_000
const ids = Array.from({ length: 30 }, (_, nth) => `i${nth}`)
const maybe = <Value>(value: fc.Arbitrary<Value>) => fc.option(value, { nil: undefined })
/** Beside one or some values that are rare. */
const rarely = Array<undefined>(8).fill(undefined)
const brands = ['Oak', 'Elm'] as const

const someItem: fc.Arbitrary<Item> = fc
  .record({
    itemId: fc.constantFrom(...ids),
    name: fc.constant('Thing'),
    price: fc.constantFrom(1, 20, 300, 5, 20, 300, Number.NaN, -1, Number.POSITIVE_INFINITY),
    stockCount: fc.constantFrom(undefined, 0, 1, 5),
    currency: maybe(fc.constantFrom('EUR', 'USD')),
    categoryPath: maybe(fc.constantFrom(['Home', 'Cups'], ['Hats'], ['Out', 'Far', 'Tents'])),
    brand: maybe(fc.constantFrom(...brands)),
    isRemoved: fc.constantFrom(true as const, ...rarely),
    availableFromMs: fc.constantFrom(nowMs - 1, nowMs, nowMs + 1, ...rarely),
    availableUntilMs: fc.constantFrom(nowMs - 1, nowMs, nowMs + 1, ...rarely),
    updatedAtMs: fc.constant(1),
  })
  .map((item): Item => withoutAbsent(item))

const someInteraction: fc.Arbitrary<Interaction> = fc.record({
  profileId: fc.constantFrom('p1', 'p2', 'p3'),
  itemId: fc.constantFrom(...ids, 'unknown'),
  kind: fc.constantFrom(...interactionKinds),
  occurredAtMs: fc.integer({ min: nowMs - 3 * 86_400_000, max: nowMs + 1000 }),
})

const someRules: fc.Arbitrary<RecommenderRules> = fc
  .record({
    kind: fc.constantFrom(...recommenderKinds),
    pins: fc.uniqueArray(fc.constantFrom(...ids), { maxLength: 3 }),
    include: fc.constantFrom({ categories: ['Home', 'Hats'] }, { brands: ['Oak'] }, ...rarely),
    exclude: fc.constantFrom({ categories: ['Tents'] }, { brands: ['Elm'] }, ...rarely),
    price: fc.constantFrom({ from: 0, to: 50 }, { from: 9, to: 999, currency: 'USD' }, ...rarely),
    diversity: fc.constantFrom(0, 0.2, 1),
    perBrandMax: maybe(fc.constantFrom(1, 2)),
    perCategoryMax: maybe(fc.constantFrom(1, 2)),
    boosts: fc.constantFrom([], [{ filter: { brands: ['Oak'] }, by: 5 }]),
  })
  .map((rules) => ({ ...defaultRules, ...withoutAbsent(rules) }))

describe('an answer', () => {
  it('has as many as asked for while there are such items, and only such (property)', () => {
    const someCase = fc.record({
      items: fc.array(someItem, { maxLength: 40, size: 'max' }),
      history: fc.array(someInteraction, { maxLength: 60, size: 'max' }),
      activity: fc.array(someInteraction, { maxLength: 12 }),
      excludeItemIds: fc.uniqueArray(fc.constantFrom(...ids), { maxLength: 5 }),
      countMax: fc.integer({ min: 0, max: 40 }),
      rules: someRules,
    })
    fc.assert(
      fc.property(someCase, ({ items, history, activity, excludeItemIds, countMax, rules }) => {
        const advisor = createAdvisor(createBlend())
        const catalog = new Map<string, Item>()
        for (const [at, item] of items.entries()) {
          // Some come before anybody has met them, others afterwards.
          if (at === Math.floor(items.length / 2)) advisor.learn(history)
          advisor.follow(item)
          catalog.set(item.itemId, item)
        }
        const request = { activity, excludeItemIds, nowMs, countMax, rules, currency: 'EUR' }
        const { recommendations } = advisor.advise(request)
        const fitting = [...catalog.values()].filter((item) => {
          const isOffered = isAvailable(item, nowMs) && fitsRules(rules, factsOf(item), 'EUR')
          return isOffered && !excludeItemIds.includes(item.itemId)
        })
        const found = recommendations.map(({ itemId }) => itemId)
        equal(new Set(found).size, found.length)
        ok(found.every((itemId) => fitting.some((item) => item.itemId === itemId)))
        // A reminder of what was looked at has nothing else.
        if (rules.kind !== 'viewed-not-bought') {
          equal(found.length, Math.min(countMax, fitting.length))
        }
        checkLimits(rules, found, fitting)
        for (const { score, weights } of recommendations) {
          ok(Number.isFinite(score) && score >= 0 && Number.isFinite(weights.base))
        }
      }),
      { numRuns: 200 },
    )
  })

  it('keeps its limits by what is popular or new, where all that fits best is of one kind', () => {
    const advisor = createAdvisor(createBlend())
    const offer = (itemId: string, category: string, brand: string): void =>
      advisor.follow({ ...{ itemId, name: itemId, price: 9, updatedAtMs: 1 }, category, brand })
    const hats = Array.from({ length: 300 }, (_, nth) => `hat ${nth}`)
    for (const itemId of hats) offer(itemId, 'Hats', 'Oak')
    for (const nth of [0, 1, 2]) offer(`cup ${nth}`, 'Cups', 'Elm')
    for (const nth of [0, 1]) offer(`tent ${nth}`, 'Tents', `Brand ${nth}`)
    for (const nth of [0, 1, 2]) offer(`pen ${nth}`, 'Pens', 'Oak')
    const view = { kind: 'view', occurredAtMs: nowMs - 1 } as const
    // All met with one another, so far more of them than are made diverse are about the person.
    for (let nth = 0; nth < 1_000; nth++) {
      const seen = [0, 7, 19, 53].map((step) => hats[(nth + step * (nth % 29)) % 300] ?? '')
      advisor.learn(seen.map((itemId) => ({ profileId: `p${nth}`, itemId, ...view })))
    }
    advisor.learn([{ profileId: 'q', itemId: 'cup 0', ...view }])
    const activity = hats.slice(0, 10).map((itemId) => ({ itemId, ...view }))
    const advise = (rules: Partial<RecommenderRules>, countMax: number) => {
      const given = { ...defaultRules, ...rules }
      const asked = { activity, excludeItemIds: [], nowMs, countMax, rules: given }
      return advisor.advise(asked).recommendations.map(({ itemId }) => itemId.split(' ')[0])
    }
    const count = (kinds: readonly (string | undefined)[]) =>
      Object.fromEntries(
        ['hat', 'cup', 'tent', 'pen'].map((kind) => [
          kind,
          kinds.filter((each) => each === kind).length,
        ]),
      )
    deepEqual(count(advise({}, 8)), { hat: 8, cup: 0, tent: 0, pen: 0 })
    deepEqual(count(advise({ perCategoryMax: 2 }, 8)), { hat: 2, cup: 2, tent: 2, pen: 2 })
    // No more than four brands there are; the place that is left is not empty.
    deepEqual(count(advise({ perBrandMax: 1 }, 5)), { hat: 2, cup: 1, tent: 2, pen: 0 })
    equal(advise({ perCategoryMax: 1, perBrandMax: 1 }, 30).length, 30)
  })
})

/** One limit holds while enough other items fit; pins come whatever they are. */
function checkLimits(
  { kind, pins, perCategoryMax, perBrandMax }: RecommenderRules,
  found: readonly string[],
  fitting: readonly Item[],
): void {
  const max = perCategoryMax ?? perBrandMax
  const isOne = (perCategoryMax === undefined) !== (perBrandMax === undefined)
  if (!isOne || max === undefined || pins.length > 0 || kind === 'viewed-not-bought') return
  const counted = (items: readonly Item[]): readonly number[] => {
    const counts = new Map<string, number>()
    for (const item of items) {
      const { categories, brand } = factsOf(item)
      const group = (perCategoryMax === undefined ? brand : categories.at(-1)) ?? item.itemId
      counts.set(group, (counts.get(group) ?? 0) + 1)
    }
    return [...counts.values()]
  }
  const most = counted(fitting).reduce((sum, count) => sum + Math.min(count, max), 0)
  if (found.length > most) return
  const shown = counted(fitting.filter(({ itemId }) => found.includes(itemId)))
  ok(
    shown.every((count) => count <= max),
    `${shown} of at most ${max}`,
  )
}

function withoutAbsent<Given extends object>(given: Given) {
  type Present = { [Name in keyof Given]: Exclude<Given[Name], undefined> }
  const entries = Object.entries(given).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as Present
}
