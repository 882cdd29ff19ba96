/** Bad requests for recommendations: their parameters, their ids, who asks, their bodies. */

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

/** A key of scope `read`; the run adds it to the server's. */
export const fuzzApiKey = `atk_${'fuzz'.repeat(10)}abc`

const root = '/api/v1'
const trending = `${root}/recommendations/trending`
const bearer = [['authorization', `Bearer ${fuzzApiKey}`]] as const

function get(path: string, headers: SentRequest['headers'] = bearer): SentRequest {
  return { method: 'GET', path, headers, body: Buffer.alloc(0) }
}

function basicOf(credentials: string): SentRequest['headers'] {
  return [['authorization', `Basic ${Buffer.from(credentials).toString('base64')}`]]
}

function ask(body: unknown): SentRequest {
  const headers = [...bearer, ['content-type', 'application/json']] as const
  return post(body, { path: `${root}/recommendations`, headers })
}

/** Returns any text as it may stand in a path or a query. */
function escaped(random: Random, lengthMax: number): string {
  return encodeURIComponent(anyText(random, lengthMax).toWellFormed())
}

const counts = ['', '0', '4', '100', '9999', '-1', '1e3', '0x10', '4.5', '%2000', 'NaN']
const kinds = ['for-you', 'similar', 'trending', 'viewed-not-bought', 'view', 'cart', 'purchase']
const bodyNames = ['profile', 'activity', 'exclude', 'count', 'recommender', 'rules', 'slots']
const innerNames = [
  ...['kind', 'include', 'exclude', 'pin', 'boost', 'price', 'from', 'to', 'currency', 'by'],
  ...['categories', 'tags', 'diversity', 'maxPerBrand', 'weights', 'itemId', 'occurredAtMs'],
  ...['name', 'count', 'recommender', 'trending', '1', '5+'],
]

/** Returns what looks like a part of a body more often than any value does. */
function anyPart(random: Random, depth: number): unknown {
  const draw = random.unit()
  if (draw < 0.3 || depth === 0) return anyValue(random, 2)
  if (draw < 0.4) return pick(random, kinds)
  if (draw < 0.5) return pick(random, [0, 1, 4, 100, 101, 1e9, 0.5, 8.64e15])
  const count = pickIndex(random, 4)
  if (draw < 0.7) return Array.from({ length: count }, () => anyPart(random, depth - 1))
  return Object.fromEntries(
    Array.from({ length: count }, () => [pick(random, innerNames), anyPart(random, depth - 1)]),
  )
}

export const recommendationClasses: readonly BadClass[] = [
  {
    number: 67,
    name: 'parameters of recommendations',
    fixed: [
      fixed('as it should be', get(`${trending}?count=4&category=Cups`), '200'),
      fixed('empty ones', get(`${trending}?count=&recommender=&category=&exclude=`), '200'),
      fixed('a count that is no number', get(`${trending}?count=x`), '400 invalid'),
      fixed('a negative one', get(`${trending}?count=-1`), '400 invalid'),
      fixed('more than there may be', get(`${trending}?count=9999`), '200'),
      fixed('five digits', get(`${trending}?count=10000`), '400 invalid'),
      fixed('a count twice', get(`${trending}?count=1&count=2`), '400 invalid'),
      fixed('a category of 201', get(`${trending}?category=${'c'.repeat(201)}`), '400 invalid'),
      fixed('no recommender', get(`${trending}?recommender=x`), '404 recommender-unknown'),
      fixed('a prototype', get(`${trending}?recommender=__proto__`), '404 recommender-unknown'),
      fixed('an empty id', get(`${root}/profiles//recommendations`), '200'),
      fixed(
        'an id of 301',
        get(`${root}/profiles/${'x'.repeat(301)}/recommendations`),
        '400 profile-id-invalid',
      ),
      fixed('an item that is none', get(`${root}/items/a%2F..%00/similar`), '200'),
      fixed('bad escapes', get(`${root}/items/%zz/similar`), '400 invalid'),
      fixed('nobody', get(trending, []), '401 key-missing'),
      fixed('a stranger', get(trending, basicOf('x:y')), '401 key-unknown'),
      fixed('a key as the password', get(trending, basicOf(`x:${fuzzApiKey}`)), '200'),
    ],
    generate(random) {
      const path = pick(random, [
        trending,
        `${root}/profiles/${escaped(random, 40)}/recommendations`,
        `${root}/items/${escaped(random, 40)}/similar`,
      ])
      const names = ['count', 'recommender', 'category', 'exclude', escaped(random, 6)]
      const pairs = Array.from({ length: pickIndex(random, 5) }, () => {
        const isCount = random.unit() < 0.5
        return `${pick(random, names)}=${isCount ? pick(random, counts) : escaped(random, 30)}`
      })
      const headers = random.unit() < 0.9 ? bearer : basicOf(anyText(random, 60).toWellFormed())
      return get(`${path}?${pairs.join('&')}`, headers)
    },
  },
  {
    number: 68,
    name: 'bodies that ask for recommendations',
    fixed: [
      fixed('an empty one', ask({}), '200'),
      fixed('nobody', ask({ profile: '', recommender: '' }), '200'),
      fixed('nothing', ask(''), '400 invalid'),
      fixed('an array', ask([]), '400 invalid'),
      fixed('no JSON', ask('{"count": 4'), '400 invalid'),
      fixed('a field that is none', ask({ counts: 4 }), '400 invalid'),
      fixed('a count that is a text', ask({ count: '4' }), '400 invalid'),
      fixed('a negative one', ask({ count: -1 }), '400 invalid'),
      fixed('1e308', ask({ count: 1e308 }), '400 invalid'),
      fixed('no slots', ask({ slots: [] }), '400 invalid'),
      fixed('11', ask({ slots: Array(11).fill({ name: 'a', count: 1 }) }), '400 invalid'),
      fixed('rules of no kind', ask({ rules: { kind: 'magic' } }), '400 invalid'),
      fixed('rules that are none', ask({ rules: [] }), '400 invalid'),
      fixed('a prototype', ask('{"rules": {"__proto__": {"polluted": 1}}}'), '400 invalid'),
      fixed('1,000 excluded', ask({ exclude: Array(1000).fill('x') }), '200'),
      fixed('1,001', ask({ exclude: Array(1001).fill('x') }), '400 invalid'),
      fixed('the last instant', ask({ activity: [{ itemId: 'x', occurredAtMs: 8.64e15 }] }), '200'),
      fixed('before all', ask({ activity: [{ itemId: 'x', occurredAtMs: -1 }] }), '400 invalid'),
      fixed('no recommender', ask({ recommender: 'x' }), '404 recommender-unknown'),
    ],
    generate(random) {
      if (random.unit() < 0.1) return ask(anyValue(random, 4) ?? '')
      const count = 1 + pickIndex(random, 3)
      return ask(
        Object.fromEntries(
          Array.from({ length: count }, () => [pick(random, bodyNames), anyPart(random, 4)]),
        ),
      )
    },
  },
]
