import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { selectLargest } from './typed-array.ts'

describe('selectLargest', () => {
  it('answers what sorting does, for any rank (property)', () => {
    // Few different numbers: most of them are equal.
    const someNumbers = fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 60 })
    fc.assert(
      fc.property(someNumbers, (numbers) => {
        const sorted = numbers.toSorted((left, right) => right - left)
        for (const [index, expected] of sorted.entries()) {
          // What lies behind the count is not looked at.
          const given = Float64Array.from([...numbers, 99])
          assert.equal(selectLargest(given, numbers.length, index + 1), expected)
        }
      }),
      { numRuns: 500 },
    )
  })
})
