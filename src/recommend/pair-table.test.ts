import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Candidates } from './candidates.ts'
import { ItemTable } from './item-table.ts'
import { PairTable } from './pair-table.ts'

const itemCount = 200
const halfLifeMs = 86_400_000
const someMeeting = fc.record({
  slot: fc.integer({ min: 0, max: 3 }),
  key: fc.integer({ min: 0, max: itemCount - 1 }),
  follows: fc.integer({ min: 0, max: 3 }),
  together: fc.integer({ min: 1, max: 3 }),
})

describe('PairTable', () => {
  it('keeps every pair with its weights while its lists may grow (property)', () => {
    fc.assert(
      fc.property(fc.array(someMeeting, { maxLength: 600 }), (meetings) => {
        const { pairs } = build(1024)
        const follows = new Map<string, number>()
        const together = new Map<string, number>()
        for (const each of meetings) {
          pairs.strengthen(each.slot, each.key, each.follows, each.together)
          addTo(follows, `${each.slot} ${each.key}`, each.follows)
          addTo(together, `${each.slot} ${each.key}`, each.together)
        }
        assert.deepEqual(readAll(pairs, 'together'), sorted(together))
        assert.deepEqual(readAll(pairs, 'follows'), sorted(follows))
      }),
      { numRuns: 200 },
    )
  })

  it('keeps a full list at its length, and what is met most in it', () => {
    const { pairs } = build(32)
    const often = [1, 2, 3]
    for (let nth = 0; nth < 5_000; nth++) {
      for (const key of often) pairs.strengthen(0, key, 1, 1)
      pairs.strengthen(0, 10 + (nth % 190), 1, 1)
    }
    const read = readAll(pairs, 'together')
    assert.equal(read.length, 32)
    const heaviest = read.toSorted(([, left], [, right]) => right - left).slice(0, often.length)
    assert.deepEqual(
      heaviest.map(([name]) => name),
      often.map((key) => `0 ${key}`),
    )
    assert.deepEqual(
      heaviest.map(([, weight]) => weight >= 5_000),
      often.map(() => true),
    )
  })

  it('spreads the shares of a list, without those that are too small and what was evicted', () => {
    const { pairs, items } = build(32)
    for (const [key, together] of [6, 3, 1].entries()) pairs.strengthen(0, key, 0, together)
    assert.deepEqual(spread(pairs, 0), [3, 1.5, 0.5])
    assert.deepEqual(spread(pairs, 0.2), [3, 1.5, 0])
    items.replace(1, 'another')
    assert.deepEqual(spread(pairs, 0).slice(0, 1), [(5 * 6) / 7])
    assert.equal(spread(pairs, 0)[1], 0)
  })

  it('forgets an item and lends its memory to the next', () => {
    const { pairs } = build(32)
    for (let key = 0; key < 20; key++) pairs.strengthen(0, key, 1, 1)
    pairs.forget(0)
    assert.deepEqual(readAll(pairs, 'together'), [])
    pairs.meet(1)
    for (let key = 40; key < 44; key++) pairs.strengthen(1, key, 0, 2)
    const expected = [40, 41, 42, 43].map((key) => [`1 ${key}`, 2])
    assert.deepEqual(readAll(pairs, 'together'), expected)
  })
})

function build(pairCountMax: number): { readonly items: ItemTable; readonly pairs: PairTable } {
  const items = new ItemTable(itemCount)
  for (let nth = 0; nth < itemCount; nth++) items.add(`item ${nth}`)
  const pairs = new PairTable(items, { pairCountMax, halfLifeMs })
  for (let slot = 0; slot < 4; slot++) {
    for (let times = 0; times < pairCountMax; times++) pairs.meet(slot)
  }
  return { items, pairs }
}

function readAll(
  pairs: PairTable,
  which: 'follows' | 'together',
): readonly (readonly [string, number])[] {
  const slots = new Int32Array(pairs.pairCountMax)
  const weights = new Float64Array(pairs.pairCountMax)
  const found = new Map<string, number>()
  for (let slot = 0; slot < 4; slot++) {
    const count = pairs.read(slot, slots, weights, which)
    let sum = 0
    for (let at = 0; at < count; at++) {
      found.set(`${slot} ${slots[at]}`, weights[at] ?? 0)
      sum += weights[at] ?? 0
    }
    assert.equal(pairs.sumRead, sum)
  }
  return sorted(found)
}

/** Returns what the list of item 0 says for items 0, 1 and 2, all together as 5. */
function spread(pairs: PairTable, shareMin: number): readonly number[] {
  const candidates = new Candidates()
  candidates.clear(itemCount)
  pairs.spread(0, 5, shareMin, candidates, 0)
  return [0, 1, 2].map((slot) => candidates.saidOf(slot))
}

function addTo(weights: Map<string, number>, name: string, amount: number): void {
  if (amount > 0) weights.set(name, (weights.get(name) ?? 0) + amount)
}

function sorted(weights: ReadonlyMap<string, number>): readonly (readonly [string, number])[] {
  return [...weights].sort(([left], [right]) => (left < right ? -1 : 1))
}
