import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { Event } from '../event/event.ts'
import type { JsonObject } from '../lib/json.ts'
import { factsOf, keptOf } from './collect-stage.fixture.ts'
import { deliverStripe, openHookStage } from './hook-stage.fixture.ts'
import { stripeEvent, stripeSession } from './shop-payload.fixture.ts'
import { stripeTypes } from './stripe-hook.ts'

async function take(
  t: TestContext,
  type: string,
  object: unknown,
): Promise<readonly Omit<Event, 'receivedAtMs'>[]> {
  const stage = await openHookStage(t)
  assert.equal((await deliverStripe(stage, stripeEvent(type, object))).status, 200)
  assert.deepEqual(await keptOf(stage), [])
  return factsOf(stage)
}

describe("Stripe's session", () => {
  it('that is paid is an identify and an Order Completed', async (t) => {
    const events = await take(t, 'checkout.session.completed', stripeSession)
    const about = {
      sourceId: 'stripe',
      userId: 'ada',
      anonymousId: 'device-1',
      occurredAtMs: 1_793_610_000_000,
    }
    assert.deepEqual(events, [
      {
        eventId: 'evt_1-identify',
        type: 'identify',
        name: 'identify',
        ...about,
        traits: { email: 'ada@example.com', name: 'Ada Byron' },
      },
      {
        eventId: 'evt_1',
        type: 'track',
        name: 'Order Completed',
        ...about,
        properties: {
          order_id: 'pi_1',
          checkout_id: 'cs_test_1',
          total: 55.9,
          value: 55.9,
          subtotal: 44,
          revenue: 44,
          shipping: 4.88,
          tax: 7.02,
          discount: 0,
          currency: 'EUR',
        },
      },
    ])
  })

  it('that is not paid yet is a Checkout Completed', async (t) => {
    const unpaid = { ...stripeSession, payment_status: 'unpaid' }
    const [, track] = await take(t, 'checkout.session.completed', unpaid)
    assert.equal(track?.name, 'Checkout Completed')
  })

  it('has its lines as products where it comes with them', async (t) => {
    const price = { id: 'price_1', product: 'prod_1', unit_amount: 2_200 }
    const line = { id: 'li_1', description: 'Teapot', quantity: 2, price }
    const session = { ...stripeSession, line_items: { data: [line] } }
    const [, track] = await take(t, 'checkout.session.completed', session)
    assert.deepEqual(track?.properties?.products, [
      { product_id: 'prod_1', name: 'Teapot', price: 22, quantity: 2 },
    ])
  })

  it('that ended unpaid says where the buyer can go on', async (t) => {
    const recovery = { url: 'https://buy.example/r/1', enabled: true }
    const expired = { ...stripeSession, payment_intent: null, after_expiration: { recovery } }
    const [, track] = await take(t, 'checkout.session.expired', expired)
    assert.equal(track?.name, 'Checkout Expired')
    const { checkout_url: url, order_id: orderId } = track.properties ?? {}
    assert.deepEqual([url, orderId], ['https://buy.example/r/1', 'cs_test_1'])
  })

  for (const [currency, amount] of [
    ['usd', 55.9],
    ['jpy', 5_590],
    ['kwd', 5.59],
    ['isk', 55.9],
    ['ugx', 55.9],
  ] as const) {
    it(`of 5590 in ${currency} is of ${amount}`, async (t) => {
      const [, track] = await take(t, 'checkout.session.completed', { ...stripeSession, currency })
      assert.equal(track?.properties?.total, amount)
      assert.equal(track.properties.currency, currency.toUpperCase())
    })
  }
})

describe("Stripe's types", () => {
  const customer = { customer: 'cus_1', currency: 'eur' }
  const cases: readonly (readonly [string, JsonObject, string, JsonObject])[] = [
    [
      'checkout.session.async_payment_succeeded',
      stripeSession,
      'Order Completed',
      { order_id: 'pi_1', total: 55.9 },
    ],
    ['checkout.session.async_payment_failed', stripeSession, 'Payment Failed', { total: 55.9 }],
    [
      'payment_intent.succeeded',
      { ...customer, id: 'pi_2', amount: 700, amount_received: 600, status: 'succeeded' },
      'Payment Succeeded',
      { order_id: 'pi_2', total: 6, status: 'succeeded' },
    ],
    ['payment_intent.payment_failed', { ...customer, amount: 700 }, 'Payment Failed', { total: 7 }],
    [
      'charge.refunded',
      { ...customer, id: 'ch_1', payment_intent: 'pi_1', amount: 700, amount_refunded: 200 },
      'Order Refunded',
      { order_id: 'pi_1', total: 2, currency: 'EUR' },
    ],
    [
      'invoice.paid',
      { ...customer, id: 'in_1', subscription: 'sub_1', amount_paid: 900 },
      'Invoice Paid',
      { order_id: 'in_1', subscription_id: 'sub_1', total: 9 },
    ],
    [
      'invoice.paid',
      { ...customer, parent: { subscription_details: { subscription: 'sub_2' } } },
      'Invoice Paid',
      { subscription_id: 'sub_2' },
    ],
    ['invoice.payment_failed', customer, 'Invoice Payment Failed', { currency: 'EUR' }],
    ['customer.subscription.created', customer, 'Subscription Started', {}],
    ['customer.subscription.updated', customer, 'Subscription Updated', {}],
    ['customer.subscription.deleted', customer, 'Subscription Ended', {}],
  ]
  for (const [type, object, name, properties] of cases) {
    it(`has ${type} as ${name}`, async (t) => {
      const track = (await take(t, type, object)).at(-1)
      assert.equal(track?.name, name)
      assert.ok(stripeTypes[type]?.includes(name), 'the table says so too')
      for (const [key, value] of Object.entries(properties)) {
        assert.deepEqual(track.properties?.[key], value, key)
      }
    })
  }

  it('has a customer as an identify', async (t) => {
    const object = { id: 'cus_1', object: 'customer', email: 'ada@example.com', name: 'Ada' }
    for (const type of ['customer.created', 'customer.updated']) {
      const [event, ...others] = await take(t, type, object)
      assert.deepEqual([event?.type, event?.userId, others.length], ['identify', 'cus_1', 0])
      assert.deepEqual(event?.traits, { email: 'ada@example.com', name: 'Ada' })
    }
  })

  for (const [payload, path] of [
    [{ id: 'evt_1', type: 'invoice.paid' }, '/data/object'],
    [{ type: 'invoice.paid', data: { object: [] } }, '/data/object'],
    [stripeEvent('invoice.paid', { amount_paid: 1.5, customer: 'c' }), '/data/object/amount_paid'],
    [stripeEvent('invoice.paid', { amount_paid: '5' }), '/data/object/amount_paid'],
    [stripeEvent('invoice.paid', { customer: { id: 'cus_1' } }), '/data/object/customer'],
  ] as const) {
    it(`rejects ${JSON.stringify(payload).slice(0, 90)} at ${path}`, async (t) => {
      const stage = await openHookStage(t)
      assert.equal((await deliverStripe(stage, payload)).status, 200)
      const [kept] = await keptOf(stage)
      assert.deepEqual([kept?.reason, kept?.path], ['item-unreadable', path])
    })
  }
})
