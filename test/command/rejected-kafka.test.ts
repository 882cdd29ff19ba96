/** `attune rejected` on Kafka: it appends by itself, beside the server that works there. */

import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { it } from 'node:test'
import { hasKafka, kafkaIsMissing, startKafka } from '../../scripts/service-kafka.ts'
import { hasRedis, startRedis } from '../../scripts/service-redis.ts'
import { stopServerProcess } from '../faults/server-process.ts'
import { added, ask, openRejectedStage, send } from './rejected-stage.ts'
import { parseLines, runCommand, waitUntil } from './run-command.ts'

it('replays on Kafka, once, and lists nothing after', async (t) => {
  if (!hasKafka()) return t.skip(kafkaIsMissing)
  if (!hasRedis()) return t.skip('redis-server is not here')
  const stage = await openRejectedStage()
  t.after(() => stage.close())
  const kafka = await startKafka()
  t.after(() => kafka.stop())
  const redis = await startRedis()
  t.after(() => redis.stop())
  const configPath = join(stage.folder, 'kafka-redis.json')
  const config = {
    log: { kind: 'kafka', partitionCount: 8 },
    kafka: { brokers: kafka.addresses.join(), replicationFactor: 1, minInSyncReplicas: 1 },
    state: { kind: 'redis' },
    redis: { urls: `redis://${redis.addresses[0]}` },
  }
  await writeFile(configPath, JSON.stringify(config))
  const dataDir = join(stage.folder, 'data')
  const given = ['--config', configPath, '--data-dir', dataDir]
  const init = await runCommand(['init', ...given])
  assert.equal(init.code, 0, init.stderr)
  const server = await stage.open(dataDir, configPath)
  t.after(() => stopServerProcess(server))
  for (const weight of ['1', '2', '3']) {
    assert.equal(await send(server, '/v1/track', JSON.stringify(added('kim', weight))), 200)
  }
  const list = async (): Promise<readonly number[]> => {
    const ran = await runCommand(['rejected', 'list', '--json', ...given])
    assert.equal(ran.code, 0, ran.stderr)
    return parseLines<{ count: number }>(ran.stdout).map(({ count }) => count)
  }
  assert.deepEqual(await list(), [3])
  const replay = ['rejected', 'replay', '--file', stage.fixFile, '--source', 'web', '--json']
  const counts: unknown[] = []
  for (let count = 0; count < 2; count++) {
    const ran = await runCommand([...replay, ...given])
    assert.equal(ran.code, 0, ran.stderr)
    const [answer] = parseLines<{ acceptedCount: number; eventCount: number }>(ran.stdout)
    counts.push([answer?.acceptedCount, answer?.eventCount])
  }
  assert.deepEqual(counts, [
    [3, 3],
    [0, 0],
  ])
  assert.deepEqual(await list(), [])
  const key = await stage.makeKey(dataDir)
  // The server's own index has followed what the commands appended.
  await waitUntil(async () => {
    const answer = await ask<{ openCount?: number }>(server, '/rejected', key)
    return answer.openCount === 0
  })
  await waitUntil(async () => {
    const path = '/profiles/kim/events'
    const { events = [] } = await ask<{ events?: readonly unknown[] }>(server, path, key)
    return events.length === 3
  })
  // Another command that reads what lies elsewhere.
  const evaluated = await runCommand(['evaluate', ...given])
  assert.equal(evaluated.code, 1)
  assert.match(evaluated.stderr, /^3 interactions of 1 people, 0 devices/m)
  assert.match(evaluated.stderr, /too little to tell: 3 interactions/)
})
