/**
 * DynamoDB as the state of a whole deployment: a worker whose commits are applied and never
 * answered, and one that is paused in the middle of them while the other takes over. Each commit
 * counts once, and nothing is sent twice.
 */

import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import { systemClock } from '../../src/lib/clock.ts'
import { createSeededRandom } from '../../src/lib/random.ts'
import { openGroupWatch } from './cluster-group.ts'
import {
  clusterIsMissing,
  figuresOf,
  hasDynamodbHere,
  openCluster,
  tell,
  until,
} from './cluster-harness.ts'
import { openClusterProxy } from './cluster-proxy.ts'

const seed = Number(process.env['ATTUNE_TEST_SEED'] ?? 20261129)
const ratePerSecond = 24
const lifeMs = 6_000
const cutCount = 8
const heldMs = 250
const noticeMsMax = 90_000
const inHandCountMax = 32

it('commits without an answer count once, and those of a paused owner not at all', goOn)

async function goOn(t: TestContext): Promise<void> {
  if (clusterIsMissing !== undefined) return t.skip(clusterIsMissing)
  if (!hasDynamodbHere) return t.skip('DynamoDB Local is not here')
  const cluster = await openCluster(t, { state: 'dynamodb', smtpDelayMs: 20 })
  const { dynamodb } = cluster
  assert.ok(dynamodb)
  const proxy = await openClusterProxy(Number(dynamodb.addresses[0]?.split(':')[1]))
  t.after(() => proxy.close())
  const endpoint = `http://127.0.0.1:${proxy.port}`
  const faulty = await cluster.startWorker({ settings: { 'dynamodb.endpoint': endpoint } })
  await Promise.all([cluster.startWorker(), cluster.startRole('collect')])
  const watch = await openGroupWatch(t, cluster.kafka.addresses)
  await watch.untilMembers(2, noticeMsMax)
  const load = cluster.startLoad(ratePerSecond, seed)
  await systemClock.sleep(lifeMs)
  const random = createSeededRandom(seed)
  let lostCount = 0
  for (let cut = 0; cut < cutCount; cut++) {
    proxy.block('answers')
    await systemClock.sleep(heldMs)
    lostCount += proxy.cut()
    await systemClock.sleep(300 + random.unit() * 900)
  }

  const before = await cluster.heads()
  // What it has asked for by then comes to the server when the other is the owner.
  proxy.block('requests')
  await systemClock.sleep(heldMs)
  faulty.signal('SIGSTOP')
  await watch.untilMembers(1, noticeMsMax)
  const isTaken = async (): Promise<boolean> => {
    const heads = await cluster.heads()
    return heads.filter(({ epoch }, at) => epoch > (before[at]?.epoch ?? 0)).length >= 4
  }
  await until('taken over', isTaken, noticeMsMax)
  proxy.open()
  await systemClock.sleep(1_000)
  const wokenAtMs = systemClock.nowMs()
  faulty.signal('SIGCONT')
  await until('refused', () => faulty.said('not owned', wokenAtMs).length > 0, noticeMsMax)
  await watch.untilMembers(2, noticeMsMax)
  await systemClock.sleep(2_000)
  await cluster.settle()
  const result = await cluster.examine()
  tell('dynamodb', {
    seed,
    ...figuresOf(cluster, load, result),
    cutCount,
    lostAnswers: lostCount,
    refused: faulty.said('not owned', wokenAtMs).map((line) => line['cause']),
  })
  assert.deepEqual(result.findings, [])
  assert.ok(lostCount >= cutCount, `${lostCount} answers were lost`)
  assert.ok((result.states['unknown'] ?? 0) <= inHandCountMax)
}
