/**
 * A Redis that loses what it had answered, under a whole deployment: killed and started again, with
 * an append-only file of some seconds ago, and with nothing at all. The workers notice, fold again
 * from the log, and send nothing twice; what was handed over and reported stays so, since the log
 * has the results.
 */

import assert from 'node:assert/strict'
import { readdirSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { it, type TestContext } from 'node:test'
import type { RedisService } from '../../scripts/service-redis.ts'
import { systemClock } from '../../src/lib/clock.ts'
import {
  type Cluster,
  type ClusterResult,
  clusterIsMissing,
  figuresOf,
  openCluster,
  tell,
  until,
} from './cluster-harness.ts'
import type { LoadClient } from './load-client.ts'

const seed = Number(process.env['ATTUNE_TEST_SEED'] ?? 20261128)
const ratePerSecond = 120
const lifeMs = 5_000
const noticeMsMax = 90_000
const lossMs = 3_000
/** Attempts of both workers at a time. */
const inHandCountMax = 64

it('a Redis that is killed, and one that comes back older, lose nothing for good', loseTail)
it('a Redis that is emptied is filled again from the log', loseAll)

interface Scene {
  readonly cluster: Cluster
  readonly redis: RedisService
  readonly load: LoadClient
  /** Workers' lines that tell of a loss, since an instant. */
  losses(sinceMs: number): number
}

async function openScene(t: TestContext): Promise<Scene> {
  const cluster = await openCluster(t, { smtpDelayMs: 10 })
  await cluster.startWorker()
  await Promise.all([cluster.startWorker(), cluster.startRole('collect')])
  const load = cluster.startLoad(ratePerSecond, seed)
  const { redis } = cluster
  assert.ok(redis)
  const losses = (sinceMs: number): number =>
    cluster.processes.reduce((sum, each) => sum + each.said('lost commits', sinceMs).length, 0)
  await systemClock.sleep(lifeMs)
  return { cluster, redis, load, losses }
}

function check({ states, findings }: ClusterResult, unknownCountMax: number): void {
  assert.deepEqual(findings, [])
  assert.ok((states['unknown'] ?? 0) <= unknownCountMax, JSON.stringify(states))
}

async function loseTail(t: TestContext): Promise<void> {
  if (clusterIsMissing !== undefined) return t.skip(clusterIsMissing)
  const { cluster, redis, load, losses } = await openScene(t)
  const [node] = redis.nodes
  assert.ok(node)
  await node.stop('SIGKILL')
  await systemClock.sleep(1_000)
  await node.start()
  await systemClock.sleep(lifeMs)

  const path = appendOnlyFile(redis)
  const keptBytes = statSync(path).size
  await systemClock.sleep(lossMs)
  const lostAtMs = systemClock.nowMs()
  // A power cut that takes a worker too: what it had in hand nobody remembers.
  const [dead] = cluster.processes
  await Promise.all([node.stop('SIGKILL'), dead?.kill()])
  const lostBytes = statSync(path).size - keptBytes
  truncateSync(path, keptBytes)
  await node.start()
  const noticedMs = await until('a loss is told', () => losses(lostAtMs) > 0, noticeMsMax)
  await cluster.startWorker()
  await systemClock.sleep(lifeMs)
  await cluster.settle()
  const result = await cluster.examine()
  tell('redis killed, then older', {
    seed,
    ...figuresOf(cluster, load, result),
    lostBytes,
    lossesTold: losses(0),
    noticedMs: Math.round(noticedMs),
  })
  assert.ok(lostBytes > 10_000, 'something was lost')
  check(result, inHandCountMax)
}

async function loseAll(t: TestContext): Promise<void> {
  if (clusterIsMissing !== undefined) return t.skip(clusterIsMissing)
  const { cluster, redis, load, losses } = await openScene(t)
  const underLoadMs = await flush(redis, losses)
  await systemClock.sleep(lifeMs)
  await cluster.settle()
  const idleMs = await flush(redis, losses)
  await cluster.settle()
  // The definitions were in there too; what brings them once more is a worker that has the folder.
  const [first] = cluster.processes
  assert.equal((await first?.stop())?.code, 0)
  const second = await cluster.startWorker({ hasDefinitions: true })
  await cluster.settle()
  // With nobody left who has them in memory, the folder alone brings them.
  const workers = cluster.processes.filter(({ name }) => name.startsWith('work'))
  for (const each of workers) if (!each.hasEnded) assert.equal((await each.stop()).code, 0)
  assert.ok(second.hasEnded)
  await redis.command(0, 'flushall')
  const third = await cluster.startWorker({ hasDefinitions: true })
  await cluster.settle()
  assert.equal(third.said('stopped').length, 0)
  const result = await cluster.examine()
  tell('redis emptied', {
    seed,
    ...figuresOf(cluster, load, result),
    lossesTold: losses(0),
    underLoadMs: Math.round(underLoadMs),
    idleMs: Math.round(idleMs),
  })
  check(result, inHandCountMax)
}

/** Empties the server; returns how long it took until the first worker told of it. */
async function flush(redis: RedisService, losses: Scene['losses']): Promise<number> {
  const atMs = systemClock.nowMs()
  await redis.command(0, 'flushall')
  return await until('the loss is told', () => losses(atMs) > 0, noticeMsMax)
}

/** Returns the file that grows with each write. */
function appendOnlyFile({ folders }: RedisService): string {
  const folder = join(folders[0] ?? '', 'appendonlydir')
  const names = readdirSync(folder).filter((name) => name.endsWith('.incr.aof'))
  return join(folder, names.sort().at(-1) ?? '')
}
