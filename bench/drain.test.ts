import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Clock } from '../src/lib/clock.ts'
import { drain } from './drain.ts'

/** Time passes only where somebody sleeps. */
function createHandClock(): Clock {
  let nowMs = 0
  return {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    sleep: async (ms) => {
      nowMs += ms
    },
  }
}

describe('drain', () => {
  const stillMsMax = 1000

  it('waits however long it takes while the fold comes nearer to the end', async () => {
    const clock = createHandClock()
    let count = 500
    const told: string[] = []
    const tell = (says: string): void => void told.push(says)
    const server = { lagCount: async () => Math.max(0, count--) }
    const tookMs = await drain(server, { stillMsMax, clock, tell })
    assert.equal(tookMs, 500 * 100)
    assert.deepEqual(told.slice(0, 2), ['500 events to fold', '400 events to fold'])
  })

  it('gives up where nothing comes nearer, though it moves', async () => {
    const clock = createHandClock()
    let looks = 0
    const server = { lagCount: async () => 70 + (++looks % 7) }
    const drained = drain(server, { stillMsMax, clock, tell: () => undefined })
    await assert.rejects(drained, { message: /stands still 70 events before the end/ })
    assert.ok(clock.monotonicMs() < 3 * stillMsMax)
  })

  it('takes one look at an empty log for no end', async () => {
    const clock = createHandClock()
    const counts = [0, 5, 0, 0]
    const server = { lagCount: async () => counts.shift() ?? 0 }
    assert.equal(await drain(server, { stillMsMax, clock, tell: () => undefined }), 120)
  })
})
