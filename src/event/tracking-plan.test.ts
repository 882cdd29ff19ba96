import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { JsonObject } from '../lib/json.ts'
import type { Event, EventType } from './event.ts'
import { toNormalForm } from './normal-form.ts'
import type { TrackingPlanMode } from './plan-definition.ts'
import { createBoundedPattern, findPatternFault } from './safe-pattern.ts'
import { findSchemaFault } from './schema-limits.ts'
import { parseSource } from './source.ts'
import { type CreatedTrackingPlan, createTrackingPlan, type TrackingPlan } from './tracking-plan.ts'

function aPlan(mode: TrackingPlanMode, schemas: Record<string, unknown>): TrackingPlan {
  const events = Object.entries(schemas).map(([name, schema]) => [name, { schema }])
  return planOf({ mode, events: Object.fromEntries(events) })
}

/** Makes a plan from what a file would say. */
function planOf(trackingPlan: unknown): TrackingPlan {
  const created = createFrom(trackingPlan)
  assert.equal(created.kind, 'plan', JSON.stringify(created))
  return created.kind === 'plan' ? created.plan : assert.fail()
}

function createFrom(trackingPlan: unknown): CreatedTrackingPlan {
  const parsed = parseSource({ name: 'web', writeKeys: ['wk_12345678'], trackingPlan })
  const plan = parsed.kind === 'source' ? parsed.source.trackingPlan : undefined
  return createTrackingPlan(plan ?? assert.fail(JSON.stringify(parsed)))
}

function faultOf(schema: unknown, name = 'A'): string {
  const created = createFrom({ events: { [name]: { schema } } })
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

  it('sees what an event holds, and not what every object inherits', () => {
    const inherited = { toString: { type: 'string' }, constructor: { type: 'string' } }
    const plan = aPlan('strict', {
      A: { properties: inherited, dependentRequired: { valueOf: ['price'] } },
      B: { required: ['toString'] },
    })
    assert.equal(plan.validate(anEvent('A', { price: 1 })), undefined)
    assert.equal(plan.validate(anEvent('A', {})), undefined)
    assert.equal(plan.validate(anEvent('A', { toString: 1 }))?.path, '/properties/toString')
    assert.equal(plan.validate(anEvent('B', {}))?.reason, 'plan-mismatch')
    assert.equal(plan.validate(anEvent('B', { toString: 'x' })), undefined)
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

  it('marks what a lenient schema refuses: the mode of the event is before the plan', () => {
    const schema = { required: ['price'] }
    const plan = planOf({
      mode: 'lenient',
      events: { A: { schema }, B: { mode: 'strict', schema } },
    })
    assert.equal(plan.validate(anEvent('A', {}))?.kind, 'marked')
    assert.equal(plan.validate(anEvent('B', {}))?.kind, 'refused')
    const strict = planOf({ mode: 'strict', events: { A: { mode: 'lenient', schema } } })
    assert.equal(strict.validate(anEvent('A', {}))?.kind, 'marked')
    assert.equal(strict.validate(anEvent('C', {}))?.reason, 'plan-event-unknown')
  })

  describe('of an event in versions', () => {
    const versions = {
      1: 'removed',
      2: { schema: { required: ['a'] } },
      3: { schema: { required: ['b'] } },
    }
    const events = { Old: { default: 2, versions }, New: { versions } }
    const plan = planOf({ mode: 'lenient', events })
    const judge = (name: string, context: JsonObject, properties: JsonObject = {}) =>
      plan.validate({ ...anEvent(name, properties), context })

    it('asks the schema of the version that the event names', () => {
      for (const named of [{ schemaVersion: 2 }, { schemaVersion: '2' }]) {
        assert.equal(judge('New', named, { a: 1 }), undefined)
        assert.equal(judge('New', named, { b: 1 })?.kind, 'marked')
      }
      const theirs = { protocols: { event_version: 2 } }
      assert.equal(judge('New', theirs, { a: 1 }), undefined)
      assert.equal(judge('New', { ...theirs, schemaVersion: 3 }, { b: 1 }), undefined)
    })

    it('asks that of the default where the event names none', () => {
      assert.equal(judge('Old', {}, { a: 1 }), undefined)
      assert.equal(judge('New', {}, { b: 1 }), undefined)
      assert.equal(judge('New', { protocols: 7 }, { a: 1 })?.kind, 'marked')
    })

    it('refuses, also where lenient, a version to come, a removed one, and no version', () => {
      for (const schemaVersion of [4, 1, 0, -2, 2.5, 'two', '', {}, true, 1e9]) {
        const fault = judge('New', { schemaVersion }, { a: 1, b: 1 })
        assert.equal(fault?.kind, 'refused', String(schemaVersion))
        assert.equal(fault?.reason, 'plan-version-unknown')
        assert.equal(fault?.path, '/context/schemaVersion')
      }
      const fault = judge('New', { protocols: { event_version: 9 } }, { a: 1, b: 1 })
      assert.equal(fault?.path, '/context/protocols/event_version')
    })

    it('does not ask for a version where the plan has none', () => {
      const simple = aPlan('strict', { A: {} })
      assert.equal(
        simple.validate({ ...anEvent('A', {}), context: { schemaVersion: 9 } }),
        undefined,
      )
    })
  })

  it('names the place of the fault as the producer wrote it', () => {
    const line = { properties: { product_id: { type: 'string' } } }
    const plan = aPlan('strict', {
      'Order Completed': {
        properties: { order_id: { type: 'string' }, products: { items: line } },
      },
    })
    const pathOf = (sent: JsonObject): string | undefined => {
      const { name, properties = {}, changes } = toNormalForm('Order Completed', sent)
      return plan.validate({ ...anEvent(name, properties), changes })?.path
    }
    assert.equal(pathOf({ orderId: 7 }), '/properties/orderId')
    assert.equal(pathOf({ order_id: 7 }), '/properties/order_id')
    const products = [{ product_id: 'a' }, { productId: 7 }]
    assert.equal(pathOf({ products }), '/properties/products/1/productId')
    assert.equal(pathOf({ products: [{ product_id: 7 }] }), '/properties/products/0/product_id')
  })

  it('refuses a schema that asks for a spelling which no event keeps', () => {
    const asks = { properties: { productId: {} } }
    assert.match(faultOf(asks, 'Product Viewed'), /product_id in place of productId/)
    assert.match(faultOf({ required: ['orderId'] }, 'completed_order'), /order_id/)
    assert.equal(faultOf(asks), '')
    const twice = createFrom({
      events: { 'Product Viewed': { schema: {} }, productViewed: { schema: {} } },
    })
    assert.match(twice.kind === 'refused' ? (twice.faults[0]?.says ?? '') : '', /Another entry/)
  })

  it('takes two schemas of the same $id', () => {
    aPlan('strict', { A: { ...priced, $id: 'https://x/a' }, B: { ...priced, $id: 'https://x/a' } })
  })

  it('refuses schemas that reach out, never end, are too large, or are none', () => {
    assert.match(faultOf({ properties: { a: { $ref: 'https://x.example/a.json' } } }), /\$ref/)
    assert.match(faultOf({ allOf: [{ $ref: '#' }] }), /itself/)
    assert.match(faultOf({ properties: { a: { items: { $ref: '#' } } } }), /itself/)
    assert.match(faultOf({ $async: true }), /\$async/)
    assert.match(faultOf({ oneOf: Array.from({ length: 100_000 }, () => ({})) }), /65536/)
    assert.match(faultOf({ oneOf: Array.from({ length: 101 }, () => ({})) }), /101 schemas/)
    assert.match(faultOf({ type: 'nonsense' }), /compiled/)
    assert.match(faultOf({ $ref: '#/$defs/nowhere' }), /compiled/)
    assert.match(faultOf({ $ref: '#name' }), /pointer/)
    assert.match(faultOf({ $dynamicRef: '#a' }), /dynamicRef/)
    assert.match(faultOf({ properties: { a: { $id: 'https://x.example/a' } } }), /\$id/)
    assert.match(faultOf(deepSchema(70)), /64 levels/)
    assert.match(faultOf({ properties: { a: { pattern: '^(a+)+$' } } }), /holds a repeat/)
    assert.match(faultOf({ patternProperties: { '(x*)*': {} } }), /holds a repeat/)
  })
})

const deepSchema = (depth: number): object =>
  depth === 0 ? {} : { properties: { a: deepSchema(depth - 1) } }

describe('findSchemaFault', () => {
  it('counts what references multiply, in a moment', () => {
    const link = (next: string) => ({ allOf: [{ $ref: next }, { $ref: next }] })
    const bomb = (count: number) => {
      const names = Array.from({ length: count }, (_, index) => `#/$defs/a${index + 1}`)
      const links = names.map((next, index) => [`a${index}`, link(next)])
      return { ...link('#/$defs/a0'), $defs: { ...Object.fromEntries(links), [`a${count}`]: {} } }
    }
    assert.equal(findSchemaFault(bomb(8)), undefined)
    assert.match(findSchemaFault(bomb(40)) ?? '', /5000 steps/)
  })

  it('takes names that look like keywords where they are names of properties', () => {
    const properties = { $ref: { type: 'string' }, pattern: { const: '(a+)+' }, $id: {} }
    assert.equal(findSchemaFault({ properties }), undefined)
  })

  it('follows references through escaped names', () => {
    const $defs = { 'a/b~c d': { $ref: '#' } }
    assert.match(findSchemaFault({ $defs, $ref: '#/$defs/a~1b~0c%20d' }) ?? '', /itself/)
  })

  it('refuses a text of any format within 50 ms of CPU', () => {
    const formats = ['date-time', 'uri', 'email', 'hostname', 'ipv6', 'uuid', 'duration', 'regex']
    const more = ['uri-reference', 'uri-template', 'json-pointer', 'idn-email', 'iri', 'time']
    const texts = ['a', '1:', 'a.', '::', '%41', '{a}', '//a@', 'P1D', '(a', '~1', '-'].flatMap(
      (piece) => [piece.repeat(16_384 / piece.length), `${piece.repeat(8_000 / piece.length)}!`],
    )
    for (const format of [...formats, ...more]) {
      const plan = aPlan('strict', { A: { properties: { a: { format } } } })
      const cpuMs = (text: string): number => {
        const before = process.cpuUsage()
        plan.validate(anEvent('A', { a: text }))
        return process.cpuUsage(before).user / 1000
      }
      for (const text of texts) {
        // The second time without what the first had V8 compile or collect.
        const tookMs = Math.min(cpuMs(text), cpuMs(text))
        assert.ok(tookMs < 50, `${format} of ${text.slice(0, 4)}: ${tookMs} ms`)
      }
    }
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
