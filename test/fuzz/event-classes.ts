/** Bad events in sound bodies: types, texts, ids, times, amounts. */

import {
  anEvent,
  anyText,
  anyValue,
  type BadClass,
  type FixedCase,
  fixed,
  pick,
  pickIndex,
  post,
} from './bad-input.ts'

const fields = ['type', 'event', 'userId', 'anonymousId', 'messageId', 'properties', 'context']

const types: readonly (readonly [string, unknown, string])[] = [
  ['an event that is a number', { event: 7 }, 'event-name-invalid'],
  ['a userId that is an object', { userId: {} }, 'id-invalid'],
  ['a userId that is true', { userId: true }, 'id-invalid'],
  ['an anonymousId that is a number', { anonymousId: 7 }, 'id-invalid'],
  ['a messageId that is a number', { messageId: 7 }, 'event-id-invalid'],
  ['properties that are an array', { properties: [] }, 'field-type-wrong'],
  ['properties that are text', { properties: 'a' }, 'field-type-wrong'],
  ['a context that is a number', { context: 1 }, 'field-type-wrong'],
]

const alias = { path: '/v1/alias?verbose=1' }

const placeholders = ['null', 'undefined', 'guest', '0', 'NaN', 'true', '[object Object]', ' None ']

function rejects(says: string, given: object, reason: string): FixedCase {
  return fixed(says, post(anEvent(given)), `rejected ${reason}`)
}

function accepts(says: string, given: object): FixedCase {
  return fixed(says, post(anEvent(given)), 'accepted')
}

const badPrevious: readonly (readonly [string, string, string])[] = [
  ['an alias of everybody', 'guest', 'rejected id-invalid'],
  ['an alias of zeros', '0000-0000', 'rejected id-invalid'],
  ['an alias with a line break', 'a\nb', 'rejected id-invalid'],
  ['an alias with half a character', 'a\ud800', 'rejected text-invalid'],
]

export const eventClasses: readonly BadClass[] = [
  {
    number: 13,
    name: 'wrong types',
    fixed: types.map(([says, given, reason]) => rejects(says, given as object, reason)),
    generate: (random) => post(anEvent({ [pick(random, fields)]: anyValue(random, 2) })),
  },
  {
    number: 14,
    name: 'missing and unknown fields',
    fixed: [
      rejects('no event', { event: undefined }, 'event-name-missing'),
      rejects('nobody', { userId: undefined }, 'id-missing'),
      accepts('a field that nobody knows', { colour: 'blue' }),
    ],
    generate: (random) => post(anEvent({ [pick(random, fields)]: undefined })),
  },
  {
    number: 15,
    name: 'lengths around their limits',
    fixed: [
      accepts('an event of 200 characters', { event: 'e'.repeat(200) }),
      rejects('one of 201', { event: 'e'.repeat(201) }, 'event-name-invalid'),
      accepts('a text of 16 KiB', { properties: { a: 'x'.repeat(16_384) } }),
      rejects('one byte more', { properties: { a: 'x'.repeat(16_385) } }, 'string-too-long'),
    ],
    generate: (random) => post(anEvent({ event: 'e'.repeat(190 + pickIndex(random, 20)) })),
  },
  {
    number: 18,
    name: 'half a character',
    fixed: [rejects('in a text', { properties: { a: '\ud800' } }, 'text-invalid')],
    generate: (random) =>
      post(anEvent({ properties: { a: `a${pick(random, ['\ud800', '\udfff'])}b` } })),
  },
  {
    number: 19,
    name: 'control characters',
    fixed: [
      rejects('NUL in a text', { properties: { a: '\0' } }, 'text-invalid'),
      rejects('escape in a text', { properties: { a: '\u001b[31m' } }, 'text-invalid'),
      rejects('NUL in a name', { properties: { 'a\0': 1 } }, 'key-invalid'),
      rejects('a line break in an id', { userId: 'a\nb' }, 'id-invalid'),
      accepts('a line break in a text', { properties: { a: 'a\nb' } }),
    ],
    generate: (random) =>
      post(anEvent({ properties: { a: `${String.fromCharCode(pickIndex(random, 0xa0))}` } })),
  },
  {
    number: 20,
    name: 'zero width, direction, combining',
    fixed: [
      accepts('they are text', { properties: { a: '\u200b\u202e' } }),
      accepts('a tower of marks', { properties: { a: `a${'\u0301'.repeat(5_000)}` } }),
    ],
    generate: (random) =>
      post(anEvent({ properties: { [anyText(random, 20)]: anyText(random, 200) } })),
  },
  {
    number: 21,
    name: 'texts that a normalisation would stretch: they stay as they came',
    fixed: [accepts('U+FDFA', { properties: { a: '\ufdfa'.repeat(2_000) } })],
    generate: (random) =>
      post(anEvent({ properties: { a: '\ufdfa'.repeat(pickIndex(random, 7_000)) } })),
  },
  {
    number: 34,
    name: 'times ahead',
    fixed: [
      accepts('year 9999', { timestamp: '9999-12-31T23:59:59Z' }),
      accepts('the last instant of the language', { timestamp: '+275760-09-13T00:00:00.000Z' }),
    ],
    generate: (random) => post(anEvent({ timestamp: 4e12 * random.unit() ** 3 })),
  },
  {
    number: 35,
    name: 'times long past, and in other units',
    fixed: [
      accepts('1970', { timestamp: 0 }),
      accepts('a negative number', { timestamp: -1 }),
      accepts('microseconds', { timestamp: 1_760_000_000_000_000 }),
    ],
    generate: (random) =>
      post(anEvent({ timestamp: (random.unit() - 0.1) * 10 ** pickIndex(random, 20) })),
  },
  {
    number: 36,
    name: 'days and hours that do not exist',
    fixed: ['2026-02-30', '2026-01-01T24:61', '2026-06-30T23:59:60Z', 'yesterday'].map(
      (timestamp) => accepts(timestamp, { timestamp }),
    ),
    generate: (random) => {
      const part = (): string => String(pickIndex(random, 99)).padStart(2, '0')
      return post(anEvent({ timestamp: `2026-${part()}-${part()}T${part()}:${part()}:${part()}Z` }))
    },
  },
  {
    number: 37,
    name: 'time zones',
    fixed: ['+14:00', '-00:00', '', '+15:00', 'CET'].map((zone) =>
      accepts(`zone "${zone}"`, { timestamp: `2026-10-25T02:30:00${zone}` }),
    ),
    generate: (random) => {
      const sign = pick(random, ['+', '-', ''])
      const zone = `${pickIndex(random, 30)}:${pickIndex(random, 99)}`
      return post(anEvent({ timestamp: `2026-10-25T02:30:00${sign}${zone}` }))
    },
  },
  {
    number: 38,
    name: 'clocks of producers that are wrong',
    fixed: [
      accepts('sent before it happened', {
        timestamp: '2026-11-02T00:00:00Z',
        sentAt: '2026-11-01T00:00:00Z',
      }),
      accepts('a clock of 1980', {
        timestamp: '1980-01-01T00:00:00Z',
        sentAt: '1980-01-01T00:00:01Z',
      }),
    ],
    generate: (random) =>
      post(anEvent({ timestamp: 4e12 * random.unit(), sentAt: 4e12 * random.unit() })),
  },
  {
    number: 41,
    name: 'ids of events',
    fixed: [
      accepts('none: one is made', { messageId: undefined }),
      accepts('an empty one: one is made', { messageId: '' }),
      rejects('one of 10 KB', { messageId: 'm'.repeat(10_000) }, 'event-id-invalid'),
    ],
    generate: (random) => post(anEvent({ messageId: anyText(random, 120) })),
  },
  {
    number: 43,
    name: 'placeholders that many people would share',
    fixed: placeholders.map((userId) => rejects(userId, { userId }, 'id-invalid')),
    generate: (random) => {
      const name = pick(random, placeholders)
      return post(anEvent({ userId: random.unit() < 0.5 ? name.toUpperCase() : ` ${name}\t` }))
    },
  },
  {
    number: 44,
    name: 'long ids, and separators in them',
    fixed: [
      accepts('200 bytes', { userId: 'u'.repeat(200) }),
      rejects('201 bytes', { userId: 'u'.repeat(201) }, 'id-invalid'),
      rejects('NUL', { userId: 'a\0b' }, 'text-invalid'),
      accepts('slash and colon', { userId: 'a/b:c' }),
    ],
    generate: (random) => post(anEvent({ userId: anyText(random, 220) })),
  },
  {
    number: 45,
    name: 'ids that look the same are not the same',
    fixed: [
      accepts('composed', { userId: '\u00e9' }),
      accepts('decomposed', { userId: 'e\u0301' }),
    ],
    generate: (random) => post(anEvent({ userId: `e${pick(random, ['\u0301', '\u200d', 'E'])}` })),
  },
  {
    number: 46,
    name: 'people who would be their own past',
    fixed: [
      fixed(
        'an alias of itself',
        post(anEvent({ type: 'alias', previousId: 'ada' }), alias),
        'rejected alias-invalid',
      ),
      fixed('an alias of nobody', post(anEvent(), alias), 'rejected alias-invalid'),
      ...badPrevious.map(([name, previousId, end]) =>
        fixed(name, post(anEvent({ type: 'alias', previousId }), alias), end),
      ),
    ],
    generate: (random) =>
      post({ userId: `c${pickIndex(random, 5)}`, previousId: `c${pickIndex(random, 5)}` }, alias),
  },
  {
    number: 54,
    name: 'amounts and currencies as text and out of range',
    fixed: [
      accepts('a price as text', { properties: { price: '12.50', currency: 'gbp' } }),
      accepts('1e308', { event: 'Order Completed', properties: { total: 1e308, order_id: 'o' } }),
    ],
    generate: (random) =>
      post(
        anEvent({
          event: pick(random, ['Order Completed', 'Product Added', 'Order Refunded']),
          properties: {
            total: anyValue(random, 1),
            price: anyValue(random, 1),
            currency: anyValue(random, 1),
          },
        }),
      ),
  },
  {
    number: 55,
    name: 'lists of products',
    fixed: [
      accepts('none', { event: 'Order Completed', properties: { products: [] } }),
      accepts('200', { event: 'Order Completed', properties: { products: products(200) } }),
      rejects(
        '201',
        { event: 'Order Completed', properties: { products: products(201) } },
        'products-too-many',
      ),
      accepts('of mixed kinds', {
        event: 'Order Completed',
        properties: { products: [1, null, {}] },
      }),
    ],
    generate: (random) =>
      post(anEvent({ event: 'Order Completed', properties: { products: anyValue(random, 3) } })),
  },
  {
    number: 56,
    name: 'markup and code in values is text',
    fixed: [
      accepts('Liquid', { properties: { name: '{{ profile }}{% for a in b %}' } }),
      accepts('HTML', { properties: { name: '"></style><script>alert(1)</script>' } }),
    ],
    generate: (random) =>
      post(
        anEvent({
          event: 'Product Added',
          properties: { product_id: `{{${anyText(random, 9)}}}` },
        }),
      ),
  },
]

function products(count: number): unknown[] {
  return Array.from({ length: count }, (_, index) => ({ product_id: `p${index}`, price: 1 }))
}
