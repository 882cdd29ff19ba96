import { deepStrictEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { createAdvisor } from './advisor.ts'
import { type Blend, type BlendOptions, createBlend } from './blend.ts'
import { onlyWeights } from './blend-weights.ts'
import { hashText } from './hash-text.ts'
import { type Interaction, interactionKinds } from './recommender.ts'
import type { Transfer, TypedArray } from './transfer.ts'

const dayMs = 86_400_000
const tinyLimits: Partial<BlendOptions> = {
  ...{ sessionCountMax: 8, itemCountMax: 7, eventCountMax: 16 },
  ...{ neighbourPoolMax: 4, neighbourCountMax: 2, pairCountMax: 4 },
}
const names = ['ann', 'bob', 'cyd'] as const

const someInteraction: fc.Arbitrary<Interaction> = fc.record({
  profileId: fc.constantFrom(...names),
  itemId: fc.integer({ min: 0, max: 15 }).map((index) => `i${index}`),
  kind: fc.constantFrom(...interactionKinds),
  occurredAtMs: fc.integer({ min: 0, max: 4 * dayMs }),
})

function learnAll(index: Blend, interactions: readonly Interaction[]): void {
  for (const interaction of interactions) index.learn(interaction)
}

function done(
  profileId: string,
  itemIds: readonly string[],
  kind: Interaction['kind'] = 'view',
  atMs = 0,
): readonly Interaction[] {
  return itemIds.map((itemId, at) => ({ profileId, itemId, kind, occurredAtMs: atMs + at }))
}

/** What an algorithm alone says of somebody who has just met an item, without what trends. */
function saysOf(index: Blend, name: Parameters<typeof onlyWeights>[0], itemId: string) {
  return index
    .recommend({
      activity: [{ itemId, kind: 'view', occurredAtMs: 9 * dayMs }],
      nowMs: 9 * dayMs,
      countMax: 50,
      excludeItemIds: new Set(),
      isAllowed: () => true,
      weights: onlyWeights(name),
    })
    .filter(({ reason }) => reason.kind !== 'trending')
    .map((each) => each.itemId)
}

/** All that a snapshot would hold. */
function partsOf(index: Blend) {
  const texts: string[] = []
  const arrays: TypedArray[] = []
  const through: Transfer = {
    number: (value) => value,
    array: (array) => {
      arrays.push(array)
      return array
    },
    texts: (given) => {
      texts.push(...given)
      return given
    },
  }
  index.transfer(through)
  return { texts, arrays }
}

/** What is remembered of the newest orders: 4,096 of at most 16 items. */
function basketsOf(index: Blend): readonly TypedArray[] {
  return partsOf(index).arrays.filter(({ length }) => length === 4096 || length === 4096 * 16)
}

describe('erasing a profile', () => {
  it('leaves none of its sessions to speak, and those of others', () => {
    const index = createBlend()
    learnAll(index, [...done('ann', ['a', 'b']), ...done('bob', ['a', 'c'])])
    deepStrictEqual([...saysOf(index, 'session-neighbours', 'a')].sort(), ['a', 'b', 'c'])
    equal(index.erase(['ann']), 1)
    deepStrictEqual([...saysOf(index, 'session-neighbours', 'a')].sort(), ['a', 'c'])
    equal(index.erase(['ann']), 0)
    // Who comes back begins anew.
    learnAll(index, done('ann', ['a', 'd'], 'view', 60_000))
    deepStrictEqual([...saysOf(index, 'session-neighbours', 'a')].sort(), ['a', 'c', 'd'])
  })

  it('finds its sessions after the ring has grown', () => {
    const index = createBlend()
    learnAll(index, done('ann', ['a', 'b']))
    for (let nth = 0; nth < 1500; nth++) learnAll(index, done(`p${nth}`, ['x', 'y']))
    equal(index.erase(['ann']), 1)
    deepStrictEqual(saysOf(index, 'session-neighbours', 'a'), [])
  })

  it('leaves no item that it alone had met, at any limits (property)', () => {
    const history = fc.array(someInteraction, { maxLength: 80 })
    fc.assert(
      fc.property(history, history, fc.boolean(), (before, after, isTiny) => {
        const index = createBlend(isTiny ? tinyLimits : {})
        learnAll(index, before)
        index.erase(['ann'])
        const others = [...before.filter(({ profileId }) => profileId !== 'ann'), ...after]
        learnAll(index, after)
        const met = new Set(others.map(({ itemId }) => itemId))
        for (let item = 0; item < 16; item++) {
          for (const itemId of saysOf(index, 'session-neighbours', `i${item}`)) {
            ok(met.has(itemId), `${itemId} for i${item}`)
          }
        }
        if (after.every(({ profileId }) => profileId !== 'ann')) {
          const { texts, arrays } = partsOf(index)
          ok(!texts.includes('ann'))
          ok(arrays.every((array) => !array.includes(hashText('ann'))))
        }
      }),
      { numRuns: 300 },
    )
  })

  it('of many keys at once leaves what erasing them one by one does', () => {
    const all = ['ann', 'bob', 'cyd', 'dan', 'eve']
    const [atOnce, oneByOne] = [createBlend(), createBlend()]
    for (const index of [atOnce, oneByOne]) {
      for (const [nth, profileId] of all.entries()) {
        learnAll(index, done(profileId, ['a', `own ${nth}`], 'purchase', nth * dayMs))
        learnAll(index, done(profileId, ['a', `late ${nth}`], 'view', (nth + 9) * dayMs))
      }
    }
    const erased = ['ann', 'cyd', 'eve', 'nobody']
    equal(atOnce.erase(erased), 6)
    equal(
      erased.reduce((count, profileId) => count + oneByOne.erase([profileId]), 0),
      6,
    )
    deepStrictEqual(partsOf(atOnce), partsOf(oneByOne))
    deepStrictEqual([...saysOf(atOnce, 'session-neighbours', 'a')].sort(), [
      'a',
      'late 1',
      'late 3',
      'own 1',
      'own 3',
    ])
  })

  it('of nobody changes nothing', () => {
    fc.assert(
      fc.property(fc.array(someInteraction, { maxLength: 60 }), (history) => {
        const index = createBlend()
        const same = createBlend()
        learnAll(index, history)
        learnAll(same, history)
        equal(index.erase(['nobody']), 0)
        for (const name of ['session-neighbours', 'repeat-purchase', 'bought-together'] as const) {
          deepStrictEqual(saysOf(index, name, 'i1'), saysOf(same, name, 'i1'))
        }
      }),
      { numRuns: 50 },
    )
  })

  it('forgets what it bought, alone and in one order', () => {
    const again = (isErased: boolean): readonly string[] => {
      const index = createBlend()
      learnAll(index, done('ann', ['a'], 'purchase'))
      if (isErased) index.erase(['ann'])
      learnAll(index, done('ann', ['a'], 'purchase', 2 * dayMs))
      const activity = [{ itemId: 'a', kind: 'purchase', occurredAtMs: 2 * dayMs } as const]
      const query = { activity, nowMs: 4 * dayMs, countMax: 9, excludeItemIds: new Set<string>() }
      return index
        .recommend({ ...query, isAllowed: () => true, weights: onlyWeights('repeat-purchase') })
        .filter(({ reason }) => reason.kind !== 'trending')
        .map(({ itemId }) => itemId)
    }
    deepStrictEqual(again(false), ['a'])
    deepStrictEqual(again(true), [])
    const index = createBlend()
    learnAll(index, [...done('bob', ['a', 'b']), ...done('ann', ['a', 'b'], 'purchase')])
    ok(basketsOf(index).some((array) => array.some((number) => number !== 0)))
    index.erase(['ann'])
    for (const array of basketsOf(index)) ok(array.every((number) => number === 0))
  })

  it('forgets that it was taken for a robot', () => {
    const advisor = createAdvisor(createBlend())
    for (let count = 0; count < 400; count++) advisor.learn(done('ann', ['a']))
    ok(advisor.robots.isFlagged('ann', 0))
    advisor.erase(['ann'])
    ok(!advisor.robots.isFlagged('ann', 0))
  })
})
