import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createSeededRandom } from '../lib/random.ts'
import {
  addStatement,
  type StoredTrait,
  type StoredTraits,
  settleTrait,
  statementCountMax,
  statementsOf,
} from './trait-statement.ts'

function stored(given: readonly StoredTrait[]): StoredTraits | undefined {
  return given.reduce<StoredTraits | undefined>(
    (before, each) => addStatement(before, each) ?? before,
    undefined,
  )
}

function settledValue(given: readonly StoredTrait[], priority?: readonly string[]) {
  return settleTrait(statementsOf(stored(given)), priority)?.winner[0]
}

describe('statements of a trait', () => {
  it('are settled by their own time or version, whichever arrives first', () => {
    const old: StoredTrait = ['a', 10, 'crm']
    const later: StoredTrait = ['b', 20, 'crm']
    assert.equal(settledValue([old, later]), 'b')
    assert.equal(settledValue([later, old]), 'b')
    const first: StoredTrait = ['a', 30, 'crm', 1]
    const second: StoredTrait = ['b', 20, 'crm', 2]
    assert.equal(settledValue([first, second]), 'b')
    assert.equal(settledValue([second, first]), 'b')
    assert.equal(addStatement(stored([second]), first), undefined)
  })

  it('of several sources are settled by priority, else by time; the losing ones are kept', () => {
    const given: readonly StoredTrait[] = [
      ['web', 30, 'web'],
      ['crm', 10, 'crm'],
      ['shop', 20, 'shop'],
    ]
    assert.equal(settledValue(given), 'web')
    assert.equal(settledValue(given, ['crm', 'shop']), 'crm')
    const settled = settleTrait(statementsOf(stored(given)), ['shop'])
    assert.deepEqual(settled, { winner: given[2], others: [given[0], given[1]] })
  })

  it('to be set once are really set once: the earliest, and never above another statement', () => {
    const once: StoredTrait = ['first', 10, 'web', null, true]
    const again: StoredTrait = ['second', 20, 'app', null, true]
    const other: StoredTrait = ['said', 5, 'web']
    for (const order of [
      [once, again],
      [again, once],
    ]) {
      assert.equal(settledValue(order), 'first')
      assert.equal(settledValue([...order, other]), 'said')
      assert.equal(settledValue([other, ...order]), 'said')
    }
  })

  it('come to the same in any order of arrival and any split over identity keys', () => {
    const random = createSeededRandom(5)
    const pick = (count: number): number => Math.floor(random.unit() * count)
    for (let round = 0; round < 500; round++) {
      const given = Array.from({ length: 12 }, (_, index): StoredTrait => {
        const source = `s${pick(4)}`
        // One time and version for each: between equals the order of the log decides.
        const atMs = 100 * pick(20) + index
        if (random.unit() < 0.2) return [index, atMs, source, null, true]
        return source === 's0'
          ? [index, atMs, source, 100 * pick(3) + index]
          : [index, atMs, source]
      })
      const priority = [`s${pick(4)}`, `s${pick(4)}`]
      const whole = settleTrait(statementsOf(stored(given)), priority)?.winner
      const mixed = given.toSorted(() => random.unit() - 0.5)
      assert.deepEqual(settleTrait(statementsOf(stored(mixed)), priority)?.winner, whole)
      const parts = [0, 1, 2].map((part) => mixed.filter((_, index) => index % 3 === part))
      const all = parts.flatMap((part) => statementsOf(stored(part)))
      assert.deepEqual(settleTrait(all, priority)?.winner, whole, `round ${round}`)
    }
  })

  it('are kept of a bounded number of sources, the newest', () => {
    const given = Array.from({ length: 30 }, (_, index): StoredTrait => [index, index, `s${index}`])
    const kept = statementsOf(stored(given))
    assert.equal(kept.length, statementCountMax)
    assert.equal(kept[0]?.[0], 29)
  })
})
