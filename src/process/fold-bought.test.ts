/**
 * What the fold remembers of purchases over several partitions: devices and users that join and
 * are taken out again, far more activity than is kept, in whatever order records come.
 */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createSeededRandom } from '../lib/random.ts'
import { hashesOf, hashItemId, joinBought } from '../profile/bought-pack.ts'
import { hashPartition } from '../state/dump.ts'
import { compileGiven, leaderOf, Partitions, partitionCount, pick } from './partitions.fixture.ts'

const definitions = compileGiven({})
const devices = ['d1', 'd2', 'd3'] as const

function knownTo(people: Awaited<ReturnType<Partitions['people']>>, key: string) {
  const { parts = [] } = people.get(leaderOf(people, key)) ?? {}
  return hashesOf(joinBought(parts) ?? new Uint8Array())
}

describe('purchases over partitions', () => {
  it('are all remembered, by whom a key belongs to, and the same after a rebuild', async (t) => {
    const firstSeed = Number(process.env['ATTUNE_TEST_SEED'] ?? 1)
    t.diagnostic(`first seed ${firstSeed}`)
    for (let seed = firstSeed; seed < firstSeed + 8; seed++) {
      const random = createSeededRandom(seed)
      const world = await new Partitions(definitions).open()
      const says = `seed ${seed}`
      const bought = new Map<string, Set<string>>()
      let atMs = 0
      const happen = async (given: { readonly userId?: string; readonly anonymousId?: string }) => {
        const isOrder = random.unit() < 0.3
        const itemId = `item ${Math.floor(random.unit() * 1000)}`
        const name = isOrder ? 'Order Completed' : 'Product Viewed'
        const properties = { products: [{ product_id: itemId }] }
        await world.event({ type: 'track', name, properties, ...given }, ++atMs)
        const key = given.userId === undefined ? `anonymous:${given.anonymousId}` : 'user:u'
        if (isOrder) bought.set(key, (bought.get(key) ?? new Set()).add(itemId))
        for (let step = Math.floor(3 * random.unit()); step > 0; step--) await world.step(random)
      }
      for (let nth = 0; nth < 500; nth++) {
        await happen(random.unit() < 0.4 ? { userId: 'u' } : { anonymousId: pick(random, devices) })
      }
      for (const anonymousId of devices) {
        const login = { type: 'identify', name: 'identify', userId: 'u', anonymousId } as const
        await world.event(login, ++atMs)
      }
      for (let nth = 0; nth < 100; nth++) await happen({ anonymousId: pick(random, devices) })
      await world.settle(random)
      const all = [...bought.values()].flatMap((itemIds) => [...itemIds])
      const wanted = new Set(all.map(hashItemId))
      assert.deepEqual(knownTo(await world.people(), 'anonymous:d1'), wanted, says)
      await world.append('identity-split', 'anonymous:d1', {}, ++atMs)
      await world.settle(random)
      const people = await world.people()
      const own = new Set([...(bought.get('anonymous:d1') ?? [])].map(hashItemId))
      assert.deepEqual(
        knownTo(people, 'anonymous:d1'),
        own,
        `${says}: taken out with what it bought`,
      )
      bought.delete('anonymous:d1')
      const rest = [...bought.values()].flatMap((itemIds) => [...itemIds]).map(hashItemId)
      assert.deepEqual(knownTo(people, 'user:u'), new Set(rest), `${says}: without what it bought`)
      const again = await new Partitions(definitions).open(world.log)
      for (let partition = 0; partition < partitionCount; partition++) {
        const [one, other] = await Promise.all(
          [world.state, again.state].map((state) => hashPartition(state, partition)),
        )
        assert.equal(one, other, `${says}: the log alone gives the same state`)
      }
    }
  })

  it('are those of both where two who join had one device one after the other', async () => {
    const world = await new Partitions(definitions).open()
    const random = createSeededRandom(1)
    const orderOf = (itemId: string) => ({
      ...({ type: 'track', name: 'Order Completed', anonymousId: 'd1' } as const),
      properties: { product_id: itemId },
    })
    const identify = { type: 'identify', name: 'identify', anonymousId: 'd1' } as const
    const alias = { type: 'alias', name: 'alias', userId: 'ada', previousId: 'bob' } as const
    const events = [
      { ...identify, userId: 'ada' },
      orderOf('lamp'),
      { ...identify, userId: 'bob' },
      orderOf('rug'),
    ]
    for (const [atMs, event] of [...events, alias].entries()) {
      await world.event(event, 1000 * (atMs + 1))
      await world.settle(random)
      if (event !== events.at(-1)) continue
      const people = await world.people()
      assert.deepEqual(knownTo(people, 'user:ada'), new Set([hashItemId('lamp')]))
      assert.deepEqual(knownTo(people, 'user:bob'), new Set([hashItemId('rug')]))
    }
    const both = new Set([hashItemId('lamp'), hashItemId('rug')])
    assert.deepEqual(knownTo(await world.people(), 'user:bob'), both)
  })
})
