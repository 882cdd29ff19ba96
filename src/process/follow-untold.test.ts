import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { systemClock } from '../lib/clock.ts'
import { silentLogger } from '../lib/logger.ts'
import { aRecord } from '../log/event-log.contract.ts'
import { createMemoryEventLog } from '../log/memory-event-log.ts'
import { createMemoryStateStore } from '../state/memory-state-store.ts'
import { openStateFollower } from './follow-state.ts'
import { createFreshness, createFreshnessBuffer } from './freshness.ts'

describe('waiting for a record whose offset the log did not tell', () => {
  it('waits until the state holds all that the log held when it was asked', async (t) => {
    const log = createMemoryEventLog({ identity: { incarnation: 'test', partitionCount: 2 } })
    const state = createMemoryStateStore()
    await state.acquire(0, 1, 'n')
    const freshness = createFreshness(createFreshnessBuffer(2))
    const deps = { log, state, clock: systemClock, logger: silentLogger, freshness }
    const follower = await openStateFollower(deps, { lookMs: 1_000 })
    t.after(() => follower.close())
    const commit = (offset: number, previousOffset: number) =>
      state.commit([
        {
          ...{ partition: 0, epoch: 1, nonce: 'n', incarnation: 'test' },
          ...{ previousOffset, offset, lastRecordId: `${offset}`, changes: [] },
        },
      ])
    await log.append([aRecord(), aRecord()])
    const untold = [{ partition: 0, offset: 0 }]
    assert.deepEqual(await commit(1, 0), ['committed'])
    assert.equal(await follower.waitCommitted(untold, 60), false)
    const waiting = follower.waitCommitted(untold, 60_000)
    await systemClock.sleep(30)
    assert.deepEqual(await commit(2, 1), ['committed'])
    assert.equal(await waiting, true)
  })
})
