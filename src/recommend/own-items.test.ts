import { deepEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { queryItemCountMax } from './candidates.ts'
import { ItemTable } from './item-table.ts'
import {
  findPurchases,
  newestPlaceOf,
  type OwnItem,
  purchaseCountMax,
  weighOwnItems,
} from './own-items.ts'
import type { InteractionKind } from './recommender.ts'

const dayMs = 86_400_000

type Done = readonly [itemId: string, kind: InteractionKind, atDay: number]

function activityOf(done: readonly Done[]) {
  return done.map(([itemId, kind, day]) => ({ itemId, kind, occurredAtMs: day * dayMs }))
}

function tableOf(done: readonly Done[]): ItemTable {
  const items = new ItemTable(1000)
  for (const [itemId] of done) if (items.find(itemId) < 0) items.add(itemId)
  return items
}

function weigh(done: readonly Done[], items = tableOf(done)): readonly OwnItem[] {
  return weighOwnItems(activityOf(done), items)
}

/** What is at the place from the end is divided by this. */
const placeFactor = (fromEnd: number): number => Math.log10(fromEnd + 2.7)

function weightOf(own: readonly OwnItem[], itemId: string): number {
  return own.find((each) => each.itemId === itemId)?.weight ?? 0
}

const isNear = (left: number, right: number): boolean => Math.abs(left - right) < 1e-12

describe('weighOwnItems', () => {
  it('halves what is a day older than the newest, whenever that was', () => {
    for (const newest of [10, 1000]) {
      const ages = [5, 2, 1, 0]
      const own = weigh(ages.map((age): Done => [`${age} days`, 'view', newest - age]))
      for (const [index, age] of ages.toReversed().entries()) {
        const weight = 2 ** -age / placeFactor(index)
        ok(isNear(weightOf(own, `${age} days`), weight), `${age} days`)
      }
      deepEqual(
        own.map(({ itemId }) => itemId),
        ['0 days', '1 days', '2 days', '5 days'],
      )
    }
    // A clock that went back makes nothing heavier than new.
    const own = weigh([
      ['ahead', 'view', 9],
      ['newest', 'view', 1],
    ])
    ok(isNear(weightOf(own, 'ahead'), 1 / placeFactor(1)))
  })

  it('weighs by kind, and lets a cart of two days ago count more than a view of now', () => {
    const own = weigh([
      ['bought', 'purchase', 8],
      ['carted', 'cart', 8],
      ['seen', 'view', 10],
    ])
    ok(isNear(weightOf(own, 'seen'), 1 / placeFactor(0)))
    ok(isNear(weightOf(own, 'carted'), 6 / 4 / placeFactor(1)))
    ok(isNear(weightOf(own, 'bought'), 3 / 4 / placeFactor(2)))
    const older = weigh([
      ['carted', 'cart', 7],
      ['seen', 'view', 10],
    ])
    equal(older[0]?.itemId, 'seen')
  })

  it('takes an item once, by what counts most, and knows how far back it was met', () => {
    const own = weigh([
      ['a', 'cart', 0],
      ['b', 'view', 0],
      ['a', 'view', 0],
    ])
    deepEqual(
      own.map(({ itemId, kind, recency }) => [itemId, kind, recency]),
      [
        ['a', 'cart', 0],
        ['b', 'view', 1],
      ],
    )
    equal(newestPlaceOf(own), 0)
  })

  it('looks at the newest ten, and at no item that the index does not know', () => {
    const done = Array.from({ length: 12 }, (_, nth): Done => [`i${nth}`, 'view', nth])
    const own = weigh(done, tableOf(done.slice(0, 11)))
    equal(own.length, queryItemCountMax - 1)
    ok(own.every(({ itemId }) => !['i0', 'i1', 'i11'].includes(itemId)))
    deepEqual(weigh([]), [])
    equal(newestPlaceOf([]), -1)
  })
})

describe('findPurchases', () => {
  it('finds what was bought, each item when it was bought last, whatever came since', () => {
    const done: readonly Done[] = [
      ['tea', 'purchase', 1],
      ['tea', 'purchase', 3],
      ['pot', 'purchase', 2],
      ...Array.from({ length: 20 }, (_, nth): Done => [`i${nth}`, 'view', 4]),
      ['tea', 'view', 5],
    ]
    const items = tableOf(done)
    const found = findPurchases(activityOf(done), items)
    deepEqual(
      found.map(({ slot, atMs }) => [items.idOf(slot), atMs / dayMs]),
      [
        ['pot', 2],
        ['tea', 3],
      ],
    )
  })

  it('finds a bounded number, the newest', () => {
    const done = Array.from({ length: 80 }, (_, nth): Done => [`i${nth}`, 'purchase', nth])
    const items = tableOf(done)
    const found = findPurchases(activityOf(done), items)
    equal(found.length, purchaseCountMax)
    equal(items.idOf(found.at(-1)?.slot ?? 0), 'i30')
  })
})
