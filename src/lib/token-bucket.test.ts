import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Clock } from './clock.ts'
import { createTokenBucket } from './token-bucket.ts'

function handClock(): Clock & { pass(ms: number): void } {
  let now = 0
  return {
    nowMs: () => now,
    monotonicMs: () => now,
    sleep: () => Promise.resolve(),
    pass(ms) {
      now += ms
    },
  }
}

describe('a token bucket', () => {
  it('lets a burst of a second in, and then as much as the rate gives', () => {
    const clock = handClock()
    const bucket = createTokenBucket(clock, 10)
    for (let count = 0; count < 10; count++) {
      assert.equal(bucket.waitMs(), 0)
      bucket.take(1)
    }
    assert.equal(bucket.waitMs(), 1)
    clock.pass(100)
    assert.equal(bucket.waitMs(), 0)
  })

  it('lets in what is larger than its burst, and makes up for it afterwards', () => {
    const clock = handClock()
    const bucket = createTokenBucket(clock, 10)
    bucket.take(100)
    assert.equal(bucket.waitMs(), 9_000)
    clock.pass(8_999)
    assert.notEqual(bucket.waitMs(), 0)
    clock.pass(2)
    assert.equal(bucket.waitMs(), 0)
  })

  it('lets in no more than rate, burst and one piece of work, whatever comes when', () => {
    const step = fc.record({ ms: fc.nat(500), count: fc.integer({ min: 1, max: 50 }) })
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 200 }),
        fc.integer({ min: 1, max: 40 }),
        (steps, rate) => {
          const clock = handClock()
          const bucket = createTokenBucket(clock, rate)
          let letIn = 0
          for (const { ms, count } of steps) {
            clock.pass(ms)
            if (bucket.waitMs() > 0) continue
            bucket.take(count)
            letIn += count
          }
          assert.ok(letIn <= rate + (clock.nowMs() / 1000) * rate + 50 + 1e-6)
        },
      ),
    )
  })
})
