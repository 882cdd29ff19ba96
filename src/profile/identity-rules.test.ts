import { deepStrictEqual, equal, notEqual } from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Event } from '../event/event.ts'
import { compareKeys } from './identity-key.ts'
import { type IdentityRules, parseIdentityRules } from './identity-rules.ts'
import { keyOfValue, statedKeys } from './stated-key.ts'

function rulesOf(input: unknown): IdentityRules {
  const parsed = parseIdentityRules(input)
  if (parsed.kind === 'refused') throw new Error(JSON.stringify(parsed.faults))
  return parsed.rules
}

const rules = rulesOf({
  kinds: [
    { name: 'crm', from: ['externalIds.crm_id', 'properties.customer.crmId'] },
    { name: 'email', form: 'email', from: ['traits.email', 'context.traits.email'] },
    { name: 'phone', form: 'phone', countryCode: '49', from: ['traits.phone'] },
    { name: 'tel', form: 'phone', from: ['traits.tel'] },
  ],
  never: ['Info@Shop.example'],
})

function keyOf(kind: string, value: unknown): string | undefined {
  const found = rules.kinds.find(({ name }) => name === kind)
  if (found === undefined) throw new Error(kind)
  return keyOfValue(rules, found, value as string)
}

function event(given: Partial<Event>): Event {
  const times = { occurredAtMs: 1, receivedAtMs: 1 }
  return { eventId: 'e', sourceId: 's', type: 'identify', name: 'identify', ...times, ...given }
}

describe('identity.yaml', () => {
  it('says where each fault is', () => {
    const parsed = parseIdentityRules({
      kinds: [
        { name: 'email', form: 'mail', from: ['traits.email'] },
        { name: 'email', from: ['traits', 'cookie.id', 'externalIds.a.b', 7] },
        { name: 'user', from: [], joinsUsers: 'yes', keysPerPerson: 32, peoplePerKey: 0 },
        { name: 'Phone', form: 'email', countryCode: '49', from: ['traits.x'], colour: 'red' },
        'email',
      ],
      devices: { keysPerPerson: 1.5, other: 1 },
      never: ['', 5],
      more: true,
    })
    const paths = parsed.kind === 'refused' ? parsed.faults.map(({ path }) => path) : []
    deepStrictEqual(paths.toSorted(), [
      '/devices/keysPerPerson',
      '/devices/other',
      '/kinds/0/form',
      '/kinds/1/from/0',
      '/kinds/1/from/1',
      '/kinds/1/from/2',
      '/kinds/1/from/3',
      '/kinds/1/name',
      '/kinds/2/from',
      '/kinds/2/joinsUsers',
      '/kinds/2/keysPerPerson',
      '/kinds/2/name',
      '/kinds/2/peoplePerKey',
      '/kinds/3/colour',
      '/kinds/3/countryCode',
      '/kinds/3/name',
      '/kinds/4',
      '/more',
      '/never/0',
      '/never/1',
    ])
    equal(parseIdentityRules([]).kind, 'refused')
    equal(parseIdentityRules({ kinds: Array(9).fill({}) }).kind, 'refused')
  })
})

describe('the key of an external id', () => {
  it('is the same for all spellings of one value, and shows none of it', () => {
    const email = keyOf('email', 'ada@example.com')
    equal(keyOf('email', '  ADA@Example.com '), email)
    equal(email?.includes('ada'), false)
    const phone = keyOf('phone', '+491701234567')
    for (const same of [
      '0170 1234567',
      '+49 (0)170 1234567',
      '0049 (170) 123-45-67',
      '+49 170 1234567',
      '170/1234567',
    ]) {
      equal(keyOf('phone', same), phone, same)
    }
    equal(keyOf('crm', 77), keyOf('crm', ' 77 '))
    notEqual(keyOf('crm', 'a'), keyOf('crm', 'A'))
  })

  it('is absent where the value says nothing about who somebody is', () => {
    const nobody = ['guest', 'NULL', 'undefined', '0', '000-000', 'n/a', 'anonymous', '', ' ']
    const zeros = '00000000-0000-0000-0000-000000000000'
    for (const value of [
      ...nobody,
      zeros,
      null,
      true,
      {},
      [],
      1.5,
      'a\u0000b',
      '\ud800',
      'x'.repeat(900),
    ]) {
      equal(keyOf('crm', value), undefined, JSON.stringify(value))
    }
    for (const value of ['info@shop.example', 'INFO@shop.example', 'ada@', 'a@b.c, d@e.f']) {
      equal(keyOf('email', value), undefined, value)
    }
    for (const value of [
      '0170 1234567',
      '+0 170 1234567',
      '+1111111111',
      '+12',
      '+1234567890123456',
    ]) {
      equal(keyOf('tel', value), undefined, value)
    }
  })
})

describe('the keys that an event names', () => {
  it('come with users and devices first, then external ids by priority', () => {
    const given = event({
      userId: 'u',
      anonymousId: 'd',
      traits: { email: 'ada@example.com', phone: 'none' },
      context: {
        externalIds: [
          { type: 'other', id: 'x' },
          { type: 'crm_id', id: 'c' },
        ],
      },
    })
    const keys = statedKeys(rules, given, 'user:u')
    deepStrictEqual(keys, ['anonymous:d', keyOf('crm', 'c'), keyOf('email', 'ada@example.com')])
  })

  it('are both kinds of id that an alias may mean, unless the device tells which', () => {
    const alias = { type: 'alias', name: 'alias', userId: 'u' } as const
    const server = statedKeys(rules, event({ ...alias, previousId: 'p' }), 'user:u')
    deepStrictEqual(server, ['user:p', 'anonymous:p'])
    const browser = event({ ...alias, previousId: 'p', anonymousId: 'p' })
    deepStrictEqual(statedKeys(rules, browser, 'user:u'), ['anonymous:p'])
  })

  it('leave a property that every object has alone', () => {
    const odd = rulesOf({ kinds: [{ name: 'crm', from: ['traits.constructor.name'] }] })
    deepStrictEqual(statedKeys(odd, event({ userId: 'u', traits: {} }), 'user:u'), [])
  })
})

describe('the order of keys', () => {
  it('puts users first and devices last, and goes by bytes between them', () => {
    // By units of UTF-16 the emoji would come before U+FF5E.
    const keys = [
      'user:a',
      'user:b',
      'user:\uff5e',
      'user:\u{1f600}',
      'crm:x',
      'email:x',
      'anonymous:a',
    ]
    deepStrictEqual(keys.toReversed().toSorted(compareKeys), keys)
  })
})
