import assert from 'node:assert/strict'
import { it } from 'node:test'
import fc from 'fast-check'
import { type ShareClaim, sharePartitions } from './kafka-share.ts'

type Shares = ReadonlyMap<string, readonly number[]>

const claimsOf = (shares: Shares, generation: number): readonly ShareClaim[] =>
  [...shares].map(([memberId, owned]) => ({ memberId, owned, generation }))

/** Repeats rounds as members that had to let go of something join again. */
function settle(shares: Shares, partitionCount: number): { shares: Shares; roundCount: number } {
  let settled = shares
  for (let roundCount = 1; ; roundCount++) {
    const next = sharePartitions(claimsOf(settled, roundCount), partitionCount)
    for (const [memberId, share] of next) {
      const others = [...settled].filter(([otherId]) => otherId !== memberId)
      const held = new Set(others.flatMap(([, owned]) => owned))
      assert.ok(!share.some((partition) => held.has(partition)), 'nothing that another holds')
    }
    const isQuiet = [...settled].every(([memberId, owned]) =>
      owned.every((partition) => next.get(memberId)?.includes(partition)),
    )
    settled = next
    if (isQuiet) return { shares: settled, roundCount }
    assert.ok(roundCount < 4, 'two rounds are enough')
  }
}

function checkFair(shares: Shares, partitionCount: number): void {
  const counts = [...shares.values()].map(({ length }) => length)
  assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, counts.join())
  const owned = [...shares.values()].flat()
  assert.deepEqual(
    owned.toSorted((one, other) => one - other),
    Array.from({ length: partitionCount }, (_, n) => n),
  )
}

it('is fair after members came and went, and gives nothing to two', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 70 }),
      fc.array(fc.uniqueArray(fc.nat(11), { minLength: 1 }), { minLength: 1, maxLength: 6 }),
      (partitionCount, memberSets) => {
        let shares: Shares = new Map()
        for (const members of memberSets) {
          const before = shares
          shares = new Map(members.map((n) => [`m${n}`, before.get(`m${n}`) ?? []]))
          shares = settle(shares, partitionCount).shares
          checkFair(shares, partitionCount)
        }
      },
    ),
  )
})

it('gives a ninth member its share of 64, and moves no more than that', () => {
  const eight = settle(new Map(Array.from({ length: 8 }, (_, n) => [`m${n}`, []])), 64).shares
  const { shares, roundCount } = settle(new Map([...eight, ['m9', []]]), 64)
  checkFair(shares, 64)
  assert.equal(roundCount, 2)
  assert.equal(shares.get('m9')?.length, 7)
  for (const [memberId, owned] of eight) {
    const lost = owned.filter((partition) => !shares.get(memberId)?.includes(partition))
    assert.ok(lost.length <= 1)
  }
})

it('believes neither of two who claim the same, nor one of an older round', () => {
  const claims = [
    { memberId: 'a', owned: [0, 1], generation: 4 },
    { memberId: 'b', owned: [1, 2], generation: 4 },
    { memberId: 'c', owned: [3], generation: 3 },
  ]
  const shares = sharePartitions(claims, 4)
  assert.deepEqual([...shares.values()].flat().includes(1), false)
  assert.equal(shares.get('a')?.includes(0), true)
  assert.equal(shares.get('b')?.includes(2), true)
})
