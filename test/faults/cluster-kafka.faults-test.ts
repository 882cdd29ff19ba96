/**
 * Brokers of Kafka that are killed and come back under a whole deployment: the only one, and one of
 * three. Nothing acknowledged is lost, nothing is applied or sent twice, and all goes on by itself.
 */

import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import { systemClock } from '../../src/lib/clock.ts'
import { createSeededRandom } from '../../src/lib/random.ts'
import { clusterIsMissing, figuresOf, openCluster, tell, until } from './cluster-harness.ts'
import type { LoadClient } from './load-client.ts'

const seed = Number(process.env['ATTUNE_TEST_SEED'] ?? 20261127)
const ratePerSecond = 120
const lifeMs = 5_000
const goneMs = 4_000
const lookCountMax = 20
/** From the start of the broker to the first event that is acknowledged again. */
const recoveryMsMax = 90_000

it('the only broker is killed and comes back', (t) => killBroker(t, 1))
it('one broker of three is killed and comes back', (t) => killBroker(t, 3))

async function killBroker(t: TestContext, brokers: 1 | 3): Promise<void> {
  if (clusterIsMissing !== undefined) return t.skip(clusterIsMissing)
  const cluster = await openCluster(t, { kafka: { brokers }, smtpDelayMs: 5 })
  await cluster.startWorker()
  await Promise.all([cluster.startWorker(), cluster.startRole('collect')])
  const load = cluster.startLoad(ratePerSecond, seed)
  await systemClock.sleep(lifeMs)
  const random = createSeededRandom(seed)
  const broker = cluster.kafka.nodes[Math.floor(random.unit() * brokers)]
  assert.ok(broker)
  await broker.stop('SIGKILL')
  if (brokers === 1) await untilStill(load)
  const goneFor = load.acknowledged.size
  await systemClock.sleep(goneMs)
  const whileGone = load.acknowledged.size - goneFor
  await broker.start()
  const goneCount = load.acknowledged.size
  const hasGoneOn = (): boolean => load.acknowledged.size > goneCount
  const ackAfterMs = await until('acknowledged again', hasGoneOn, recoveryMsMax)
  await systemClock.sleep(lifeMs)
  await cluster.settle()
  const result = await cluster.examine()
  const lines = (msg: string): number =>
    cluster.processes.reduce((sum, each) => sum + each.said(msg).length, 0)
  tell(`kafka, 1 broker of ${brokers} killed`, {
    seed,
    ...figuresOf(cluster, load, result),
    whileGone,
    ackAfterMs: Math.round(ackAfterMs),
    notOwned: lines('not owned'),
    joinedAnew: lines('joining anew'),
  })
  assert.deepEqual(result.findings, [])
  assert.equal(lines('lost commits'), 0, 'the state lost nothing')
  if (brokers === 1) assert.equal(whileGone, 0, 'without its broker nothing is acknowledged')
}

/** What the broker took before it died may be answered a moment later. */
async function untilStill(load: LoadClient): Promise<void> {
  let count = -1
  for (let look = 0; look < lookCountMax && count !== load.acknowledged.size; look++) {
    count = load.acknowledged.size
    await systemClock.sleep(1_000)
  }
}
