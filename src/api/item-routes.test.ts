import { deepStrictEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { findSuppression } from '../delivery/read-state.ts'
import { addressKeyOf, isSuppressed } from '../delivery/suppression.ts'
import { withdrawnCountMax } from '../profile/person.ts'
import { openWorld, type World } from './world.fixture.ts'

async function post(world: World, payload: object) {
  return await world.app.inject({
    method: 'POST',
    url: '/api/v1/items',
    headers: world.keys.write,
    payload,
  })
}

async function itemOf(world: World, id: string) {
  const url = `/api/v1/items/${encodeURIComponent(id)}`
  return await world.app.inject({ url, headers: world.keys.read })
}

describe('/api/v1/items', () => {
  it('takes one item or many, and shows them once folded', async (t) => {
    const world = await openWorld(t)
    deepStrictEqual((await post(world, { itemId: 'a/b', name: 'Slash', price: 1 })).json(), {
      accepted: 1,
      rejected: 0,
      faults: [],
    })
    const many = Array.from({ length: 1000 }, (_, index) => ({
      itemId: `m${index}`,
      name: 'Many',
      price: index,
      stockCount: 1,
    }))
    equal((await post(world, { items: many })).json().accepted, 1000)
    await world.settle()
    equal((await itemOf(world, 'a/b')).json().name, 'Slash')
    equal((await itemOf(world, 'm999')).json().price, 999)
    equal((await itemOf(world, 'none')).statusCode, 404)
  })

  it('takes the good ones, and names the path of what is wrong with each other', async (t) => {
    const world = await openWorld(t)
    const good = { itemId: 'g', name: 'Good', price: 2 }
    const bad = [
      { itemId: 'x', name: 'No price' },
      { ...good, price: '2' },
      { ...good, url: 'javascript:alert(1)' },
      { ...good, colour: 'red' },
      { ...good, updatedAtMs: 8e15 },
    ]
    const answer = (await post(world, [good, ...bad])).json()
    equal(answer.accepted, 1)
    equal(answer.rejected, 5)
    deepStrictEqual(
      answer.faults.map(({ path }: { path: string }) => path),
      ['/1', '/2/price', '/3/url', '/4', '/5/updatedAtMs'],
    )
    const none = await post(world, bad)
    equal(none.statusCode, 400)
    equal(none.json().faults.length, 5)
    equal((await post(world, [])).statusCode, 400)
    equal(
      (
        await post(
          world,
          Array.from({ length: 1001 }, () => good),
        )
      ).statusCode,
      413,
    )
  })

  it('keeps the newer of two versions', async (t) => {
    const world = await openWorld(t)
    await post(world, { itemId: 'v', name: 'New', price: 2, updatedAtMs: 2000 })
    await post(world, { itemId: 'v', name: 'Old', price: 1, updatedAtMs: 1000 })
    await world.settle()
    equal((await itemOf(world, 'v')).json().name, 'New')
    ok((await itemOf(world, 'v')).json().ageMs > 0)
  })

  it("goes by the source's version where it has one, whatever the clock said", async (t) => {
    const world = await openWorld(t)
    const say = (name: string, version: number, updatedAtMs: number) =>
      post(world, { itemId: 'v', name, price: 1, version, updatedAtMs })
    await say('Second', 2, 1000)
    await say('First', 1, 9000)
    await world.settle()
    equal((await itemOf(world, 'v')).json().name, 'Second')
    await say('Third', 3, 500)
    await world.settle()
    equal((await itemOf(world, 'v')).json().name, 'Third')
  })

  it('takes what changed of an item, alone or among others', async (t) => {
    const world = await openWorld(t)
    const change = async (id: string, payload: object): Promise<number> => {
      const url = `/api/v1/items/${id}`
      const headers = world.keys.write
      return (await world.app.inject({ method: 'PATCH', url, headers, payload })).statusCode
    }
    equal(await change('1', { stockCount: 0, price: 7 }), 200)
    equal(await change('nothing', { stockCount: 1 }), 200)
    equal(await change('1', { price: -1 }), 400)
    equal(await change('1', []), 400)
    await post(world, [{ itemId: '2', isPartial: true, brand: 'Oak' }])
    await world.settle()
    const one = (await itemOf(world, '1')).json()
    deepStrictEqual([one.name, one.price, one.stockCount], ['Thing 1', 7, 0])
    equal((await itemOf(world, '2')).json().brand, 'Oak')
    equal((await itemOf(world, 'nothing')).statusCode, 404)
  })

  it('takes an item away, and an update of before does not bring it back', async (t) => {
    const world = await openWorld(t)
    const call = { method: 'DELETE', url: '/api/v1/items/1', headers: world.keys.write } as const
    equal((await world.app.inject({ ...call, headers: world.keys.read })).statusCode, 403)
    equal((await world.app.inject(call)).statusCode, 200)
    await world.settle()
    equal((await itemOf(world, '1')).statusCode, 404)
    await post(world, { itemId: '1', name: 'Old', price: 1, updatedAtMs: 1000 })
    await world.settle()
    equal((await itemOf(world, '1')).statusCode, 404)
    await post(world, { itemId: '1', name: 'Again', price: 1 })
    await world.settle()
    equal((await itemOf(world, '1')).json().name, 'Again')
  })
})

describe('/api/v1/suppressions', () => {
  it('suppresses before it answers, and lifts again', async (t) => {
    const world = await openWorld(t)
    const key = addressKeyOf(world.deps.addressSecret, 'ada@person.example')
    const call = async (method: 'POST' | 'DELETE', payload: object) =>
      (
        await world.app.inject({
          method,
          url: '/api/v1/suppressions',
          headers: world.keys.write,
          payload,
        })
      ).statusCode
    equal(await call('POST', { address: 'ada@Person.example', reason: 'complained' }), 200)
    equal((await findSuppression(world.deps.place, key))?.['*']?.reason, 'complained')
    equal(await call('DELETE', { address: 'ada@person.example' }), 200)
    equal(await findSuppression(world.deps.place, key), undefined)
    equal(await call('POST', { address: 'no address' }), 400)
    equal(await call('POST', { address: 'a@b.example', reason: 'mood' }), 400)
  })

  it('suppresses all mail of an address that has too many topics, and says so', async (t) => {
    const world = await openWorld(t)
    const address = 'ada@person.example'
    const call = async (method: 'POST' | 'DELETE', topic: string): Promise<unknown> => {
      const headers = world.keys.write
      const given = { method, url: '/api/v1/suppressions', headers, payload: { address, topic } }
      return (await world.app.inject(given)).json()
    }
    const suppressed = (topic: string) => ({ isSuppressed: true, topic })
    for (let index = 0; index < withdrawnCountMax; index++) {
      deepStrictEqual(await call('POST', `t${index}`), suppressed(`t${index}`))
    }
    deepStrictEqual(await call('POST', 't0'), suppressed('t0'))
    deepStrictEqual(await call('POST', 'one more'), suppressed('*'))
    deepStrictEqual(await call('POST', 'another'), suppressed('*'))
    const key = addressKeyOf(world.deps.addressSecret, address)
    const found = (await findSuppression(world.deps.place, key)) ?? {}
    equal(Object.keys(found).length, withdrawnCountMax + 1)
    ok(isSuppressed(found, 'whatever'))
    // Lifting makes room again.
    for (const topic of ['*', 't0']) await call('DELETE', topic)
    deepStrictEqual(await call('POST', 'one more'), suppressed('one more'))
  })
})
