import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  activityCountMax,
  appendActivity,
  countActivity,
  decodeActivity,
  emptyPack,
  type PackedActivity,
} from './activity-pack.ts'

const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 })
const entry: fc.Arbitrary<PackedActivity> = fc
  .record(
    {
      name: text,
      occurredAtMs: fc.integer({ min: 0, max: 2 ** 45 }),
      eventRef: fc.nat(0xffffffff),
      itemId: text,
      quantity: fc.double({ noNaN: true }),
      value: fc.double({ noNaN: true }),
    },
    { requiredKeys: ['name', 'occurredAtMs', 'eventRef'] },
  )
  .map((made) => ({ ...made }) as PackedActivity)

function someEntries(name: string, count: number): readonly PackedActivity[] {
  return Array.from({ length: count }, (_, index) => ({
    name,
    occurredAtMs: index,
    eventRef: index,
  }))
}

describe('packed activity', () => {
  it('gives back what was appended, in order', () => {
    fc.assert(
      fc.property(
        fc.array(entry, { maxLength: 40 }),
        fc.array(entry, { maxLength: 40 }),
        (a, b) => {
          const pack = appendActivity(appendActivity(emptyPack, a), b)
          assert.deepEqual(decodeActivity(pack), [...a, ...b])
          assert.equal(countActivity(pack), a.length + b.length)
        },
      ),
    )
  })

  it('holds at most the limit, and keeps the newest of a flood', () => {
    const pack = appendActivity(emptyPack, someEntries('Product Viewed', activityCountMax + 50))
    const times = decodeActivity(pack).map(({ occurredAtMs }) => occurredAtMs)
    assert.equal(times.length, activityCountMax)
    assert.equal(times[0], 50)
  })

  it('keeps an old order when views flood in', () => {
    const order = appendActivity(emptyPack, someEntries('Order Completed', 1))
    const pack = appendActivity(order, someEntries('Product Viewed', 500))
    assert.equal(decodeActivity(pack)[0]?.name, 'Order Completed')
  })

  it('keeps a line of each order, however many lines they have', () => {
    let pack = emptyPack
    for (let order = 0; order < 20; order++) {
      const lines = Array.from({ length: 60 }, (_, line) => ({
        name: 'Order Completed',
        occurredAtMs: order,
        eventRef: order,
        itemId: `item-${line}`,
      }))
      pack = appendActivity(pack, lines)
    }
    const orders = new Set(decodeActivity(pack).map(({ eventRef }) => eventRef))
    assert.equal(orders.size, 20)
    assert.equal(countActivity(pack), activityCountMax)
  })

  it('cuts the same, appended at once or one by one', () => {
    const entries = [...someEntries('A', 90), ...someEntries('B', 80)]
    let single = emptyPack
    for (const one of entries) single = appendActivity(single, [one])
    const names = decodeActivity(single).map(({ name }) => name)
    assert.equal(names.length, activityCountMax)
    assert.ok(names.filter((name) => name === 'B').length >= activityCountMax / 2 - 1)
  })

  it('cuts a long name at a border of characters', () => {
    const pack = appendActivity(emptyPack, [
      { name: '\u00e9'.repeat(200), occurredAtMs: 1, eventRef: 1 },
    ])
    assert.equal(decodeActivity(pack)[0]?.name, '\u00e9'.repeat(127))
  })
})
