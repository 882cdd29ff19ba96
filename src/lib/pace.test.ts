import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Clock } from './clock.ts'
import { createPace } from './pace.ts'

describe('a pace', () => {
  it('lets a burst through and spaces the rest', async () => {
    let now = 0
    const slept: number[] = []
    const clock: Clock = {
      nowMs: () => now,
      monotonicMs: () => now,
      sleep: (ms) => {
        slept.push(ms)
        now += ms
        return Promise.resolve()
      },
    }
    const pace = createPace(clock, 100)
    const { signal } = new AbortController()
    for (let call = 0; call < 31; call++) await pace.wait(signal)
    assert.equal(slept.length, 20)
    assert.equal(now, 200)
  })
})
