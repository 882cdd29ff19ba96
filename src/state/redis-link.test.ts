import assert from 'node:assert/strict'
import { readFileSync, rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, it, type TestContext } from 'node:test'
import { hasOpenssl, makeCertificates } from '../../scripts/certificate.ts'
import { freePorts } from '../../scripts/service.ts'
import { hasRedis, type RedisService, startRedis } from '../../scripts/service-redis.ts'
import { systemClock } from '../lib/clock.ts'
import { openRedisLink, type RedisLink, type RedisLinkOptions } from './redis-link.ts'

const skip = hasRedis() ? false : 'redis-server is not installed'
const service = skip ? undefined : await startRedis()
after(() => service?.stop())

const logged: string[] = []
const noteEvent = (_: unknown, event: string): void => {
  logged.push(event)
}
const deps = { clock: systemClock, logger: { info: noteEvent, warn: noteEvent, error: noteEvent } }

function theService(): RedisService {
  assert(service)
  return service
}

async function open(
  t: TestContext,
  user = '',
  options: Partial<RedisLinkOptions> = {},
): Promise<RedisLink> {
  const urls = [`redis://${user}${theService().addresses[0]}`]
  const link = await openRedisLink(deps, { urls, connectMsMax: 1500, callMsMax: 5000, ...options })
  t.after(() => link.close())
  return link
}

it('refuses a server that evicts keys, naming the setting', { skip }, async (t) => {
  for (const policy of ['allkeys-lru', 'volatile-ttl']) {
    await theService().command(0, 'CONFIG', 'SET', 'maxmemory-policy', policy)
    await assert.rejects(open(t), (error: Error & { readonly code?: string }) => {
      assert.equal(error.code, 'STORE_MISCONFIGURED')
      assert.match(error.message, new RegExp(`maxmemory-policy must be noeviction, not ${policy}`))
      return true
    })
  }
  await theService().command(0, 'CONFIG', 'SET', 'maxmemory-policy', 'noeviction')
  await open(t)
})

it('opens where CONFIG is forbidden, and warns where settings are hidden', { skip }, async (t) => {
  const rights = ['on', '>secret', '~*', '+@all', '-config']
  await theService().command(0, 'ACL', 'SETUSER', 'ada', ...rights)
  logged.length = 0
  const link = await open(t, 'ada:secret@')
  assert.equal(String(await link.call('ask', 'ping', [])), 'PONG')
  assert.deepEqual(logged, [])
  await theService().command(0, 'ACL', 'SETUSER', 'ada', '-info')
  await open(t, 'ada:secret@')
  assert(logged.some((event) => event === 'redis hides its settings, so that they are not checked'))
})

it('warns of a server without an append-only file', { skip }, async (t) => {
  await theService().command(0, 'CONFIG', 'SET', 'appendonly', 'no')
  logged.length = 0
  await open(t)
  await theService().command(0, 'CONFIG', 'SET', 'appendonly', 'yes')
  assert.deepEqual(logged, ['redis keeps no append-only file, so that a restart loses much'])
})

it('tells a wrong password and a missing right from a server that is away', { skip }, async (t) => {
  await theService().command(0, 'ACL', 'SETUSER', 'eve', 'on', '>secret', '~mine:*', '+@all')
  await assert.rejects(open(t, 'eve:wrong@'), { code: 'STORE_MISCONFIGURED' })
  const link = await open(t, 'eve:secret@')
  const call = link.call('write a key', 'set', ['other', 'SENSITIVE'])
  await assert.rejects(call, (error: Error & { readonly code?: string }) => {
    assert.equal(error.code, 'STORE_MISCONFIGURED')
    assert.doesNotMatch(JSON.stringify([error, error.cause]), /SENSITIVE/)
    return true
  })
})

it('refuses a single Redis as a cluster, and urls that are none', { skip }, async (t) => {
  await assert.rejects(open(t, '', { isCluster: true }), { code: 'STORE_MISCONFIGURED' })
  for (const url of ['http://localhost', 'redis:', 'localhost:6379', 'redis://host/name']) {
    await assert.rejects(openRedisLink(deps, { urls: [url] }), { code: 'CONFIG_INVALID' })
  }
})

it('rejects in bounded time where nobody listens', async () => {
  const [port] = await freePorts(1)
  for (const isCluster of [false, true]) {
    const startMs = systemClock.monotonicMs()
    const options = { urls: [`redis://127.0.0.1:${port}`], isCluster, connectMsMax: 300 }
    await assert.rejects(openRedisLink(deps, options), { code: 'STORE_UNREACHABLE' })
    assert(systemClock.monotonicMs() - startMs < 30_000)
  }
})

it('refuses calls once it is closed', { skip }, async (t) => {
  const link = await open(t)
  const last = link.call('write a key', 'set', ['last', 'word'])
  await link.close()
  assert.equal(String(await last), 'OK')
  await assert.rejects(link.call('read a key', 'get', ['last']), { code: 'STORE_IO' })
})

it('speaks TLS, and says what is wrong with a certificate', { skip }, async (t) => {
  if (!hasOpenssl()) return t.skip('openssl is not here')
  const folder = await mkdtemp(join(tmpdir(), 'attune-redis-tls-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const certificates = makeCertificates(folder)
  const encrypted = await startRedis({ tls: certificates })
  t.after(() => encrypted.stop())
  const urls = [`rediss://${encrypted.addresses[0]}`]
  const bounds = { connectMsMax: 5_000, callMsMax: 5_000 }
  const tls = { ca: readFileSync(certificates.caFile, 'utf8') }
  const link = await openRedisLink(deps, { urls, tls, ...bounds })
  t.after(() => link.close())
  assert.equal(String(await link.call('ask', 'ping', [])), 'PONG')
  const isTold = (error: Error & { readonly code?: string }): boolean =>
    error.code === 'STORE_UNREACHABLE' && /certificate/i.test(String(error.cause))
  await assert.rejects(openRedisLink(deps, { urls, ...bounds }), isTold)
})
