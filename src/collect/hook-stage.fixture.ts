import { createHmac } from 'node:crypto'
import type { TestContext } from 'node:test'
import { parseSource, type Source } from '../event/source.ts'
import { type Clock, systemClock } from '../lib/clock.ts'
import { silentLogger } from '../lib/logger.ts'
import { createAdaptedRoutes } from './adapted-routes.ts'
import { openStage, type Stage, type StageOptions } from './collect-stage.fixture.ts'

export const secret = 'shpss_0123456789abcdef'
export const olderSecret = 'an older secret, with blanks'

const secretVariable = 'HOOK_SECRET'
const definitions: readonly unknown[] = [
  { name: 'shopify', webhook: { kind: 'shopify', secretVariable } },
  { name: 'woo', webhook: { kind: 'woocommerce', secretVariable } },
  { name: 'stripe', webhook: { kind: 'stripe', secretVariable } },
  { name: 'lost', webhook: { kind: 'shopify', secretFile: '/nowhere/at/all' } },
  {
    name: 'loyalty',
    webhook: {
      kind: 'generic',
      secretVariable,
      signature: { header: 'X-Signature', encoding: 'hex', prefix: 'sha256=' },
      mapping: {
        items: '/events',
        filters: [{ pointer: '/kind', equals: 'points' }],
        type: { value: 'track' },
        event: '/name',
        userId: '/member/id',
        anonymousId: '/device',
        messageId: '/id',
        timestamp: '/at',
        properties: { points: '/points', shop: { value: 'main' }, tag: '/tags/1' },
      },
    },
  },
  {
    name: 'form',
    writeKeys: ['wk_form_1234'],
    webhook: {
      kind: 'generic',
      mapping: { type: '/type', event: '/event', userId: '/user', traits: '/about' },
    },
  },
]

export function openHookStage(
  t: TestContext,
  options: StageOptions & { readonly clock?: Clock } = {},
): Promise<Stage> {
  const sources = definitions.map((definition): Source => {
    const parsed = parseSource(definition)
    if (parsed.kind === 'source') return parsed.source
    throw new Error(JSON.stringify(parsed.faults))
  })
  const environment = { [secretVariable]: `${secret}\n${olderSecret}\n` }
  const clock = options.clock ?? systemClock
  const adapted = createAdaptedRoutes({ clock, logger: silentLogger, environment })
  return openStage(t, { adapted, sources, ...options })
}

export type Headers = Readonly<Record<string, string>>

export function hmacOf(
  body: string | Uint8Array,
  encoding: 'hex' | 'base64',
  key = secret,
): string {
  return createHmac('sha256', key).update(body).digest(encoding)
}

export function postHook(
  stage: Stage,
  source: string,
  body: string,
  headers: Headers = {},
): Promise<Response> {
  return fetch(`${stage.url}/v1/hooks/${source}`, { method: 'POST', body, headers })
}

let deliveryCount = 0

/** Delivers as Shopify does: signed, with an id that no other delivery has. */
export function deliverShopify(
  stage: Stage,
  topic: string,
  payload: unknown,
  headers: Headers = {},
): Promise<Response> {
  const body = JSON.stringify(payload)
  return postHook(stage, 'shopify', body, {
    'content-type': 'application/json',
    'x-shopify-topic': topic,
    'x-shopify-shop-domain': 'teapots.myshopify.example',
    'x-shopify-webhook-id': `delivery-${++deliveryCount}`,
    'x-shopify-hmac-sha256': hmacOf(body, 'base64'),
    ...headers,
  })
}

export function deliverWoo(
  stage: Stage,
  topic: string,
  payload: unknown,
  headers: Headers = {},
): Promise<Response> {
  const body = JSON.stringify(payload)
  return postHook(stage, 'woo', body, {
    'content-type': 'application/json',
    'x-wc-webhook-topic': topic,
    'x-wc-webhook-delivery-id': `delivery-${++deliveryCount}`,
    'x-wc-webhook-signature': hmacOf(body, 'base64'),
    ...headers,
  })
}

export function deliverStripe(
  stage: Stage,
  payload: unknown,
  sign: (body: string) => string = stripeSignature(),
): Promise<Response> {
  const body = JSON.stringify(payload)
  const headers = { 'content-type': 'application/json', 'stripe-signature': sign(body) }
  return postHook(stage, 'stripe', body, headers)
}

/** Signs as Stripe does, `ageSeconds` ago. */
export function stripeSignature(ageSeconds = 0, key = secret): (body: string) => string {
  const time = Math.floor(systemClock.nowMs() / 1_000) - ageSeconds
  return (body) => `t=${time},v1=${hmacOf(`${time}.${body}`, 'hex', key)},v0=${'0'.repeat(64)}`
}

export function deliverLoyalty(
  stage: Stage,
  payload: unknown,
  headers: Headers = {},
): Promise<Response> {
  const body = JSON.stringify(payload)
  return postHook(stage, 'loyalty', body, {
    'x-signature': `sha256=${hmacOf(body, 'hex')}`,
    ...headers,
  })
}
