import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { Event } from '../event/event.ts'
import { OperatingError } from '../lib/errors.ts'
import { hashId } from '../lib/hash.ts'
import type { JsonObject } from '../lib/json.ts'
import { factsOf, keptOf } from './collect-stage.fixture.ts'
import { deliverShopify, openHookStage } from './hook-stage.fixture.ts'
import {
  shopifyCheckout,
  shopifyCustomer,
  shopifyOrder,
  shopifyRefund,
} from './shop-payload.fixture.ts'
import { shopifyTopics } from './shopify-hook.ts'

const id = { 'x-shopify-webhook-id': 'd-1' }

/** Delivers one webhook to a server of its own; returns the events, without their receipt. */
async function take(
  t: TestContext,
  topic: string,
  payload: unknown,
): Promise<readonly Omit<Event, 'receivedAtMs'>[]> {
  const stage = await openHookStage(t)
  assert.equal((await deliverShopify(stage, topic, payload, id)).status, 200)
  assert.deepEqual(await keptOf(stage), [])
  return factsOf(stage)
}

const products = [
  {
    product_id: '501',
    sku: 'POT-BLUE',
    name: 'Teapot',
    variant: 'Blue',
    brand: 'Kiln',
    price: 24.5,
    quantity: 2,
  },
]

const order = {
  order_id: '1001',
  order_number: '#1001',
  checkout_id: 'c0ffee',
  total: 55.9,
  subtotal: 44,
  revenue: 44,
  shipping: 4.88,
  tax: 7.02,
  discount: 5,
  coupon: 'TEA5',
  currency: 'EUR',
  financial_status: 'paid',
  products,
}

const traits = {
  email: 'ada@example.com',
  firstName: 'Ada',
  lastName: 'Byron',
  createdAt: '2026-01-05T09:00:00+01:00',
  acceptsMarketing: true,
  address: { street: 'Kanalgasse 1', city: 'Basel', postalCode: '4051', country: 'CH' },
}

describe("Shopify's order", () => {
  it('is an identify and an Order Completed, joined to the device', async (t) => {
    const events = await take(t, 'orders/create', shopifyOrder)
    const about = {
      sourceId: 'shopify',
      userId: '7001',
      anonymousId: 'device-1',
      occurredAtMs: Date.parse('2026-11-02T10:00:00+01:00'),
    }
    assert.deepEqual(events, [
      { eventId: 'd-1-identify', type: 'identify', name: 'identify', ...about, traits },
      { eventId: 'd-1', type: 'track', name: 'Order Completed', ...about, properties: order },
    ])
  })

  const topics: readonly (readonly [string, JsonObject, string, string])[] = [
    ['orders/paid', {}, 'Order Paid', '2026-11-02T11:00:00+01:00'],
    ['orders/updated', {}, 'Order Updated', '2026-11-02T11:00:00+01:00'],
    [
      'orders/cancelled',
      { cancelled_at: '2026-11-02T10:30:00+01:00', cancel_reason: 'customer' },
      'Order Cancelled',
      '2026-11-02T10:30:00+01:00',
    ],
  ]
  for (const [topic, more, name, at] of topics) {
    it(`of ${topic} is ${name}`, async (t) => {
      const [identify, track, ...others] = await take(t, topic, { ...shopifyOrder, ...more })
      assert.deepEqual([identify?.type, track?.name, others.length], ['identify', name, 0])
      assert.equal(track?.occurredAtMs, Date.parse(at))
      const reason = 'cancel_reason' in more ? { cancel_reason: 'customer' } : {}
      assert.deepEqual(track.properties, { ...order, ...reason })
    })
  }

  it('that was refunded in the last day is an Order Refunded too, for each refund', async (t) => {
    const old = { ...shopifyRefund, id: 2_999, created_at: '2026-11-01T10:59:00+01:00' }
    const events = await take(t, 'orders/updated', {
      ...shopifyOrder,
      financial_status: 'partially_refunded',
      refunds: [old, shopifyRefund],
    })
    const names = events.map(({ eventId, name }) => [eventId, name])
    assert.deepEqual(names, [
      ['d-1-identify', 'identify'],
      ['d-1', 'Order Updated'],
      ['refund-3001', 'Order Refunded'],
    ])
    assert.deepEqual(events[2]?.properties, {
      order_id: '1001',
      refund_id: '3001',
      total: 24.5,
      currency: 'EUR',
      products: [{ ...products[0], quantity: 1 }],
    })
  })

  it('of a guest is of whoever has the address', async (t) => {
    const guest = { ...shopifyOrder, customer: null, note_attributes: [] }
    const events = await take(t, 'orders/create', { ...guest, email: 'Ada@Example.com ' })
    const anonymousId = `email:${hashId('ada@example.com')}`
    assert.deepEqual(
      events.map((event) => [event.name, event.userId, event.anonymousId]),
      [
        ['identify', undefined, anonymousId],
        ['Order Completed', undefined, anonymousId],
      ],
    )
  })

  it('of nobody is rejected and kept', async (t) => {
    const stage = await openHookStage(t)
    await deliverShopify(stage, 'orders/create', { id: 1, total_price: '1.00' })
    const [kept] = await keptOf(stage)
    assert.deepEqual([kept?.reason, kept?.format], ['id-missing', 'webhook'])
    assert.equal(kept?.text, '{"id":1,"total_price":"1.00"}')
  })

  const faulty: readonly (readonly [JsonObject, string])[] = [
    [{ total_price: '1,234.50' }, '/total_price'],
    [{ total_price: '-5.00' }, '/total_price'],
    [{ total_price: -5 }, '/total_price'],
    [{ total_price: 1e308 }, '/total_price'],
    [{ total_price: {} }, '/total_price'],
    [{ total_tax: 'NaN' }, '/total_tax'],
    [{ currency: 'EURO' }, '/currency'],
    [{ id: 1.5 }, '/id'],
    [{ id: [] }, '/id'],
    [{ customer: 'ada' }, '/customer'],
    [{ email: 7 }, '/email'],
    [{ line_items: {} }, '/line_items'],
    [{ line_items: [{ price: '1.00' }, 7] }, '/line_items/1'],
    [{ line_items: [{ price: '0x10' }] }, '/line_items/0/price'],
    [{ line_items: [{ quantity: -1 }] }, '/line_items/0/quantity'],
    [{ line_items: Array(1_001).fill({}) }, '/line_items'],
    [{ discount_codes: [{ code: 'x'.repeat(2_001) }] }, '/discount_codes/0/code'],
    [{ note_attributes: [{ name: 'attune_anonymous_id', value: {} }] }, '/note_attributes/0/value'],
  ]
  for (const [fault, path] of faulty) {
    it(`with ${JSON.stringify(fault).slice(0, 50)} is rejected whole, at ${path}`, async (t) => {
      const stage = await openHookStage(t)
      const payload = { ...shopifyOrder, ...fault }
      assert.equal((await deliverShopify(stage, 'orders/create', payload)).status, 200)
      const [kept] = await keptOf(stage)
      assert.deepEqual([kept?.reason, kept?.path], ['item-unreadable', path])
      assert.equal(kept?.text, JSON.stringify(payload).slice(0, 65_536))
      assert.deepEqual(stage.counts, { accepted: 0, rejected: 1 })
    })
  }

  it('with more products than an event may have keeps its identify', async (t) => {
    const stage = await openHookStage(t)
    const payload = { ...shopifyOrder, line_items: Array(201).fill({ product_id: 1 }) }
    await deliverShopify(stage, 'orders/create', payload)
    assert.deepEqual(stage.counts, { accepted: 1, rejected: 1 })
    assert.equal((await keptOf(stage))[0]?.reason, 'products-too-many')
  })
})

describe("Shopify's checkout", () => {
  it('starts once, and is updated with every change', async (t) => {
    const created = await take(t, 'checkouts/create', shopifyCheckout)
    const updated = await take(t, 'checkouts/update', shopifyCheckout)
    const idsOf = (events: typeof created): unknown =>
      events.map(({ eventId, name }) => [eventId, name])
    const start = ['checkout-c0ffee', 'Checkout Started']
    assert.deepEqual(idsOf(created), [['d-1-identify', 'identify'], start])
    const update = ['d-1', 'Checkout Updated']
    assert.deepEqual(idsOf(updated), [['d-1-identify', 'identify'], start, update])
    assert.deepEqual(created[1]?.properties, {
      checkout_id: 'c0ffee',
      total: 49,
      value: 49,
      subtotal: 49,
      revenue: 49,
      tax: 0,
      discount: 0,
      currency: 'EUR',
      checkout_url: 'https://teapots.example/checkouts/c0ffee/recover?key=1',
      products,
    })
  })

  it('does not start again when it has ended', async (t) => {
    const ended = { ...shopifyCheckout, completed_at: '2026-11-02T10:00:00+01:00' }
    const events = await take(t, 'checkouts/update', ended)
    assert.deepEqual(
      events.map(({ name }) => name),
      ['identify', 'Checkout Updated'],
    )
  })

  it('of nobody yet is dropped and counted', async (t) => {
    const append = (): Promise<never> => Promise.reject(new OperatingError('STORE_IO', 'append'))
    const stage = await openHookStage(t, { append })
    const nobody = { ...shopifyCheckout, email: '', customer: null }
    assert.equal((await deliverShopify(stage, 'checkouts/create', nobody)).status, 200)
    assert.deepEqual([stage.counts.accepted, stage.ignored.dropped], [0, 1])
  })
})

describe("Shopify's customer", () => {
  for (const topic of ['customers/create', 'customers/update']) {
    it(`of ${topic} is an identify`, async (t) => {
      const events = await take(t, topic, shopifyCustomer)
      assert.deepEqual(events, [
        {
          eventId: 'd-1',
          sourceId: 'shopify',
          type: 'identify',
          name: 'identify',
          userId: '7001',
          occurredAtMs: Date.parse('2026-11-02T10:00:00+01:00'),
          traits,
        },
      ])
    })
  }

  it('who asks for data or erasure is an event for whoever answers it', async (t) => {
    const shop = { shop_id: 9, shop_domain: 'teapots.myshopify.example' }
    const customer = { id: 7_001, email: 'ada@example.com', phone: null }
    const cases = [
      ['customers/data_request', { ...shop, customer, data_request: { id: 5 } }],
      ['customers/redact', { ...shop, customer, orders_to_redact: [1] }],
      ['shop/redact', shop],
    ] as const
    const seen: unknown[] = []
    for (const [topic, payload] of cases) {
      const [event] = await take(t, topic, payload)
      seen.push([event?.name, event?.userId ?? event?.anonymousId, event?.properties])
    }
    const properties = { shop_id: '9', shop_domain: 'teapots.myshopify.example' }
    const personal = { ...properties, email: 'ada@example.com' }
    assert.deepEqual(seen, [
      ['Customer Data Requested', '7001', { ...personal, data_request_id: '5' }],
      ['Customer Redact Requested', '7001', personal],
      ['Shop Redact Requested', 'shop:9', properties],
    ])
  })
})

describe("Shopify's topics", () => {
  const dropped = Object.entries(shopifyTopics).filter(([, means]) => means.startsWith('dropped'))
  for (const [topic] of dropped) {
    it(`drops ${topic}, as its table says`, async (t) => {
      const stage = await openHookStage(t)
      assert.equal((await deliverShopify(stage, topic, { id: 1 })).status, 200)
      assert.deepEqual(stage.counts, { accepted: 0, rejected: 0 })
      assert.equal(stage.ignored.dropped, 1)
    })
  }

  it('has names of which none is one of every object', async (t) => {
    const stage = await openHookStage(t)
    for (const topic of ['__proto__', 'constructor', 'toString', 'orders/toString', '']) {
      assert.equal((await deliverShopify(stage, topic, { id: topic })).status, 200)
    }
    assert.deepEqual(stage.counts, { accepted: 0, rejected: 5 })
  })
})
