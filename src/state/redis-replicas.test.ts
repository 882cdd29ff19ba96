import assert from 'node:assert/strict'
import { after, it, type TestContext } from 'node:test'
import {
  hasRedis,
  type RedisService,
  startRedis,
  untilRedisSays,
} from '../../scripts/service-redis.ts'
import { isRetryable } from '../lib/errors.ts'
import type { RedisStateStoreOptions } from './redis-state-store.ts'
import { openRedisStore, untilAllGoOn } from './redis-store.fixture.ts'
import { aCommit } from './state-store.contract.ts'
import type { StateStore } from './state-store.ts'

const skip = hasRedis() ? false : 'redis-server is not installed'
const cluster = skip ? undefined : await startRedis({ clusterNodes: 6 })
after(() => cluster?.stop())

/** Their slots lie on all three masters. */
const partitions = Array.from({ length: 12 }, (_, partition) => partition)
const waitMsMax = 30_000

async function openStore(
  t: TestContext,
  service: RedisService,
  options: Partial<RedisStateStoreOptions>,
): Promise<StateStore> {
  const store = await openRedisStore(t, service.addresses, { replicaCountMin: 1, ...options })
  for (const partition of partitions) await store.acquire(partition, 1, 'n1')
  return store
}

/** Returns the nodes that follow a master now, one for each of the three. */
async function replicasOf(service: RedisService): Promise<readonly number[]> {
  const replicas: number[] = []
  for (const index of service.nodes.keys()) {
    const said = await service.command(index, 'INFO', 'replication')
    if (/role:slave[\s\S]*master_link_status:up/.test(said)) replicas.push(index)
  }
  assert.equal(replicas.length, 3)
  return replicas
}

it('commits when a replica has it, and rejects where there is none', { skip }, async (t) => {
  assert(cluster)
  const commit = aCommit({ changes: [{ key: 'a', value: Buffer.from('1') }] })
  const store = await openStore(t, cluster, { keyPrefix: 'has', replicaMsMax: 5000 })
  assert.deepEqual(await store.commit([commit]), ['committed'])
  const single = await startRedis()
  t.after(() => single.stop())
  const strict = await openStore(t, single, { replicaMsMax: 20 })
  await assert.rejects(strict.commit([commit]), { code: 'STORE_UNREACHABLE' })
})

it('waits for replicas of the master that a commit went to, of no other', { skip }, async (t) => {
  assert(cluster)
  const store = await openStore(t, cluster, { keyPrefix: 'each', replicaMsMax: 300 })
  const [replica = 0] = await replicasOf(cluster)
  await cluster.nodes[replica]?.stop('SIGKILL')
  t.after(async () => {
    await cluster.nodes[replica]?.start()
    const isUp = (said: string): boolean => said.includes('master_link_status:up')
    await untilRedisSays(cluster, replica, ['INFO', 'replication'], isUp)
  })
  const commits = partitions.map((partition) => store.commit([aCommit({ partition })]))
  const results = await Promise.allSettled(commits)
  const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
  assert(refused.length > 0 && refused.length < partitions.length, `${refused.length} refused`)
  for (const reason of refused) assert.equal(reason.code, 'STORE_UNREACHABLE')
  const heads = await Promise.all(partitions.map((partition) => store.head(partition)))
  assert(
    heads.every(({ offset }) => offset === 1),
    'all were written',
  )
})

it('goes on over planned failovers, and loses nothing', { skip }, async (t) => {
  assert(cluster)
  const store = await openStore(t, cluster, { keyPrefix: 'planned' })
  const answered = partitions.map(() => 0)
  let isOver = false
  const commitOn = async (partition: number): Promise<void> => {
    for (let offset = 1; !isOver; ) {
      const commit = aCommit({ partition, previousOffset: offset - 1, offset })
      try {
        assert.deepEqual(await store.commit([commit]), ['committed'])
        answered[partition] = offset++
      } catch (error) {
        if (!isRetryable(error)) throw error
      }
    }
  }
  const committing = Promise.all(partitions.map(commitOn))
  await Promise.race([committing, untilAllGoOn(answered, waitMsMax)])
  // Masters vote once in four seconds for replicas of the same master: each master moves once.
  for (const replica of await replicasOf(cluster)) {
    await cluster.command(replica, 'CLUSTER', 'FAILOVER')
    await untilRedisSays(cluster, replica, ['ROLE'], (said) => said.startsWith('master'))
    await Promise.race([committing, untilAllGoOn(answered, waitMsMax)])
  }
  isOver = true
  await committing
  const heads = await Promise.all(partitions.map((partition) => store.head(partition)))
  assert.deepEqual(
    heads.map(({ offset }) => offset),
    answered,
  )
})
