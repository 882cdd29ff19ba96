/**
 * What pages and emails recommend where what they are made from is odd: each case is asked over the
 * API and read in an email that was handed over, and both show the same.
 */

import { deepStrictEqual, equal, ok } from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { type GivenEvent, openWorld, viewOf, type World } from '../api/world.fixture.ts'
import { parseMail } from '../catcher/parsed-mail.ts'
import { activityCountMax } from '../profile/activity-pack.ts'

/** Sends whoever asks for picks what a recommender finds, with prices and reasons. */
const filesOf = (recommender: string) =>
  new Map([
    ['shop.yaml', 'name: Test Shop\ncurrency: EUR\nurl: https://shop.example/\n'],
    ['recommenders/all.yaml', 'kind: for-you\n'],
    ['recommenders/cheap.yaml', 'price: {from: 1, to: 50}\n'],
    [
      'campaigns/picks.yaml',
      `name: picks
kind: triggered
trigger: {event: Picks Asked}
steps:
  - send:
      template: picks
      topic: picks
      freshWithin: 60s
      notAfter: 1d
      recommendations: {using: ${recommender}, count: 9}
`,
    ],
    ['templates/picks/subject.liquid', 'Picks'],
    [
      'templates/picks/template.mjml',
      `<mjml><mj-body><mj-section><mj-column><mj-text>
list: {% for item in recommendations %}{{ item.item_id }} {{ item.reason.kind }}
{{ item.current_price }} {{ item.currency | default: shop.currency }},{% endfor %};
<a href="{{ unsubscribe_url }}">Unsubscribe</a></mj-text>
</mj-column></mj-section></mj-body></mjml>
`,
    ],
  ])

interface Shown {
  readonly itemId: string
  readonly currentPrice: number
  readonly currency: string
  readonly reason: { readonly kind: string }
}

async function ask(world: World, path: string, payload?: object): Promise<readonly Shown[]> {
  const url = `/api/v1/${path}`
  const headers = world.keys.read
  const asked = payload === undefined ? { url } : { method: 'POST' as const, url, payload }
  const answer = await world.app.inject({ ...asked, headers })
  equal(answer.statusCode, 200, answer.body)
  return answer.json().items
}

/** Returns what both show to a person; the email is sent now. */
async function pick(world: World, userId: string, using = 'all'): Promise<readonly Shown[]> {
  const traits = { email: `${userId}@person.example` }
  const asks: readonly GivenEvent[] = [
    { type: 'identify', name: 'identify', userId, traits },
    { type: 'track', name: 'Picks Asked', userId },
  ]
  await world.happen(asks)
  const { messageId } = await world.acceptedMessage(`user:${userId}`)
  const sent = world.handedOver.find((each) => each.messageId === messageId)
  const { html } = await parseMail(sent?.raw ?? new Uint8Array())
  const list = /list:([^;]*);/.exec(html)?.[1]?.replace(/\s+/g, ' ').trim() ?? html
  const items = await ask(world, `profiles/${userId}/recommendations?count=9&recommender=${using}`)
  const told = items.map(({ itemId, reason, currentPrice, currency }) => {
    return `${itemId} ${reason.kind} ${currentPrice} ${currency},`
  })
  equal(list, told.join(''), 'the email shows what the API answers')
  return items
}

const idsOf = (items: readonly Shown[]): readonly string[] =>
  items.map(({ itemId }) => itemId).sort()

async function putItems(world: World, items: readonly object[]): Promise<void> {
  const headers = world.keys.write
  const payload = { items }
  const put = await world.app.inject({ method: 'POST', url: '/api/v1/items', headers, payload })
  equal(put.json().rejected, 0, put.body)
  await world.settle()
}

const openShop = async (t: TestContext, using = 'all'): Promise<World> =>
  await openWorld(t, { files: filesOf(using) })

describe('recommendations', () => {
  it('are of the catalog alone where people met items that it does not have', async (t) => {
    const world = await openShop(t)
    for (const person of ['p1', 'p2', 'p3']) {
      const itemIds = ['gone', '1', 'gone too', '2', 'gone']
      await world.happen(itemIds.map((itemId) => viewOf(person, itemId)))
    }
    await world.happen([viewOf('eve', 'gone'), viewOf('eve', 'never met')])
    const all = ['1', '2', '3', '4']
    deepStrictEqual(idsOf(await pick(world, 'eve')), all)
    deepStrictEqual(idsOf(await pick(world, 'nobody-yet')), all)
    deepStrictEqual(idsOf(await ask(world, 'items/gone/similar')), all)
    const body = { activity: [{ itemId: 'never met' }], exclude: ['gone', '3'] }
    deepStrictEqual(idsOf(await ask(world, 'recommendations', body)), ['1', '2', '4'])
  })

  it('are never what was bought, whatever made room for the order since', async (t) => {
    const world = await openShop(t)
    const orderOf = (itemId: string): GivenEvent => ({
      ...{ type: 'track', name: 'Order Completed', userId: 'eve' },
      properties: { products: [{ product_id: itemId }] },
    })
    const since = Array.from({ length: 2 * activityCountMax }, (_, nth) => orderOf(`other ${nth}`))
    await world.happen([orderOf('2'), ...since])
    deepStrictEqual(idsOf(await pick(world, 'eve')), ['1', '3', '4'])
  })

  it('never go with themselves', async (t) => {
    const world = await openShop(t)
    for (const person of ['p1', 'p2', 'p3', 'eve']) {
      await world.happen(Array.from({ length: 5 }, () => viewOf(person, '1')))
    }
    const items = await pick(world, 'eve')
    equal(items.find(({ itemId }) => itemId === '1')?.reason.kind, 'looked-at')
    deepStrictEqual(idsOf(await ask(world, 'items/1/similar')), ['2', '3', '4'])
  })

  it('are for a robot too, and not by it', async (t) => {
    const world = await openShop(t)
    await world.happen([viewOf('p1', '1'), viewOf('p1', '2'), viewOf('p2', '1'), viewOf('p2', '2')])
    const before = await ask(world, 'items/1/similar?count=1')
    deepStrictEqual(idsOf(before), ['2'])
    const session = Array.from({ length: 1500 }, (_, nth) =>
      viewOf('robot', nth % 2 === 0 ? '1' : `made up ${nth}`),
    )
    await world.happen(session)
    deepStrictEqual(idsOf(await pick(world, 'robot')), ['1', '2', '3', '4'])
    deepStrictEqual(idsOf(await ask(world, 'items/1/similar?count=1')), ['2'])
    const status = await world.app.inject({ url: '/api/v1/status', headers: world.keys.read })
    const { learnedCount, flaggedCount, ignoredCount } = status.json().recommendations
    deepStrictEqual([learnedCount + ignoredCount, flaggedCount], [1504, 1])
    ok(ignoredCount >= 1200, `${ignoredCount} are not learned`)
  })

  it('have no price that is no number', async (t) => {
    const world = await openShop(t)
    const headers = world.keys.write
    const item = { itemId: '1', name: 'Thing 1' }
    for (const price of ['NaN', null, '1e999', -1]) {
      const payload = { items: [{ ...item, price }] }
      const url = '/api/v1/items'
      const put = await world.app.inject({ method: 'POST', url, headers, payload })
      deepStrictEqual([put.statusCode, put.json().faults[0].path], [400, '/0/price'], put.body)
    }
    const odd = { product_id: '2', price: Number.NaN, quantity: 'NaN' }
    await world.happen([
      { type: 'track', name: 'Product Viewed', userId: 'eve', properties: odd },
      { type: 'track', name: 'Product Added', userId: 'p1', properties: { ...odd, price: 'NaN' } },
    ])
    const items = await pick(world, 'eve')
    const prices = items.map(({ itemId, currentPrice }) => [itemId, currentPrice])
    deepStrictEqual(Object.fromEntries(prices), { 1: 1.5, 2: 2.5, 3: 3.5, 4: 4.5 })
    const rules = { price: { from: 'NaN' } }
    const asked = { method: 'POST', url: '/api/v1/recommendations', payload: { rules } } as const
    equal((await world.app.inject({ ...asked, headers: world.keys.read })).statusCode, 400)
  })

  it('say the currency of each item, and are in no range of another', async (t) => {
    const world = await openShop(t)
    const items = [
      { itemId: '1', name: 'Thing 1', price: 30, currency: 'USD' },
      { itemId: '2', name: 'Thing 2', price: 30, currency: 'EUR' },
      { itemId: '3', name: 'Thing 3', price: 30, currency: 'JPY' },
      { itemId: '4', name: 'Thing 4', price: 60 },
    ]
    await putItems(world, items)
    const shown = await pick(world, 'eve')
    const currencies = shown.map(({ itemId, currency }) => [itemId, currency])
    deepStrictEqual(Object.fromEntries(currencies), { 1: 'USD', 2: 'EUR', 3: 'JPY', 4: 'EUR' })
    const cheap = await openShop(t, 'cheap')
    await putItems(cheap, items)
    deepStrictEqual(idsOf(await pick(cheap, 'eve', 'cheap')), ['2'])
  })
})
