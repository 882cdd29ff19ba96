import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { systemClock } from '../lib/clock.ts'
import { aRecord } from '../log/event-log.contract.ts'
import type { EventLog } from '../log/event-log.ts'
import { createMemoryEventLog } from '../log/memory-event-log.ts'
import { confirmFreshness } from './confirm-freshness.ts'
import { createFreshness, createFreshnessBuffer } from './freshness.ts'
import type { Owned } from './ownership.ts'

/** A log whose `end` answers when it is told to. */
function slowLog() {
  const log = createMemoryEventLog({ identity: { incarnation: 'test', partitionCount: 1 } })
  let gate = Promise.withResolvers<void>()
  let askedCount = 0
  const slow: EventLog = {
    ...log,
    identity: log.identity,
    append: (records) => log.append(records),
    async end(partition) {
      askedCount++
      await gate.promise
      return await log.end(partition)
    },
  }
  return {
    log: slow,
    askedCount: () => askedCount,
    answer() {
      gate.resolve()
      gate = Promise.withResolvers<void>()
    },
  }
}

function anOwned(committedOffset: number): Owned & { fold: { committedOffset: number } } {
  const fold = { partition: 0, stopped: undefined, committedOffset }
  return { fold, epoch: 1, nonce: 'n', isAnnounced: true } as unknown as Owned & {
    fold: { committedOffset: number }
  }
}

const idle = { pendingCount: () => 0, isBusy: false }

describe('freshness of a log that answers slowly', () => {
  it('is asked for once, is not waited for, and is that of the question', async () => {
    const { log, askedCount, answer } = slowLog()
    const freshness = createFreshness(createFreshnessBuffer(1))
    const deps = { log, clock: systemClock, freshness }
    await log.append([aRecord()])
    const owned = anOwned(0)
    const askedMs = systemClock.nowMs()
    const began = systemClock.monotonicMs()
    for (let turn = 0; turn < 3; turn++) await confirmFreshness(deps, [owned], idle)
    assert.ok(systemClock.monotonicMs() - began < 20_000, 'the fold goes on')
    assert.equal(askedCount(), 1)
    assert.equal(freshness.confirmedAtMs(0), 0, 'nothing is confirmed that is not known')
    await systemClock.sleep(30)
    answer()
    await systemClock.sleep(1)
    await confirmFreshness(deps, [owned], idle)
    assert.equal(freshness.confirmedAtMs(0), 0, 'the state has not reached the end')
    owned.fold.committedOffset = 1
    await confirmFreshness(deps, [owned], idle)
    const confirmedMs = freshness.confirmedAtMs(0)
    assert.ok(confirmedMs >= askedMs && confirmedMs < systemClock.nowMs() - 20)
  })
  it('is not waited for at all where there is more to fold', async () => {
    const { log, askedCount, answer } = slowLog()
    const freshness = createFreshness(createFreshnessBuffer(1))
    const asked: string[] = []
    const clock = { ...systemClock, sleep: async () => void asked.push('sleep') }
    const deps = { log, clock, freshness }
    const owned = anOwned(1)
    for (let turn = 0; turn < 3; turn++) {
      await confirmFreshness(deps, [owned], { ...idle, isBusy: true })
    }
    assert.deepEqual(asked, [])
    assert.equal(askedCount(), 1)
    answer()
    await systemClock.sleep(1)
    await confirmFreshness(deps, [owned], { ...idle, isBusy: true })
    assert.ok(freshness.confirmedAtMs(0) > 0)
  })
})
