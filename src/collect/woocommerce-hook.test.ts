import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { Event } from '../event/event.ts'
import type { JsonObject } from '../lib/json.ts'
import { factsOf, keptOf } from './collect-stage.fixture.ts'
import { deliverWoo, openHookStage } from './hook-stage.fixture.ts'
import { wooCustomer, wooOrder } from './shop-payload.fixture.ts'
import { woocommerceTopics } from './woocommerce-hook.ts'

const id = { 'x-wc-webhook-delivery-id': 'd-1' }

async function take(
  t: TestContext,
  topic: string,
  payload: unknown,
): Promise<readonly Omit<Event, 'receivedAtMs'>[]> {
  const stage = await openHookStage(t)
  assert.equal((await deliverWoo(stage, topic, payload, id)).status, 200)
  assert.deepEqual(await keptOf(stage), [])
  return factsOf(stage)
}

const address = {
  street: '1 Canal St',
  city: 'Leeds',
  postalCode: 'LS1 1AA',
  country: 'GB',
}
const traits = {
  email: 'bob@example.com',
  firstName: 'Bob',
  lastName: 'Tinsley',
  phone: '+441130000000',
  address,
}

describe("WooCommerce's order", () => {
  it('that is paid is an identify and an Order Completed', async (t) => {
    const events = await take(t, 'order.created', wooOrder)
    const about = { sourceId: 'woo', userId: '26', anonymousId: 'device-2' }
    assert.deepEqual(events, [
      {
        eventId: 'd-1-identify',
        type: 'identify',
        name: 'identify',
        ...about,
        occurredAtMs: Date.parse('2026-11-02T09:10:00Z'),
        traits,
      },
      {
        eventId: 'order-727-completed',
        type: 'track',
        name: 'Order Completed',
        ...about,
        occurredAtMs: Date.parse('2026-11-02T09:05:00Z'),
        properties: {
          order_id: '727',
          order_number: '727',
          status: 'processing',
          total: 39.35,
          subtotal: 28,
          revenue: 28,
          shipping: 10,
          tax: 1.35,
          discount: 2,
          coupon: 'tea2',
          currency: 'USD',
          payment_url: 'https://teapots.example/pay/727',
          products: [
            {
              product_id: '93',
              sku: 'CUP',
              name: 'Cup',
              price: 14,
              quantity: 2,
              image_url: 'https://teapots.example/cup.jpg',
            },
          ],
        },
      },
    ])
  })

  const cases: readonly (readonly [string, string, JsonObject, string, string])[] = [
    [
      'waits for payment',
      'order.created',
      { status: 'pending' },
      'Checkout Started',
      'order-727-started',
    ],
    [
      'waits for a bank',
      'order.created',
      { status: 'on-hold' },
      'Checkout Started',
      'order-727-started',
    ],
    ['is paid later', 'order.updated', {}, 'Order Completed', 'order-727-completed'],
    [
      'is sent in a day',
      'order.updated',
      { status: 'completed' },
      'Order Completed',
      'order-727-completed',
    ],
    [
      'is paid on delivery',
      'order.updated',
      { date_paid_gmt: null },
      'Order Completed',
      'order-727-completed',
    ],
    [
      'is sent after a week',
      'order.updated',
      { status: 'completed', date_modified_gmt: '2026-11-09T09:10:00' },
      'Order Updated',
      'd-1',
    ],
    ['still waits', 'order.updated', { status: 'pending' }, 'Order Updated', 'd-1'],
    ['failed', 'order.updated', { status: 'failed' }, 'Order Updated', 'd-1'],
    [
      'is cancelled',
      'order.updated',
      { status: 'cancelled' },
      'Order Cancelled',
      'order-727-cancelled',
    ],
    [
      'is refunded',
      'order.updated',
      { status: 'refunded' },
      'Order Refunded',
      'order-727-refunded',
    ],
    ['comes back', 'order.restored', { status: 'own-status' }, 'Order Updated', 'd-1'],
  ]
  for (const [what, topic, more, name, eventId] of cases) {
    it(`that ${what} is ${name}`, async (t) => {
      const [, track, ...others] = await take(t, topic, { ...wooOrder, ...more })
      assert.deepEqual([track?.name, track?.eventId, others.length], [name, eventId, 0])
    })
  }

  it('by weight keeps its fractions', async (t) => {
    const line = { product_id: 5, quantity: 1.5, price: '13.333333333333334' }
    const [, track] = await take(t, 'order.created', { ...wooOrder, line_items: [line] })
    const product = { product_id: '5', price: 13.333333333333334, quantity: 1.5 }
    assert.deepEqual(track?.properties?.products, [product])
  })

  it('of a guest is of whoever has the address', async (t) => {
    const guest = { ...wooOrder, customer_id: 0, meta_data: [] }
    const events = await take(t, 'order.created', guest)
    const ids = new Set(events.map(({ userId, anonymousId }) => `${userId} ${anonymousId}`))
    assert.equal(events.length, 2)
    assert.match([...ids].join(), /^undefined email:[\w-]{22}$/)
  })

  for (const [fault, path] of [
    [{ total: '1.234,50' }, '/total'],
    [{ billing: [] }, '/billing'],
    [{ customer_id: true }, '/customer_id'],
    [{ meta_data: [{ key: 'attune_anonymous_id', value: [] }] }, '/meta_data/0/value'],
  ] as const) {
    it(`with ${JSON.stringify(fault)} is rejected whole, at ${path}`, async (t) => {
      const stage = await openHookStage(t)
      await deliverWoo(stage, 'order.created', { ...wooOrder, ...fault })
      const [kept] = await keptOf(stage)
      assert.deepEqual([kept?.reason, kept?.path], ['item-unreadable', path])
    })
  }
})

describe("WooCommerce's customer", () => {
  it('is an identify', async (t) => {
    for (const topic of ['customer.created', 'customer.updated']) {
      const [event, ...others] = await take(t, topic, wooCustomer)
      assert.deepEqual([event?.type, event?.userId, others.length], ['identify', '26', 0])
      assert.deepEqual(event?.traits, { ...traits, createdAt: '2026-01-05T09:00:00Z' })
    }
  })
})

describe("WooCommerce's topics", () => {
  const dropped = Object.entries(woocommerceTopics).filter(([, is]) => is.startsWith('dropped'))
  it('are dropped and counted where the table says so', async (t) => {
    const stage = await openHookStage(t)
    for (const [topic] of dropped) await deliverWoo(stage, topic, { id: 1 })
    assert.ok(dropped.length > 5)
    assert.equal(stage.ignored.dropped, dropped.length)
    assert.deepEqual(stage.counts, { accepted: 0, rejected: 0 })
  })
})
