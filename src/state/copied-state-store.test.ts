import assert from 'node:assert/strict'
import { after, before, describe, it, type TestContext } from 'node:test'
import { dynamodbIsMissing, hasDynamodb } from '../../scripts/service-dynamodb.ts'
import { openServiceProxy } from '../../scripts/service-proxy.ts'
import { hasRedis, type RedisService, startRedis } from '../../scripts/service-redis.ts'
import { systemClock } from '../lib/clock.ts'
import { silentLogger } from '../lib/logger.ts'
import { systemRandom } from '../lib/random.ts'
import { createCopiedStateStore } from './copied-state-store.ts'
import { openDynamodbStateStore } from './dynamodb-state-store.ts'
import { type DynamodbWorld, startDynamodbWorld } from './dynamodb-world.fixture.ts'
import { createMemoryStateStore, type MemoryStateStore } from './memory-state-store.ts'
import { openRedisStateCopy } from './redis-state-copy.ts'
import { aCommit, describeStateStore } from './state-store.contract.ts'
import type { Change, StateStore } from './state-store.ts'

const skip = hasRedis() ? false : 'redis-server is not installed'
const service = skip ? undefined : await startRedis()
after(() => service?.stop())
const deps = { clock: systemClock, logger: silentLogger, random: systemRandom }
let openedCount = 0

interface World {
  /** Runs once, when the primary has answered the next `head`. */
  afterHead?: () => Promise<unknown>
  /** What the primary was asked to do, and what came of it. */
  readonly effects: string[]
  readonly primary: MemoryStateStore
  readonly keyPrefix: string
  /** Opens one more store before the same primary and the same Redis. */
  open(): Promise<StateStore>
}

function theService(): RedisService {
  assert(service)
  return service
}

function createWorld(t: TestContext, options: { readonly leaseMs?: number } = {}): World {
  const primary = createMemoryStateStore()
  const effects: string[] = []
  const keyPrefix = `copied-${openedCount++}`
  const watched: StateStore = {
    ...primary,
    async get(partition, keys) {
      effects.push(`get ${keys.join(' ')}`)
      return await primary.get(partition, keys)
    },
    async head(partition) {
      const head = await primary.head(partition)
      const { afterHead } = world
      delete world.afterHead
      await afterHead?.()
      return head
    },
  }
  const world: World = {
    effects,
    primary,
    keyPrefix,
    async open() {
      const urls = [`redis://${theService().addresses[0]}`]
      const copy = await openRedisStateCopy(deps, { urls, keyPrefix, callMsMax: 5000 })
      const store = createCopiedStateStore(
        { ...deps, primary: watched, copy },
        { beginPauseMs, ...options },
      )
      t.after(() => store.close())
      return store
    },
  }
  return world
}

function put(key: string, value: string): Change {
  return { key, value: Buffer.from(value) }
}

async function texts(store: StateStore, ...keys: readonly string[]): Promise<readonly string[]> {
  const values = await store.get(0, keys)
  return values.map((value) => (value === undefined ? '-' : Buffer.from(value).toString()))
}

/** Fills go on in the background. */
const settleMs = 60
const waitMsMax = 60_000
const beginPauseMs = 100

async function settled(): Promise<void> {
  await systemClock.sleep(settleMs)
}

async function until(isTrue: () => Promise<boolean>): Promise<void> {
  const deadlineMs = systemClock.monotonicMs() + waitMsMax
  while (!(await isTrue())) {
    assert(systemClock.monotonicMs() < deadlineMs, `in time: ${isTrue}`)
    await systemClock.sleep(5)
  }
}

/** Waits until the copy says of each key what it is, or that it is not there. */
async function filled({ keyPrefix }: World, ...keys: readonly string[]): Promise<void> {
  await until(async () => {
    const said = await theService().command(0, 'HMGET', `{${keyPrefix}:0}copy`, ...keys)
    return said.split('\n').filter((line) => line !== '').length === keys.length
  })
}

if (!skip) describeStateStore('copied', async (t) => await createWorld(t).open())

describe('before DynamoDB', { skip: skip || (hasDynamodb() ? false : dynamodbIsMissing) }, () => {
  let world: DynamodbWorld
  before(async () => {
    world = await startDynamodbWorld()
  })
  after(() => world.stop())

  describeStateStore('copied dynamodb', async (t) => {
    const primary = await openDynamodbStateStore(deps, await world.makeTables())
    return await openBefore(t, primary)
  })
})

/** Opens a store with a copy of its own before a primary. */
async function openBefore(t: TestContext, primary: StateStore): Promise<StateStore> {
  const urls = [`redis://${theService().addresses[0]}`]
  const copy = await openRedisStateCopy(deps, { urls, keyPrefix: `copied-${openedCount++}` })
  const store = createCopiedStateStore({ ...deps, primary, copy }, { beginPauseMs })
  t.after(() => store.close())
  return store
}

it('answers the owner from the copy, and the rest once from the primary', { skip }, async (t) => {
  const world = createWorld(t)
  const { effects, primary, open } = world
  await primary.acquire(0, 1, 'n0')
  await primary.commit([aCommit({ nonce: 'n0', changes: [put('old', '1')] })])
  const store = await open()
  await store.acquire(0, 2, 'n1')
  const own = { epoch: 2, previousOffset: 1, offset: 2 }
  const changes = [put('a', '1'), put('b', ''), { key: 'gone', value: undefined }]
  await store.commit([aCommit({ ...own, changes })])
  assert.deepEqual(await texts(store, 'a', 'b', 'a'), ['1', '', '1'])
  assert.deepEqual(effects, [])
  for (let round = 0; round < 3; round++) {
    assert.deepEqual(await texts(store, 'never', 'a', 'old', 'gone'), ['-', '1', '1', '-'])
    await filled(world, 'never', 'a', 'old', 'gone')
  }
  assert.deepEqual(effects, ['get never old gone'])
})

it('reads nothing from the copy where it is not the owner', { skip }, async (t) => {
  const { effects, open } = createWorld(t)
  const [owner, reader] = [await open(), await open()]
  await owner.acquire(0, 1, 'n1')
  await owner.commit([aCommit({ changes: [put('a', '1')] })])
  assert.deepEqual(await texts(reader, 'a'), ['1'])
  assert.deepEqual(effects, ['get a'])
  await owner.commit([aCommit({ previousOffset: 1, offset: 2, changes: [put('a', '2')] })])
  assert.deepEqual(await texts(reader, 'a'), ['2'])
})

it('takes over a copy that was sealed, and no other', { skip }, async (t) => {
  const { effects, primary, open } = createWorld(t)
  const [first, second, third] = [await open(), await open(), await open()]
  await first.acquire(0, 1, 'n1')
  await first.commit([aCommit({ changes: [put('a', '1')] })])
  await first.release(0, 1, 'n1')
  await second.acquire(0, 2, 'n2')
  assert.deepEqual(await texts(second, 'a'), ['1'])
  assert.deepEqual(effects, [])
  await second.release(0, 2, 'n2')
  // An owner between, without the copy, that leaves the offset where it was.
  await primary.acquire(0, 3, 'n3')
  const between = { epoch: 3, nonce: 'n3', previousOffset: 1, offset: 1 }
  await primary.commit([aCommit({ ...between, changes: [put('a', '3')] })])
  await primary.release(0, 3, 'n3')
  await third.acquire(0, 4, 'n4')
  assert.deepEqual(await texts(third, 'a'), ['3'])
})

it('takes over no copy when another owner came between the head and the fence', {
  skip,
}, async (t) => {
  const world = createWorld(t)
  const { primary } = world
  const [first, last] = [await world.open(), await world.open()]
  await first.acquire(0, 1, 'n1')
  await first.commit([aCommit({ changes: [put('a', '1')] })])
  await first.release(0, 1, 'n1')
  const between = { epoch: 2, nonce: 'n2', previousOffset: 1, offset: 1 }
  world.afterHead = async () => {
    await primary.acquire(0, 2, 'n2')
    await primary.commit([aCommit({ ...between, changes: [put('a', '2')] })])
  }
  assert.equal(await last.acquire(0, 3, 'n3'), 'acquired')
  assert.deepEqual(await texts(last, 'a'), ['2'])
})

it('keeps an owner that was fenced from its old copy', { skip }, async (t) => {
  const { open } = createWorld(t, { leaseMs: 10_000 })
  const [old, next] = [await open(), await open()]
  await old.acquire(0, 1, 'n1')
  await old.commit([aCommit({ changes: [put('a', '1')] })])
  // Long enough for the old owner to begin another copy.
  await systemClock.sleep(beginPauseMs)
  await next.acquire(0, 2, 'n2')
  for (let offset = 2; offset < 6; offset++) {
    const commit = { epoch: 2, nonce: 'n2', previousOffset: offset - 1, offset }
    await next.commit([aCommit({ ...commit, changes: [put('a', `${offset}`)] })])
    for (const store of [old, old, old, ...(offset > 3 ? [next, old] : [])]) {
      assert.deepEqual(await texts(store, 'a'), [`${offset}`])
      await settled()
    }
  }
})

it('answers no commit while a former owner may read its copy unreached', { skip }, async (t) => {
  const proxy = await openServiceProxy(Number(theService().addresses[0]?.split(':')[1]))
  t.after(() => proxy.close())
  const leaseMs = 3000
  const world = createWorld(t, { leaseMs })
  const old = await world.open()
  await old.acquire(0, 1, 'n1')
  await old.commit([aCommit({ changes: [put('a', '1')] })])
  // The next owner has the same primary, and no way to Redis.
  const urls = [`redis://127.0.0.1:${proxy.port}`]
  const { keyPrefix } = world
  const copy = await openRedisStateCopy(deps, { urls, keyPrefix, callMsMax: 100 })
  const next = createCopiedStateStore({ ...deps, primary: world.primary, copy }, { leaseMs })
  t.after(() => next.close())
  proxy.retarget(undefined)
  proxy.cut()
  await settled()
  await next.acquire(0, 2, 'n2')
  const commit = { epoch: 2, nonce: 'n2', previousOffset: 1, offset: 2 }
  let isAnswered = false
  const answered = next.commit([aCommit({ ...commit, changes: [put('a', '2')] })]).then(() => {
    isAnswered = true
  })
  const read = { before: 0, after: 0 }
  while (read.after < 5) {
    const mustSee = isAnswered
    const [value] = await texts(old, 'a')
    if (mustSee) assert.equal(value, '2', 'a commit that was answered is seen')
    if (mustSee) read.after++
    else if (value === '1') read.before++
    await systemClock.sleep(5)
  }
  await answered
  assert(read.before > 0, 'the old owner read its copy meanwhile')
})

const harms: readonly ((key: string) => readonly string[])[] = [
  () => ['FLUSHALL'],
  (key) => ['HSET', key, '', 'another tag', 'a', 'vwrong'],
  (key) => ['DEL', key],
  (key) => ['EVAL', "redis.call('DEL', KEYS[1]) redis.call('SET', KEYS[1], 'x')", '1', key],
]
for (const [index, harm] of harms.entries()) {
  it(`stays right when Redis loses or changes the copy, ${index}`, { skip }, async (t) => {
    for (const isBeforeCommit of [true, false]) {
      const { open, keyPrefix, effects } = createWorld(t)
      const store = await open()
      await store.acquire(0, 1, 'n1')
      await store.commit([aCommit({ changes: [put('a', '1')] })])
      assert.deepEqual(await texts(store, 'a'), ['1'])
      assert.deepEqual(effects, [], 'the copy is in use')
      const command = harm(`{${keyPrefix}:0}copy`)
      if (isBeforeCommit) await theService().command(0, ...command)
      const changes = [put('a', '2'), put('b', '2')]
      await store.commit([aCommit({ previousOffset: 1, offset: 2, changes })])
      if (!isBeforeCommit) await theService().command(0, ...command)
      assert.deepEqual(await texts(store, 'a', 'b', 'c'), ['2', '2', '-'])
      await systemClock.sleep(beginPauseMs)
      // A new copy is in use once the primary is not asked.
      await until(async () => {
        const before = effects.length
        assert.deepEqual(await texts(store, 'a', 'b', 'c'), ['2', '2', '-'])
        return effects.length === before
      })
    }
  })
}

it('forgets the copy where the primary did not answer', { skip }, async (t) => {
  const world = createWorld(t)
  let isFailing = false
  const primary: StateStore = {
    ...world.primary,
    async commit(commits) {
      const answers = await world.primary.commit(commits)
      if (isFailing) throw new Error('the answer was lost')
      return answers
    },
  }
  const store = await openBefore(t, primary)
  await store.acquire(0, 1, 'n1')
  await store.commit([aCommit({ changes: [put('a', '1')] })])
  isFailing = true
  const unclear = aCommit({ previousOffset: 1, offset: 2, changes: [put('a', '2')] })
  await assert.rejects(store.commit([unclear]), /the answer was lost/)
  assert.deepEqual(await texts(store, 'a'), ['2'])
  await systemClock.sleep(beginPauseMs)
  assert.deepEqual(await texts(store, 'a'), ['2'])
  await settled()
  isFailing = false
  assert.deepEqual(await store.commit([{ ...unclear, changes: [put('a', 'x')] }]), ['committed'])
  assert.deepEqual(await texts(store, 'a'), ['2'])
})
