import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { systemClock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import { silentLogger } from '../lib/logger.ts'
import { aRecord } from '../log/event-log.contract.ts'
import { createMemoryEventLog, type MemoryEventLog } from '../log/memory-event-log.ts'
import { createMemoryStateStore, type MemoryStateStore } from '../state/memory-state-store.ts'
import type { Change, StateReader } from '../state/state-store.ts'
import { openStateFollower, type StateFollower } from './follow-state.ts'
import { createFreshness, createFreshnessBuffer, type Freshness } from './freshness.ts'
import { createMeta, encodeJson, metaKey } from './meta.ts'
import { outboxKey } from './scope.ts'

const partitionCount = 2
const lookMs = 5
const emptyValue = new Uint8Array(1)

class World {
  readonly log: MemoryEventLog = createMemoryEventLog({
    identity: { incarnation: 'test', partitionCount },
  })
  readonly state: MemoryStateStore = createMemoryStateStore()
  readonly freshness: Freshness = createFreshness(createFreshnessBuffer(partitionCount))
  isAway = false
  isDamaged = false
  #offset = 0

  async follow(t: TestContext): Promise<StateFollower> {
    await this.state.acquire(0, 1, 'n')
    const away = (): void => {
      if (this.isAway) throw new OperatingError('STORE_UNREACHABLE', 'read the state')
      if (this.isDamaged) throw new OperatingError('STORE_CORRUPT', 'read the state')
    }
    const state: StateReader = {
      ...this.state,
      async head(partition) {
        away()
        return await reader.head(partition)
      },
    }
    const reader = this.state
    const deps = { clock: systemClock, logger: silentLogger, log: this.log }
    const follower = await openStateFollower(
      { ...deps, state, freshness: this.freshness },
      { lookMs },
    )
    t.after(() => follower.close())
    return follower
  }

  async commit(
    offset: number,
    changes: readonly Change[] = [],
    previousOffset = this.#offset,
  ): Promise<void> {
    const owner = { partition: 0, epoch: 1, nonce: 'n', incarnation: 'test' }
    const to = { previousOffset, offset, lastRecordId: `${offset}` }
    assert.deepEqual(await this.state.commit([{ ...owner, ...to, changes }]), ['committed'])
    this.#offset = offset
  }
}

/** Long enough for several looks. */
const looks = (): Promise<void> => systemClock.sleep(lookMs * 8)

async function until(isTrue: () => boolean): Promise<void> {
  const deadlineMs = systemClock.monotonicMs() + 60_000
  while (!isTrue()) {
    assert.ok(systemClock.monotonicMs() < deadlineMs, `in time: ${isTrue}`)
    await systemClock.sleep(lookMs)
  }
}

describe('a look at the state from outside', () => {
  it('confirms an instant when all that the log held then is folded, no sooner', async (t) => {
    const world = new World()
    await world.log.append([aRecord(), aRecord(), aRecord()])
    const openedMs = systemClock.nowMs()
    const follower = await world.follow(t)
    await world.commit(2)
    await until(() => follower.lagCount === 1)
    // An empty partition is fresh.
    await until(() => world.freshness.confirmedAtMs(1) >= openedMs)
    await looks()
    assert.equal(world.freshness.confirmedAtMs(0), 0)
    await world.commit(3)
    await until(() => world.freshness.confirmedAtMs(0) >= openedMs)
    assert.equal(follower.lagCount, 0)
    // Where nothing happens it goes on with the clock, and not ahead of it.
    const foldedMs = systemClock.nowMs()
    await until(() => world.freshness.confirmedAtMs(0) > foldedMs)
    assert.ok(world.freshness.confirmedAtMs(0) <= systemClock.nowMs())
  })

  it('waits for what is folded and has not reached other partitions', async (t) => {
    const world = new World()
    await world.log.append([aRecord(), aRecord()])
    await world.follow(t)
    const waiting = outboxKey(1, 2, 0)
    await world.commit(2, [{ key: waiting, value: emptyValue }])
    await looks()
    assert.equal(world.freshness.confirmedAtMs(0), 0)
    await world.log.append([aRecord()])
    // What came behind the instant does not hold it up.
    const later = { key: outboxKey(1, 3, 0), value: emptyValue }
    await world.commit(3, [{ key: waiting, value: undefined }, later])
    await until(() => world.freshness.confirmedAtMs(0) > 0)
  })

  it('tells of a failure that is for good, and can be closed after it', async (t) => {
    const world = new World()
    const follower = await world.follow(t)
    world.isDamaged = true
    assert.equal((await follower.failed).code, 'STORE_CORRUPT')
    await follower.close()
  })

  it('never takes back what an owner in this process knows better', async (t) => {
    const world = new World()
    await world.follow(t)
    const aheadMs = systemClock.nowMs() + 60_000
    world.freshness.confirm(0, aheadMs)
    await looks()
    assert.equal(world.freshness.confirmedAtMs(0), aheadMs)
  })

  it('takes back what a store confirmed that has lost commits since', async (t) => {
    const world = new World()
    await world.log.append([aRecord()])
    await world.follow(t)
    const before = world.state.snapshot()
    await world.commit(1)
    await until(() => world.freshness.confirmedAtMs(0) > 0)
    assert.equal(world.freshness.reachedOffset(0), 1)
    world.state.restore(before)
    await until(() => world.freshness.confirmedAtMs(0) === 0)
    await looks()
    assert.equal(world.freshness.confirmedAtMs(0), 0, 'not before it is folded again')
    await world.commit(1, [], 0)
    await until(() => world.freshness.confirmedAtMs(0) > 0)
  })

  it('tells who waits for a record that it is folded, and answers false in time', async (t) => {
    const world = new World()
    const follower = await world.follow(t)
    const places = await world.log.append([aRecord()])
    assert.equal(await follower.waitCommitted(places, 30), false)
    const waiting = follower.waitCommitted(places, 60_000)
    await world.commit(1)
    assert.equal(await waiting, true)
  })

  it('tells which definitions are in force, now and after each change', async (t) => {
    const world = new World()
    const inForce = (definitionsHash: string): Change => ({
      key: metaKey,
      value: encodeJson({ ...createMeta(1), definitionsHash }),
    })
    const follower = await world.follow(t)
    await world.log.append([aRecord(), aRecord()])
    await world.commit(1, [inForce('first')])
    await looks()
    const told: string[] = []
    follower.onDefinitions(async (hash) => void told.push(hash))
    await until(() => told.includes('first'))
    await world.commit(2, [inForce('second')])
    await until(() => told.length === 2)
    assert.deepEqual(told, ['first', 'second'])
  })

  it('says when the store is away, lets the age grow, and goes on by itself', async (t) => {
    const world = new World()
    const follower = await world.follow(t)
    world.isAway = true
    await until(() => follower.isAway)
    const confirmedAtMs = world.freshness.confirmedAtMs(0)
    await looks()
    assert.equal(world.freshness.confirmedAtMs(0), confirmedAtMs)
    world.isAway = false
    await until(() => !follower.isAway && world.freshness.confirmedAtMs(0) > confirmedAtMs)
  })
})
