/** Each algorithm alone, on cases small enough to be worked out by hand. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type AlgorithmName, algorithmNames } from './algorithm-names.ts'
import { type Blend, type BlendOptions, createBlend } from './blend.ts'
import { defaultWeights, onlyWeights, rowOwnCounts, weightRowOf } from './blend-weights.ts'
import { type InteractionKind, type RecommendQuery, recommendTiers } from './recommender.ts'

const minuteMs = 60_000
const dayMs = 86_400_000

describe('sequential-rules', () => {
  it('counts what came after the newest item, by the square of the distance', () => {
    const index = alone('sequential-rules')
    // a -> b twice at once, a -> c once at once and once at two steps: 2 to 1.25.
    for (const [nth, session] of ['ab', 'abc', 'ac'].entries())
      visit(index, session, nth * minuteMs)
    assert.deepEqual(reasoned(index, 'a'), ['b', 'c'])
    assert.deepEqual(shareOf(index, 'a', ['b', 'c']), [0.6154, 0.3846])
    assert.deepEqual(reasoned(index, 'c'), [], 'nothing came after c')
    assert.deepEqual(reasoned(index, 'ab'), ['c'], 'only the newest item is asked')
  })
})

describe('co-visitation', () => {
  it('counts what came before as much as what came after', () => {
    const index = alone('co-visitation')
    for (const [nth, session] of ['ab', 'cb'].entries()) visit(index, session, nth)
    assert.deepEqual(shareOf(index, 'b', ['a', 'c']), [0.5, 0.5])
    assert.deepEqual(shareOf(index, 'a', ['b', 'c']), [1, 0])
  })

  it('weighs a cart six times and a purchase three times a view', () => {
    const index = alone('co-visitation')
    const kinds: Readonly<Record<string, InteractionKind>> = { b: 'view', c: 'cart', d: 'purchase' }
    for (const [itemId, kind] of Object.entries(kinds)) {
      index.learn({ profileId: itemId, itemId: 'a', kind: 'view', occurredAtMs: 0 })
      index.learn({ profileId: itemId, itemId, kind, occurredAtMs: 1 })
    }
    assert.deepEqual(shareOf(index, 'a', ['b', 'c', 'd']), [0.1, 0.6, 0.3])
  })

  it('halves what is a half-life older', () => {
    const index = alone('co-visitation', { pairHalfLifeMs: dayMs })
    visit(index, 'ab', 0, 0)
    visit(index, 'ac', dayMs, 0)
    assert.deepEqual(shareOf(index, 'a', ['b', 'c']), [0.3333, 0.6667])
  })

  it('lets a list grow with its item, and the lightest go when it is full', () => {
    const index = alone('co-visitation', { pairCountMax: 8 })
    for (let nth = 0; nth < 3; nth++) visit(index, 'ab', nth * dayMs)
    for (const [nth, other] of [...'cdefghijk'].entries())
      visit(index, `a${other}`, nth + 9 * dayMs)
    const found = reasoned(index, 'a')
    assert.equal(found.length, 8)
    assert.equal(found[0], 'b')
    assert.ok(found.includes('k'), 'the newest took the place of a light one')
  })
})

describe('two-steps', () => {
  it('finds what was never met together, and says nothing of the own items', () => {
    const index = alone('two-steps')
    for (const [nth, session] of ['ab', 'bc', 'bc', 'bc'].entries()) visit(index, session, nth)
    // From a to b; from b to a 1/4 and to c 3/4; the way back to a is not counted.
    assert.deepEqual(reasoned(index, 'a'), ['c'])
    assert.deepEqual(shareOf(index, 'a', ['a', 'b', 'c']), [0, 0, 1])
  })
})

describe('revisit', () => {
  it('knows by how many steps people go back', () => {
    const index = alone('revisit')
    // One step back three times (a b A, B, then c d C), none two steps, again at once once.
    visit(index, 'abab', 0)
    visit(index, 'cdcc', 1)
    assert.deepEqual(shareOf(index, 'abc', ['c', 'b', 'a']), [0.25, 0.75, 0])
  })

  it('takes a cart after the view of the same item for no way back', () => {
    const index = alone('revisit')
    index.learn({ profileId: 'p', itemId: 'a', kind: 'view', occurredAtMs: 0 })
    index.learn({ profileId: 'p', itemId: 'a', kind: 'cart', occurredAtMs: 1 })
    assert.deepEqual(reasoned(index, 'a'), [])
  })
})

describe('a blend of one algorithm', () => {
  it('learns and answers as that of all does by its weight alone', () => {
    const readers: readonly AlgorithmName[] = ['sequential-rules', 'two-steps']
    for (const name of algorithmNames) {
      const algorithms: readonly AlgorithmName[] = readers.includes(name)
        ? [name, 'co-visitation']
        : [name]
      const answers = [alone(name), alone(name, { algorithms })].map((index) => {
        for (const [nth, letters] of ['abc', 'abd', 'bca', 'bba', 'cad'].entries()) {
          for (const [at, itemId] of [...letters].entries()) {
            const occurredAtMs = nth * dayMs + at
            const kind = at === 1 ? 'view' : 'purchase'
            index.learn({ profileId: `visitor ${nth % 3}`, itemId, kind, occurredAtMs })
          }
        }
        const activity = [{ itemId: 'a', kind: 'purchase' as const, occurredAtMs: 5 * dayMs }]
        return index.recommend({
          ...{ activity, nowMs: 9 * dayMs, countMax: 9, excludeItemIds: new Set() },
          isAllowed: () => true,
        })
      })
      assert.deepEqual(answers[1], answers[0], name)
      assert.ok(answers[0]?.length, name)
    }
  })
})

describe('bought-together', () => {
  it('counts purchases of one session, whatever was viewed between', () => {
    const index = alone('bought-together')
    buy(index, 'p', ['a', 'b'], 0)
    buy(index, 'q', ['a', 'c'], 0)
    index.learn({ profileId: 'q', itemId: 'x', kind: 'view', occurredAtMs: 1 })
    buy(index, 'q', ['d'], 2)
    assert.deepEqual(shareOf(index, 'a', ['b', 'c', 'd', 'x']), [0.3333, 0.3333, 0.3333, 0])
    assert.deepEqual(shareOf(index, 'b', ['a', 'c']), [1, 0])
  })

  it('takes an item bought twice in an order once, and bounds an order', () => {
    const index = alone('bought-together')
    const many = Array.from({ length: 5_000 }, (_, nth) => `i${nth}`)
    buy(index, 'p', ['a', 'b', 'a', 'b', 'c'], 0)
    assert.deepEqual(shareOf(index, 'a', ['b', 'c']), [0.5, 0.5])
    buy(index, 'q', ['a', ...many], 0)
    assert.ok(reasoned(index, 'a').length <= 32)
  })
})

describe('repeat-purchase', () => {
  const repeatPlace = algorithmNames.indexOf('repeat-purchase')

  it('waits for the time that usually lies between, then recommends again', () => {
    const index = alone('repeat-purchase')
    for (const person of ['p', 'q']) {
      for (const day of [0, 10, 20]) buy(index, person, ['food'], day * dayMs)
      buy(index, person, ['sofa'], 0)
    }
    const asked = (atDay: number): number => {
      const activity = ['sofa', 'food'].map((itemId) => {
        return { itemId, kind: 'purchase' as const, occurredAtMs: 20 * dayMs }
      })
      return index.sharesOf(activity, 'food', atDay * dayMs).shares[repeatPlace] ?? -1
    }
    assert.deepEqual(asked(20), 0, 'just bought')
    assert.deepEqual(asked(30), 1, 'only what is ever bought again')
  })

  it('prefers what is due to what is overdue or not due yet', () => {
    const index = alone('repeat-purchase')
    for (const [itemId, days] of Object.entries({ weekly: 7, monthly: 28 })) {
      for (const nth of [0, 1]) buy(index, `p ${itemId}`, [itemId], nth * days * dayMs)
    }
    const activity = ['weekly', 'monthly'].map((itemId) => {
      return { itemId, kind: 'purchase' as const, occurredAtMs: 100 * dayMs }
    })
    const firstAt = (day: number): number =>
      index.sharesOf(activity, 'weekly', (100 + day) * dayMs).shares[repeatPlace] ?? -1
    // Due after 7 days: 1 to (1/4)^2. After 28: 1/4 to 1.
    assert.equal(Math.round(firstAt(7) * 1e4), 9412)
    assert.equal(Math.round(firstAt(28) * 1e4), 2000)
  })

  it('knows a purchase of long ago, and one that was looked at since', () => {
    const index = alone('repeat-purchase')
    for (const day of [0, 10, 20]) buy(index, 'p', ['food'], day * dayMs)
    for (const letter of 'abcdefghijkl') visit(index, letter, 0)
    const bought = { itemId: 'food', kind: 'purchase' as const, occurredAtMs: 20 * dayMs }
    const viewed = [...'abcdefghijkl'].map((itemId) => {
      return { itemId, kind: 'view' as const, occurredAtMs: 25 * dayMs }
    })
    for (const activity of [
      [bought, ...viewed],
      [bought, { ...bought, kind: 'view' as const, occurredAtMs: 29 * dayMs }],
    ]) {
      const asked = { ...queryOf(''), activity, nowMs: 30 * dayMs, tiers: ['blend'] as const }
      const [first] = index.recommend(asked)
      assert.equal(first?.itemId, 'food')
      assert.equal(first.reason.kind, 'bought-before')
      assert.equal(index.sharesOf(activity, 'food', asked.nowMs).shares[repeatPlace], 1)
      // The other algorithms go by the newest ten alone.
      const shipped = { ...asked, activity: activity.slice(-10), weights: defaultWeights }
      assert.deepEqual(index.recommend({ ...shipped, activity }), index.recommend(shipped))
    }
  })

  it('takes two orders of one day for one purchase', () => {
    const index = alone('repeat-purchase')
    for (const hour of [0, 1, 2]) buy(index, 'p', ['food'], hour * 60 * minuteMs)
    const activity = [{ itemId: 'food', kind: 'purchase' as const, occurredAtMs: 0 }]
    assert.equal(index.sharesOf(activity, 'food', 30 * dayMs).shares[repeatPlace], 0)
  })
})

describe('similar-content', () => {
  it('finds new items of the category, by brand and price', () => {
    const index = alone('similar-content')
    visit(index, 'a', 0)
    const categories = ['Home', 'Lamps']
    index.describe({ itemId: 'a', categories, brand: 'Lux', price: 100 })
    index.describe({ itemId: 'near', categories, brand: 'Lux', price: 50 })
    index.describe({ itemId: 'far', categories, brand: 'Other', price: 50 })
    index.describe({ itemId: 'chair', categories: ['Home', 'Chairs'], brand: 'Lux', price: 100 })
    assert.deepEqual(reasoned(index, 'a'), ['near', 'far'])
    // 1 x 0.75 to 0.5 x 0.75.
    assert.deepEqual(shareOf(index, 'a', ['near', 'far', 'chair']), [0.6667, 0.3333, 0])
  })

  it('fills up what the blend leaves, before all that trends, with no own item', () => {
    const index = alone('revisit')
    const own = { itemId: 'a', categories: ['Lamps'] }
    for (const itemId of ['b', 'new', 'a']) index.describe({ ...own, itemId })
    for (let nth = 0; nth < 3; nth++) visit(index, 'xb', nth)
    // People go back to what they have just left.
    visit(index, 'xyx', 9)
    const answer = index.recommend(queryOf('ab'))
    assert.deepEqual(
      answer.map(({ itemId, tier, reason }) => [itemId, tier, reason.kind]),
      [
        ['a', 'blend', 'looked-at'],
        ['new', 'content', 'alike'],
        ['b', 'category', 'trending'],
        ['x', 'everywhere', 'trending'],
        ['y', 'everywhere', 'trending'],
      ],
    )
    for (const [at, { score }] of answer.entries()) {
      assert.ok(score > 0 && score <= (answer[at - 1]?.score ?? 1))
    }
  })

  it('compares no prices in two currencies', () => {
    const index = alone('similar-content')
    visit(index, 'a', 0)
    const categories = ['Lamps']
    index.describe({ itemId: 'a', categories, price: 100, currency: 'EUR' })
    index.describe({ itemId: 'near', categories, price: 80, currency: 'EUR' })
    index.describe({ itemId: 'same', categories, price: 100, currency: 'JPY' })
    // 0.5 x 0.9 to 0.5 x 0.75, as where a price is not known.
    assert.deepEqual(shareOf(index, 'a', ['near', 'same']), [0.5455, 0.4545])
  })

  it('takes prices that are no numbers, and an item that moved', () => {
    const index = alone('similar-content')
    visit(index, 'a', 0)
    index.describe({ itemId: 'a', categories: ['Lamps'], price: Number.NaN })
    index.describe({ itemId: 'b', categories: ['Lamps'], price: -1 })
    assert.deepEqual(reasoned(index, 'a'), ['b'])
    index.describe({ itemId: 'b', categories: ['Chairs'], price: 5 })
    assert.deepEqual(reasoned(index, 'a'), [])
  })
})

describe('trending', () => {
  it('fills up with the own category, then with all', () => {
    const index = alone('revisit')
    for (let nth = 0; nth < 9; nth++) visit(index, 'x', nth * dayMs)
    visit(index, 'y', 0)
    visit(index, 'z', 9 * dayMs)
    for (const itemId of ['a', 'y', 'z']) index.describe({ itemId, categories: ['Lamps'] })
    visit(index, 'a', 9 * dayMs)
    const tiers = recommendTiers.filter((tier) => tier !== 'content')
    const query = { ...queryOf('a'), excludeItemIds: new Set(['a']), tiers }
    const answer = index.recommend(query).map(({ itemId }) => itemId)
    assert.deepEqual(answer, ['z', 'y', 'x'])
  })

  it('decays: what is twice as frequent loses to what is two half-lives newer', () => {
    const index = alone('trending', { trendingHalfLifeMs: dayMs })
    visit(index, 'old', 0, 0)
    visit(index, 'o', 0)
    visit(index, 'o', 0)
    visit(index, 'n', 2 * dayMs)
    const order = index.recommend({ ...queryOf(''), countMax: 2 }).map(({ itemId }) => itemId)
    assert.equal(order[0], 'n')
  })
})

describe('weightRowOf', () => {
  it('gives the row by the number of own items', () => {
    assert.deepEqual([1, 2, 3, 4, 5, 10].map(weightRowOf), [0, 1, 2, 2, 3, 3])
    assert.equal(rowOwnCounts.length, 4)
  })
})

function alone(name: AlgorithmName, options: Partial<BlendOptions> = {}): Blend {
  return createBlend({ weights: onlyWeights(name), ...options })
}

let visitCount = 0

/** A session of its own person; each letter is an item. */
function visit(index: Blend, letters: string, atMs: number, stepMs = 1): void {
  visitCount += 1
  for (const [at, itemId] of [...letters].entries()) {
    const occurredAtMs = atMs + at * stepMs
    index.learn({ profileId: `visitor ${visitCount}`, itemId, kind: 'view', occurredAtMs })
  }
}

function buy(index: Blend, profileId: string, itemIds: readonly string[], atMs: number): void {
  for (const itemId of itemIds) {
    index.learn({ profileId, itemId, kind: 'purchase', occurredAtMs: atMs })
  }
}

function queryOf(letters: string): RecommendQuery {
  return {
    activity: [...letters].map((itemId) => ({ itemId, kind: 'view', occurredAtMs: 0 })),
    nowMs: 0,
    countMax: 50,
    excludeItemIds: new Set(),
    isAllowed: () => true,
  }
}

/** Items answered by the algorithm, not in its place. */
function reasoned(index: Blend, letters: string): readonly string[] {
  return index.recommend({ ...queryOf(letters), tiers: ['blend'] }).map(({ itemId }) => itemId)
}

/** Scores of the items, to four places; 0 for those that the algorithm does not answer. */
function shareOf(index: Blend, letters: string, itemIds: readonly string[]): readonly number[] {
  const answer = index.recommend({ ...queryOf(letters), tiers: ['blend'] })
  return itemIds.map((wanted) => {
    const entry = answer.find(({ itemId }) => itemId === wanted)
    return Math.round((entry?.score ?? 0) * 10_000) / 10_000
  })
}
