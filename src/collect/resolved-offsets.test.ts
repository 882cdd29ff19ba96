import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { createResolvedOffsets } from './resolved-offsets.ts'

describe('createResolvedOffsets', () => {
  it('holds what a set holds', () => {
    const from = fc.constantFrom(0, 1, 4_094, 4_095, 4_096, 10_000)
    const offsets = fc.array(fc.integer({ min: 1, max: 20_000 }), { maxLength: 50 })
    fc.assert(
      fc.property(from, offsets, (start, added) => {
        const set = new Set<number>()
        const resolved = createResolvedOffsets(start)
        for (const offset of added) {
          assert.equal(resolved.add(offset), offset > start && !set.has(offset))
          if (offset > start) set.add(offset)
        }
        for (let offset = 1; offset <= 20_000; offset += 1) {
          assert.equal(resolved.has(offset), offset <= start || set.has(offset))
        }
      }),
    )
  })

  it('keeps nothing of stretches that are full, in any order', () => {
    for (const from of [0, 5_000, 4_095]) {
      const resolved = createResolvedOffsets(from)
      for (let offset = 40_959; offset > from; offset--) assert.ok(resolved.add(offset))
      assert.equal(resolved.bytes, 0)
      assert.ok(resolved.has(40_959) && !resolved.has(40_960))
      assert.ok(resolved.add(40_960))
      assert.equal(resolved.bytes, 512)
    }
  })
})
