/** Sound input that is bad by what it means: versions, repeats, lateness, contacts. */

import { writeKey } from '../faults/small-shop.ts'
import {
  anEvent,
  anyText,
  anyValue,
  type BadClass,
  fixed,
  pick,
  pickIndex,
  post,
  type SentRequest,
} from './bad-input.ts'

const plannedKey = 'wk_planned'

/** A source with a strict plan, by its file in the folder of definitions. */
export const meaningSources: Readonly<Record<string, string>> = {
  'sources/planned.yaml': `name: planned
writeKeys: [${plannedKey}]
trackingPlan:
  mode: strict
  events:
    Order Completed:
      default: 2
      versions:
        1: removed
        2: {schema: {type: object, required: [order_id]}}
        3: {schema: {type: object, required: [order_id, total]}}
`,
}

const identify = { path: '/v1/identify?verbose=1' }

function planned(event: object): SentRequest {
  const authorization = `Basic ${Buffer.from(`${plannedKey}:`).toString('base64')}`
  return { ...post(event), headers: [['authorization', authorization]] }
}

function ofVersion(schemaVersion: unknown, properties: object = { order_id: 'o' }): SentRequest {
  const context = schemaVersion === undefined ? {} : { schemaVersion }
  return planned(anEvent({ event: 'Order Completed', properties, context }))
}

function withTraits(traits: object): SentRequest {
  return post({ userId: 'ada', traits }, identify)
}

const addresses: readonly string[] = [
  ...['"a b"@mail.example', 'a+b@mail.example', `${'a'.repeat(65)}@mail.example`, 'a@b', 'a@b.'],
  ...['a@[127.0.0.1]', 'a(comment)@mail.example', 'a@mail.example,b@mail.example', '@', ''],
]
const links: readonly string[] = [
  ...['javascript:alert(1)', 'data:text/html,x', 'file:///etc/passwd', '//host', '\\\\host'],
  ...['https://user@host', `https://host/${'a'.repeat(8_000)}`],
]
const lines: readonly string[] = ['a\n{"level":"error"}', 'a\r\n2026-01-01 ERROR', '%0a%0d']

export const meaningClasses: readonly BadClass[] = [
  {
    number: 33,
    name: 'versions of a schema',
    fixed: [
      fixed('none: the default', ofVersion(undefined), 'accepted'),
      fixed('a newer one', ofVersion(3, { order_id: 'o', total: 1 }), 'accepted'),
      fixed('the older again', ofVersion(2), 'accepted'),
      fixed('one to come', ofVersion(9), 'rejected plan-version-unknown'),
      fixed('one that is removed', ofVersion(1), 'rejected plan-version-unknown'),
      fixed('not what it asks for', ofVersion(3), 'rejected plan-mismatch'),
      fixed('an event without a plan', planned(anEvent()), 'rejected plan-event-unknown'),
    ],
    generate: (random) => ofVersion(anyValue(random, 1), { order_id: anyValue(random, 1) }),
  },
  {
    number: 39,
    name: 'the same event again: taken, and applied once',
    fixed: [1, 2].map((time) =>
      fixed(`time ${time}`, post(anEvent({ messageId: 'r' })), 'accepted'),
    ),
    generate: (random) => post(anEvent({ messageId: `again-${pickIndex(random, 20)}` })),
  },
  {
    number: 40,
    name: 'another event under an id that is known: kept, counted, and not applied',
    fixed: ['Cup', 'Plate'].map((name) =>
      fixed(name, post(anEvent({ messageId: 'x', properties: { name } })), 'accepted'),
    ),
    generate: (random) => {
      const properties = { name: anyText(random, 9), price: anyValue(random, 1) }
      return post(anEvent({ messageId: `other-${pickIndex(random, 20)}`, properties }))
    },
  },
  {
    number: 42,
    name: 'late and out of order',
    fixed: ['2026-11-01T00:00:01Z', '2026-11-01T00:00:00Z', '2020-01-01T00:00:00Z'].map(
      (timestamp) => fixed(timestamp, post(anEvent({ timestamp })), 'accepted'),
    ),
    generate: (random) => post(anEvent({ timestamp: 1.6e12 + 2e11 * random.unit() })),
  },
  {
    number: 47,
    name: 'addresses that are none: kept as they are, and never written to',
    fixed: addresses.map((email) => fixed(email || 'empty', withTraits({ email }), 'accepted')),
    generate: (random) => withTraits({ email: `${anyText(random, 20)}@${anyText(random, 20)}` }),
  },
  {
    number: 48,
    name: 'addresses that would reach somebody else',
    fixed: [
      fixed('a line break', withTraits({ email: 'a@b.example\r\nBcc: c@d.example' }), 'accepted'),
      fixed('NUL', withTraits({ email: 'a@b.example\0' }), 'rejected text-invalid'),
      fixed('brackets', withTraits({ email: '<a@b.example> <c@d.example>' }), 'accepted'),
    ],
    generate: (random) =>
      withTraits({
        email: `a@b.example${pick(random, ['\r\n', '\t', '<', '>', '\n'])}c@d.example`,
      }),
  },
  {
    number: 49,
    name: 'addresses of other alphabets',
    fixed: [
      fixed('a domain', withTraits({ email: 'a@b\u00fccher.example' }), 'accepted'),
      fixed('a bad xn--', withTraits({ email: 'a@xn--\u00e9.example' }), 'accepted'),
    ],
    generate: (random) => withTraits({ email: `a@${anyText(random, 12)}.example` }),
  },
  {
    number: 50,
    name: 'names that look like something else',
    fixed: [
      fixed('an address', withTraits({ name: '"b@c.example" <d@e.example>' }), 'accepted'),
      fixed('turned around', withTraits({ name: '\u202emoc.live' }), 'accepted'),
    ],
    generate: (random) => withTraits({ name: anyText(random, 1_000) }),
  },
  {
    number: 51,
    name: 'links that are none: text, and no link in an email',
    fixed: links.map((url) =>
      fixed(url.slice(0, 30), post(anEvent({ properties: { url, image_url: url } })), 'accepted'),
    ),
    generate: (random) =>
      post(anEvent({ properties: { url: pick(random, links) + anyText(random, 9) } })),
  },
  {
    number: 59,
    name: 'lines that would forge a log',
    fixed: [
      ...lines.map((text, index) =>
        fixed(`line ${index + 1}`, post(anEvent({ properties: { text } })), 'accepted'),
      ),
      fixed('in the name', post(anEvent({ event: 'a\nb' })), 'rejected event-name-invalid'),
    ],
    generate: (random) => post(anEvent({ event: `a${pick(random, lines)}${anyText(random, 9)}` })),
  },
  {
    number: 66,
    name: 'as large as every store takes',
    fixed: [
      fixed(
        'the longest ids and names',
        post(
          anEvent({ userId: 'u'.repeat(200), messageId: 'm'.repeat(100), event: 'e'.repeat(200) }),
        ),
        'accepted',
      ),
    ],
    generate: (random) =>
      post(anEvent({ userId: `${writeKey}-${'u'.repeat(pickIndex(random, 220))}` })),
  },
]
