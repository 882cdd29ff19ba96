import assert from 'node:assert/strict'
import { after, it, type TestContext } from 'node:test'
import { openServiceProxy, type ServiceProxy } from '../../scripts/service-proxy.ts'
import {
  hasRedis,
  type RedisService,
  startRedis,
  untilRedisSays,
} from '../../scripts/service-redis.ts'
import { systemClock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import type { RedisStateStoreOptions } from './redis-state-store.ts'
import { openRedisStore } from './redis-store.fixture.ts'
import { aCommit, describeStateStore } from './state-store.contract.ts'
import type { Change, StateStore } from './state-store.ts'

const skip = hasRedis() ? false : 'redis-server is not installed'
const services = skip ? [] : await Promise.all([startRedis(), startRedis({ clusterNodes: 6 })])
const [single, cluster] = services
after(() => Promise.all(services.map((service) => service.stop())))

const logged: string[] = []
const logger: Logger = {
  info: (_, event) => logged.push(event),
  warn: (_, event) => logged.push(event),
  error: (_, event) => logged.push(event),
}
const waitMsMax = 60_000
let openedCount = 0

/** Opens a store of its own keys. */
async function openStore(
  t: TestContext,
  service: RedisService,
  options: Partial<RedisStateStoreOptions> = {},
): Promise<StateStore> {
  const given = { keyPrefix: `test-${openedCount++}`, ...options }
  return await openRedisStore(t, service.addresses, given, logger)
}

/** Starts a Redis that a test may break. */
async function startOwn(
  t: TestContext,
  settings: Readonly<Record<string, string>> = {},
): Promise<RedisService> {
  const service = await startRedis({ settings })
  t.after(() => service.stop())
  return service
}

async function openProxied(
  t: TestContext,
  options: Partial<RedisStateStoreOptions> = {},
): Promise<{ readonly proxy: ServiceProxy; readonly store: StateStore }> {
  const service = theSingle()
  const proxy = await openServiceProxy(Number(service.addresses[0]?.split(':')[1]))
  t.after(() => proxy.close())
  const urls = [`redis://127.0.0.1:${proxy.port}`]
  const store = await openStore(t, service, { urls, callMsMax: 1000, ...options })
  await store.acquire(0, 1, 'n1')
  return { proxy, store }
}

/** Cuts the connection, and waits until the client has noticed and is there again. */
async function cutAndReturn(proxy: ServiceProxy): Promise<void> {
  logged.length = 0
  proxy.cut()
  const deadlineMs = systemClock.monotonicMs() + waitMsMax
  while (!logged.includes('redis is back')) {
    assert(systemClock.monotonicMs() < deadlineMs, 'the client connects again')
    await systemClock.sleep(10)
  }
}

function theSingle(): RedisService {
  assert(single)
  return single
}

function put(key: string, value: string): Change {
  return { key, value: Buffer.from(value) }
}

async function texts(store: StateStore, ...keys: readonly string[]): Promise<readonly string[]> {
  const values = await store.get(0, keys)
  return values.map((value) => (value === undefined ? '-' : Buffer.from(value).toString()))
}

async function keysOf(store: StateStore): Promise<readonly string[]> {
  return (await store.scan(0, '', '', 99)).map(({ key }) => key)
}

if (single && cluster) {
  describeStateStore('redis', (t) => openStore(t, single))
  describeStateStore('redis cluster', (t) => openStore(t, cluster))
}

it('takes the last change of a key, and keys of another type', { skip }, async (t) => {
  const service = theSingle()
  const store = await openStore(t, service, { keyPrefix: 'other' })
  await store.acquire(0, 1, 'n1')
  await store.commit([aCommit({ changes: [put('a', 'old'), put('b', 'old')] })])
  for (const key of ['d', 'e']) await service.command(0, 'RPUSH', `{other:0}:${key}`, 'no text')
  const changes = [
    ...[put('a', 'new'), put('c', 'new'), { key: 'b', value: undefined }, put('a', 'newer')],
    ...[put('b', 'again'), { key: 'c', value: undefined }, put('d', 'new')],
    { key: 'e', value: undefined },
  ]
  const next = aCommit({ previousOffset: 1, offset: 2, changes })
  assert.deepEqual(await store.commit([next]), ['committed'])
  assert.deepEqual(await texts(store, 'a', 'b', 'c', 'd'), ['newer', 'again', '-', 'new'])
  assert.deepEqual(await keysOf(store), ['a', 'b', 'd'])
  assert.equal(await service.command(0, 'EXISTS', '{other:0}:e'), '0')
})

it('changes nothing when the index fails', { skip }, async (t) => {
  const service = theSingle()
  const store = await openStore(t, service, { keyPrefix: 'indexless' })
  await store.acquire(0, 1, 'n1')
  await store.commit([aCommit({ changes: [put('a', 'old')] })])
  await service.command(0, 'SET', '{indexless:0}index', 'no sorted set')
  const before = await service.command(0, 'HGETALL', '{indexless:0}head')
  const changes = [put('a', 'new'), put('b', 'new')]
  const commit = aCommit({ previousOffset: 1, offset: 2, changes })
  await assert.rejects(store.commit([commit]), { code: 'STORE_CORRUPT' })
  assert.deepEqual(await texts(store, 'a', 'b'), ['old', '-'])
  assert.equal(await service.command(0, 'HGETALL', '{indexless:0}head'), before)
})

it('changes nothing where a command of a commit is not allowed', { skip }, async (t) => {
  const service = await startOwn(t)
  const store = await openStore(t, service, { keyPrefix: 'rights' })
  await store.acquire(0, 1, 'n1')
  await store.commit([aCommit({ changes: [put('a', 'old'), put('b', 'old')] })])
  const before = await service.command(0, 'HGETALL', '{rights:0}head')
  const changes = [put('a', 'new'), put('c', 'new'), { key: 'b', value: undefined }]
  const commit = aCommit({ previousOffset: 1, offset: 2, changes })
  for (const name of ['hincrby', 'hset', 'zadd', 'zrem', 'mset', 'del']) {
    await service.command(0, 'ACL', 'SETUSER', 'default', `-${name}`)
    await assert.rejects(store.commit([commit]), { code: 'STORE_MISCONFIGURED' }, name)
    await service.command(0, 'ACL', 'SETUSER', 'default', '+@all')
    assert.deepEqual(await texts(store, 'a', 'b', 'c'), ['old', 'old', '-'])
    assert.deepEqual(await keysOf(store), ['a', 'b'])
    assert.equal(await service.command(0, 'HGETALL', '{rights:0}head'), before)
  }
  assert.deepEqual(await store.commit([commit]), ['committed'])
  assert.deepEqual(await texts(store, 'a', 'b', 'c'), ['new', '-', 'new'])
})

it('refuses a commit whole while Redis is full, and takes it when there is room', {
  skip,
}, async (t) => {
  const service = await startOwn(t, { maxmemory: '8mb' })
  const store = await openStore(t, service)
  await store.acquire(0, 1, 'n1')
  const value = Buffer.alloc(300 * 1024, 1)
  let offset = 0
  const fill = async (): Promise<void> => {
    for (; offset < 100; offset++) {
      const changes = [put('count', `${offset + 1}`), { key: `k/${offset}`, value }]
      await store.commit([aCommit({ previousOffset: offset, offset: offset + 1, changes })])
    }
  }
  await assert.rejects(fill(), { code: 'DISK_FULL', retryable: true })
  assert(offset > 5, `only ${offset} commits fitted`)
  assert.deepEqual(await texts(store, 'count'), [`${offset}`])
  assert.equal((await store.head(0)).offset, offset)
  const remove = [{ key: 'k/0', value: undefined }, ...(offset > 9 ? [put('freed', '')] : [])]
  const freeing = aCommit({ previousOffset: offset, offset: offset + 1, changes: remove })
  assert.deepEqual(await store.commit([freeing]), ['committed'])
  await service.command(0, 'CONFIG', 'SET', 'maxmemory', '64mb')
  const again = aCommit({ previousOffset: offset + 1, offset: offset + 2, changes: [put('a', '')] })
  assert.deepEqual(await store.commit([again]), ['committed'])
})

it('tells that all is lost after FLUSHALL, and begins again', { skip }, async (t) => {
  const service = await startOwn(t)
  const store = await openStore(t, service)
  await store.acquire(0, 1, 'n1')
  await store.commit([aCommit({ changes: [put('a', '1')] })])
  await service.command(0, 'FLUSHALL')
  const next = aCommit({ previousOffset: 1, offset: 2, changes: [put('b', '2')] })
  assert.deepEqual(await store.commit([next]), ['fenced'])
  assert.deepEqual(await keysOf(store), [])
  assert.equal(await store.acquire(0, 1, 'n1'), 'acquired')
  assert.deepEqual(await store.commit([next]), ['moved'])
  assert.deepEqual(await store.commit([aCommit({ changes: [put('b', '2')] })]), ['committed'])
})

it('keeps what is in the append-only file when it is killed', { skip }, async (t) => {
  const service = await startOwn(t)
  const store = await openStore(t, service, { callMsMax: 5000 })
  await store.acquire(0, 1, 'n1')
  const commitUpTo = async (first: number, end: number): Promise<void> => {
    for (let offset = first; offset < end; offset++) {
      const changes = [put('count', `${offset + 1}`), put(`k/${offset}`, '')]
      const commit = aCommit({ previousOffset: offset, offset: offset + 1, changes })
      assert.deepEqual(await store.commit([commit]), ['committed'])
    }
  }
  await commitUpTo(0, 25)
  await untilRedisSays(service, 0, ['INFO', 'persistence'], (said) =>
    said.includes('aof_buffer_length:0\r'),
  )
  await commitUpTo(25, 50)
  await service.nodes[0]?.stop('SIGKILL')
  await assert.rejects(store.get(0, ['count']), { code: 'STORE_UNREACHABLE' })
  await service.nodes[0]?.start()
  // While it syncs the file Redis holds back what it would write, so that a kill takes that too.
  const { offset } = await store.head(0)
  assert(offset >= 25 && offset <= 50, `the head is at ${offset}`)
  assert.deepEqual(await texts(store, 'count'), [`${offset}`])
  assert.equal((await store.scan(0, 'k/', '', 99)).length, offset)
  assert.equal(await store.acquire(0, 1, 'n1'), 'acquired')
  await commitUpTo(offset, 60)
  assert(logged.includes('redis is unreachable') && logged.includes('redis is back'))
})

it('rejects in bounded time when Redis does not answer, and goes on after', { skip }, async (t) => {
  const service = await startOwn(t)
  const store = await openStore(t, service, { callMsMax: 1000 })
  await store.acquire(0, 1, 'n1')
  await service.nodes[0]?.pause()
  const startMs = systemClock.monotonicMs()
  const commit = aCommit({ changes: [put('a', '1')] })
  await assert.rejects(store.commit([commit]), { code: 'STORE_UNREACHABLE', retryable: true })
  await assert.rejects(store.head(0), { code: 'STORE_UNREACHABLE' })
  assert(systemClock.monotonicMs() - startMs < 30_000, 'both are answered in bounded time')
  service.nodes[0]?.signal('SIGCONT')
  await systemClock.sleep(500)
  assert.deepEqual(await store.commit([commit]), ['committed'])
  assert.deepEqual(await texts(store, 'a'), ['1'])
})

it('answers a commit whose answer was lost when it is repeated', { skip }, async (t) => {
  const { proxy, store } = await openProxied(t)
  const commit = aCommit({ changes: [put('a', '1')] })
  // The script is known before, so that the held answer is that of the commit.
  await store.commit([aCommit({ partition: 1 })])
  proxy.holdAnswers()
  await assert.rejects(store.commit([commit]), { code: 'STORE_UNREACHABLE' })
  await cutAndReturn(proxy)
  assert.equal((await store.head(0)).offset, 1)
  const other = { ...commit, changes: [put('a', '2')] }
  assert.deepEqual(await store.commit([other]), ['committed'])
  assert.deepEqual(await texts(store, 'a'), ['1'])
  const next = aCommit({ previousOffset: 1, offset: 2, changes: [put('a', '3')] })
  assert.deepEqual(await store.commit([next]), ['committed'])
})

it('refuses a commit that arrives after later ones of the same offset', { skip }, async (t) => {
  const { proxy, store } = await openProxied(t)
  const piece = (value: string) =>
    aCommit({ offset: 0, lastRecordId: '', changes: [put('a', value)] })
  await store.commit([piece('first')])
  proxy.holdRequests()
  await assert.rejects(store.commit([piece('late')]), { code: 'STORE_UNREACHABLE' })
  await cutAndReturn(proxy)
  assert.deepEqual(await store.commit([piece('newer')]), ['committed'])
  proxy.deliver()
  await systemClock.sleep(100)
  assert.deepEqual(await texts(store, 'a'), ['newer'])
  assert.deepEqual(await store.commit([piece('newest')]), ['committed'])
})

it('notices a loss that the offset does not show', { skip }, async (t) => {
  const service = theSingle()
  const keyPrefix = 'rolled-back'
  const store = await openStore(t, service, { keyPrefix })
  await store.acquire(0, 1, 'n1')
  const piece = (value: string) =>
    aCommit({ offset: 0, lastRecordId: '', changes: [put('a', value)] })
  await store.commit([piece('1')])
  await store.commit([piece('2')])
  await service.command(0, 'HMSET', '{rolled-back:0}head', 'number', '1', 'begun', '1')
  assert.deepEqual(await store.commit([piece('3')]), ['moved'])
  assert.deepEqual(await store.commit([piece('3')]), ['committed'])
})

it('refuses a partition that holds a part of a commit', { skip }, async (t) => {
  const store = await openStore(t, theSingle(), { keyPrefix: 'torn' })
  await store.acquire(0, 1, 'n1')
  await store.commit([aCommit()])
  await theSingle().command(0, 'HINCRBY', '{torn:0}head', 'begun', '1')
  const corrupt = { code: 'STORE_CORRUPT' }
  await assert.rejects(store.commit([aCommit({ previousOffset: 1, offset: 2 })]), corrupt)
  await assert.rejects(store.head(0), corrupt)
  await assert.rejects(store.acquire(0, 2, 'n2'), corrupt)
})

it('takes the commits of another store under the same owner', { skip }, async (t) => {
  const keyPrefix = 'shared'
  const left = await openStore(t, theSingle(), { keyPrefix })
  const right = await openStore(t, theSingle(), { keyPrefix })
  await left.acquire(0, 1, 'n1')
  for (const [offset, store] of [left, right, right, left].entries()) {
    const commit = aCommit({ previousOffset: offset, offset: offset + 1 })
    assert.deepEqual(await store.commit([commit]), ['committed'])
  }
})

it('sends the calls of one turn of the event loop together', { skip }, async (t) => {
  const service = await startOwn(t)
  const store = await openStore(t, service)
  const partitions = Array.from({ length: 64 }, (_, partition) => partition)
  await Promise.all(partitions.map((partition) => store.acquire(partition, 1, 'n1')))
  const reads = async (): Promise<number> => {
    const stats = await service.command(0, 'INFO', 'stats')
    return Number(/total_reads_processed:(\d+)/.exec(stats)?.[1])
  }
  // The first commit of all sends the script itself.
  await store.commit([aCommit({ partition: 64 })])
  const before = await reads()
  const commits = partitions.map((partition) => aCommit({ partition, changes: [put('a', '1')] }))
  await store.commit(commits)
  await Promise.all(partitions.map((partition) => store.get(partition, ['a'])))
  const count = (await reads()) - before
  assert(count <= 6, `Redis read ${count} times for 64 commits and 64 gets`)
})
