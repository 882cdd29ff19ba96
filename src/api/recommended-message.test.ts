import { deepStrictEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { decodeEvidence } from '../delivery/evidence.ts'
import { findPerson } from '../delivery/read-state.ts'
import { buildValues } from '../delivery/render-values.ts'
import type { JsonObject } from '../lib/json.ts'
import { defaultRules } from '../recommend/recommender-rules.ts'
import { adaShops, openWorld, viewOf } from './world.fixture.ts'

const idsOf = (list: unknown): readonly string[] =>
  (list as readonly JsonObject[]).map(({ item_id }) => String(item_id))

describe('a message with recommendations', () => {
  it('has lists of which none shows what another shows', async (t) => {
    const world = await openWorld(t)
    for (const person of ['p1', 'p2']) {
      await world.happen(['1', '2', '3', '4'].map((itemId) => viewOf(person, itemId)))
    }
    await world.happen([viewOf('eve', '1'), viewOf('eve', '2')])
    const found = await findPerson(world.deps.place, 'user:eve')
    ok(found !== undefined)
    const { values } = await buildValues(world.deps, {
      ...{ found, nowMs: world.deps.clock.nowMs(), recommendationCount: 1, campaign: 'c' },
      ...{ shop: { currency: 'EUR' }, publicUrl: 'https://mail.shop.example' },
      slots: [
        { name: 'seen', countMax: 5, rules: { ...defaultRules, kind: 'viewed-not-bought' } },
        { name: 'rest', countMax: 5 },
      ],
    })
    const slots = values['slots'] as JsonObject
    const lists = [idsOf(values['recommendations']), idsOf(slots['seen']), idsOf(slots['rest'])]
    const all = lists.flat()
    deepStrictEqual([...all].sort(), ['1', '2', '3', '4'])
    ok(lists[1]?.every((itemId) => itemId === '1' || itemId === '2'))
  })

  it('keeps why each item came, and which version of it was shown', async (t) => {
    const world = await openWorld(t)
    await world.happen(adaShops())
    const { evidenceHash = '' } = await world.acceptedMessage('user:ada')
    const bytes = await world.deps.blobs.get(evidenceHash)
    ok(bytes !== undefined)
    const { recommendations } = decodeEvidence(bytes).decision
    ok(recommendations.length > 0)
    for (const { reason, score, weights, itemUpdatedAtMs } of recommendations) {
      ok(reason.kind.length > 0 && score >= 0)
      equal(typeof weights?.base, 'number')
      equal(itemUpdatedAtMs, 1)
      const { algorithm, share = 0 } = reason
      ok(reason.kind === 'in-catalog' || (algorithm !== undefined && share > 0 && share <= 1))
    }
  })
})
