import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createSeededRandom } from '../lib/random.ts'
import {
  addBought,
  type BoughtPart,
  boughtEntryBytes,
  boughtItemCountMax,
  countBought,
  hashesOf,
  hashItemId,
  joinBought,
  mergeBought,
  packBought,
} from './bought-pack.ts'

const dayMs = 86_400_000
const firstSeed = Number(process.env['ATTUNE_TEST_SEED'] ?? 1)

const orderOf = (day: number, ...itemIds: readonly string[]) =>
  itemIds.map((itemId) => ({
    ...{ name: 'Order Completed', itemId, eventRef: 0 },
    occurredAtMs: day * dayMs,
  }))
const knows = (parts: readonly BoughtPart[], itemId: string): boolean => {
  return hashesOf(joinBought(parts) ?? new Uint8Array()).has(hashItemId(itemId))
}

describe('items bought', () => {
  it('are kept as hashes that never change', () => {
    const hashes = ['', 'a', 'sku-4711', 'Größe 42', 'x'.repeat(200)].map(hashItemId)
    assert.deepEqual(
      hashes,
      [
        242_683_283_934_595, 47_998_453_774_593, 203_478_416_029_463, 218_573_336_247_396,
        269_099_273_597_444,
      ],
    )
  })

  it('depend on what was bought when, in whatever order and parts it came to be known', (t) => {
    t.diagnostic(`first seed ${firstSeed}`)
    for (let seed = firstSeed; seed < firstSeed + 200; seed++) {
      const random = createSeededRandom(seed)
      const draw = (below: number): number => Math.floor(random.unit() * below)
      const orders = Array.from({ length: 1 + draw(20) }, () =>
        orderOf(20_000 + draw(5), ...Array.from({ length: draw(4) }, () => `item ${draw(12)}`)),
      )
      const lastDays = new Map<string, number>()
      for (const { itemId, occurredAtMs } of orders.flat()) {
        lastDays.set(itemId, Math.max(occurredAtMs / dayMs, lastDays.get(itemId) ?? 0))
      }
      const expected = packBought([...lastDays].flatMap(([itemId, day]) => orderOf(day, itemId)))
      const parts: BoughtPart[] = [{}, {}, {}]
      for (const order of orders) addBought(parts, parts[draw(3)] ?? {}, order)
      for (const order of orders.slice(0, draw(3))) addBought(parts, parts[draw(3)] ?? {}, order)
      const merged = parts
        .map(({ bought }) => bought)
        .sort(() => random.unit() - 0.5)
        .reduce((left, right) => mergeBought(left, right))
      assert.deepEqual(Buffer.from(merged ?? []), expected, `seed ${seed}`)
      for (const itemId of lastDays.keys()) assert.ok(knows(parts, itemId), `seed ${seed}`)
      assert.ok(!knows(parts, 'another'))
    }
  })

  it('are those bought last of too many, over all parts', () => {
    const parts: BoughtPart[] = [{}, {}]
    const [one = {}, other = {}] = parts
    const oneADay = Array.from({ length: boughtItemCountMax }, (_, day) =>
      orderOf(day, `item ${day}`),
    )
    for (const [at, part] of parts.entries()) {
      addBought(parts, part, oneADay.filter((_, day) => day % 2 === at).flat())
    }
    assert.ok(knows(parts, 'item 0'))
    // Bought again, so it is no longer the oldest.
    addBought(parts, one, orderOf(9000, 'item 0'))
    addBought(parts, other, orderOf(9000, 'new', 'newer'))
    const known = [0, 1, 2, 3, 4].filter((nth) => knows(parts, `item ${nth}`))
    assert.deepEqual(known, [0, 3, 4])
    assert.ok(knows(parts, 'new') && knows(parts, 'newer'))
    const late = orderOf(-5, 'before all others')
    addBought(parts, one, late)
    assert.ok(!knows(parts, 'before all others'))
    assert.equal(countBought(joinBought(parts)), boughtItemCountMax)
    assert.equal(joinBought(parts)?.length, boughtItemCountMax * boughtEntryBytes)
  })

  it('take no bytes of whoever bought nothing', () => {
    const part: BoughtPart = {}
    addBought([part], part, [{ name: 'Order Completed', occurredAtMs: 1, eventRef: 0 }])
    addBought(
      [part],
      part,
      orderOf(1, 'a').map((done) => ({ ...done, name: 'Product Viewed' })),
    )
    assert.deepEqual(part, {})
    assert.equal(joinBought([part]), undefined)
  })
})
