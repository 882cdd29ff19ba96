import { deepStrictEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { activityCountMax } from '../profile/activity-pack.ts'
import { openWorld, viewOf, type World } from './world.fixture.ts'

interface Shown {
  readonly itemId: string
  readonly price: number
  readonly currentPrice: number
  readonly currency: string
  readonly score: number
  readonly weights: { readonly base: number; readonly boost?: number }
  readonly reason: {
    readonly kind: string
    readonly itemId?: string
    readonly name?: string
    readonly says: string
  }
}

interface List {
  readonly items: readonly Shown[]
  readonly isKnown?: boolean
}

async function get(world: World, url: string): Promise<List> {
  const answer = await world.app.inject({ url, headers: world.keys.read })
  equal(answer.statusCode, 200, answer.body)
  return answer.json()
}

async function post(world: World, payload: object) {
  const headers = world.keys.read
  return await world.app.inject({
    method: 'POST',
    url: '/api/v1/recommendations',
    headers,
    payload,
  })
}

async function putItems(world: World, items: readonly object[]): Promise<void> {
  const headers = world.keys.write
  const payload = { items }
  const answer = await world.app.inject({ method: 'POST', url: '/api/v1/items', headers, payload })
  equal(answer.json().rejected, 0, answer.body)
  await world.settle()
}

const idsOf = ({ items }: List): readonly string[] => items.map(({ itemId }) => itemId)

/** People who look at 1, 2 and 4; Eve has looked at 1 and bought 2. */
async function openShop(
  t: Parameters<typeof openWorld>[0],
  given: Parameters<typeof openWorld>[1] = {},
): Promise<World> {
  const world = await openWorld(t, given)
  for (const person of ['p1', 'p2', 'p3']) {
    await world.happen([viewOf(person, '1'), viewOf(person, '2'), viewOf(person, '4')])
  }
  const properties = { products: [{ product_id: '2' }] }
  await world.happen([
    { type: 'track', name: 'Order Completed', userId: 'eve', properties },
    viewOf('eve', '1'),
  ])
  return world
}

describe('/api/v1/profiles/:id/recommendations', () => {
  it('never shows what was bought, and says why each came', async (t) => {
    const world = await openShop(t)
    const list = await get(world, '/api/v1/profiles/eve/recommendations?count=9')
    deepStrictEqual([...idsOf(list)].sort(), ['1', '3', '4'])
    const four = list.items.find(({ itemId }) => itemId === '4')
    ok(['Thing 1', 'Thing 2'].includes(four?.reason.name ?? ''))
    ok(four?.reason.says.includes('Thing'))
    ok(four !== undefined && four.weights.base > 0 && four.score > 0)
    equal(four.currency, 'EUR')
    const less = '/api/v1/profiles/eve/recommendations?count=9&exclude=4,3'
    deepStrictEqual(idsOf(await get(world, less)), ['1'])
  })

  it('never shows what was bought, however much was done since', async (t) => {
    const world = await openShop(t)
    const views = Array.from({ length: 4 * activityCountMax }, () => viewOf('eve', '1'))
    // Makes room among orders too: of one name no more than are kept.
    const orders = views.map(() => {
      const properties = { products: [{ product_id: '4' }] }
      return { type: 'track', name: 'Order Completed', userId: 'eve', properties } as const
    })
    await world.happen([...views, ...orders])
    const list = await get(world, '/api/v1/profiles/eve/recommendations?count=9')
    deepStrictEqual([...idsOf(list)].sort(), ['1', '3'])
    const body = { profile: 'eve', count: 9, activity: [{ itemId: '1' }] }
    deepStrictEqual([...idsOf((await post(world, body)).json())].sort(), ['1', '3'])
    const again = (await post(world, { ...body, rules: { bought: 'show' } })).json()
    deepStrictEqual([...idsOf(again)].sort(), ['1', '2', '3', '4'])
  })

  it('answers a person that is not known with what is popular', async (t) => {
    const world = await openShop(t)
    const list = await get(world, '/api/v1/profiles/nobody/recommendations?count=2')
    equal(list.isKnown, false)
    equal(list.items.length, 2)
    ok(list.items.every(({ reason }) => reason.kind === 'trending'))
  })

  it('reads stock and price when it answers, whatever the index thinks', async (t) => {
    const world = await openShop(t)
    const { advise } = world.deps
    // An index that has not heard of the catalog since.
    const before = await advise({
      ...{ activity: [], excludeItemIds: [], nowMs: Date.parse('2026-11-26'), countMax: 9 },
    })
    const late = await openWorld(t, {
      deps: { place: world.deps.place, advise: async () => before },
    })
    const change = { itemId: '4', name: 'Thing 4', price: 99, salePrice: 49.5, currency: 'USD' }
    await putItems(world, [change, { itemId: '3', name: 'Thing 3', price: 1, stockCount: 0 }])
    const list = await get(late, '/api/v1/profiles/nobody/recommendations?count=9')
    deepStrictEqual([...idsOf(list)].sort(), ['1', '2', '4'])
    const four = list.items.find(({ itemId }) => itemId === '4')
    deepStrictEqual([four?.price, four?.currentPrice, four?.currency], [99, 49.5, 'USD'])
  })

  it('tells in the status what the index knows, and of robots', async (t) => {
    const world = await openShop(t)
    const views = Array.from({ length: 310 }, () => viewOf('robot', '1'))
    await world.happen(views)
    const answer = await world.app.inject({ url: '/api/v1/status', headers: world.keys.read })
    deepStrictEqual(answer.json().recommendations, {
      ...{ learnedCount: 311, itemCount: 4, refusedItemCount: 0 },
      ...{ flaggedCount: 1, ignoredCount: 10 },
    })
  })

  it('narrows a recommender to a category, and lets in nothing besides', async (t) => {
    const files = new Map([
      ['shop.yaml', 'name: Test Shop\ncurrency: EUR\nurl: https://shop.example/\n'],
      ['recommenders/home.yaml', 'include: {categories: [Home, Garden]}\n'],
    ])
    const world = await openShop(t, { files })
    const placed = { 1: 'Home > Cups', 2: 'Home > Lamps', 3: 'Cups', 4: 'Garden' }
    await putItems(
      world,
      Object.entries(placed).map(([itemId, category]) => {
        return { itemId, name: `Thing ${itemId}`, price: 5, category }
      }),
    )
    const path = '/api/v1/recommendations/trending?recommender=home'
    const idsIn = async (category: string): Promise<readonly string[]> =>
      [...idsOf(await get(world, `${path}${category}`))].sort()
    deepStrictEqual(await idsIn(''), ['1', '2', '4'])
    deepStrictEqual(await idsIn('&category=Cups'), ['1'])
    deepStrictEqual(await idsIn('&category=Home'), ['1', '2'])
    deepStrictEqual(await idsIn('&category=Other'), [])
    const person = '/api/v1/profiles/p1/recommendations?recommender=home&category=Cups'
    deepStrictEqual(idsOf(await get(world, person)), ['1'])
    const without = '/api/v1/recommendations/trending?category=Cups'
    deepStrictEqual([...idsOf(await get(world, without))].sort(), ['1', '3'])
  })

  it('refuses only what cannot be understood', async (t) => {
    const world = await openShop(t)
    const statusOf = async (url: string): Promise<number> =>
      (await world.app.inject({ url, headers: world.keys.read })).statusCode
    equal(await statusOf('/api/v1/profiles/eve/recommendations?count=x'), 400)
    equal(await statusOf(`/api/v1/profiles/${'x'.repeat(301)}/recommendations`), 400)
    equal(await statusOf('/api/v1/profiles/eve/recommendations?recommender=none'), 404)
    equal((await world.app.inject({ url: '/api/v1/recommendations/trending' })).statusCode, 401)
  })
})

describe('parameters that are empty', () => {
  it('are as none, since an empty merge field is no mistake', async (t) => {
    const world = await openShop(t)
    const empty = 'count=&recommender=&category=&exclude='
    for (const path of [
      'profiles/eve/recommendations',
      'items/1/similar',
      'recommendations/trending',
    ]) {
      const url = `/api/v1/${path}`
      deepStrictEqual(idsOf(await get(world, `${url}?${empty}`)), idsOf(await get(world, url)))
    }
    const body = { profile: '', recommender: '', exclude: [] }
    deepStrictEqual((await post(world, body)).json(), (await post(world, {})).json())
    for (const path of [
      'profiles//recommendations',
      'profiles/user:/recommendations',
      'items//similar',
    ]) {
      const url = `/api/v1/${path}`
      const list = await get(world, url)
      deepStrictEqual([list.isKnown, list.items.length > 0], [false, true], url)
    }
  })

  it('are refused where they say something that cannot be', async (t) => {
    const world = await openShop(t)
    const url = '/api/v1/recommendations/trending'
    for (const [query, status] of [
      ['count=x', 400],
      ['count=-1', 400],
      ['count=1e2', 400],
      ['count=99999', 400],
      [`category=${'c'.repeat(201)}`, 400],
      ['recommender=none-such', 404],
      ['count=3&count=4', 400],
    ] as const) {
      const answer = await world.app.inject({ url: `${url}?${query}`, headers: world.keys.read })
      equal(answer.statusCode, status, query)
    }
  })
})

describe('recommendations where nothing can be sold', () => {
  it('are empty lists, of an empty catalog and of one that is sold out', async (t) => {
    const empty = await openWorld(t, { itemIds: [] })
    const soldOut = await openShop(t)
    const items = [...'1234'].map((itemId) => ({ itemId, isPartial: true, stockCount: 0 }))
    await putItems(soldOut, items)
    for (const world of [empty, soldOut]) {
      for (const path of [
        'profiles/eve/recommendations',
        'profiles/nobody/recommendations?category=Cups',
        'items/1/similar',
        'recommendations/trending',
        'recommendations/trending?category=Cups',
      ]) {
        deepStrictEqual((await get(world, `/api/v1/${path}`)).items, [], path)
      }
      const slots = [
        { name: 'a', count: 4 },
        { name: 'b', count: 4 },
      ]
      const answer = await post(world, { profile: 'eve', activity: [{ itemId: '1' }], slots })
      equal(answer.statusCode, 200, answer.body)
      const expected = [
        { name: 'a', items: [] },
        { name: 'b', items: [] },
      ]
      deepStrictEqual(answer.json().slots, expected)
    }
  })
})

describe('/api/v1/items/:id/similar', () => {
  it('shows what goes with an item, and of an unknown one what is popular', async (t) => {
    const world = await openShop(t)
    const list = await get(world, '/api/v1/items/1/similar?count=2')
    deepStrictEqual([...idsOf(list)].sort(), ['2', '4'])
    equal(list.items[0]?.reason.name, 'Thing 1')
    const unknown = await get(world, '/api/v1/items/no%20such/similar?count=2')
    equal(unknown.isKnown, false)
    equal(unknown.items.length, 2)
  })
})

describe('/api/v1/recommendations/trending', () => {
  it('shows what is popular, also of a category, and nothing of an empty one', async (t) => {
    const world = await openShop(t)
    await putItems(world, [{ itemId: '4', name: 'Thing 4', price: 4.5, category: 'Home > Cups' }])
    const list = await get(world, '/api/v1/recommendations/trending?count=3')
    equal(list.items.length, 3)
    const home = await get(world, '/api/v1/recommendations/trending?category=Home')
    deepStrictEqual(idsOf(home), ['4'])
    ok(home.items[0]?.reason.says.includes('Home'))
    const none = await get(world, '/api/v1/recommendations/trending?category=None')
    deepStrictEqual(none.items, [])
  })
})

describe('POST /api/v1/recommendations', () => {
  it('answers for a context that is no profile', async (t) => {
    const world = await openShop(t)
    const answer = await post(world, { activity: [{ itemId: '1' }], exclude: ['3'], count: 9 })
    const list = answer.json() as List
    deepStrictEqual([...idsOf(list)].sort(), ['1', '2', '4'])
    const bought = await post(world, { activity: [{ itemId: '1', kind: 'purchase' }], count: 9 })
    ok(!idsOf(bought.json()).includes('1'))
  })

  it('fills several slots, none of which shows what another does', async (t) => {
    const world = await openShop(t)
    const slots = [
      { name: 'first', count: 2 },
      { name: 'second', count: 2 },
      { name: 'third', count: 2 },
    ]
    const { slots: filled } = (await post(world, { profile: 'eve', slots })).json() as {
      slots: (List & { readonly name: string })[]
    }
    deepStrictEqual(
      filled.map(({ name, items }) => [name, items.length]),
      [
        ['first', 2],
        ['second', 1],
        ['third', 0],
      ],
    )
    equal(new Set(filled.flatMap(idsOf)).size, 3)
  })

  it('takes rules as a definition has them, and names the path of a wrong one', async (t) => {
    const world = await openShop(t)
    await putItems(world, [{ itemId: '3', name: 'Thing 3', price: 3, currency: 'USD' }])
    const rules = { pin: ['4'], price: { from: 1, to: 50 } }
    const list = (
      await post(world, { activity: [{ itemId: '1' }], rules, count: 9 })
    ).json() as List
    equal(idsOf(list)[0], '4')
    equal(list.items[0]?.reason.kind, 'pinned')
    // Of another currency, so in no range of the shop's.
    ok(!idsOf(list).includes('3'))
    const alone = { weights: { revisit: 1 } }
    const back = await post(world, { activity: [{ itemId: '1' }], rules: alone, count: 9 })
    equal(back.statusCode, 200)
    ok((back.json() as List).items.length > 0)
    ok(
      (back.json() as List).items.every(
        ({ reason }) => reason.kind === 'trending' || reason.kind === 'in-catalog',
      ),
    )
    const wrong = await post(world, { rules: { price: { from: 'x' }, weights: { magic: 1 } } })
    equal(wrong.statusCode, 400)
    deepStrictEqual(
      wrong.json().faults.map(({ path }: { path: string }) => path),
      ['/rules/price.from', '/rules/weights.magic'],
    )
    equal((await post(world, { colour: 'red' })).statusCode, 400)
    equal(
      (await post(world, { slots: [{ name: 'x', count: 1, recommender: 'no' }] })).statusCode,
      404,
    )
  })
})
