/**
 * DynamoDB with a copy in Redis before it, under a whole deployment: an owner that is killed, so
 * that another one begins the copies anew, and then a Redis that is a replica from some time ago.
 * What is in an old copy is used by nobody.
 */

import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import type { RedisService } from '../../scripts/service-redis.ts'
import type { Head } from '../../src/state/state-store.ts'
import {
  type Cluster,
  clusterIsMissing,
  figuresOf,
  hasDynamodbHere,
  openCluster,
  partitionCount,
  tell,
  until,
} from './cluster-harness.ts'
import { openRedisPair } from './redis-pair.ts'

const seed = Number(process.env['ATTUNE_TEST_SEED'] ?? 20261130)
const ratePerSecond = 48
/** Records of each partition between one thing that happens and the next. */
const furtherCountMin = 5
const noticeMsMax = 90_000
const inHandCountMax = 32

it('a copy that is old, of another owner or of another time, is used by nobody', goOn)

async function goOn(t: TestContext): Promise<void> {
  if (clusterIsMissing !== undefined) return t.skip(clusterIsMissing)
  if (!hasDynamodbHere) return t.skip('DynamoDB Local is not here')
  const pair = await openRedisPair(t)
  const cluster = await openCluster(t, {
    state: 'dynamodb-redis',
    redis: pair.master,
    settings: { 'redis.urls': `redis://${pair.address}` },
  })
  const killed = await cluster.startWorker()
  await cluster.startRole('collect')
  const load = cluster.startLoad(ratePerSecond, seed)
  await untilFurther(cluster)
  const first = await lineagesOf(pair.master)
  await killed.kill()
  const heir = await cluster.startWorker()
  await untilOther('begun anew by the heir', pair.master, first)
  await untilFurther(cluster)

  pair.holdReplication()
  await untilFurther(cluster)
  const stale = await lineagesOf(pair.replica)
  assert.ok(stale.every((lineage, at) => lineage !== '' && lineage !== first[at]))
  await pair.master.nodes[0]?.stop('SIGKILL')
  await pair.promote()
  pair.retarget()
  await untilOther('begun anew where they were old', pair.replica, stale)
  await untilFurther(cluster)
  await cluster.settle()
  const result = await cluster.examine()
  tell('dynamodb with a copy', {
    seed,
    ...figuresOf(cluster, load, result),
    copyFailures: heir.said('the copy of the state failed').length,
  })
  assert.deepEqual(result.findings, [])
  assert.equal(heir.said('lost commits').length, 0, 'the primary has everything')
  assert.ok((result.states['unknown'] ?? 0) <= inHandCountMax)
}

/** Waits until the fold of every partition is further than now. */
async function untilFurther(cluster: Cluster): Promise<void> {
  const from = await cluster.heads()
  const isFurther = ({ offset }: Head, at: number): boolean =>
    offset >= (from[at]?.offset ?? 0) + furtherCountMin
  await until('further', async () => (await cluster.heads()).every(isFurther), noticeMsMax)
}

/** What begins the tag of each partition's copy: another one for each time that it was begun. */
async function lineagesOf(redis: RedisService): Promise<readonly string[]> {
  const partitions = Array.from({ length: partitionCount }, (_, partition) => partition)
  const tags = await Promise.all(
    partitions.map((each) => redis.command(0, 'HGET', `{attune:${each}}copy`, '')),
  )
  return tags.map((tag) => tag.split(':')[0] ?? '')
}

/** Waits until the copy of every partition is another one. */
async function untilOther(
  what: string,
  redis: RedisService,
  before: readonly string[],
): Promise<void> {
  const isOther = (lineage: string, at: number): boolean => lineage !== '' && lineage !== before[at]
  await until(what, async () => (await lineagesOf(redis)).every(isOther), noticeMsMax)
}
