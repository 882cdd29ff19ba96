import assert from 'node:assert/strict'
import { it } from 'node:test'
import { readServerConfig } from './read-config.ts'
import { workYoungMbOf } from './thread-heaps.ts'

const elsewhere = {
  ...{ 'log.kind': 'kafka', 'kafka.brokers': 'a:1' },
  ...{ 'state.kind': 'redis', 'redis.urls': 'redis://a:1' },
}

it('gives the fold a large young generation only where its reads are round trips', async () => {
  const ofFile = workYoungMbOf(await readServerConfig(undefined, {}))
  const of = async (role: string): Promise<number> =>
    workYoungMbOf(await readServerConfig(undefined, { ...elsewhere, 'server.role': role }))
  assert.equal(await of('work'), 4 * ofFile)
  assert.equal(await of('all'), 4 * ofFile)
  assert.equal(await of('collect'), ofFile)
  assert.equal(await of('api'), ofFile)
})
