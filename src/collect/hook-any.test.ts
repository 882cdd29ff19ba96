/**
 * Whatever a shop system sends under its secret: payloads of the published form with any field
 * replaced by anything, under any topic. Never 5xx; every delivery has an outcome; what was counted
 * is what is in the logs.
 */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Json, JsonObject } from '../lib/json.ts'
import type { Stage } from './collect-stage.fixture.ts'
import {
  deliverLoyalty,
  deliverShopify,
  deliverStripe,
  deliverWoo,
  openHookStage,
} from './hook-stage.fixture.ts'
import {
  shopifyCheckout,
  shopifyCustomer,
  shopifyOrder,
  shopifyRefund,
  stripeEvent,
  stripeSession,
  wooCustomer,
  wooOrder,
} from './shop-payload.fixture.ts'
import { shopifyTopics } from './shopify-hook.ts'
import { stripeTypes } from './stripe-hook.ts'
import { woocommerceTopics } from './woocommerce-hook.ts'

const runCount = 300

const oddities: readonly Json[] = [
  ...[null, true, '', 0, -1, 1.5, 1e308, 2 ** 53, '1,234.50', '12.50', 'null', '__proto__'],
  ...['\u0000', '\ud800', 'x'.repeat(3_000), [], {}, [null], [[]], [{}], { id: 1 }, 'NaN'],
]
const anything = fc.oneof(
  fc.constantFrom(...oddities),
  fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<Json>,
)

/** The paths of all values within a payload. */
function pathsOf(value: Json, path: readonly string[] = []): readonly (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return [path]
  const inner = Object.entries(value as JsonObject).flatMap(([name, each]) =>
    pathsOf(each, [...path, name]),
  )
  return [path, ...inner]
}

function withValue(value: Json, path: readonly string[], put: Json): Json {
  const [name, ...rest] = path
  if (name === undefined) return put
  const changed: Json = withValue((value as JsonObject)[name] ?? null, rest, put)
  if (!Array.isArray(value)) return { ...(value as JsonObject), [name]: changed }
  return (value as readonly Json[]).map((each, index) => (String(index) === name ? changed : each))
}

/** Returns payloads like `bases`, with up to three values replaced by anything. */
function payloadLike(bases: readonly Json[]): fc.Arbitrary<Json> {
  const change = fc.tuple(fc.nat(), anything)
  return fc
    .tuple(fc.constantFrom(...bases), fc.array(change, { maxLength: 3 }))
    .map(([base, changes]) =>
      changes.reduce((payload: Json, [at, put]) => {
        const paths = pathsOf(payload)
        return withValue(payload, paths[at % paths.length] ?? [], put)
      }, base),
    )
}

function topicLike(topics: Readonly<Record<string, string>>): fc.Arbitrary<string> {
  const odd = fc.constantFrom('', '__proto__', 'constructor', 'orders/', 'x'.repeat(500))
  return fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...Object.keys(topics)) }, odd)
}

async function assertCounts(stage: Stage, answer: Response, before: number): Promise<void> {
  assert.ok([200, 400, 413].includes(answer.status), `${answer.status}`)
  const { counts, ignored } = stage
  const after = counts.accepted + counts.rejected + ignored.duplicate + ignored.dropped
  assert.ok(after > before, 'every delivery has an outcome')
  assert.equal(await stage.log.end(0), counts.accepted)
  assert.equal(await stage.rejected.end(0), counts.rejected)
}

function outcomeCount({ counts, ignored }: Stage): number {
  return counts.accepted + counts.rejected + ignored.duplicate + ignored.dropped
}

describe('any delivery', () => {
  const bases = {
    shopify: [
      shopifyOrder,
      { ...shopifyOrder, refunds: [shopifyRefund] },
      shopifyRefund,
      shopifyCheckout,
      shopifyCustomer,
      { shop_id: 9, shop_domain: 'a.example', customer: shopifyCustomer },
    ],
    woo: [wooOrder, wooCustomer, { id: 1 }],
    loyalty: [
      { events: [{ id: 'e', kind: 'points', name: 'A', member: { id: 'ada' }, points: 4 }] },
    ],
  }
  const shopify = fc.tuple(payloadLike(bases.shopify as Json[]), topicLike(shopifyTopics))
  const woo = fc.tuple(payloadLike(bases.woo as Json[]), topicLike(woocommerceTopics))
  const session = payloadLike([stripeSession, { ...stripeSession, metadata: null }])
  const stripe = fc
    .tuple(session, topicLike(stripeTypes))
    .chain(([object, type]) => payloadLike([stripeEvent(type, object) as Json]))
  const sends: Readonly<Record<string, (stage: Stage) => fc.Arbitrary<() => Promise<Response>>>> = {
    Shopify: (stage) =>
      shopify.map(
        ([payload, topic]) =>
          () =>
            deliverShopify(stage, topic, payload),
      ),
    WooCommerce: (stage) =>
      woo.map(
        ([payload, topic]) =>
          () =>
            deliverWoo(stage, topic, payload),
      ),
    Stripe: (stage) => stripe.map((payload) => () => deliverStripe(stage, payload)),
    'another system': (stage) =>
      payloadLike(bases.loyalty).map((payload) => () => deliverLoyalty(stage, payload)),
  }
  for (const [system, sendOf] of Object.entries(sends)) {
    it(`of ${system} has an outcome, and never ours to blame`, async (t) => {
      const stage = await openHookStage(t)
      const property = fc.asyncProperty(sendOf(stage), async (send) => {
        const before = outcomeCount(stage)
        await assertCounts(stage, await send(), before)
      })
      await fc.assert(property, { numRuns: runCount })
      assert.ok(stage.counts.accepted > 10, 'some of it is good')
      assert.ok(stage.counts.rejected > 10, 'some of it is bad')
      assert.equal(Object.hasOwn(Object.prototype, 'a'), false)
    })
  }
})
