/** Keys in a real file, which a command changes while a server runs. */

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { type Clock, systemClock } from '../lib/clock.ts'
import { systemRandom } from '../lib/random.ts'
import { createApiKey, openApiKeys, revokeApiKeys } from './api-keys.ts'

const given = { name: 'crm', scopes: ['read'] } as const

async function openFolder(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'attune-keys-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  let monotonicMs = 0
  const clock: Clock = { ...systemClock, monotonicMs: () => monotonicMs }
  const deps = { clock, random: systemRandom }
  return {
    keys: await openApiKeys(folder, clock),
    create: () => createApiKey(folder, deps, given),
    revoke: () => revokeApiKeys(folder, given.name),
    pass(ms: number) {
      monotonicMs += ms
    },
  }
}

describe('an API key', () => {
  it('made while the server runs is known to all requests that bring it first', async (t) => {
    const { keys, create, pass } = await openFolder(t)
    const key = await create()
    pass(1000)
    const found = await Promise.all([keys.find(key), keys.find(key), keys.find(key)])
    assert.deepEqual(
      found.map((each) => each?.name),
      ['crm', 'crm', 'crm'],
    )
  })

  it('that nobody made costs one look a second', async (t) => {
    const { keys, create, pass } = await openFolder(t)
    const unknown = `atk_${'x'.repeat(43)}`
    pass(1000)
    assert.equal(await keys.find(unknown), undefined)
    const late = await create()
    assert.equal(keys.find(late), undefined)
    pass(1000)
    assert.equal((await keys.find(late))?.name, 'crm')
  })

  it('that was revoked is refused after the look beside its next use', async (t) => {
    const { keys, create, revoke, pass } = await openFolder(t)
    const key = await create()
    pass(1000)
    await keys.find(key)
    await revoke()
    pass(1000)
    assert.equal((await keys.find(key))?.name, 'crm')
    const deadline = systemClock.monotonicMs() + 30_000
    while ((await keys.find(key)) !== undefined) {
      assert.ok(systemClock.monotonicMs() < deadline, 'still known')
      await systemClock.sleep(5)
    }
  })
})
