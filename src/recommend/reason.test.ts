/** Each reason, as the blend comes to it. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { AlgorithmName } from './algorithm-names.ts'
import { createBlend } from './blend.ts'
import { onlyWeights } from './blend-weights.ts'
import { type Reason, reasonKinds } from './reason.ts'
import type { Interaction, InteractionKind, RecommendQuery } from './recommender.ts'

const dayMs = 86_400_000

interface Case {
  readonly learned: readonly Interaction[]
  readonly own: RecommendQuery['activity']
  readonly nowMs?: number
}

function met(profileId: string, itemId: string, kind: InteractionKind, day = 0): Interaction {
  return { profileId, itemId, kind, occurredAtMs: day * dayMs }
}

const own = (itemId: string, kind: InteractionKind): RecommendQuery['activity'] => [
  { itemId, kind, occurredAtMs: 0 },
]
const views = [met('p', 'tea', 'view'), met('p', 'pot', 'view')]
const order = [met('p', 'tea', 'purchase'), met('p', 'pot', 'purchase')]
const wayBack = [...['pot', 'tea', 'pot'].map((itemId) => met('p', itemId, 'view'))]

/** What an algorithm alone says of `itemId`. */
function reasonBy(algorithm: AlgorithmName, itemId: string, given: Case): Reason | undefined {
  const index = createBlend({ weights: onlyWeights(algorithm) })
  for (const id of ['tea', 'pot']) {
    index.describe({ itemId: id, categories: ['Kitchen'], price: 5 })
  }
  for (const interaction of given.learned) index.learn(interaction)
  const answer = index.recommend({
    ...{ activity: given.own, nowMs: given.nowMs ?? 0, countMax: 9, tiers: ['blend'] },
    ...{ excludeItemIds: new Set<string>(), isAllowed: () => true },
  })
  return answer.find((entry) => entry.itemId === itemId)?.reason
}

describe('a reason', () => {
  const met4 = ['session-neighbours', 'sequential-rules', 'co-visitation'] as const
  const seen = new Set<string>()
  const check = (algorithm: AlgorithmName, itemId: string, given: Case, expected: object): void => {
    const reason = reasonBy(algorithm, itemId, given)
    deepEqual(reason, { ...expected, algorithm, share: 1 }, algorithm)
    seen.add(String(reason?.kind))
  }

  it('is what was done with the own item, where people went on from it', () => {
    for (const algorithm of met4) {
      for (const [kind, says] of [
        ['view', 'because-viewed'],
        ['cart', 'because-carted'],
        ['purchase', 'because-bought'],
      ] as const) {
        const given = { learned: views, own: own('tea', kind) }
        check(algorithm, 'pot', given, { kind: says, itemId: 'tea' })
      }
    }
    const learned = [...views, met('q', 'pot', 'view'), met('q', 'cup', 'view')]
    const far = { learned, own: own('tea', 'purchase') }
    check('two-steps', 'cup', far, { kind: 'because-bought', itemId: 'tea' })
  })

  it('is what the algorithm goes by, whatever was done with the own item', () => {
    const together = { learned: order, own: own('tea', 'view') }
    check('bought-together', 'pot', together, { kind: 'bought-together', itemId: 'tea' })
    const alike = { learned: [], own: own('tea', 'purchase') }
    check('similar-content', 'pot', alike, { kind: 'alike', itemId: 'tea' })
    check('trending', 'pot', { learned: views, own: own('tea', 'view') }, { kind: 'trending' })
  })

  it('is of the item itself, where it was met before', () => {
    const looked = [...own('tea', 'view'), ...own('pot', 'view')]
    check('revisit', 'tea', { learned: wayBack, own: looked }, { kind: 'looked-at', itemId: 'tea' })
    const bought = [...own('tea', 'purchase'), ...own('pot', 'view')]
    const before = { kind: 'bought-before', itemId: 'tea' }
    check('revisit', 'tea', { learned: wayBack, own: bought }, before)
    check('session-neighbours', 'tea', { learned: views, own: own('tea', 'purchase') }, before)
    const learned = [0, 10].map((day) => met('p', 'tea', 'purchase', day))
    const due = { learned, own: own('tea', 'purchase'), nowMs: 10 * dayMs }
    check('repeat-purchase', 'tea', due, before)
  })

  it('is each of the kinds there are', () => {
    deepEqual([...seen].sort(), [...reasonKinds].sort())
  })

  it('is that of the algorithm which gave the most of the score, and how much', () => {
    const weights = onlyWeights('co-visitation').map(() => {
      return { 'co-visitation': 0.2, 'bought-together': 0.6, trending: 0.2 }
    })
    const index = createBlend({ weights })
    for (const interaction of order) index.learn(interaction)
    const [first] = index.recommend({
      ...{ activity: own('tea', 'view'), nowMs: 0, countMax: 1 },
      ...{ excludeItemIds: new Set(['tea']), isAllowed: () => true },
    })
    equal(first?.reason.kind, 'bought-together')
    equal(first.reason.algorithm, 'bought-together')
    // 0.2 and 0.6 wholly, and of what trends half.
    ok(Math.abs(first.score - 0.9) < 1e-9 && Math.abs(first.reason.share - 0.6 / 0.9) < 1e-9)
  })
})
