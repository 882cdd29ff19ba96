import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { JsonObject } from '../lib/json.ts'
import type { Event, EventType } from './event.ts'
import { createBoundedPattern, findPatternFault } from './safe-pattern.ts'
import type { TrackingPlanMode } from './source.ts'
import { createTrackingPlan, type TrackingPlan } from './tracking-plan.ts'

function aPlan(mode: TrackingPlanMode, schemas: Record<string, unknown>): TrackingPlan {
  const created = createTrackingPlan(mode, new Map(Object.entries(schemas)))
  assert.equal(created.kind, 'plan', JSON.stringify(created))
  return created.kind === 'plan' ? created.plan : assert.fail()
}

function faultOf(schema: unknown): string {
  const created = createTrackingPlan('strict', new Map([['A', schema]]))
  return created.kind === 'refused' ? (created.faults[0]?.says ?? '') : ''
}

function anEvent(name: string, properties: JsonObject, type: EventType = 'track'): Event {
  const ids = { eventId: 'e', sourceId: 'web', userId: 'ada', occurredAtMs: 1, receivedAtMs: 1 }
  const values = type === 'identify' ? { traits: properties } : { properties }
  return { ...ids, type, name, ...values }
}

const priced = {
  type: 'object',
  required: ['price'],
  properties: {
    price: { type: 'number' },
    lines: { items: { properties: { id: { minLength: 2 } } } },
  },
}

describe('a tracking plan', () => {
  it('names the place of the fault in the event', () => {
    const plan = aPlan('lenient', { 'Viewed Product': priced })
    assert.equal(plan.validate(anEvent('Product Viewed', { price: 1 })), undefined)
    assert.equal(plan.validate(anEvent('Product Viewed', {}))?.path, '/properties')
    const nested = plan.validate(anEvent('Product Viewed', { price: 1, lines: [{ id: 'x' }] }))
    assert.equal(nested?.path, '/properties/lines/0/id')
    assert.equal(nested?.reason, 'plan-mismatch')
  })

  it('refuses unknown track events where strict, and never unknown identify calls', () => {
    const strict = aPlan('strict', { A: priced })
    const lenient = aPlan('lenient', { A: priced })
    assert.equal(strict.validate(anEvent('B', {}))?.reason, 'plan-event-unknown')
    assert.equal(lenient.validate(anEvent('B', {})), undefined)
    assert.equal(strict.validate(anEvent('identify', {}, 'identify')), undefined)
  })

  it('checks the traits of identify', () => {
    const plan = aPlan('strict', { identify: { properties: { email: { format: 'email' } } } })
    const refusal = plan.validate(anEvent('identify', { email: 'x' }, 'identify'))
    assert.equal(refusal?.path, '/traits/email')
  })

  it('reads each schema in its own dialect', () => {
    const items = [{ type: 'number' }]
    const draft07 = {
      $schema: 'http://json-schema.org/draft-07/schema#',
      properties: { a: { items } },
    }
    const draft2020 = { properties: { a: { prefixItems: items } } }
    const plan = aPlan('strict', { Old: draft07, New: draft2020 })
    for (const name of ['Old', 'New']) {
      assert.equal(plan.validate(anEvent(name, { a: ['x'] }))?.path, '/properties/a/0')
      assert.equal(plan.validate(anEvent(name, { a: [1] })), undefined)
    }
  })

  it('takes two schemas of the same $id', () => {
    aPlan('strict', { A: { ...priced, $id: 'https://x/a' }, B: { ...priced, $id: 'https://x/a' } })
  })

  it('refuses schemas that reach out, never end, are too large, or are none', () => {
    assert.match(faultOf({ properties: { a: { $ref: 'https://x.example/a.json' } } }), /\$ref/)
    assert.match(faultOf({ allOf: [{ $ref: '#' }] }), /without an end/)
    assert.match(faultOf({ $async: true }), /\$async/)
    assert.match(faultOf({ oneOf: Array.from({ length: 100_000 }, () => ({})) }), /65536/)
    assert.match(faultOf({ type: 'nonsense' }), /compiled/)
    assert.match(faultOf(7), /JSON Schema/)
    assert.match(faultOf({ properties: { a: { pattern: '^(a+)+$' } } }), /holds a repeat/)
    assert.match(faultOf({ patternProperties: { '(x*)*': {} } }), /holds a repeat/)
  })
})

describe('findPatternFault', () => {
  const refused = [
    '(a+)+',
    '(a*)*$',
    '(a|aa)+$',
    '((a{1,9}))*',
    '(?:a?){30}',
    'a*a*a*',
    '(a)\\1',
    '(',
  ]
  const taken = [
    '^[a-z]+$',
    '^[^@]+@[^@]+\\.[a-z]{2,}$',
    '^(\\d{3}-)*\\d$',
    '^[A-Z]{3}$',
    '(a|b)?',
    'a|b',
  ]
  for (const pattern of refused) {
    it(`refuses ${pattern}`, () => assert.notEqual(findPatternFault(pattern), undefined))
  }
  for (const pattern of taken) {
    it(`takes ${pattern}`, () => assert.equal(findPatternFault(pattern), undefined))
  }

  it('does not read signs within a class as repeats', () => {
    assert.equal(findPatternFault('^([+*|]x)+$'), undefined)
  })

  it('matches no text that is too long', () => {
    const pattern = createBoundedPattern('^a*$', 'u')
    assert.equal(pattern.test('a'.repeat(512)), true)
    assert.equal(pattern.test('a'.repeat(513)), false)
  })
})
