/**
 * DynamoDB as the state of a whole deployment: a worker whose commits are applied and never
 * answered, one that is paused in the middle of them while the other takes over, and one that is
 * paused when a part of a large commit is applied. Each commit counts once, and nothing is sent
 * twice.
 */

import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import { withStores } from '../../src/command/data-reader.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { createSeededRandom } from '../../src/lib/random.ts'
import {
  type DynamodbOptions,
  openDynamodbClient,
  tableDefault,
} from '../../src/state/dynamodb-client.ts'
import { loadHeadItem } from '../../src/state/dynamodb-redo.ts'
import { deps, redoCount } from '../../src/state/dynamodb-world.fixture.ts'
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
import { openDynamodbWire, type WireCall } from './dynamodb-wire.ts'

const seed = Number(process.env['ATTUNE_TEST_SEED'] ?? 20261129)
const ratePerSecond = 24
const behindRatePerSecond = 240
const lifeMs = 6_000
const cutCount = 8
const heldMs = 250
const noticeMsMax = 90_000
const inHandCountMax = 32
/** Events of a partition that change more than one transaction holds. */
const behindCountMin = 60

it('commits without an answer count once, and those of a paused owner not at all', goOn)
it('a large commit is finished by the next owner, and not by one that was paused', finish)

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

async function finish(t: TestContext): Promise<void> {
  if (clusterIsMissing !== undefined) return t.skip(clusterIsMissing)
  if (!hasDynamodbHere) return t.skip('DynamoDB Local is not here')
  const cluster = await openCluster(t, { state: 'dynamodb' })
  const { dynamodb, stores } = cluster
  assert.ok(dynamodb && stores.state.kind === 'dynamodb')
  const options = stores.state.dynamodb
  const wire = await openDynamodbWire(Number(dynamodb.addresses[0]?.split(':')[1]))
  t.after(() => wire.close())
  const endpoint = `http://127.0.0.1:${wire.port}`
  const paused = await cluster.startWorker({ settings: { 'dynamodb.endpoint': endpoint } })
  await cluster.startRole('collect')
  const isOwned = async (): Promise<boolean> =>
    (await cluster.heads()).every(({ nonce }) => nonce !== '')
  await until('all are owned', isOwned, noticeMsMax)
  await wire.holdFrom(() => true)
  const load = cluster.startLoad(behindRatePerSecond, seed)
  await withStores(stores, async ({ log }) => {
    const heads = await cluster.heads()
    const isBehind = async (): Promise<boolean> => {
      const ends = await Promise.all(heads.map((_, partition) => log.end(partition)))
      return ends.every((end, at) => end >= (heads[at]?.offset ?? 0) + behindCountMin)
    }
    await until('behind', isBehind, noticeMsMax)
  })
  await load.finish(AbortSignal.timeout(noticeMsMax))
  const place = createSecondOfRedo()
  const reached = wire.holdFrom(place.isHere)
  await wire.deliver()
  await reached
  paused.signal('SIGSTOP')
  const { partition } = place
  const before = await cluster.heads()
  const chunkCount = await redoCount(options, partition)
  assert.ok(chunkCount > 0 && (await hasRedo(options, partition)), 'a redo is under way')

  await cluster.startWorker()
  const isTaken = async (): Promise<boolean> =>
    (await cluster.heads()).every(({ epoch }, at) => epoch > (before[at]?.epoch ?? 0))
  await until('taken over', isTaken, noticeMsMax)
  const isFinished = async (): Promise<boolean> => !(await hasRedo(options, partition))
  await until('finished', isFinished, noticeMsMax)
  // What it had asked for comes to the server now, and it goes on.
  const [late] = await wire.deliver()
  assert.equal(late, 400, 'the late part is refused')
  const wokenAtMs = systemClock.nowMs()
  paused.signal('SIGCONT')
  await until('refused', () => paused.said('not owned', wokenAtMs).length > 0, noticeMsMax)
  await cluster.settle()
  const result = await cluster.examine()
  tell('dynamodb redo', { seed, ...figuresOf(cluster, load, result), chunkCount })
  assert.deepEqual(result.findings, [])
  assert.ok((result.states['unknown'] ?? 0) <= inHandCountMax)
}

/** The second transaction that applies one redo: the first is applied, and there are more. */
function createSecondOfRedo(): { readonly partition: number; isHere(call: WireCall): boolean } {
  const begun = new Set<string>()
  const place = {
    partition: -1,
    isHere({ name, body }: WireCall): boolean {
      const id = /":redoId":\{"S":"(\w+)"/.exec(body)?.[1]
      if (name !== 'TransactWriteItems' || id === undefined) return false
      place.partition = Number(/"S":"(\d+)\/head"/.exec(body)?.[1])
      if (begun.has(id)) return true
      begun.add(id)
      return false
    },
  }
  return place
}

/** Tells whether the head of a partition names a redo. */
async function hasRedo(options: DynamodbOptions, partition: number): Promise<boolean> {
  const client = await openDynamodbClient(deps, options)
  try {
    const place = { client, table: options.table ?? tableDefault }
    return (await loadHeadItem(place, partition)).redo !== undefined
  } finally {
    client.close()
  }
}
