import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Clock, systemClock } from '../lib/clock.ts'
import { sha256Bytes } from '../lib/hash.ts'
import { silentLogger } from '../lib/logger.ts'
import { systemRandom } from '../lib/random.ts'
import type { EventLog } from '../log/event-log.ts'
import { createMemoryEventLog, type MemoryEventLog } from '../log/memory-event-log.ts'
import { emptyBody, type NewRecord } from '../log/record.ts'
import { decodePerson, personPrefix } from '../profile/person.ts'
import { hashPartition } from '../state/dump.ts'
import { createMemoryStateStore, type MemoryStateStore } from '../state/memory-state-store.ts'
import type { StateReader } from '../state/state-store.ts'
import { noDefinitions } from './definitions.ts'
import { createFreshness, createFreshnessBuffer } from './freshness.ts'
import { readMeta } from './meta.ts'
import { PartitionFold } from './partition-fold.ts'
import { runProcessor } from './processor.ts'
import { processorDefaults } from './processor-options.ts'
import { rebuildPartition } from './rebuild.ts'

const startMs = 1_800_000_000_000
const minuteMs = 60_000
const owner = { epoch: 1, nonce: 'n' }
const place = { workspace: 'default', partitionCount: 1, partition: 0 }
const definitionsOf = async () => noDefinitions()

describe('an event long after the last word of the owner', () => {
  it('waits for the next word, and has its own time then', async () => {
    const { log, state } = await createWorld()
    await log.append([owners('owner', 0), event('a', 0), event('b', 10 * minuteMs)])
    const fold = await openFold(log, state)
    assert.equal(await foldPage(fold, log), 2)
    assert.equal(fold.isAwaitingWord, true)
    assert.equal(log.hasMore(0, fold.awaits), false, 'nothing to fold before more has come')
    await log.append([event('c', 10 * minuteMs + 1)])
    assert.equal(log.hasMore(0, fold.awaits), true)
    assert.equal(await foldPage(fold, log), 0, 'an event is no word')
    await log.append([owners('tick', 10 * minuteMs + 5)])
    assert.equal(await foldPage(fold, log), 3)
    assert.equal(fold.isAwaitingWord, false)
    assert.deepEqual(await appliedMs(fold, state), [0, 10 * minuteMs, 10 * minuteMs + 1])
  })

  it('is bounded by that word where its own clock is wrong', async () => {
    const { log, state } = await createWorld()
    const years = 1_000_000 * minuteMs
    await log.append([owners('owner', 0), event('a', years), owners('tick', 3 * minuteMs)])
    const fold = await openFold(log, state)
    assert.equal(await foldPage(fold, log), 3)
    assert.deepEqual(await appliedMs(fold, state), [4 * minuteMs])
  })

  it('takes no word of an older owner', async () => {
    const { log, state } = await createWorld()
    const older = { epoch: 0, nonce: 'o' }
    await log.append([owners('owner', 0), event('a', 5 * minuteMs)])
    await log.append([owners('tick', 6 * minuteMs, older), owners('owner', 7 * minuteMs, older)])
    const fold = await openFold(log, state)
    assert.equal(await foldPage(fold, log), 1)
    assert.equal(fold.isAwaitingWord, true)
    await log.append([owners('owner', 8 * minuteMs, { epoch: 2, nonce: 'm' })])
    assert.equal(await foldPage(fold, log), 4)
    assert.deepEqual(await appliedMs(fold, state), [5 * minuteMs])
  })

  it('gives one state, in whatever pieces the log is read', async () => {
    const { log, state } = await createWorld()
    // An hour without an owner, more than one read of it, then an owner that lags.
    const lone = Array.from({ length: 1100 }, (_, index) => event(`e${index % 40}`, index * 3200))
    await log.append([owners('owner', 0), ...lone])
    await log.append([owners('owner', 70 * minuteMs, { epoch: 2, nonce: 'm' })])
    await log.append([event('a', 71 * minuteMs), event('b', 80 * minuteMs)])
    await log.append([owners('tick', 95 * minuteMs, { epoch: 2, nonce: 'm' })])
    await foldAll(log, state, 100)
    const expected = await hashPartition(state, 0)
    for (const countMax of [7, 5000]) {
      const other = createMemoryStateStore()
      await other.acquire(0, owner.epoch, owner.nonce)
      await foldAll(log, other, countMax)
      assert.equal(await hashPartition(other, 0), expected, `in pieces of ${countMax}`)
    }
    const rebuilt = createMemoryStateStore()
    const answer = await rebuildPartition(
      { log, state, rebuilt, clock: systemClock, definitionsOf },
      place,
    )
    assert.equal(answer.isEqual, true)
  })

  it('is rebuilt from a log that shows nothing for a while', async () => {
    const { log, state } = await createWorld()
    await log.append([owners('owner', 0), event('a', minuteMs), event('b', 2 * minuteMs)])
    const fold = await openFold(log, state)
    await foldPage(fold, log)
    await commit(fold, state)
    const rebuilt = createMemoryStateStore()
    let isShown = false
    const late: EventLog = {
      ...log,
      // What a follower of a service has not met yet comes with a turn of the event loop.
      read: async (...wish) => {
        if (isShown || wish[2] === 1) return await log.read(...wish)
        setImmediate(() => {
          isShown = true
        })
        return []
      },
    }
    const deps = { log: late, state, rebuilt, clock: systemClock, definitionsOf }
    assert.equal((await rebuildPartition(deps, place)).isEqual, true)
  })

  it('cannot be rebuilt from a log that lacks the word', async () => {
    const { log, state } = await createWorld()
    const records = [owners('owner', 0), event('a', 9 * minuteMs), owners('tick', 9 * minuteMs)]
    await log.append(records)
    const fold = await openFold(log, state)
    await foldPage(fold, log, 2)
    await commit(fold, state)
    const cut = createMemoryEventLog({ identity: log.identity })
    await cut.append(records.slice(0, 2))
    const rebuilt = createMemoryStateStore()
    const run = rebuildPartition(
      { log: cut, state, rebuilt, clock: systemClock, definitionsOf },
      place,
    )
    await assert.rejects(run, { code: 'LOG_MISMATCH' })
  })

  it('is folded at once, since the owner speaks where it sees one', async (t) => {
    const { log, state } = await createWorld()
    let aheadMs = 0
    const clock: Clock = { ...systemClock, nowMs: () => systemClock.nowMs() + aheadMs }
    const stop = new AbortController()
    const run = runProcessor(
      {
        ...{ log: log as EventLog, state, clock, definitionsOf, random: systemRandom },
        logger: silentLogger,
        freshness: createFreshness(createFreshnessBuffer(1)),
        openScratch: createMemoryStateStore,
        publish: () => {},
        drain: async () => {},
        lost: () => {},
        reportStopped: () => {},
      },
      { ...processorDefaults, idleMs: 20 },
      stop.signal,
    )
    t.after(async () => {
      stop.abort()
      await run
    })
    while ((await readMeta(state, 0))?.epoch === undefined) await systemClock.sleep(5)
    for (const hours of [1, 2, 5]) {
      aheadMs = hours * 60 * minuteMs
      const recordedAtMs = clock.nowMs()
      const key = `${personPrefix}user:at ${hours}`
      await log.append([{ ...event(`at ${hours}`, 0), recordedAtMs }])
      let bytes: Uint8Array | undefined
      while (bytes === undefined) {
        await systemClock.sleep(5)
        bytes = (await state.get(0, [key]))[0]
      }
      assert.equal(decodePerson(bytes).updatedAtMs, recordedAtMs)
    }
  })
})

async function createWorld(): Promise<{ log: MemoryEventLog; state: MemoryStateStore }> {
  const log = createMemoryEventLog({ identity: { incarnation: 'test', partitionCount: 1 } })
  const state = createMemoryStateStore()
  await state.acquire(0, owner.epoch, owner.nonce)
  return { log, state }
}

async function openFold(log: MemoryEventLog, state: StateReader): Promise<PartitionFold> {
  const fold = new PartitionFold({ log, state, definitionsOf }, place)
  await fold.open(await state.head(0))
  return fold
}

async function foldPage(fold: PartitionFold, log: EventLog, countMax = 100): Promise<number> {
  return await fold.fold(await log.read(0, fold.cursor, countMax), () => false)
}

async function foldAll(log: MemoryEventLog, state: MemoryStateStore, countMax: number) {
  const fold = await openFold(log, state)
  while (fold.cursor < (await log.end(0))) {
    assert.ok((await foldPage(fold, log, countMax)) > 0, 'the fold goes on')
    await commit(fold, state)
  }
}

async function commit(fold: PartitionFold, state: MemoryStateStore): Promise<void> {
  const taken = fold.takeCommit(owner, 'test')
  assert.deepEqual(await state.commit([taken.commit]), ['committed'])
  fold.committed(taken.commit)
}

/** Returns when each person was last changed, in fold time behind the start. */
async function appliedMs(fold: PartitionFold, state: MemoryStateStore): Promise<readonly number[]> {
  await commit(fold, state)
  const entries = await state.scan(0, personPrefix, '', 100)
  return entries.map(({ value }) => decodePerson(value).updatedAtMs - startMs)
}

function owners(kind: 'owner' | 'tick', atMs: number, skeleton: object = owner): NewRecord {
  return { ...event(kind, atMs), kind, key: 'control:0', skeleton, body: emptyBody }
}

function event(userId: string, atMs: number): NewRecord {
  const at = startMs + atMs
  const eventId = `${userId} at ${atMs}`
  const shared = { sourceId: 'web', type: 'track', name: 'Product Viewed', userId }
  const body = { ...shared, eventId, occurredAtMs: at, receivedAtMs: at, properties: {} }
  return {
    partition: 0,
    key: `user:${userId}`,
    kind: 'event',
    id: sha256Bytes(eventId, 16),
    recordedAtMs: at,
    isBackfill: false,
    keyId: 0,
    skeleton: { name: 'Product Viewed', contentHash: 1 },
    body: Buffer.from(JSON.stringify(body)),
  }
}
