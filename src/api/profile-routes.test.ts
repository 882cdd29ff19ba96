import { deepStrictEqual, equal, ok } from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import { changeBoardBytes, createChangeBoard } from '../state/change-board.ts'
import { createProfileFastPath } from './profile-fast-path.ts'
import { adaShops, openWorld, until, viewOf, type World } from './world.fixture.ts'

const keptBytesMax = 1_000_000

async function get(world: World, url: string, headers: Record<string, string> = {}) {
  return await world.app.inject({ url, headers: { ...world.keys.read, ...headers } })
}

async function listenFast(t: TestContext, world: World): Promise<string> {
  // Nobody tells this board of a change: what was made once is kept.
  const changes = createChangeBoard(new SharedArrayBuffer(changeBoardBytes))
  const fast = createProfileFastPath({ ...world.deps, changes }, keptBytesMax)
  const server = createServer((request, response) => {
    if (!fast(request, response)) response.writeHead(418).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

describe('GET /api/v1/profiles/:id', () => {
  it('shows traits with source and time, segments, cart, views, orders and the age', async (t) => {
    const world = await openWorld(t)
    await world.happen(adaShops())
    const answer = await get(world, '/api/v1/profiles/ada')
    equal(answer.statusCode, 200)
    const profile = answer.json()
    equal(profile.id, 'user:ada')
    equal(profile.traits.email.value, 'ada@person.example')
    equal(profile.traits.email.source, 'web')
    ok(!Number.isNaN(Date.parse(profile.traits.email.at)))
    deepStrictEqual(
      profile.segments.map(({ name }: { name: string }) => name),
      ['buyers'],
    )
    deepStrictEqual(
      profile.cart.map(({ itemId, quantity }: Record<string, unknown>) => [itemId, quantity]),
      [['3', 1]],
    )
    deepStrictEqual(
      profile.recentViews.map(({ itemId }: { itemId: string }) => itemId),
      ['2', '1'],
    )
    equal(profile.purchases.length, 1)
    equal(profile.purchases[0].value, 25)
    deepStrictEqual(profile.purchases[0].lines, [
      { itemId: '1', quantity: 2, value: 20 },
      { itemId: '2', quantity: 1, value: 5 },
    ])
    equal(profile.totals['Product Viewed'].count, 2)
    ok(profile.ageMs >= 0 && profile.ageMs < 60_000)
    ok(Date.parse(profile.asOf) > 0)
    equal(answer.headers.etag, `"${profile.version}"`)
    equal(answer.headers['cache-control'], 'private, no-cache')
  })

  it('answers 304 until the profile changes, also to a list of tags and a weak one', async (t) => {
    const world = await openWorld(t)
    await world.happen(adaShops())
    await world.acceptedMessage('user:ada')
    const first = await get(world, '/api/v1/profiles/user:ada')
    const etag = String(first.headers.etag)
    for (const tag of [etag, `"x", W/${etag}`, '*']) {
      const again = await get(world, '/api/v1/profiles/user:ada', { 'if-none-match': tag })
      equal(again.statusCode, 304, tag)
      equal(again.body, '')
      equal(again.headers.etag, etag)
    }
    await world.happen([viewOf('ada', '4')])
    const changed = await get(world, '/api/v1/profiles/user:ada', { 'if-none-match': etag })
    equal(changed.statusCode, 200)
  })

  it('follows a device to the person it belongs to, under a tag of its own', async (t) => {
    const world = await openWorld(t)
    await world.happen([{ ...viewOf('', '1'), userId: undefined, anonymousId: 'd1' } as never])
    const alone = await get(world, '/api/v1/profiles/anonymous:d1')
    equal(alone.json().id, 'anonymous:d1')
    await world.happen([
      { type: 'identify', name: 'identify', userId: 'bob', anonymousId: 'd1', traits: { a: 1 } },
    ])
    await until(async () => {
      return (await get(world, '/api/v1/profiles/anonymous:d1')).json().id === 'user:bob'
    })
    const joined = await get(world, '/api/v1/profiles/anonymous:d1')
    ok(/^"u\d+"$/.test(String(joined.headers.etag)))
    deepStrictEqual(joined.json().identities.sort(), ['anonymous:d1', 'user:bob'])
  })

  it('answers a problem for an unknown person and for an id that is none', async (t) => {
    const world = await openWorld(t)
    const unknown = await get(world, '/api/v1/profiles/nobody')
    equal(unknown.statusCode, 404)
    ok(String(unknown.headers['content-type']).startsWith('application/problem+json'))
    deepStrictEqual(Object.keys(unknown.json()), ['type', 'title', 'status', 'detail', 'code'])
    equal(unknown.json().code, 'profile-unknown')
    equal((await get(world, '/api/v1/profiles/user:')).statusCode, 400)
    equal((await get(world, `/api/v1/profiles/${'x'.repeat(400)}`)).statusCode, 400)
    equal((await get(world, '/api/v1/profiles/%E0%A4%A')).statusCode, 400)
  })

  it('answers the same on the fast path, byte for byte but for the age', async (t) => {
    const world = await openWorld(t)
    const traits = { first_name: 'Zo\u00eb', city: '\u6771\u4eac \u{1f5fc}' }
    const identify = { type: 'identify', name: 'identify', userId: 'zoe', traits } as const
    await world.happen([...adaShops(), identify])
    await world.acceptedMessage('user:ada')
    const origin = await listenFast(t, world)
    const version = String((await get(world, '/api/v1/profiles/ada')).headers.etag)
    const cases: [string, Record<string, string>][] = [
      // Made, then kept.
      ['/api/v1/profiles/ada', { ...world.keys.read }],
      ['/api/v1/profiles/ada', { ...world.keys.read }],
      ['/api/v1/profiles/zoe', { ...world.keys.read }],
      ['/api/v1/profiles/zoe', { ...world.keys.read }],
      ['/api/v1/profiles/user%3Aada?x=1', { ...world.keys.read }],
      ['/api/v1/profiles/ada', { ...world.keys.read, 'if-none-match': version }],
      ['/api/v1/profiles/nobody', { ...world.keys.read }],
      ['/api/v1/profiles/ada', {}],
      ['/api/v1/profiles/ada', { ...world.keys.render }],
      ['/api/v1/profiles/ada', { authorization: 'Bearer atk_wrong' }],
    ]
    for (const [url, headers] of cases) {
      const slow = await world.app.inject({ url, headers })
      const fast = await fetch(origin + url, { headers })
      equal(fast.status, slow.statusCode, url)
      for (const name of ['etag', 'cache-control', 'content-type', 'www-authenticate']) {
        equal(fast.headers.get(name) ?? undefined, slow.headers[name], `${url} ${name}`)
      }
      equal(withoutAge(await fast.text()), withoutAge(slow.body))
    }
    const below = await fetch(`${origin}/api/v1/profiles/ada/events`)
    equal(below.status, 418)
  })
})

function withoutAge(body: string): string {
  return body.replace(/"asOf":"[^"]*","ageMs":\d+/, '')
}

describe('below a profile', () => {
  it('lists retained activity, newest first', async (t) => {
    const world = await openWorld(t)
    await world.happen(adaShops())
    const { events, ageMs } = (await get(world, '/api/v1/profiles/ada/events?count=2')).json()
    deepStrictEqual(
      events.map(({ name }: { name: string }) => name),
      ['Product Added', 'Order Completed'],
    )
    ok(ageMs >= 0)
    equal((await get(world, '/api/v1/profiles/ada/events?count=x')).statusCode, 400)
    equal((await get(world, '/api/v1/profiles/no/events')).statusCode, 404)
  })

  it('recommends items with the price of now and a reason that has a name', async (t) => {
    const world = await openWorld(t)
    for (const person of ['p1', 'p2', 'p3']) {
      await world.happen([viewOf(person, '1'), viewOf(person, '2'), viewOf(person, '4')])
    }
    await world.happen([viewOf('eve', '1')])
    const answer = await get(world, '/api/v1/profiles/eve/recommendations?count=2')
    const { items, learnedCount, ageMs } = answer.json()
    ok(items.length >= 1 && items.length <= 2)
    const one = items.find(({ itemId }: { itemId: string }) => itemId === '2' || itemId === '4')
    equal(one.name, `Thing ${one.itemId}`)
    equal(one.price, Number(one.itemId) + 0.5)
    equal(one.reason.name, 'Thing 1')
    equal(learnedCount, 10)
    ok(ageMs >= 0)
  })
})
