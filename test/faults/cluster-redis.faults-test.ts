/**
 * A Redis that loses what it had answered, under a whole deployment: killed and started again, with
 * an append-only file of some seconds ago, with nothing at all, and as a replica that was behind.
 * The workers notice, fold again from the log, and send nothing twice; what was handed over and
 * reported stays so, since the log has the results.
 *
 * And a Redis that refuses commits: none is there by half, and work goes on once the cause is gone.
 */

import assert from 'node:assert/strict'
import { readdirSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { it, type TestContext } from 'node:test'
import type { RedisService } from '../../scripts/service-redis.ts'
import { exitFailed } from '../../src/command/run-server.ts'
import { systemClock } from '../../src/lib/clock.ts'
import type { Head } from '../../src/state/state-store.ts'
import {
  type Cluster,
  type ClusterOptions,
  type ClusterResult,
  clusterIsMissing,
  figuresOf,
  openCluster,
  tell,
  until,
} from './cluster-harness.ts'
import type { LoadClient } from './load-client.ts'
import { openRedisPair } from './redis-pair.ts'

const seed = Number(process.env['ATTUNE_TEST_SEED'] ?? 20261128)
const ratePerSecond = 120
const lifeMs = 5_000
const noticeMsMax = 90_000
const lossMs = 3_000
const refusal = 'the state cannot be committed'
/** Records of each partition that the replica has not got. */
const behindCountMin = 20
/** Attempts of both workers at a time. */
const inHandCountMax = 64

it('a Redis that is killed, and one that comes back older, lose nothing for good', loseTail)
it('a Redis that is emptied is filled again from the log', loseAll)
it('a replica that was behind is filled up from the log when it becomes the master', loseToReplica)
it('a Redis that refuses commits holds none by half, and takes them when it can', refuse)

interface Scene {
  readonly cluster: Cluster
  readonly redis: RedisService
  readonly load: LoadClient
  /** Workers' lines that tell of a loss, since an instant. */
  losses(sinceMs: number): number
}

async function openScene(t: TestContext, options: ClusterOptions = {}): Promise<Scene> {
  const cluster = await openCluster(t, { smtpDelayMs: 10, ...options })
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

async function loseToReplica(t: TestContext): Promise<void> {
  if (clusterIsMissing !== undefined) return t.skip(clusterIsMissing)
  const pair = await openRedisPair(t)
  const { master, replica } = pair
  const settings = { 'redis.urls': `redis://${pair.address}` }
  const { cluster, load, losses } = await openScene(t, { redis: master, settings })

  pair.holdReplication()
  const cut = await cluster.heads()
  const isBehind = ({ offset }: Head, at: number): boolean =>
    offset >= (cut[at]?.offset ?? 0) + behindCountMin
  await until('behind', async () => (await cluster.heads()).every(isBehind), noticeMsMax)
  const answered = await cluster.heads()
  await master.nodes[0]?.stop('SIGKILL')
  const kept = await Promise.all(answered.map((_, partition) => offsetAt(replica, partition)))
  const promotedAtMs = systemClock.nowMs()
  await pair.promote()
  pair.retarget()
  const isTold = (): boolean => losses(promotedAtMs) >= answered.length
  const noticedMs = await until('each partition tells of its loss', isTold, noticeMsMax)
  await systemClock.sleep(lifeMs)
  await cluster.settle()
  const result = await cluster.examine()
  const lost = answered.map(({ offset }, partition) => offset - (kept[partition] ?? 0))
  tell('redis replica promoted', {
    seed,
    ...figuresOf(cluster, load, result),
    ...{ lost, lossesTold: losses(0), noticedMs: Math.round(noticedMs) },
  })
  assert.ok(Math.min(...lost) >= behindCountMin, 'each partition has lost commits')
  check(result, inHandCountMax)
}

async function refuse(t: TestContext): Promise<void> {
  if (clusterIsMissing !== undefined) return t.skip(clusterIsMissing)
  const { cluster, redis, load } = await openScene(t)
  const workers = cluster.processes.filter(({ name }) => name.startsWith('work'))
  const fullAtMs = systemClock.nowMs()
  await redis.command(0, 'CONFIG', 'SET', 'maxmemory', '1')
  const isRefused = (): boolean => workers.every((each) => each.said(refusal, fullAtMs).length > 0)
  await until('both are refused', isRefused, noticeMsMax)
  const full = await cluster.heads()
  await checkWhole(redis, full)
  await redis.command(0, 'CONFIG', 'SET', 'maxmemory', '0')
  const isFurther = ({ offset }: Head, at: number): boolean => offset > (full[at]?.offset ?? 0)
  await until('goes on', async () => (await cluster.heads()).every(isFurther), noticeMsMax)

  // A command in the middle of a commit is refused: trying again does not help, so workers end.
  await redis.command(0, 'ACL', 'SETUSER', 'default', '-zadd')
  const hasEnded = (): boolean => workers.every((each) => each.hasEnded)
  await until('both have ended', hasEnded, noticeMsMax)
  for (const each of workers) {
    assert.equal((await each.stop()).code, exitFailed, each.lastWords())
    assert.equal(each.said('attune: STORE_MISCONFIGURED').length, 1, each.lastWords())
  }
  await checkWhole(redis, full)
  await redis.command(0, 'ACL', 'SETUSER', 'default', '+zadd')
  await cluster.startWorker()
  await cluster.settle()
  const result = await cluster.examine()
  tell('redis refuses', { seed, ...figuresOf(cluster, load, result) })
  check(result, inHandCountMax)

  // What a process that only looks cannot read for good ends it too, and it says so.
  const replace = "redis.call('DEL', KEYS[1]) return redis.call('SET', KEYS[1], '')"
  await redis.command(0, 'EVAL', replace, '1', headKey(0))
  const { front } = cluster
  await until('the front has ended', () => front.hasEnded, noticeMsMax)
  assert.equal((await front.stop()).code, exitFailed, front.lastWords())
  assert.equal(front.said('attune: STORE_CORRUPT').length, 1, front.lastWords())
}

/** A commit that ended in the middle would have begun, and not counted itself. */
async function checkWhole(redis: RedisService, heads: readonly Head[]): Promise<void> {
  for (const partition of heads.keys()) {
    const numbers = await redis.command(0, 'HMGET', headKey(partition), 'begun', 'number')
    const [begun, number] = numbers.split('\n')
    assert.ok(Number(begun) > 0 && begun === number, `partition ${partition}: ${numbers}`)
  }
}

async function offsetAt(redis: RedisService, partition: number): Promise<number> {
  return Number(await redis.command(0, 'HGET', headKey(partition), 'offset'))
}

function headKey(partition: number): string {
  return `{attune:${partition}}head`
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
