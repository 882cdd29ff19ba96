/** Bad input to pixels and webhooks: what does not prove itself, and what does and is bad. */

import { createHmac } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { shopifyOrder } from '../../src/collect/shop-payload.fixture.ts'
import type { Random } from '../../src/lib/random.ts'
import {
  anyText,
  anyValue,
  type BadClass,
  fixed,
  pick,
  pickIndex,
  post,
  type SentRequest,
} from './bad-input.ts'

/** Sources that the run adds to the small shop, by their files. */
export const waySources: Readonly<Record<string, string>> = {
  'sources/hooks.yaml': 'name: hooks\nwebhook: {kind: shopify, secretVariable: FUZZ_SECRET}\n',
  'sources/mail.yaml':
    'name: mail\nwriteKeys: [wk_fuzz_mail]\npixel: {secretVariable: FUZZ_SECRET}\n',
}
const secret = 'a-secret-of-the-fuzz-run'
export const wayEnvironment = { FUZZ_SECRET: secret }

const topics = ['orders/create', 'orders/updated', 'checkouts/update', 'customers/update', 'odd']
const pixel = '/v1/pixel/track?writeKey=wk_fuzz_mail&event=A&userId=ada'

function hmacOf(body: string | Uint8Array, encoding: 'hex' | 'base64'): string {
  return createHmac('sha256', secret).update(body).digest(encoding)
}

interface HookGiven {
  readonly topic?: string
  readonly signature?: string
  readonly extra?: readonly (readonly [string, string])[]
}

function hook(body: string | Uint8Array, given: HookGiven = {}): SentRequest {
  const { topic = 'orders/create', signature = hmacOf(body, 'base64'), extra = [] } = given
  const signed: readonly (readonly [string, string])[] =
    signature === '' ? [] : [['x-shopify-hmac-sha256', signature]]
  return post(body, {
    path: '/v1/hooks/hooks?verbose=1',
    headers: [['x-shopify-topic', topic], ...signed, ...extra],
  })
}

function hookOf(changes: object, given: HookGiven = {}): SentRequest {
  return hook(JSON.stringify({ ...shopifyOrder, ...changes }), given)
}

function showPixel(path: string): SentRequest {
  return { method: 'GET', path, headers: [], body: Buffer.alloc(0) }
}

function anySignature(random: Random, right: string): string {
  const at = pickIndex(random, right.length)
  const odd = anyText(random, 40).replace(/[^\x21-\x7e]/g, '')
  return pick(random, [right.slice(0, at), `${right}${odd}`, `${right}, ${right}`, odd])
}

export const wayClasses: readonly BadClass[] = [
  {
    number: 32,
    name: 'signatures of pixels and webhooks',
    fixed: [
      fixed('a webhook without one', hookOf({}, { signature: '' }), '401 signature-wrong'),
      fixed(
        'of another body',
        hookOf({}, { signature: hmacOf('another', 'base64') }),
        '401 signature-wrong',
      ),
      fixed('in hex', hook('{}', { signature: hmacOf('{}', 'hex') }), '401 signature-wrong'),
      fixed(
        'cut',
        hook('{}', { signature: hmacOf('{}', 'base64').slice(1) }),
        '401 signature-wrong',
      ),
      fixed(
        'a source that is nobody',
        { ...hook('{}'), path: '/v1/hooks/x' },
        '404 source-unknown',
      ),
      fixed('a pixel without one is shown, rejected and kept', showPixel(pixel), '200'),
      fixed(
        'a pixel with that of another query is too',
        showPixel(`${pixel}&p.a=1&sig=${hmacOf(pixel, 'hex')}`),
        '200',
      ),
    ],
    generate(random) {
      if (random.unit() < 0.5) {
        const body = JSON.stringify({ id: anyText(random, 20) })
        return hook(body, { signature: anySignature(random, hmacOf(body, 'base64')) })
      }
      const right = hmacOf(pixel, 'hex')
      return showPixel(`${pixel}&sig=${encodeURIComponent(`${anySignature(random, right)}x`)}`)
    },
  },
  {
    number: 63,
    name: 'webhooks that prove themselves',
    fixed: [
      fixed('as it should be', hookOf({ id: 63 }), 'accepted'),
      fixed(
        'compressed, and signed so',
        hook(gzipSync(JSON.stringify({ ...shopifyOrder, id: 64 })), {
          extra: [['content-encoding', 'gzip']],
        }),
        'accepted',
      ),
      fixed('a list of them', hook(JSON.stringify([shopifyOrder])), '400 body-not-an-object'),
      fixed('a form', hook('topic=orders%2Fcreate'), '400 body-not-json'),
      fixed('nothing', hook(''), '400 body-empty'),
      fixed('an unknown topic', hookOf({}, { topic: 'odd/topic' }), 'rejected item-kind-unknown'),
      fixed(
        'an amount of 1,234.50',
        hookOf({ total_price: '1,234.50' }),
        'rejected item-unreadable',
      ),
      fixed('a negative one', hookOf({ total_price: -5 }), 'rejected item-unreadable'),
      fixed(
        '10,000 lines',
        hookOf({ line_items: Array(10_000).fill({}) }),
        'rejected item-unreadable',
      ),
      fixed('nobody', hook('{"id": 1}'), 'rejected id-missing'),
    ],
    generate(random) {
      const changes = Object.fromEntries(
        Array.from({ length: 1 + pickIndex(random, 3) }, () => [
          pick(random, Object.keys(shopifyOrder)),
          anyValue(random, 3),
        ]),
      )
      return hookOf(changes, { topic: pick(random, topics) })
    },
  },
]
