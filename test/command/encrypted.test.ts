/**
 * Kafka and a Redis Cluster that speak TLS and nothing else, with an authority of their own: what
 * is behind the settings for it, from `init` to an email.
 */

import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it, type TestContext } from 'node:test'
import { hasOpenssl, makeCertificates } from '../../scripts/certificate.ts'
import { hasKafka, kafkaIsMissing, startKafka } from '../../scripts/service-kafka.ts'
import { hasRedis, startRedis } from '../../scripts/service-redis.ts'
import { openMailCatcher } from '../../src/catcher/mail-catcher.ts'
import { systemClock } from '../../src/lib/clock.ts'
import {
  freePort,
  openServerProcess,
  startServerProcess,
  stopServerProcess,
} from '../faults/server-process.ts'
import { writeKey, writeSmallShop } from '../faults/small-shop.ts'
import { runCommand } from './run-command.ts'

const waitMsMax = 60_000

it('reaches Kafka and Redis by TLS, and refuses whom it does not know', async (t) => {
  if (!hasKafka()) return t.skip(kafkaIsMissing)
  if (!hasRedis()) return t.skip('redis-server is not here')
  if (!hasOpenssl()) return t.skip('openssl is not here')
  const world = await openWorld(t)
  const { folder, other, configure } = world

  const init = async (name: string, forKafka: object) => {
    const path = await configure(name, forKafka, {})
    return await runCommand(['init', '--config', path, '--data-dir', folder, '--partitions', '4'])
  }
  const distrusted = await init('distrusted', { caFile: other.caFile })
  assert.equal(distrusted.code, 1)
  assert.match(distrusted.stderr, /certificate/i)
  const unproven = await init('unproven', { certFile: undefined, keyFile: undefined })
  assert.equal(unproven.code, 1, unproven.stderr)
  const half = await init('half', { keyFile: undefined })
  assert.match(half.stderr, /kafka\.keyFile .*must be given, since kafka\.certFile is given/)

  const ready = await init('right', {})
  assert.equal(ready.code, 0, ready.stderr)
  const definitionsDir = join(folder, 'shop')
  await writeSmallShop(definitionsDir, { without: ['waiting'] })
  const catcher = await openMailCatcher({ host: '127.0.0.1', port: 0 })
  t.after(() => catcher.close())
  const given = { dataDir: folder, definitionsDir, smtpPort: catcher.port }
  const stranger = startServerProcess({
    ...{ ...given, port: await freePort() },
    environment: { ATTUNE_CONFIG: await configure('stranger', {}, { caFile: other.caFile }) },
  })
  assert.equal(await stranger.ready, false)
  assert.match(stranger.said(), /connect to Redis\s+because: .*certificate/)

  const server = await openServerProcess({
    ...{ ...given, port: await freePort() },
    environment: { ATTUNE_CONFIG: join(folder, 'right.json') },
  })
  t.after(() => stopServerProcess(server))
  await collect(server.url, 'identify', { userId: 'ada', traits: { email: 'ada@people.example' } })
  const properties = { product_id: 'kettle-1', price: 24.5, quantity: 1 }
  await collect(server.url, 'track', { userId: 'ada', event: 'Product Added', properties })
  const deadline = systemClock.monotonicMs() + waitMsMax
  while (catcher.count === 0 && systemClock.monotonicMs() < deadline) await systemClock.sleep(50)
  assert.deepEqual(catcher.list(10)[0]?.envelopeTo, ['ada@people.example'], server.said())
  assert.equal((await stopServerProcess(server)).code, 0, server.said())
  assert.doesNotMatch(server.said(), /DEP0123|Warning/)
})

async function openWorld(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'attune-encrypted-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  for (const name of ['own', 'other']) await mkdir(join(folder, name))
  const own = makeCertificates(join(folder, 'own'))
  const other = makeCertificates(join(folder, 'other'))
  const kafka = await startKafka(t, { tls: own })
  const redis = await startRedis({ clusterNodes: 6, tls: own })
  t.after(() => redis.stop())
  return {
    folder,

    other,
    async configure(name: string, forKafka: object, forRedis: object) {
      const path = join(folder, `${name}.json`)
      const config = {
        log: { kind: 'kafka' },
        kafka: {
          brokers: kafka.addresses.join(),
          ...{ isTls: true, caFile: own.caFile, replicationFactor: 1, minInSyncReplicas: 1 },
          ...{ certFile: own.clientCertFile, keyFile: own.clientKeyFile },
          ...forKafka,
        },
        state: { kind: 'redis' },
        redis: {
          urls: redis.addresses.map((address) => `rediss://${address}`).join(),
          ...{ isCluster: true, caFile: own.caFile },
          ...forRedis,
        },
      }
      await writeFile(path, JSON.stringify(config))
      return path
    },
  }
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
