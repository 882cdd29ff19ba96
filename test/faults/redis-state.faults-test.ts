/**
 * The state store on Redis while Redis loses what it had answered: an append-only file that ends in
 * the middle, a replica that is behind and becomes the master, a master of a cluster that is
 * killed. After each, every partition is what the fold of its records up to its head's offset is.
 */

import assert from 'node:assert/strict'
import { readdirSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { it, type TestContext } from 'node:test'
import {
  hasRedis,
  type RedisService,
  startRedis,
  untilRedisSays,
} from '../../scripts/service-redis.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { isRetryable, OperatingError } from '../../src/lib/errors.ts'
import { createSeededRandom } from '../../src/lib/random.ts'
import type { RedisStateStoreOptions } from '../../src/state/redis-state-store.ts'
import { openRedisStore, untilAllGoOn } from '../../src/state/redis-store.fixture.ts'
import { aCommit } from '../../src/state/state-store.contract.ts'
import type { Change, PartitionCommit, StateStore } from '../../src/state/state-store.ts'
import { openRedisPair } from './redis-pair.ts'

const skip = hasRedis() ? false : 'redis-server is not installed'
const seed = 20_261
const slotCount = 5
const partitionCount = 12
const epoch = { epoch: 1, nonce: 'n1' }
const goOnMsMax = 30_000

async function openStore(
  t: TestContext,
  addresses: readonly string[],
  options: Partial<RedisStateStoreOptions> = {},
): Promise<StateStore> {
  return await openRedisStore(t, addresses, { callMsMax: 2000, ...options })
}

/** Record n counts, writes one of a few slots, and deletes what record n - slotCount left. */
function foldOne(partition: number, offset: number): PartitionCommit {
  const changes: Change[] = [
    { key: 'count', value: Buffer.alloc(1, offset) },
    { key: `slot/${offset % slotCount}`, value: Buffer.alloc(3, offset) },
    { key: `recent/${offset}`, value: Buffer.alloc(500, offset) },
    { key: `recent/${offset - slotCount}`, value: undefined },
  ]
  return aCommit({ partition, previousOffset: offset - 1, offset, changes })
}

/** Checks a partition against the fold up to its offset; returns the offset. */
async function verify(store: StateStore, partition: number): Promise<number> {
  const { offset } = await store.head(partition)
  const model = new Map<string, Uint8Array>()
  for (let n = 1; n <= offset; n++) {
    for (const { key, value } of foldOne(partition, n).changes) {
      if (value === undefined) model.delete(key)
      else model.set(key, value)
    }
  }
  const plain = (key: string, value: Uint8Array): string => `${key}=${value.length}:${value[0]}`
  const scanned = await store.scan(partition, '', '', 1000)
  assert.deepEqual(
    scanned.map(({ key, value }) => plain(key, value)),
    [...model].map(([key, value]) => plain(key, value)).sort(),
    `partition ${partition} at ${offset}`,
  )
  return offset
}

async function foldTo(store: StateStore, partition: number, end: number): Promise<void> {
  const { offset } = await store.head(partition)
  for (let n = offset + 1; n <= end; n++) {
    assert.deepEqual(await store.commit([foldOne(partition, n)]), ['committed'])
  }
}

async function removeKeys(service: RedisService, pattern: string): Promise<void> {
  const keys = await service.command(0, '--scan', '--pattern', pattern)
  await service.command(0, 'DEL', ...keys.split('\n'))
}

it('holds whole commits, or says so, when the append-only file ends in the middle', {
  skip,
}, async (t) => {
  t.diagnostic(`seed ${seed}`)
  const random = createSeededRandom(seed)
  const service = await startRedis()
  t.after(() => service.stop())
  const [node] = service.nodes
  const store = await openStore(t, service.addresses)
  const offsets = new Set<number>()
  let tornCount = 0
  for (let round = 0; round < 12; round++) {
    for (const partition of [0, 1, 2]) {
      await store.acquire(partition, 1, 'n1')
      await foldTo(store, partition, 10 * (round + 1))
    }
    await node?.stop('SIGTERM')
    const folder = join(service.folders[0] ?? '', 'appendonlydir')
    const name = readdirSync(folder).find((each) => each.endsWith('.incr.aof')) ?? ''
    const bytes = statSync(join(folder, name)).size
    truncateSync(join(folder, name), bytes - Math.floor(random.unit() * Math.min(bytes, 15_000)))
    await node?.start()
    for (const partition of [0, 1, 2]) {
      const offset = await verify(store, partition).catch(async (error: unknown) => {
        assert(error instanceof OperatingError && error.code === 'STORE_CORRUPT', String(error))
        tornCount++
        await removeKeys(service, `{attune:${partition}}*`)
        return 0
      })
      offsets.add(offset)
    }
  }
  t.diagnostic(`${tornCount} partitions held a part of a commit, and said so`)
  assert(offsets.size > 6, 'the file was cut at many places')
})

it('tells of a replica that was behind when it became the master', { skip }, async (t) => {
  const pair = await openRedisPair(t)
  const { master, replica } = pair
  const store = await openStore(t, [pair.address])
  await store.acquire(0, 1, 'n1')
  await foldTo(store, 0, 20)
  await untilRedisSays(replica, 0, ['HGET', '{attune:0}head', 'offset'], (said) => said === '20')
  pair.holdReplication()
  await foldTo(store, 0, 30)
  await master.nodes[0]?.stop('SIGKILL')
  pair.retarget()
  await systemClock.sleep(1500)
  assert.deepEqual(await store.commit([foldOne(0, 31)]), ['moved'])
  await assert.rejects(foldTo(store, 0, 21), { code: 'STORE_UNREACHABLE', retryable: true })
  await pair.promote()
  await systemClock.sleep(1500)
  assert.equal(await verify(store, 0), 20)
  await foldTo(store, 0, 40)
  assert.equal(await verify(store, 0), 40)
})

for (const replicaCountMin of [0, 1]) {
  const name = `goes on when a cluster's master is killed, waiting for ${replicaCountMin} replicas`
  it(name, { skip }, async (t) => {
    const service = await startRedis({ clusterNodes: 6 })
    t.after(() => service.stop())
    const store = await openStore(t, service.addresses, { replicaCountMin })
    const answered = new Array<number>(partitionCount).fill(0)
    let isOver = false
    let unclearCount = 0
    let lostCount = 0
    const foldOn = async (partition: number): Promise<void> => {
      let offset = 0
      for (let hasRead = false; !isOver; ) {
        try {
          if (!hasRead) {
            assert.equal(await store.acquire(partition, epoch.epoch, epoch.nonce), 'acquired')
            offset = (await store.head(partition)).offset
            lostCount += Math.max(0, (answered[partition] ?? 0) - offset)
            hasRead = true
          }
          const [answer] = await store.commit([foldOne(partition, offset + 1)])
          if (answer === 'committed') offset++
          else hasRead = false
          answered[partition] = Math.max(answered[partition] ?? 0, offset)
        } catch (error) {
          if (!isRetryable(error)) throw error
          unclearCount++
          await systemClock.sleep(50)
        }
      }
    }
    const killOne = async (): Promise<number> => {
      await untilAllGoOn(answered, goOnMsMax)
      await service.nodes[0]?.stop('SIGKILL')
      const replica = await untilPromoted(service)
      await service.nodes[0]?.start()
      await untilRedisSays(service, 0, ['INFO', 'replication'], (said) =>
        /role:slave[\s\S]*master_link_status:up/.test(said),
      )
      await untilAllGoOn(answered, goOnMsMax)
      return replica
    }
    const folding = Promise.all(answered.map((_, partition) => foldOn(partition)))
    const killing = killOne().finally(() => {
      isOver = true
    })
    const [replica] = await Promise.all([killing, folding])
    t.diagnostic(
      `node ${replica} took over, ${unclearCount} calls refused, ${lostCount} commits lost`,
    )
    assert(unclearCount > 0, 'the partitions of the killed master could not commit')
    for (const partition of answered.keys()) {
      assert((await verify(store, partition)) >= (answered[partition] ?? 0))
    }
    if (replicaCountMin > 0) assert.equal(lostCount, 0)
  })
}

/** Resolves with the node that took the slots of the first one. */
async function untilPromoted(service: RedisService): Promise<number> {
  for (let count = 0; count < 200; count++) {
    for (const index of [3, 4, 5]) {
      if ((await service.command(index, 'ROLE')).startsWith('master')) return index
    }
    await systemClock.sleep(100)
  }
  throw new Error('no replica took over')
}
