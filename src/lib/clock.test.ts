import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { systemClock } from './clock.ts'

describe('the system clock', () => {
  it('sleeps for the time asked and not longer than needed', async () => {
    const startedAtMs = systemClock.monotonicMs()
    await systemClock.sleep(20)
    const sleptMs = systemClock.monotonicMs() - startedAtMs
    assert.ok(sleptMs >= 19 && sleptMs < 20_000, `${sleptMs}`)
  })

  it('wakes at once when the signal aborts, and leaves no timer', async () => {
    const controller = new AbortController()
    const startedAtMs = systemClock.monotonicMs()
    const sleep = systemClock.sleep(60_000, controller.signal)
    controller.abort()
    await sleep
    assert.ok(systemClock.monotonicMs() - startedAtMs < 20_000)
    assert.equal(process.getActiveResourcesInfo().includes('Timeout'), false)
  })

  it('does not sleep when aborted before, or for no time', async () => {
    const startedAtMs = systemClock.monotonicMs()
    await systemClock.sleep(60_000, AbortSignal.abort())
    await systemClock.sleep(0)
    await systemClock.sleep(-5)
    assert.ok(systemClock.monotonicMs() - startedAtMs < 20_000)
  })

  it('does not take a wait above the longest timer for none', async () => {
    const controller = new AbortController()
    let isAwake = false
    const sleep = systemClock.sleep(2 ** 40, controller.signal).then(() => {
      isAwake = true
    })
    await systemClock.sleep(20)
    assert.equal(isAwake, false)
    controller.abort()
    await sleep
  })

  it('tells wall time as Unix time and monotonic time that does not go back', () => {
    assert.ok(systemClock.nowMs() > 1_750_000_000_000)
    let before = systemClock.monotonicMs()
    for (let index = 0; index < 1_000; index++) {
      const now = systemClock.monotonicMs()
      assert.ok(now >= before)
      before = now
    }
  })
})
