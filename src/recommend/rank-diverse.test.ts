import { deepStrictEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { ItemFacts } from './item-facts.ts'
import { factsOf } from './item-facts.ts'
import { type DiverseCandidate, likenessOf, rankDiverse } from './rank-diverse.ts'

function facts(itemId: string, path: string, brand?: string): ItemFacts {
  const categoryPath = path === '' ? [] : path.split('/')
  const more = brand === undefined ? {} : { brand }
  return factsOf({ itemId, name: '', price: 1, updatedAtMs: 0, categoryPath, ...more })
}

function candidate(itemId: string, score: number, path: string, tier = 0): DiverseCandidate {
  return { facts: facts(itemId, path), score, tier }
}

const idsOf = (ranked: readonly DiverseCandidate[]): readonly string[] =>
  ranked.map((each) => each.facts.itemId)

describe('likenessOf', () => {
  it('is the share of the way in common, and the brand', () => {
    equal(likenessOf(facts('a', 'A/B'), facts('b', 'A/B')), 0.7)
    equal(likenessOf(facts('a', 'A/B'), facts('b', 'A/C')), 0.35)
    equal(likenessOf(facts('a', 'A'), facts('b', 'B')), 0)
    equal(likenessOf(facts('a', '', 'Oak'), facts('b', 'X', 'Oak')), 0.3)
    equal(likenessOf(facts('a', ''), facts('b', '')), 0)
  })
})

describe('rankDiverse', () => {
  const cups = [
    candidate('cup1', 1, 'Home/Cups'),
    candidate('cup2', 0.9, 'Home/Cups'),
    candidate('cup3', 0.8, 'Home/Cups'),
    candidate('hat', 0.7, 'Wear/Hats'),
  ]

  it('goes by score alone without diversity, and by difference with it', () => {
    const byScore = rankDiverse(cups, [], { diversity: 0, countMax: 3 })
    deepStrictEqual(idsOf(byScore), ['cup1', 'cup2', 'cup3'])
    const diverse = rankDiverse(cups, [], { diversity: 0.5, countMax: 3 })
    deepStrictEqual(idsOf(diverse), ['cup1', 'hat', 'cup2'])
  })

  it('counts what came before it', () => {
    const ranked = rankDiverse(cups, [facts('pin', 'Home/Cups')], { diversity: 0.5, countMax: 1 })
    deepStrictEqual(idsOf(ranked), ['hat'])
  })

  it('keeps limits while there are enough others, and leaves no place empty for them', () => {
    const options = { diversity: 0, perCategoryMax: 1 }
    deepStrictEqual(idsOf(rankDiverse(cups, [], { ...options, countMax: 2 })), ['cup1', 'hat'])
    deepStrictEqual(idsOf(rankDiverse(cups, [], { ...options, countMax: 3 })), [
      ...['cup1', 'hat', 'cup2'],
    ])
  })

  it('lets no later tier displace an earlier one', () => {
    const popular = candidate('popular', 5, 'Other', 1)
    const ranked = rankDiverse([popular, ...cups], [], { diversity: 0.9, countMax: 5 })
    equal(idsOf(ranked).at(-1), 'popular')
  })

  it('answers each candidate once, and as many as asked for (property)', () => {
    const one = fc.record({
      score: fc.double({ min: 0, max: 10, noNaN: true }),
      path: fc.constantFrom('A', 'A/B', 'A/C', 'D', ''),
      tier: fc.integer({ min: 0, max: 2 }),
    })
    fc.assert(
      fc.property(
        fc.array(one, { maxLength: 20 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.integer({ min: 0, max: 25 }),
        fc.integer({ min: 1, max: 3 }),
        (given, diversity, countMax, perCategoryMax) => {
          const all = given.map(({ score, path, tier }, at) =>
            candidate(`${at}`, score, path, tier),
          )
          const options = { diversity, countMax, perCategoryMax }
          const ids = idsOf(rankDiverse(all, [], options))
          equal(ids.length, Math.min(countMax, all.length))
          equal(new Set(ids).size, ids.length)
          // The order in which two candidates stand is that of the answer to fewer.
          const fewer = idsOf(rankDiverse(all, [], { ...options, countMax: 1 }))
          ok(ids.length === 0 || fewer[0] === ids[0])
        },
      ),
      { numRuns: 200 },
    )
  })
})
