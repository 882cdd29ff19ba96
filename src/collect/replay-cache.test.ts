import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createReplayCache, type ReplayCache } from './replay-cache.ts'

function stage(keyCountMax: number): ReplayCache & { nowMs: number } {
  const times = { nowMs: 0 }
  const clock = {
    nowMs: () => times.nowMs,
    monotonicMs: () => times.nowMs,
    sleep: () => Promise.resolve(),
  }
  return Object.assign(times, createReplayCache(clock, { keyCountMax, keptMs: 1_000 }))
}

describe('the deliveries that were taken', () => {
  it('are known for a time', () => {
    const cache = stage(10)
    assert.equal(cache.has('a'), false)
    cache.add('a')
    cache.nowMs = 999
    assert.equal(cache.has('a'), true)
    cache.nowMs = 1_000
    assert.equal(cache.has('a'), false)
  })

  it('are at most so many: the oldest is forgotten', () => {
    const cache = stage(3)
    for (const key of ['a', 'b', 'a', 'c', 'd']) cache.add(key)
    const known = ['a', 'b', 'c', 'd'].filter((key) => cache.has(key))
    assert.deepEqual(known, ['a', 'c', 'd'])
  })
})
