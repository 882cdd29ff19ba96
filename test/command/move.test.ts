/**
 * A deployment on one machine goes over to Kafka and Redis, with real servers: what was waiting
 * there goes on here.
 */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { it, type TestContext } from 'node:test'
import { hasKafka, kafkaIsMissing } from '../../scripts/service-kafka.ts'
import { hasRedis, startRedis } from '../../scripts/service-redis.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { freePort, startServerProcess, stopServerProcess } from '../faults/server-process.ts'
import { writeKey } from '../faults/small-shop.ts'
import { type MoveWorld, openMoveWorld } from './move-harness.ts'
import { parseLines, runCommand } from './run-command.ts'

const people = ['ada', 'ben', 'cleo', 'dora']
const waitMsMax = 90_000
/** Longer than a busy machine takes to stop the first server. */
const wait = '15s'

interface Moved {
  readonly isEqual: boolean
  readonly partitions: readonly { readonly records: number; readonly keys: number }[]
}

it('move carries log, state and what waits over to Kafka and Redis', async (t) => {
  if (!hasKafka()) return t.skip(kafkaIsMissing)
  if (!hasRedis()) return t.skip('redis-server is not here')
  const world = await openWorld(t)
  const { dataDir, configPath, catcher } = world
  const before = await world.openServer()
  const properties = { product_id: 'kettle-1', price: 24.5, quantity: 1 }
  const batch = people.flatMap((userId) => [
    { type: 'identify', userId, traits: { email: `${userId}@people.example` } },
    { type: 'track', userId, event: 'Product Added', properties },
  ])
  await collect(before.url, 'batch', { batch })
  await collect(before.url, 'batch', { batch: viewsOfMany() })
  assert.equal((await stopServerProcess(before)).code, 0)
  assert.equal(catcher.count, 0, 'the campaign still waits')

  const given = ['move', '--data-dir', dataDir, '--to', configPath, '--json']
  const plan = await runCommand([...given, '--dry-run'])
  const [planned] = parseLines<{ records: number; partitions: number }>(plan.stdout)
  assert.equal(planned?.partitions, 8, plan.stderr)
  const first = await runCommand(given)
  const [moved] = parseLines<Moved>(first.stdout)
  assert.equal(moved?.isEqual, true, first.stderr)
  assert.equal(sumOf(moved, 'records'), planned.records)
  assert.ok(sumOf(moved, 'keys') > people.length)
  // What is there already is neither copied twice nor taken for somebody else's.
  const second = await runCommand(given)
  assert.deepEqual(parseLines<Moved>(second.stdout)[0], moved, second.stderr)

  const again = startServerProcess({ ...world, port: await freePort() })
  assert.equal(await again.ready, false)
  assert.match(again.said(), /was moved to kafka and redis/)

  const after = await world.openServer({ environment: { ATTUNE_CONFIG: configPath } })
  const deadline = systemClock.monotonicMs() + waitMsMax
  while (catcher.count < people.length && systemClock.monotonicMs() < deadline) {
    await systemClock.sleep(50)
  }
  await systemClock.sleep(500)
  const receivers = catcher.list(100).flatMap(({ envelopeTo }) => envelopeTo)
  const expected = people.map((userId) => `${userId}@people.example`)
  assert.deepEqual(receivers.toSorted(), expected, after.said())
  assert.equal((await stopServerProcess(after)).code, 0)

  const scored = ['--config', configPath, '--algorithm', 'co-visitation', '--json', '--quiet']
  const evaluated = await runCommand(['evaluate', ...scored])
  assert.match(evaluated.stderr, /^164 interactions of 44 people/m)
  const [line] = parseLines<{ predictions: number; hr20: number }>(evaluated.stdout)
  assert.ok((line?.predictions ?? 0) >= 20 && line?.hr20 === 1, evaluated.stdout)

  const into = join(world.folder, 'rebuilt')
  const proof = await runCommand(['rebuild', '--config', configPath, '--into', into, '--json'])
  assert.equal(parseLines<Moved>(proof.stdout)[0]?.isEqual, true, proof.stderr)

  const bases = ['--config', configPath, '--bases', join(world.folder, 'bases')]
  const base = await runCommand(['base', ...bases, '--json'])
  assert.equal(parseLines<{ readonly kind: string }>(base.stdout)[0]?.kind, 'folded', base.stderr)
  const from = ['rebuild', '--into', join(world.folder, 'from-base'), '--json']
  const short = await runCommand([...from, ...bases])
  const [answer] = parseLines<{ recordCount: number; isEqual: boolean }>(short.stdout)
  assert.deepEqual([answer?.isEqual, answer?.recordCount], [true, 0], short.stderr)
  const copied = await runCommand(['base', '--as-is', ...bases, '--json'])
  const hashesOf = (text: string): readonly string[] =>
    parseLines<{ partitions: readonly { hash: string }[] }>(text)[0]?.partitions.map(
      ({ hash }) => hash,
    ) ?? []
  assert.deepEqual(hashesOf(copied.stdout), hashesOf(base.stdout), copied.stderr)
  const trim = await runCommand(['trim', ...bases])
  assert.equal(trim.code, 2)
  assert.match(trim.stderr, /Redis may lose every commit/)
})

/** Enough to learn from and to predict: people who look at the same four things, a minute apart. */
function viewsOfMany(): readonly Readonly<Record<string, unknown>>[] {
  const startMs = systemClock.nowMs() - 3_600_000
  return Array.from({ length: 160 }, (_, nth) => ({
    ...{ type: 'track', event: 'Product Viewed', userId: `viewer-${Math.floor(nth / 4)}` },
    timestamp: new Date(startMs + nth * 1_000).toISOString(),
    properties: { product_id: `item-${nth % 4}` },
  }))
}

function sumOf(moved: Moved | undefined, name: 'records' | 'keys'): number {
  return moved?.partitions.reduce((sum, each) => sum + each[name], 0) ?? 0
}

function openWorld(t: TestContext): Promise<MoveWorld> {
  return openMoveWorld(t, {
    ...{ partitionCount: 8, wait },
    startState: () => startRedis(),
    stateConfig: (address) => ({ state: { kind: 'redis' }, redis: { urls: `redis://${address}` } }),
  })
}

async function collect(url: string, type: string, event: object): Promise<void> {
  const authorization = `Basic ${Buffer.from(`${writeKey}:`).toString('base64')}`
  const response = await fetch(`${url}/v1/${type}`, {
    method: 'POST',
    headers: { authorization, 'content-type': 'application/json' },
    body: JSON.stringify(event),
  })
  assert.equal(response.status, 200)
}
