import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { timeText } from './time-text.ts'

describe('timeText', () => {
  it('writes what toISOString writes', () => {
    const instant = fc.oneof(
      fc.integer({ min: 0, max: Date.UTC(2100, 0, 1) }),
      fc.integer({ min: -8.64e15, max: 8.64e15 }),
      fc.double({ min: 0, max: 2e12, noNaN: true }),
    )
    fc.assert(
      fc.property(instant, (atMs) => {
        assert.equal(timeText(atMs), new Date(atMs).toISOString())
      }),
    )
  })

  it('knows the ends of days and of the years with four digits', () => {
    for (const atMs of [0, 86_399_999, 86_400_000, 253_402_300_799_999, 253_402_300_800_000]) {
      assert.equal(timeText(atMs), new Date(atMs).toISOString())
    }
  })

  it('throws for what is no instant', () => {
    assert.throws(() => timeText(Number.NaN), RangeError)
  })
})
