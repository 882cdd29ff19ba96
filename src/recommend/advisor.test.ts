import { deepStrictEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Item } from '../catalog/item.ts'
import type { Json } from '../lib/json.ts'
import { packBought } from '../profile/bought-pack.ts'
import { adviceRequestOf } from './advice-request.ts'
import { type Advice, type AdviceRequest, type Advisor, createAdvisor } from './advisor.ts'
import { createBlend } from './blend.ts'
import type { Interaction, InteractionKind } from './recommender.ts'
import { parseRules, type RecommenderRules } from './recommender-rules.ts'

const nowMs = 1_800_000_000_000
const hourMs = 3_600_000

function rulesOf(input: Json): RecommenderRules {
  const parsed = parseRules(input, '')
  if (parsed.kind === 'rules') return parsed.rules
  throw new Error(JSON.stringify(parsed.faults))
}

function itemOf(itemId: string, more: Partial<Item> = {}): Item {
  return { itemId, name: `Thing ${itemId}`, price: 10, updatedAtMs: 1, ...more }
}

/** Items a to h, of which people who look at one of a to d look at the others too. */
function openShop(items: readonly Item[] = [...'abcdefgh'].map((id) => itemOf(id))): Advisor {
  const advisor = createAdvisor(createBlend())
  for (const item of items) advisor.follow(item)
  for (let person = 0; person < 10; person++) {
    advisor.learn([...'abcd'].map((itemId) => done(`p${person}`, itemId, 'view')))
  }
  advisor.learn([...'efg'].map((itemId, index) => done(`q${index}`, itemId, 'view')))
  return advisor
}

function done(
  profileId: string,
  itemId: string,
  kind: InteractionKind,
  agoMs = hourMs,
): Interaction {
  return { profileId, itemId, kind, occurredAtMs: nowMs - agoMs }
}

function ask(more: Partial<AdviceRequest> = {}): AdviceRequest {
  return { activity: [], excludeItemIds: [], nowMs, countMax: 4, ...more }
}

const viewed = (...itemIds: readonly string[]): AdviceRequest['activity'] =>
  itemIds.map((itemId) => ({ itemId, kind: 'view', occurredAtMs: nowMs - hourMs }))
const idsOf = ({ recommendations }: Advice): readonly string[] =>
  recommendations.map(({ itemId }) => itemId)
const kindsOf = ({ recommendations }: Advice): readonly string[] =>
  recommendations.map(({ reason }) => reason.kind)

const trends = { kind: 'trending', algorithm: 'trending', share: 1 }

describe('advise', () => {
  it('says of each item why it came, and how its score came about', () => {
    const boost = rulesOf({ boost: [{ items: ['d'], by: 3 }], diversity: 0 })
    const advice = openShop().advise(ask({ activity: viewed('a'), countMax: 3, rules: boost }))
    equal(idsOf(advice)[0], 'd')
    const [first, second] = advice.recommendations
    const { algorithm, share = 0, ...why } = first?.reason ?? {}
    deepStrictEqual(why, { kind: 'because-viewed', itemId: 'a' })
    // Of four that have a weight here.
    ok(algorithm !== undefined && share > 0.25 && share < 1, `${share} by ${algorithm}`)
    equal(first?.weights.boost, 3)
    ok(first !== undefined && Math.abs(first.score - first.weights.base * 3) < 1e-9)
    equal(second?.weights.boost, undefined)
    equal(advice.learnedCount, 43)
  })

  it('answers as many as asked for while there are such items, however few are known', () => {
    const advice = openShop().advise(ask({ activity: viewed('a'), countMax: 8 }))
    deepStrictEqual([...idsOf(advice)].sort(), [...'abcdefgh'])
    // What nobody has looked at comes last.
    equal(idsOf(advice).at(-1), 'h')
    equal(kindsOf(advice).at(-1), 'in-catalog')
    equal(idsOf(openShop().advise(ask({ countMax: 8 }))).length, 8)
  })

  it('has a defined answer where nothing is: no items, all sold out, nobody, no count', () => {
    const none = openShop([])
    deepStrictEqual(idsOf(none.advise(ask({ activity: viewed('a') }))), [])
    const soldOut = openShop([...'abcd'].map((id) => itemOf(id, { stockCount: 0 })))
    deepStrictEqual(idsOf(soldOut.advise(ask({ activity: viewed('a') }))), [])
    const unknown = openShop().advise(ask({ activity: viewed('nothing of ours') }))
    equal(idsOf(unknown).length, 4)
    deepStrictEqual(idsOf(openShop().advise(ask({ countMax: 0 }))), [])
    deepStrictEqual(idsOf(openShop().advise(ask({ countMax: -1 }))), [])
    equal(idsOf(openShop().advise(ask({ countMax: 1e9 }))).length, 8)
  })

  it('never answers what is sold out, gone, not yet or no longer sold, or of no price', () => {
    const advisor = openShop()
    const all = (): readonly string[] => [...idsOf(advisor.advise(ask({ countMax: 9 })))].sort()
    advisor.follow(itemOf('a', { stockCount: 0 }))
    advisor.follow(itemOf('b', { isRemoved: true }))
    advisor.follow(itemOf('c', { price: Number.NaN }))
    advisor.follow(itemOf('d', { availableFromMs: nowMs + 1 }))
    advisor.follow(itemOf('e', { availableUntilMs: nowMs }))
    deepStrictEqual(all(), ['f', 'g', 'h'])
    advisor.follow(itemOf('a', { stockCount: 1 }))
    deepStrictEqual(all(), ['a', 'f', 'g', 'h'])
  })

  it('puts pins first, where they can be sold and fit', () => {
    const advisor = openShop([
      ...[...'abcdef'].map((id) => itemOf(id)),
      itemOf('g', { stockCount: 0 }),
    ])
    const rules = rulesOf({ pin: ['g', 'f', 'unknown', 'a'], exclude: { items: ['a'] } })
    const advice = advisor.advise(ask({ activity: viewed('b'), rules }))
    equal(idsOf(advice)[0], 'f')
    deepStrictEqual(kindsOf(advice).slice(0, 2), ['pinned', 'because-viewed'])
    equal(new Set(idsOf(advice)).size, 4)
    ok(!idsOf(advice).includes('a'))
  })

  it('asks for items like one: never itself, of its category before what is popular', () => {
    const advisor = createAdvisor(createBlend())
    const items = [
      ...['c1', 'c2', 'new'].map((id) => itemOf(id, { category: 'Cups' })),
      ...['h1', 'h2'].map((id) => itemOf(id, { category: 'Hats' })),
    ]
    for (const item of items) advisor.follow(item)
    for (let person = 0; person < 5; person++) {
      const kinds = ['h1', 'h2', 'h1', 'h2', 'c1', 'c2']
      kinds.forEach((itemId, at) => {
        advisor.learn([done(`p${person}-${at}`, itemId, 'view')])
      })
    }
    const rules = rulesOf({ kind: 'similar' })
    const asked = ask({ activity: viewed('new'), excludeItemIds: ['new'], countMax: 3, rules })
    const advice = advisor.advise(asked)
    deepStrictEqual([...idsOf(advice).slice(0, 2)].sort(), ['c1', 'c2'])
    deepStrictEqual(advice.recommendations[0]?.reason, {
      ...{ kind: 'alike', itemId: 'new', algorithm: 'similar-content', share: 1 },
    })
    ok(idsOf(advice).at(-1)?.startsWith('h'))
    deepStrictEqual(advice.recommendations.at(-1)?.reason, trends)
  })

  it('falls back to trends in the categories of the own items, the narrowest first', () => {
    const categories = {
      ...{ own: 'Home > Cups', cup: 'Home > Cups', plate: 'Home > Plates' },
      ...{ hat: 'Hats', scarf: 'Hats' },
    }
    const advisor = createAdvisor(createBlend())
    for (const [itemId, category] of Object.entries(categories)) {
      advisor.follow(itemOf(itemId, { category }))
    }
    // All that is like the own one is gone again.
    for (let nth = 0; nth < 32; nth++) {
      advisor.follow(itemOf(`gone ${nth}`, { category: categories.own }))
      advisor.follow(itemOf(`gone ${nth}`, { category: categories.own, stockCount: 0 }))
    }
    for (const [nth, itemId] of ['hat', 'hat', 'hat', 'plate', 'plate', 'cup'].entries()) {
      advisor.learn([done(`p${nth}`, itemId, 'view')])
    }
    const request = ask({ activity: viewed('own'), excludeItemIds: ['own'] })
    const answer = advisor.advise(request).recommendations
    deepStrictEqual(
      answer.map(({ itemId, reason }) => [itemId, reason.kind, reason.category]),
      [
        ['cup', 'trending', 'Cups'],
        ['plate', 'trending', 'Home'],
        ['hat', 'trending', undefined],
        ['scarf', 'in-catalog', undefined],
      ],
    )
    const trending = advisor.advise({ ...request, rules: rulesOf({ kind: 'trending' }) })
    equal(idsOf(trending)[0], 'hat')
  })

  it('finds what nobody has looked at by what it is, before what is popular', () => {
    const advisor = createAdvisor(createBlend())
    const offer = (itemId: string, category: string, more: Partial<Item> = {}): void =>
      advisor.follow(itemOf(itemId, { category, brand: 'Oak', ...more }))
    offer('seen', 'Home > Cups')
    offer('hat', 'Hats')
    offer('plate', 'Home > Plates')
    for (const itemId of ['seen', 'hat', 'hat', 'plate']) advisor.learn([done('p', itemId, 'view')])
    offer('far', 'Home > Cups', { brand: 'Elm', price: 1 })
    offer('near', 'Home > Cups')
    offer('dear', 'Home > Cups', { price: 20 })
    const activity = viewed('seen')
    const rules = rulesOf({ diversity: 0 })
    const person = advisor.advise(ask({ activity, excludeItemIds: ['seen'], countMax: 5, rules }))
    deepStrictEqual(
      person.recommendations.map(({ itemId, reason }) => [itemId, reason.kind, reason.itemId]),
      [
        // People who looked at the one looked at these.
        ...[person.recommendations[0], person.recommendations[1]].map((one) => [
          ...[one?.itemId, 'because-viewed', 'seen'],
        ]),
        ...['near', 'dear', 'far'].map((itemId) => [itemId, 'alike', 'seen']),
      ],
    )
    const similar = rulesOf({ kind: 'similar', diversity: 0 })
    const item = ask({ activity: viewed('near'), excludeItemIds: ['near'], rules: similar })
    deepStrictEqual(idsOf(advisor.advise(item)), ['seen', 'dear', 'far', 'plate'])
    deepStrictEqual(kindsOf(advisor.advise(item)), ['alike', 'alike', 'alike', 'trending'])
  })

  it('names the category within which an item trends, where the own one is in a wide one', () => {
    const advisor = createAdvisor(createBlend())
    advisor.follow(itemOf('own', { category: 'Home' }))
    advisor.follow(itemOf('cup', { category: 'Home > Cups' }))
    advisor.learn([done('p', 'cup', 'view')])
    const request = ask({ activity: viewed('own'), excludeItemIds: ['own'] })
    deepStrictEqual(advisor.advise(request).recommendations[0]?.reason, {
      ...{ ...trends, category: 'Home' },
    })
  })

  it('counts what trends by the share that its rules give it', () => {
    const rules = rulesOf({ weights: { trending: 1 }, diversity: 0 })
    const advice = openShop().advise(ask({ activity: viewed('h'), rules }))
    deepStrictEqual([...idsOf(advice)].sort(), [...'abcd'])
    ok(advice.recommendations.every(({ weights }) => weights.base < 0.5))
  })

  it('tells what trends within a category', () => {
    const advisor = openShop([
      itemOf('a', { category: 'Home > Cups' }),
      itemOf('e', { category: 'Hats' }),
    ])
    const rules = rulesOf({ kind: 'trending', include: { categories: ['Home'] } })
    const { recommendations } = advisor.advise(ask({ rules }))
    deepStrictEqual(
      recommendations.map(({ itemId, reason }) => [itemId, reason]),
      [['a', { ...trends, category: 'Home' }]],
    )
  })

  it('reminds of what was looked at and not bought, and of nothing else', () => {
    const activity = [
      { itemId: 'a', kind: 'view', occurredAtMs: nowMs - 100 * hourMs },
      { itemId: 'b', kind: 'cart', occurredAtMs: nowMs - 90 * hourMs },
      { itemId: 'c', kind: 'view', occurredAtMs: nowMs - 2 * hourMs },
      { itemId: 'c', kind: 'purchase', occurredAtMs: nowMs - hourMs },
      { itemId: 'd', kind: 'view', occurredAtMs: nowMs - hourMs },
    ] as const
    const rules = rulesOf({ kind: 'viewed-not-bought', diversity: 0 })
    const advice = openShop().advise(ask({ activity, rules }))
    deepStrictEqual(idsOf(advice), ['b', 'd', 'a'])
    deepStrictEqual(advice.recommendations[0]?.reason, { kind: 'viewed-not-bought', itemId: 'b' })
    deepStrictEqual(idsOf(openShop().advise(ask({ rules }))), [])
  })

  it('asks by the weights of its rules, and by the shipped ones without', () => {
    const advisor = openShop()
    const kindsBy = (weights?: Json): ReadonlySet<string> => {
      const rules = rulesOf({ diversity: 0, ...(weights === undefined ? {} : { weights }) })
      return new Set(kindsOf(advisor.advise(ask({ activity: viewed('a'), countMax: 3, rules }))))
    }
    deepStrictEqual([...kindsBy()], ['because-viewed'])
    // Nobody has gone back to anything yet.
    deepStrictEqual([...kindsBy({ revisit: 1 })], ['trending'])
    deepStrictEqual([...kindsBy({ 2: { revisit: 1 } })], ['because-viewed'])
    deepStrictEqual([...kindsBy({ 1: { revisit: 1 } })], ['trending'])
    deepStrictEqual([...kindsBy()], ['because-viewed'], 'the weights of one query alone')
  })

  it('has changed its answer with the next question after an event', () => {
    const advisor = openShop()
    const reasonOf = (): string | undefined =>
      advisor
        .advise(ask({ activity: viewed('h'), countMax: 8 }))
        .recommendations.find(({ itemId }) => itemId === 'g')?.reason.kind
    equal(reasonOf(), 'trending')
    advisor.learn([done('x', 'h', 'view', 2), done('x', 'g', 'view', 1)])
    equal(reasonOf(), 'because-viewed')
  })
})

describe('a robot', () => {
  it('of a million interactions is flagged, and no louder than a busy person', () => {
    const advisor = openShop()
    for (let count = 0; count < 1_000_000; count++) {
      advisor.learn([done('robot', 'h', 'view')])
    }
    equal(advisor.state().flaggedCount, 1)
    equal(advisor.state().ignoredCount, 1_000_000 - 300)
    ok(advisor.robots.isFlagged('robot', nowMs - hourMs))
    ok(!advisor.robots.isFlagged('robot', nowMs + hourMs))
    ok(!advisor.robots.isFlagged('p1', nowMs - hourMs))
    equal(advisor.advise(ask()).learnedCount, 43 + 300)
    // Its next hour counts anew.
    advisor.learn([done('robot', 'h', 'view', -hourMs)])
    equal(advisor.advise(ask()).learnedCount, 43 + 301)
  })
})

describe('adviceRequestOf', () => {
  const at = (name: string, itemId: string, agoHours: number) => ({
    ...{ name, itemId, occurredAtMs: nowMs - agoHours * hourMs },
  })
  const activity = [
    at('Product Viewed', 'a', 200),
    at('Order Completed', 'b', 150),
    ...Array.from({ length: 60 }, (_, index) => at('Product Viewed', 'c', 60 - index)),
    at('Product Added', 'd', 1),
    at('Product Viewed', 'a', 0),
    { name: 'Page Viewed', occurredAtMs: nowMs },
  ]

  it('is the newest activity of all visits, an item once by kind, without what was bought', () => {
    const request = adviceRequestOf({ activity }, ['d'], { nowMs, countMax: 4 })
    deepStrictEqual(
      request.activity.map(({ itemId, kind }) => `${kind} ${itemId}`),
      ['purchase b', 'view c', 'cart d', 'view a'],
    )
    deepStrictEqual([...request.excludeItemIds].sort(), ['b', 'd'])
  })

  it('knows purchases of longer ago where what was bought may come again', () => {
    const long = [
      ...Array.from({ length: 60 }, (_, nth) => at('Order Completed', `bought ${nth}`, 400 - nth)),
      ...Array.from({ length: 60 }, (_, nth) => at('Product Viewed', `seen ${nth}`, 100 - nth)),
    ]
    const asked = { nowMs, countMax: 4 }
    const hidden = adviceRequestOf({ activity: long }, [], asked).activity
    const rules = rulesOf({ bought: 'show' })
    const shown = adviceRequestOf({ activity: long }, [], { ...asked, rules }).activity
    deepStrictEqual([hidden.length, hidden[0]?.itemId], [50, 'seen 10'])
    deepStrictEqual(shown.slice(50), hidden)
    deepStrictEqual(
      [shown.length, shown[0]?.itemId, shown[0]?.kind],
      [100, 'bought 10', 'purchase'],
    )
  })

  it('leaves out what was bought before the activity that is kept, unless rules let it in', () => {
    const orders = [at('Order Completed', 'a', 400), at('Order Completed', 'c', 399)]
    const view = { activity: [at('Product Viewed', 'b', 1)], bought: packBought(orders) }
    const asked = { nowMs, countMax: 8 }
    const hidden = openShop().advise(adviceRequestOf(view, [], asked))
    deepStrictEqual([...idsOf(hidden)].sort(), [...'bdefgh'])
    const pinned = rulesOf({ pin: ['a', 'h'] })
    const withPins = openShop().advise(adviceRequestOf(view, [], { ...asked, rules: pinned }))
    deepStrictEqual([idsOf(withPins)[0], withPins.recommendations.length], ['h', 6])
    const rules = rulesOf({ bought: 'show' })
    const shown = openShop().advise(adviceRequestOf(view, [], { ...asked, rules }))
    deepStrictEqual([...idsOf(shown)].sort(), [...'abcdefgh'])
  })

  it('leaves out what was looked at, or lets what was bought come again, by the rules', () => {
    const hidden = rulesOf({ viewed: 'hide' })
    const excluded = adviceRequestOf({ activity }, [], { nowMs, countMax: 4, rules: hidden })
    deepStrictEqual([...excluded.excludeItemIds].sort(), ['a', 'b', 'c', 'd'])
    const again = rulesOf({ bought: 'show' })
    const shown = adviceRequestOf({ activity }, [], { nowMs, countMax: 4, rules: again })
    deepStrictEqual(shown.excludeItemIds, [])
  })
})
