import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Candidates } from './candidates.ts'
import { ItemTable, slotOf } from './item-table.ts'
import type { OwnItem } from './own-items.ts'
import { SessionNeighbours } from './session-neighbours.ts'
import { SessionStore } from './session-store.ts'

const rarityWeight = 2
const distanceSteps = 3
const beforeShare = 0.5
const someSession = fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), {
  minLength: 1,
  maxLength: 6,
})

describe('SessionNeighbours', () => {
  it('scores as a plain reading of the algorithm does', () => {
    const someCase = fc.record({
      sessions: fc.array(someSession, { maxLength: 30 }),
      own: fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'x'), { minLength: 1 }),
      pool: fc.constantFrom(4, 8, 16),
      speakers: fc.integer({ min: 1, max: 20 }),
    })
    fc.assert(
      fc.property(someCase, ({ sessions, own, pool, speakers }) => {
        const { items, store, neighbours } = build({ pool, speakers })
        for (const [index, session] of sessions.entries()) {
          learn({ items, store, neighbours }, `p${index}`, session)
        }
        const ownItems = own
          .map((itemId, index) => anOwnItem(items, itemId, 2 ** -index))
          .filter((item) => item !== undefined)
        const sheet = new Candidates()
        sheet.clear(items.count)
        neighbours.score(ownItems, sheet)
        const scores = new Map<string, number>()
        for (let index = 0; index < sheet.count; index++) {
          scores.set(items.idOf(sheet.slots[index] ?? 0), sheet.saidOf(sheet.slots[index] ?? 0))
        }
        const expected = scorePlainly(sessions, ownItems, { pool, speakers })
        assert.deepEqual([...scores.keys()].sort(), [...expected.keys()].sort())
        for (const [itemId, score] of expected) {
          assert.ok(Math.abs((scores.get(itemId) ?? 0) - score) < 1e-9, itemId)
        }
      }),
      { numRuns: 1_000 },
    )
  })

  it('keeps its answers right while sessions and events run round their rings', () => {
    const { items, store, neighbours } = build({ pool: 4, speakers: 4 })
    for (let nth = 0; nth < 5_000; nth++) {
      learn({ items, store, neighbours }, `p${nth}`, ['a', `b${nth % 50}`])
    }
    const own = anOwnItem(items, 'a', 1)
    assert.ok(own !== undefined)
    const sheet = new Candidates()
    sheet.clear(items.count)
    neighbours.score([own], sheet)
    const ids = Array.from(sheet.slots.subarray(0, sheet.count), (slot) => items.idOf(slot))
    assert.deepEqual(ids.toSorted(), ['a', 'b46', 'b47', 'b48', 'b49'])
  })
})

interface Parts {
  readonly items: ItemTable
  readonly store: SessionStore
  readonly neighbours: SessionNeighbours
}

function build(options: { readonly pool: number; readonly speakers: number }): Parts {
  const items = new ItemTable(100)
  const store = new SessionStore(64, 256)
  const neighbours = new SessionNeighbours(items, store, {
    neighbourPoolMax: options.pool,
    neighbourCountMax: options.speakers,
    rarityWeight,
    distanceSteps,
    beforeShare,
  })
  return { items, store, neighbours }
}

function learn(parts: Parts, profileId: string, session: readonly string[]): void {
  for (const itemId of session) {
    const known = parts.items.find(itemId)
    const key = known < 0 ? parts.items.add(itemId) : known
    const number = parts.store.append(profileId, key, 0)
    if (parts.store.isNewItem)
      parts.neighbours.learn({ slot: slotOf(key), session: number, isNewItem: true })
  }
}

function anOwnItem(items: ItemTable, itemId: string, weight: number): OwnItem | undefined {
  const key = items.find(itemId)
  return key < 0
    ? undefined
    : { slot: slotOf(key), itemId, kind: 'view', weight, atMs: 0, recency: 0 }
}

function scorePlainly(
  sessions: readonly (readonly string[])[],
  ownItems: readonly OwnItem[],
  limits: { readonly pool: number; readonly speakers: number },
): ReadonlyMap<string, number> {
  const neighbours = sessions
    .map((session) => {
      const steps = session.filter((itemId, index) => itemId !== session[index - 1])
      return { length: steps.length, firstMet: [...new Set(session)] }
    })
    .reverse()
    .map(({ length, firstMet }) => {
      const shared = ownItems.filter((own) => firstMet.includes(own.itemId))
      const sum = shared.reduce((total, own) => total + own.weight, 0)
      const similarity = sum / Math.sqrt(length)
      return { firstMet, similarity, sharedAt: firstMet.indexOf(shared[0]?.itemId ?? '') }
    })
    .filter((neighbour) => neighbour.similarity > 0)
    .slice(0, limits.pool)
    .sort((left, right) => right.similarity - left.similarity)
    .slice(0, limits.speakers)
  const scores = new Map<string, number>()
  for (const { firstMet, similarity, sharedAt } of neighbours) {
    for (const [at, itemId] of firstMet.entries()) {
      const frequency = sessions.filter((other) => other.includes(itemId)).length
      const factor = 1 + rarityWeight * Math.log(sessions.length / frequency)
      const nearness = Math.exp(-Math.abs(at - sharedAt) / distanceSteps)
      const amount = similarity * factor * nearness * (at < sharedAt ? beforeShare : 1)
      scores.set(itemId, (scores.get(itemId) ?? 0) + amount)
    }
  }
  return scores
}
