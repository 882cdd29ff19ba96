import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { AlgorithmName } from './algorithm-names.ts'
import { type BlendOptions, blendDefaults, createBlend } from './blend.ts'
import { defaultWeights, onlyWeights } from './blend-weights.ts'
import { pairReachCount } from './co-visitation.ts'
import type { Interaction, Recommender, RecommendQuery } from './recommender.ts'
import { interactionKinds } from './recommender.ts'
import { sessionLengthMax } from './session-store.ts'

const minuteMs = 60_000
const dayMs = 86_400_000

const someInteraction: fc.Arbitrary<Interaction> = fc.record({
  profileId: fc.constantFrom('p1', 'p2', 'p3', 'p4'),
  itemId: fc.integer({ min: 0, max: 30 }).map((index) => `i${index}`),
  kind: fc.constantFrom(...interactionKinds),
  occurredAtMs: fc.integer({ min: 0, max: 200 * minuteMs }),
})
const someHistory = fc.array(someInteraction, { maxLength: 120 })
const tinyLimits: Partial<BlendOptions> = {
  sessionCountMax: 8,
  itemCountMax: 7,
  eventCountMax: 16,
  neighbourPoolMax: 4,
  neighbourCountMax: 2,
  pairCountMax: 4,
}

describe('createBlend', () => {
  it('answers exactly as many different allowed items as asked while enough are known', () => {
    const someCase = fc.record({
      history: someHistory,
      activity: fc.array(someInteraction, { maxLength: 15 }),
      excluded: fc.uniqueArray(fc.integer({ min: 0, max: 30 }), { maxLength: 10 }),
      refusedRest: fc.integer({ min: 0, max: 3 }),
      countMax: fc.integer({ min: 0, max: 25 }),
    })
    fc.assert(
      fc.property(someCase, ({ history, activity, excluded, refusedRest, countMax }) => {
        const excludeItemIds = new Set(excluded.map((index) => `i${index}`))
        const isAllowed = (itemId: string): boolean => Number(itemId.slice(1)) % 4 !== refusedRest
        const answer = learned(history).recommend(
          aQuery({ activity, excludeItemIds, isAllowed, countMax }),
        )
        const known = new Set(history.map((interaction) => interaction.itemId))
        const open = [...known].filter((id) => isAllowed(id) && !excludeItemIds.has(id))
        const ids = answer.map((entry) => entry.itemId)
        assert.equal(new Set(ids).size, ids.length)
        assert.ok(ids.every((id) => open.includes(id)))
        assert.equal(ids.length, Math.min(countMax, open.length))
        for (const [index, { score, reason }] of answer.entries()) {
          assert.ok(score > 0 && score <= (answer[index - 1]?.score ?? Infinity))
          const own = activity.slice(-10).filter((entry) => entry.itemId === reason.itemId)
          assert.ok(reason.kind === 'trending' ? reason.itemId === undefined : own.length > 0)
        }
      }),
      { numRuns: 500 },
    )
  })

  it('gives the same answers after the same interactions, whatever was asked in between', () => {
    fc.assert(
      fc.property(someHistory, fc.boolean(), (history, isTiny) => {
        const options = isTiny ? tinyLimits : {}
        const silent = learned(history, options)
        const asked = createBlend(options)
        for (const interaction of history) {
          asked.learn(interaction)
          asked.recommend(aQuery({ activity: [interaction] }))
        }
        const query = aQuery({ activity: history.slice(-3) })
        assert.deepEqual(asked.recommend(query), silent.recommend(query))
      }),
      { numRuns: 200 },
    )
  })

  it('keeps its limits, and its promises at them', () => {
    fc.assert(
      fc.property(fc.array(someInteraction, { minLength: 60, maxLength: 200 }), (history) => {
        const recommender = learned(history, tinyLimits)
        const known = new Set(history.map((interaction) => interaction.itemId)).size
        const answer = recommender.recommend(aQuery({ activity: history.slice(-4), countMax: 50 }))
        assert.equal(answer.length, Math.min(known, 7))
        assert.equal(new Set(answer.map((entry) => entry.itemId)).size, answer.length)
        assert.equal(recommender.learnedCount, history.length)
      }),
      { numRuns: 200 },
    )
  })

  it('recommends what others met with the own item, for that reason', () => {
    const alone = (['session-neighbours', 'co-visitation'] as const).map(onlyWeights)
    for (const weights of [defaultWeights, ...alone]) {
      const recommender = createBlend({ weights })
      visit(recommender, 'ann', ['tent', 'stove', 'lamp'], 0)
      visit(recommender, 'bob', ['tent', 'stove'], dayMs)
      for (let nth = 0; nth < 9; nth++) visit(recommender, `c${nth}`, ['hat', 'scarf'], 2 * dayMs)
      const answer = recommender.recommend(
        aQuery({
          activity: [{ itemId: 'tent', kind: 'purchase', occurredAtMs: 3 * dayMs }],
          excludeItemIds: new Set(['tent']),
          countMax: 3,
        }),
      )
      assert.deepEqual(
        answer.map(({ itemId, reason }) => [itemId, reason.kind, reason.itemId]),
        [
          ['stove', 'because-bought', 'tent'],
          ['lamp', 'because-bought', 'tent'],
          [answer[2]?.itemId, 'trending', undefined],
        ],
      )
    }
  })

  it('lets a cart count more than a view that came after it', () => {
    const recommender = createBlend()
    visit(recommender, 'ann', ['tent', 'stove'], 0)
    visit(recommender, 'bob', ['hat', 'scarf'], 0)
    const [best] = recommender.recommend(
      aQuery({
        activity: [
          { itemId: 'tent', kind: 'cart', occurredAtMs: dayMs },
          { itemId: 'hat', kind: 'view', occurredAtMs: dayMs + 1 },
        ],
        excludeItemIds: new Set(['tent', 'hat']),
      }),
    )
    assert.equal(best?.itemId, 'stove')
    assert.equal(best?.reason.kind, 'because-carted')
    assert.equal(best.reason.itemId, 'tent')
  })

  it('cuts sessions at half an hour, and keeps the lines of an order together', () => {
    const recommender = createBlend()
    view(recommender, 'ann', 'tent', 0)
    view(recommender, 'ann', 'stove', 30 * minuteMs)
    view(recommender, 'ann', 'hat', 60 * minuteMs + 1)
    for (const itemId of ['map', 'rope']) {
      recommender.learn({ profileId: 'ann', itemId, kind: 'purchase', occurredAtMs: 9 * dayMs })
    }
    assert.deepEqual(reasonedIds(recommender, 'tent'), ['stove'])
    assert.deepEqual(reasonedIds(recommender, 'hat'), [])
    assert.deepEqual(reasonedIds(recommender, 'rope'), ['map'])
  })

  it('shows a stranger what trends: newer and weightier interactions first', () => {
    const recommender = createBlend()
    for (let nth = 0; nth < 4; nth++) view(recommender, `p${nth}`, 'old', 0)
    for (let nth = 0; nth < 3; nth++) view(recommender, `q${nth}`, 'new', 14 * dayMs)
    recommender.learn({
      profileId: 'r',
      itemId: 'bought',
      kind: 'purchase',
      occurredAtMs: 15 * dayMs,
    })
    const answer = recommender.recommend(aQuery({ nowMs: 15 * dayMs }))
    assert.deepEqual(
      answer.map((entry) => [entry.itemId, entry.reason.kind]),
      [
        ['bought', 'trending'],
        ['new', 'trending'],
        ['old', 'trending'],
      ],
    )
  })

  it('forgets an evicted item in all its parts', () => {
    const recommender = createBlend({ itemCountMax: 4 })
    visit(recommender, 'ann', ['a', 'b'], 0)
    visit(recommender, 'bob', ['c', 'd', 'e', 'f'], 60 * dayMs)
    assert.deepEqual(reasonedIds(recommender, 'a'), [])
    const ids = recommender.recommend(aQuery({ countMax: 9 })).map((entry) => entry.itemId)
    assert.deepEqual(ids.toSorted(), ['c', 'd', 'e', 'f'])
    assert.deepEqual(reasonedIds(recommender, 'f').toSorted(), ['c', 'd', 'e'])
  })

  it('gives an item nothing of the one whose slot it took', () => {
    const recommender = createBlend({ itemCountMax: 2 })
    visit(recommender, 'ann', ['old', 'stays'], 0)
    for (let nth = 0; nth < 9; nth++) view(recommender, `p${nth}`, 'stays', dayMs)
    view(recommender, 'bob', 'new', 2 * dayMs)
    assert.deepEqual(reasonedIds(recommender, 'new'), [])
    assert.deepEqual(reasonedIds(recommender, 'stays'), [])
  })

  it('bounds the work of a session without end', () => {
    const recommender = createBlend()
    for (let nth = 0; nth < 20_000; nth++) view(recommender, 'robot', `i${nth % 500}`, nth)
    assert.equal(recommender.learnedCount, 20_000)
    assert.equal(recommender.recommend(aQuery({ countMax: 500 })).length, 500)
    assert.equal(askedCountOf(recommender, 'session-neighbours', 'i5'), sessionLengthMax)
    // Of what stands close before and behind, in what is kept of the session.
    assert.equal(askedCountOf(recommender, 'co-visitation', 'i5'), 2 * pairReachCount)
    assert.equal(askedCountOf(recommender, 'co-visitation', 'i499'), 0)
  })

  it('bounds the work of an item that everybody meets', () => {
    const recommender = createBlend()
    for (let nth = 0; nth < 2_000; nth++) {
      visit(recommender, `p${nth}`, ['hit', `i${nth}`], nth * minuteMs)
    }
    const { neighbourCountMax, pairCountMax } = blendDefaults
    // Each neighbour has the item itself and one more.
    assert.equal(askedCountOf(recommender, 'session-neighbours', 'hit'), neighbourCountMax + 1)
    assert.equal(askedCountOf(recommender, 'co-visitation', 'hit'), pairCountMax)
    assert.equal(askedCountOf(recommender, 'sequential-rules', 'hit'), pairCountMax)
  })
})

/** How many items an algorithm alone speaks of to who viewed one: it is asked of each. */
function askedCountOf(recommender: Recommender, name: AlgorithmName, itemId: string): number {
  let askedCount = 0
  const isAllowed = (): boolean => {
    askedCount += 1
    return false
  }
  const activity = [{ itemId, kind: 'view' as const, occurredAtMs: 0 }]
  const weights = onlyWeights(name)
  recommender.recommend(aQuery({ activity, weights, tiers: ['blend'], isAllowed }))
  return askedCount
}

function learned(
  history: readonly Interaction[],
  options: Partial<BlendOptions> = {},
): Recommender {
  const recommender = createBlend(options)
  for (const interaction of history) recommender.learn(interaction)
  return recommender
}

function aQuery(query: Partial<RecommendQuery>): RecommendQuery {
  return {
    activity: [],
    nowMs: 0,
    countMax: 10,
    excludeItemIds: new Set(),
    isAllowed: () => true,
    ...query,
  }
}

function view(
  recommender: Recommender,
  profileId: string,
  itemId: string,
  occurredAtMs: number,
): void {
  recommender.learn({ profileId, itemId, kind: 'view', occurredAtMs })
}

function visit(
  recommender: Recommender,
  profileId: string,
  itemIds: readonly string[],
  atMs: number,
): void {
  for (const [index, itemId] of itemIds.entries())
    view(recommender, profileId, itemId, atMs + index)
}

/** Ids answered to a person who viewed one item, other than that item and what only trends. */
function reasonedIds(recommender: Recommender, itemId: string): readonly string[] {
  const activity = [{ itemId, kind: 'view' as const, occurredAtMs: 0 }]
  return recommender
    .recommend(aQuery({ activity, excludeItemIds: new Set([itemId]) }))
    .filter((entry) => entry.reason.kind !== 'trending')
    .map((entry) => entry.itemId)
}
