import assert from 'node:assert/strict'
import { after, it, type TestContext } from 'node:test'
import { hasRedis, type RedisService, startRedis } from '../../scripts/service-redis.ts'
import { systemClock } from '../lib/clock.ts'
import { describeBlobStore } from './blob-store.contract.ts'
import type { BlobStore } from './blob-store.ts'
import { openRedisBlobStore, type RedisBlobStoreOptions } from './redis-blob-store.ts'

const skip = hasRedis() ? false : 'redis-server is not installed'
const services = skip ? [] : await Promise.all([startRedis(), startRedis({ clusterNodes: 6 })])
const [single, cluster] = services
after(() => Promise.all(services.map((service) => service.stop())))

const warned: string[] = []
const logger = {
  info: () => {},
  warn: (_: unknown, event: string) => {
    warned.push(event)
  },
  error: () => {},
}
let openedCount = 0

async function openStore(
  t: TestContext,
  service: RedisService | undefined,
  options: Partial<RedisBlobStoreOptions> = {},
): Promise<BlobStore> {
  assert(service)
  const store = await openRedisBlobStore(
    { clock: systemClock, logger },
    {
      urls: service.addresses.map((address) => `redis://${address}`),
      isCluster: service.nodes.length > 1,
      keyPrefix: `test-${openedCount++}`,
      ...options,
    },
  )
  t.after(() => store.close())
  return store
}

if (!skip) {
  describeBlobStore('redis', (t) => openStore(t, single))
  describeBlobStore('redis cluster', (t) => openStore(t, cluster, { replicaCountMin: 1 }))
}

it('notices a blob that was changed', { skip }, async (t) => {
  const store = await openStore(t, single, { keyPrefix: 'changed' })
  const [hash = ''] = await store.put([Buffer.from('<p>'.repeat(400))])
  for (const bytes of ['', 'x', 'other', '\u0001no deflate']) {
    await single?.command(0, 'SET', `changed:blob:${hash}`, bytes)
    await assert.rejects(store.get(hash), { code: 'STORE_CORRUPT' })
  }
})

it('keeps text in less than half of its size', { skip }, async (t) => {
  const store = await openStore(t, single, { keyPrefix: 'packed' })
  const text = Array.from({ length: 500 }, (_, n) => `<td class="price">${n * 17}</td>`).join('')
  const [hash = ''] = await store.put([Buffer.from(text)])
  const kept = Number(await single?.command(0, 'STRLEN', `packed:blob:${hash}`))
  assert(kept > 0 && kept < text.length / 2, `${kept} of ${text.length} bytes`)
})

it('warns unless Redis syncs before it answers', { skip }, async (t) => {
  const loss = 'redis may lose the newest blobs, unless it has appendfsync always'
  warned.length = 0
  await openStore(t, single)
  assert.deepEqual(warned, [loss])
  await single?.command(0, 'CONFIG', 'SET', 'appendfsync', 'always')
  warned.length = 0
  await openStore(t, single)
  assert.deepEqual(warned, [])
  await single?.command(0, 'ACL', 'SETUSER', 'ada', 'on', '>secret', '~*', '+@all', '-config')
  await openStore(t, single, { urls: [`redis://ada:secret@${single?.addresses[0]}`] })
  assert.deepEqual(warned, [loss])
  await single?.command(0, 'CONFIG', 'SET', 'appendfsync', 'everysec')
})
