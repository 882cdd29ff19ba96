/**
 * A slow network, and one that lets nothing through in one direction for ten seconds, between one
 * worker of two and Kafka, then between it and Redis. The other goes on meanwhile; nobody acts for
 * a partition that is no longer his, and the worker comes back by itself.
 *
 * Kafka has a way in of its own for this worker, which leads through a proxy: what the broker tells
 * it to connect to is the proxy as well.
 */

import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import { freePorts } from '../../scripts/service.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { openGroupWatch } from './cluster-group.ts'
import { clusterIsMissing, figuresOf, openCluster, tell, until } from './cluster-harness.ts'
import { type ClusterProxy, openClusterProxy } from './cluster-proxy.ts'

const seed = Number(process.env['ATTUNE_TEST_SEED'] ?? 20261130)
const ratePerSecond = 80
const delayMs = 300
const slowMs = 5_000
const cutMs = 10_000
const noticeMsMax = 90_000
const inHandCountMax = 32

it('a worker behind a slow and a cut network harms nothing, and comes back', goOn)

async function goOn(t: TestContext): Promise<void> {
  if (clusterIsMissing !== undefined) return t.skip(clusterIsMissing)
  const [sidePort = 0] = await freePorts(1)
  const toKafka = await openProxy(t, sidePort)
  const side = { port: sidePort, advertisedPort: toKafka.port }
  const cluster = await openCluster(t, { kafka: { side }, smtpDelayMs: 10 })
  const toRedis = await openProxy(t, Number(cluster.redis?.addresses[0]?.split(':')[1]))
  const steady = await cluster.startWorker()
  const settings = {
    'kafka.brokers': `127.0.0.1:${toKafka.port}`,
    'redis.urls': `redis://127.0.0.1:${toRedis.port}`,
  }
  const [far] = await Promise.all([cluster.startWorker({ settings }), cluster.startRole('collect')])
  const watch = await openGroupWatch(t, cluster.kafka.addresses)
  await watch.untilMembers(2, noticeMsMax)
  const load = cluster.startLoad(ratePerSecond, seed)

  const expelled: Record<string, boolean> = {}
  for (const [name, proxy, direction] of [
    ['kafka answers', toKafka, 'answers'],
    ['kafka requests', toKafka, 'requests'],
    ['redis answers', toRedis, 'answers'],
  ] as const) {
    proxy.delay(delayMs)
    await systemClock.sleep(slowMs)
    proxy.delay(0)
    proxy.block(direction)
    await systemClock.sleep(cutMs)
    expelled[name] = (await watch.memberCount()) === 1
    proxy.open()
    await watch.untilMembers(2, noticeMsMax)
    await systemClock.sleep(2_000)
  }
  // Alone it must serve all: it is whole again.
  const { code } = await steady.stop()
  assert.equal(code, 0, steady.lastWords())
  await until('alone', async () => (await watch.memberCount()) === 1, noticeMsMax)
  await systemClock.sleep(1_000)
  await cluster.settle()
  const result = await cluster.examine()
  tell('network', {
    seed,
    ...figuresOf(cluster, load, result),
    expelled,
    refused: far.said('not owned').length,
    joinedAnew: far.said('joining anew').length,
  })
  assert.deepEqual(result.findings, [])
  assert.equal(expelled['kafka requests'], true, 'a worker that is not heard is missed')
  assert.ok((result.states['unknown'] ?? 0) <= 3 * inHandCountMax)
}

async function openProxy(t: TestContext, port: number): Promise<ClusterProxy> {
  const proxy = await openClusterProxy(port)
  t.after(() => proxy.close())
  return proxy
}
