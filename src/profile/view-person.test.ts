import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { appendActivity, emptyPack } from './activity-pack.ts'
import { cartOf } from './cart.ts'
import {
  addToTotals,
  createPerson,
  decodePerson,
  encodePerson,
  type Person,
  type ProfilePart,
  totalNameCountMax,
} from './person.ts'
import { currentTraits, recentItems, viewPerson } from './view-person.ts'

function aPart(key: string, at: number, name = 'Product Viewed') {
  const activity = appendActivity(emptyPack, [
    { name, occurredAtMs: at, eventRef: at, itemId: `item-${at}` },
  ])
  const part = { key, totals: {}, activity }
  addToTotals(ofPart(part), part, { name, occurredAtMs: at, value: 1.1 })
  return part
}

function ofPart(part: ProfilePart): Person {
  return { ...createPerson(part.key, 0), parts: [part] }
}

describe('a person', () => {
  it('survives being stored, with all parts', () => {
    const person = {
      ...createPerson('user:ada', 5),
      parts: [{ ...aPart('user:ada', 3), habits: Buffer.from('habits') }, aPart('anonymous:x', 1)],
    }
    assert.deepEqual(decodePerson(encodePerson(person)), {
      ...person,
      seen: Buffer.from(person.seen),
      steps: Buffer.from(person.steps),
      parts: person.parts.map((part) => ({ ...part, activity: Buffer.from(part.activity) })),
    })
  })

  it('shows the activity and totals of all parts in the order of time', () => {
    const person = {
      ...createPerson('user:ada', 5),
      parts: [aPart('user:ada', 3), aPart('anonymous:x', 1)],
    }
    const view = viewPerson(person, {})
    assert.deepEqual(
      view.activity.map(({ itemId }) => itemId),
      ['item-1', 'item-3'],
    )
    assert.deepEqual(view.totals['Product Viewed'], {
      count: 2,
      valueSum: 2.2,
      firstAtMs: 1,
      lastAtMs: 3,
    })
  })

  it('shows the newest statement of a trait; of one instant, the leading part', () => {
    const person = {
      ...createPerson('user:ada', 5),
      parts: [aPart('user:ada', 3), aPart('anonymous:x', 1)],
    }
    const traits = currentTraits(person, {
      'user:ada': { plan: ['pro', 10, 'web'], city: ['Bath', 10, 'web'] },
      'anonymous:x': { plan: ['free', 20, 'web'], city: ['York', 10, 'web'] },
    })
    assert.deepEqual(traits['plan']?.[0], 'free')
    assert.deepEqual(traits['city']?.[0], 'Bath')
  })

  it('counts names beyond the limit together', () => {
    const part = { key: 'user:ada', totals: {}, activity: emptyPack }
    for (let index = 0; index <= totalNameCountMax; index++) {
      addToTotals(ofPart(part), part, { name: `Event ${index}`, occurredAtMs: index, value: 0 })
    }
    assert.equal(Object.keys(part.totals).length, totalNameCountMax + 1)
    assert.deepEqual(Object.hasOwn(part.totals, 'other'), true)
  })

  it('keeps a name that is a property of every object apart', () => {
    const part = { key: 'user:ada', totals: {} as Record<string, never>, activity: emptyPack }
    addToTotals(ofPart(part), part, { name: 'toString', occurredAtMs: 1, value: 0 })
    assert.deepEqual(part.totals['toString'], [1, 0, 1, 1])
  })
})

describe('the cart', () => {
  const added = (itemId: string, quantity = 1) => ({
    name: 'Product Added',
    occurredAtMs: 1,
    itemId,
    quantity,
  })

  it('adds, takes away, and is emptied by an order', () => {
    const removed = { name: 'Product Removed', occurredAtMs: 2, itemId: 'a', quantity: 1 }
    assert.deepEqual(
      cartOf([added('a', 3), added('b'), removed]).map(({ itemId, quantity }) => [
        itemId,
        quantity,
      ]),
      [
        ['a', 2],
        ['b', 1],
      ],
    )
    const order = { name: 'Order Completed', occurredAtMs: 3, itemId: 'a' }
    assert.deepEqual(cartOf([added('a'), order]), [])
    assert.deepEqual(
      cartOf([added('a'), order, added('c')]).map(({ itemId }) => itemId),
      ['c'],
    )
  })

  it('shows each viewed item once, newest first', () => {
    const viewed = (itemId: string, occurredAtMs: number) => ({
      name: 'Product Viewed',
      occurredAtMs,
      itemId,
    })
    const recent = recentItems(
      [viewed('a', 1), viewed('b', 2), viewed('a', 3)],
      'Product Viewed',
      5,
    )
    assert.deepEqual(
      recent.map(({ itemId }) => itemId),
      ['a', 'b'],
    )
  })
})
