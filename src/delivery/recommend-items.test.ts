import { deepStrictEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Item } from '../catalog/item.ts'
import { type AdviceRequest, createAdvisor } from '../recommend/advisor.ts'
import { createBlend } from '../recommend/blend.ts'
import { defaultRules } from '../recommend/recommender-rules.ts'
import { createMemoryStateStore } from '../state/memory-state-store.ts'
import { recommendItems } from './recommend-items.ts'

const nowMs = 1_800_000_000_000
const ids = Array.from({ length: 120 }, (_, nth) => `i${nth}`)
const place = { state: createMemoryStateStore(), workspace: 'default', partitionCount: 4 }

function itemOf(itemId: string, stockCount: number, kindCount = 1): Item {
  const category = `kind ${Number(itemId.slice(1)) % kindCount}`
  return { itemId, name: itemId, price: 1, stockCount, category, updatedAtMs: 1 }
}

/** An index that has not heard that all but some items are sold out. */
function openShop(soldOut: ReadonlySet<string>, kindCount = 1) {
  const advisor = createAdvisor(createBlend())
  for (const itemId of ids) advisor.follow(itemOf(itemId, 1, kindCount))
  const views = ids.map((itemId) => ({ profileId: itemId, itemId, occurredAtMs: nowMs - 1 }))
  for (const view of views) advisor.learn([{ ...view, kind: 'view' }])
  const asked: AdviceRequest[] = []
  const deps = {
    place,
    advise: async (request: AdviceRequest) => {
      asked.push(request)
      return advisor.advise(request)
    },
    readItems: async (itemIds: readonly string[]) =>
      new Map(
        itemIds.map((itemId) => [itemId, itemOf(itemId, soldOut.has(itemId) ? 0 : 1, kindCount)]),
      ),
  }
  return { deps, asked }
}

const ask = (countMax: number): AdviceRequest => ({
  ...{ activity: [], excludeItemIds: ['i0'], nowMs, countMax },
})

describe('recommendItems', () => {
  it('answers as many as asked for where many sold out since the index heard', async () => {
    const { deps, asked } = openShop(new Set())
    const first = await recommendItems(deps, ask(10))
    equal(first.items.length, 10)
    equal(asked.length, 1, 'once, where nothing sold out')
    const gone = new Set(first.items.map(({ item }) => item.itemId))
    for (const itemId of ids.filter((_, nth) => nth % 2 === 0)) gone.add(itemId)
    for (const count of [10, 30]) {
      const later = openShop(gone)
      const { items } = await recommendItems(later.deps, ask(count))
      const found = items.map(({ item }) => item.itemId)
      equal(new Set(found).size, count)
      ok(found.every((itemId) => !gone.has(itemId) && itemId !== 'i0'))
      ok(later.asked.length <= 4)
    }
  })

  it('keeps the limits of the rules over all rounds, while there are enough others', async () => {
    const rules = { ...defaultRules, perCategoryMax: 1 }
    const first = openShop(new Set(), 12)
    const { items: all } = await recommendItems(first.deps, { ...ask(12), rules })
    equal(new Set(all.map(({ item }) => item.category)).size, 12)
    equal(first.asked.length, 1)
    // What comes first is gone, but for three; then what the next rounds find must be of others.
    const gone = new Set(all.slice(3).map(({ item }) => item.itemId))
    for (const itemId of ids.filter((_, nth) => nth % 5 === 0)) gone.add(itemId)
    for (const { item } of all.slice(0, 3)) gone.delete(item.itemId)
    const { deps, asked } = openShop(gone, 12)
    const { items } = await recommendItems(deps, { ...ask(12), rules })
    const kinds = items.map(({ item }) => item.category)
    equal(items.length, 12)
    equal(new Set(kinds).size, 12, kinds.join())
    ok(asked.length > 1, 'one round does not suffice')
    ok(asked.slice(1).every(({ takenItemIds = [] }) => takenItemIds.length > 0))
    // Twelve kinds are all there are: places are not left empty for the limit, nor asked for twice.
    const more = openShop(new Set(), 12)
    equal((await recommendItems(more.deps, { ...ask(20), rules })).items.length, 20)
    equal(more.asked.length, 1)
  })

  it('ends where there are no more, and asks a bounded number of times', async () => {
    const few = new Set(ids.slice(3))
    const { deps, asked } = openShop(few)
    const { items } = await recommendItems(deps, ask(100))
    deepStrictEqual(items.map(({ item }) => item.itemId).sort(), ['i1', 'i2'])
    ok(asked.length <= 4)
    const same = await deps.advise(ask(20))
    const kept = same.recommendations.slice(0, 3).map(({ itemId }) => itemId)
    let count = 0
    const stubborn = {
      ...openShop(new Set(ids.filter((itemId) => !kept.includes(itemId)))).deps,
      advise: async () => {
        count += 1
        return same
      },
    }
    const again = await recommendItems(stubborn, ask(15))
    deepStrictEqual(
      again.items.map(({ item }) => item.itemId),
      kept,
    )
    ok(count <= 4)
  })
})
