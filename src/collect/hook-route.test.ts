import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { systemClock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import { eventsOf, keptOf, type Stage } from './collect-stage.fixture.ts'
import {
  deliverLoyalty,
  deliverShopify,
  deliverStripe,
  deliverWoo,
  hmacOf,
  olderSecret,
  openHookStage,
  postHook,
  secret,
  stripeSignature,
} from './hook-stage.fixture.ts'
import { shopifyOrder, stripeEvent, stripeSession, wooOrder } from './shop-payload.fixture.ts'

const order = JSON.stringify(shopifyOrder)
const nowSeconds = Math.floor(systemClock.nowMs() / 1_000)
const topic = { 'x-shopify-topic': 'orders/create' }
const wooTopic = { 'x-wc-webhook-topic': 'order.created' }

async function assertNothingKept(stage: Stage): Promise<void> {
  assert.deepEqual(stage.counts, { accepted: 0, rejected: 0 })
  assert.deepEqual([await stage.log.end(0), await stage.rejected.end(0)], [0, 0])
}

describe('the signature of a webhook', () => {
  it('is that of the raw body, under any of the secrets', async (t) => {
    const stage = await openHookStage(t)
    const older = { 'x-shopify-hmac-sha256': hmacOf(order, 'base64', olderSecret) }
    assert.equal((await deliverShopify(stage, 'orders/create', shopifyOrder)).status, 200)
    assert.equal((await postHook(stage, 'shopify', order, { ...topic, ...older })).status, 200)
    // The same values in other bytes.
    const spaced = JSON.stringify(shopifyOrder, null, 1)
    const signed = { 'x-shopify-hmac-sha256': hmacOf(spaced, 'base64') }
    assert.equal((await postHook(stage, 'shopify', spaced, { ...topic, ...signed })).status, 200)
    const unsigned = { 'x-shopify-hmac-sha256': hmacOf(order, 'base64') }
    assert.equal((await postHook(stage, 'shopify', spaced, { ...topic, ...unsigned })).status, 401)
  })

  const right = hmacOf(order, 'base64')
  const wrong: readonly (readonly [string, string, Readonly<Record<string, string>>])[] = [
    ['Shopify without one', 'shopify', topic],
    ['Shopify with an empty one', 'shopify', { ...topic, 'x-shopify-hmac-sha256': '' }],
    [
      'Shopify with that of another secret',
      'shopify',
      { ...topic, 'x-shopify-hmac-sha256': hmacOf(order, 'base64', 'another-secret') },
    ],
    [
      'Shopify with that of another body',
      'shopify',
      { ...topic, 'x-shopify-hmac-sha256': hmacOf(`${order} `, 'base64') },
    ],
    ['Shopify in hex', 'shopify', { ...topic, 'x-shopify-hmac-sha256': hmacOf(order, 'hex') }],
    ['Shopify cut', 'shopify', { ...topic, 'x-shopify-hmac-sha256': right.slice(0, -4) }],
    ['Shopify twice', 'shopify', { ...topic, 'x-shopify-hmac-sha256': `${right}, ${right}` }],
    ['WooCommerce without one', 'woo', wooTopic],
    ["WooCommerce with Shopify's header", 'woo', { ...wooTopic, 'x-shopify-hmac-sha256': right }],
    ['Stripe without one', 'stripe', {}],
    ['Stripe without a time', 'stripe', { 'stripe-signature': `v1=${hmacOf(order, 'hex')}` }],
    [
      'Stripe over the body alone',
      'stripe',
      { 'stripe-signature': `t=${nowSeconds},v1=${hmacOf(order, 'hex')}` },
    ],
    [
      'Stripe under another scheme',
      'stripe',
      { 'stripe-signature': stripeSignature()(order).replace('v1=', 'v2=') },
    ],
    ['Stripe with two times', 'stripe', { 'stripe-signature': `t=1,${stripeSignature()(order)}` }],
    ['Stripe of long ago', 'stripe', { 'stripe-signature': stripeSignature(301)(order) }],
    ['Stripe of a time to come', 'stripe', { 'stripe-signature': stripeSignature(-310)(order) }],
    ['generic without its prefix', 'loyalty', { 'x-signature': hmacOf(order, 'hex') }],
    ['generic in base 64', 'loyalty', { 'x-signature': `sha256=${right}` }],
    ['generic without one', 'loyalty', {}],
  ]
  for (const [what, source, headers] of wrong) {
    it(`refuses ${what}, and keeps nothing`, async (t) => {
      const stage = await openHookStage(t)
      const answer = await postHook(stage, source, order, headers)
      assert.equal(answer.status, 401)
      assert.equal(((await answer.json()) as { code: string }).code, 'signature-wrong')
      await assertNothingKept(stage)
    })
  }

  it('of Stripe may be any of several, within five minutes', async (t) => {
    const stage = await openHookStage(t)
    const several = (body: string): string => {
      const signed = stripeSignature(299)(body)
      return signed.replace(',v1=', `,v1=${'0'.repeat(64)},v1=`)
    }
    const event = stripeEvent('checkout.session.completed', stripeSession)
    assert.equal((await deliverStripe(stage, event, several)).status, 200)
    const late = stripeEvent('checkout.session.completed', stripeSession, 'evt_2')
    const older = stripeSignature(0, olderSecret)
    assert.equal((await deliverStripe(stage, late, older)).status, 200)
  })

  it('is over the bytes as sent, also where they are compressed', async (t) => {
    const stage = await openHookStage(t)
    const bytes = gzipSync(order)
    const answer = await fetch(`${stage.url}/v1/hooks/shopify`, {
      method: 'POST',
      body: bytes,
      headers: {
        ...topic,
        'content-encoding': 'gzip',
        'x-shopify-hmac-sha256': hmacOf(bytes, 'base64'),
      },
    })
    assert.equal(answer.status, 200)
    assert.deepEqual(stage.counts, { accepted: 2, rejected: 0 })
  })
})

describe('a webhook', () => {
  it('of an unknown source is answered 404, and keeps nothing', async (t) => {
    const stage = await openHookStage(t)
    for (const source of ['nobody', 'web', '__proto__', 'a'.repeat(300), '%00', '%']) {
      const answer = await postHook(stage, source, order, topic)
      assert.equal(answer.status, 404, source)
    }
    await assertNothingKept(stage)
  })

  it('is asked for again where its secret cannot be read', async (t) => {
    const stage = await openHookStage(t)
    const answer = await postHook(stage, 'lost', order, topic)
    assert.deepEqual([answer.status, answer.headers.get('retry-after')], [503, '60'])
    await assertNothingKept(stage)
  })

  it('without a signature in its definition needs the write key', async (t) => {
    const stage = await openHookStage(t)
    const body = '{"type": "track", "event": "Asked", "user": "ada"}'
    assert.equal((await postHook(stage, 'form', body)).status, 401)
    assert.equal((await postHook(stage, 'form?writeKey=wk_12345678', body)).status, 401)
    assert.equal((await postHook(stage, 'form?writeKey=wk_form_1234', body)).status, 200)
    const header = { 'x-write-key': 'wk_form_1234' }
    assert.equal((await postHook(stage, 'form', body, header)).status, 200)
    assert.deepEqual(stage.counts, { accepted: 2, rejected: 0 })
  })

  it('that is signed and cannot be read is kept, with its reason', async (t) => {
    const stage = await openHookStage(t)
    const bodies: readonly (readonly [string, number])[] = [
      ['', 400],
      ['{"id": 1', 400],
      ['null', 400],
      ['[{"id": 1}]', 400],
      ['"text"', 400],
      ['topic=orders%2Fcreate', 400],
      [`${'['.repeat(400)}1${']'.repeat(400)}`, 400],
    ]
    for (const [body, status] of bodies) {
      const signed = { 'x-shopify-hmac-sha256': hmacOf(body, 'base64') }
      const answer = await postHook(stage, 'shopify', body, { ...topic, ...signed })
      assert.equal(answer.status, status, body.slice(0, 20))
    }
    const kept = await keptOf(stage)
    assert.deepEqual(
      kept.map(({ reason }) => reason),
      [
        'body-empty',
        'body-not-json',
        'body-not-an-object',
        'body-not-an-object',
        'body-not-an-object',
        'body-not-json',
        'body-not-an-object',
      ],
    )
    for (const [index, [body]] of bodies.entries()) {
      assert.ok(body.startsWith(kept[index]?.text ?? 'nothing'), `${index}`)
    }
    assert.deepEqual(stage.counts, { accepted: 0, rejected: bodies.length })
  })

  it('that is too large to be checked is answered 413, and keeps nothing', async (t) => {
    const stage = await openHookStage(t, { http: { batchBytesMax: 1_000 } })
    const body = `"${'x'.repeat(1_000)}"`
    const signed = { 'x-shopify-hmac-sha256': hmacOf(body, 'base64') }
    for (const headers of [topic, { ...topic, ...signed }]) {
      assert.equal((await postHook(stage, 'shopify', body, headers)).status, 413)
    }
    await assertNothingKept(stage)
  })

  it('of a kind that is not known is answered 200 and kept', async (t) => {
    const stage = await openHookStage(t)
    assert.equal((await deliverShopify(stage, 'themes/publish', { id: 1 })).status, 200)
    assert.equal((await deliverWoo(stage, 'action.woocommerce_x', { action: 'x' })).status, 200)
    assert.equal((await deliverStripe(stage, stripeEvent('plan.created', {}))).status, 200)
    assert.equal((await deliverStripe(stage, { type: 7 })).status, 200)
    assert.deepEqual(
      (await keptOf(stage)).map(({ reason, text }) => [reason, text.slice(0, 8)]),
      [
        ['item-kind-unknown', '{"id":1}'],
        ['item-kind-unknown', '{"action'],
        ['item-kind-unknown', '{"id":"e'],
        ['item-unreadable', '{"type":'],
      ],
    )
  })

  it('with which WooCommerce tests the address is answered 200', async (t) => {
    const stage = await openHookStage(t)
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    assert.equal((await postHook(stage, 'woo', 'webhook_id=17', form)).status, 200)
    assert.equal((await postHook(stage, 'woo', 'webhook_id=17&a=1', form)).status, 401)
    assert.equal((await postHook(stage, 'shopify', 'webhook_id=17', form)).status, 401)
    await assertNothingKept(stage)
    assert.equal(stage.ignored.dropped, 1)
  })
})

describe('a repeated webhook', () => {
  it('is answered 200 and dropped, by its id or by its body', async (t) => {
    const stage = await openHookStage(t)
    const id = { 'x-shopify-webhook-id': 'd-1' }
    for (let count = 0; count < 3; count++) {
      const answer = await deliverShopify(stage, 'orders/create', shopifyOrder, id)
      assert.equal(answer.status, 200)
    }
    // Whoever replays a body can change its id, which is not signed.
    await deliverShopify(stage, 'orders/create', shopifyOrder)
    assert.deepEqual(stage.counts, { accepted: 2, rejected: 0 })
    assert.equal(stage.ignored.duplicate, 3)
    // Shopify sends the same body for different topics.
    await deliverShopify(stage, 'orders/paid', shopifyOrder)
    assert.deepEqual(stage.counts, { accepted: 4, rejected: 0 })
  })

  it('has the same event ids after a restart, so that the fold drops it', async (t) => {
    const ids: (readonly string[])[] = []
    for (let count = 0; count < 2; count++) {
      const stage = await openHookStage(t)
      const id = { 'x-shopify-webhook-id': 'd-1' }
      await deliverShopify(stage, 'orders/create', shopifyOrder, id)
      await deliverWoo(stage, 'order.created', wooOrder, { 'x-wc-webhook-delivery-id': 'd-2' })
      await deliverStripe(stage, stripeEvent('checkout.session.completed', stripeSession))
      ids.push((await eventsOf(stage)).map(({ eventId }) => eventId))
    }
    assert.deepEqual(ids[0], [
      'd-1-identify',
      'd-1',
      'd-2-identify',
      'order-727-completed',
      'evt_1-identify',
      'evt_1',
    ])
    assert.deepEqual(ids[1], ids[0])
  })

  it('is taken where the first was not durable', async (t) => {
    let isBroken = true
    const stage = await openHookStage(t)
    const { append } = stage.log
    const broken = await openHookStage(t, {
      append: (records) =>
        isBroken ? Promise.reject(new OperatingError('DISK_FULL', 'append')) : append(records),
    })
    const id = { 'x-shopify-webhook-id': 'd-1' }
    const first = await deliverShopify(broken, 'orders/create', shopifyOrder, id)
    assert.equal(first.status, 503)
    isBroken = false
    const second = await deliverShopify(broken, 'orders/create', shopifyOrder, id)
    assert.equal(second.status, 200)
    assert.deepEqual(broken.counts, { accepted: 2, rejected: 0 })
  })

  it('of the generic kind is known by its body where the body holds its id', async (t) => {
    const stage = await openHookStage(t)
    const event = { id: 'e-1', kind: 'points', name: 'Points Earned', member: { id: 'ada' } }
    await deliverLoyalty(stage, { events: [event] })
    await deliverLoyalty(stage, { events: [event] })
    assert.deepEqual([stage.counts.accepted, stage.ignored.duplicate], [1, 1])
    const body = '{"type": "track", "event": "Asked", "user": "ada"}'
    await postHook(stage, 'form?writeKey=wk_form_1234', body)
    await postHook(stage, 'form?writeKey=wk_form_1234', body)
    assert.deepEqual([stage.counts.accepted, stage.ignored.duplicate], [3, 1])
  })
})

describe('a secret', () => {
  it('is in no answer', async (t) => {
    const stage = await openHookStage(t)
    const answers = await Promise.all([
      postHook(stage, 'shopify', order, topic),
      postHook(stage, 'lost', order, topic),
      deliverShopify(stage, 'orders/create', shopifyOrder),
    ])
    for (const answer of answers) assert.ok(!(await answer.text()).includes(secret))
  })
})
