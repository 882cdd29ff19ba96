import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'
import type { Event } from './event.ts'
import { createSchemaInference } from './infer-schema.ts'
import { createTrackingPlan } from './tracking-plan.ts'

function propose(values: readonly JsonObject[], hasEnums = true): JsonObject {
  const inference = createSchemaInference({ hasEnums, ignored: new Map([['productId', 'x']]) })
  for (const each of values) inference.add(each)
  return inference.propose('A')
}

/** Returns the schema of a property of `schema`, without its comment. */
function propertyOf(schema: Json | undefined, name: string): JsonObject {
  const properties = isJsonObject(schema) ? schema.properties : undefined
  const property = isJsonObject(properties) ? properties[name] : undefined
  const { $comment: _, ...rest } = isJsonObject(property) ? property : assert.fail(name)
  return rest
}

function repeat(count: number, make: (index: number) => JsonObject): readonly JsonObject[] {
  return Array.from({ length: count }, (_, index) => make(index))
}

describe('createSchemaInference', () => {
  it('tells types, what is always there, few values, formats and ranges', () => {
    const schema = propose(
      repeat(100, (index) => ({
        product_id: `p${index}`,
        productId: 'an alias',
        price: index / 2,
        quantity: index,
        delta: index - 50,
        colour: ['red', 'green'][index % 2] ?? '',
        mixed: index % 2 === 0 ? 'a' : null,
        at: `2026-11-2${index % 9}T10:00:00Z`,
        url: `https://shop.example/p/${index}`,
        mail: `a${index}@shop.example`,
        isNew: true,
        ...(index < 70 ? { note: '' } : {}),
        products: [{ sku: 's' }, { sku: 't', qty: 1 }],
      })),
    )
    assert.deepEqual(schema.required, [
      ...['at', 'colour', 'delta', 'isNew', 'mail', 'mixed', 'price', 'product_id', 'products'],
      ...['quantity', 'url'],
    ])
    assert.deepEqual(propertyOf(schema, 'product_id'), {
      type: 'string',
      minLength: 1,
      maxLength: 64,
    })
    assert.deepEqual(propertyOf(schema, 'price'), { type: 'number', minimum: 0, maximum: 1000 })
    assert.deepEqual(propertyOf(schema, 'quantity'), { type: 'integer', minimum: 0, maximum: 1000 })
    assert.deepEqual(propertyOf(schema, 'delta'), { type: 'integer', maximum: 1000 })
    assert.deepEqual(propertyOf(schema, 'colour'), { type: 'string', enum: ['green', 'red'] })
    assert.deepEqual(propertyOf(schema, 'isNew'), { type: 'boolean' })
    assert.deepEqual(propertyOf(schema, 'mixed').type, ['null', 'string'])
    assert.equal(propertyOf(schema, 'at').format, 'date-time')
    assert.equal(propertyOf(schema, 'url').format, 'uri')
    assert.equal(propertyOf(schema, 'mail').format, 'email')
    assert.equal(propertyOf(schema, 'note').minLength, undefined)
    const { items, minItems } = propertyOf(schema, 'products')
    assert.equal(minItems, 1)
    assert.deepEqual(isJsonObject(items) ? items.required : undefined, ['sku'])
    assert.ok(!JSON.stringify(schema).includes('productId'), 'an alias is not asked for')
  })

  it('says how often each property was seen', () => {
    const schema = propose(repeat(8, (index) => (index < 6 ? { a: index } : {})))
    const { a } = schema.properties as Readonly<Record<string, JsonObject>>
    assert.equal(a?.$comment, 'Seen 6 times, in 75 % of 8; numbers from 0 to 5.')
    assert.equal(schema.required, undefined)
  })

  it('calls nothing required, and nothing one of a few, of a handful of values', () => {
    const schema = propose(repeat(9, () => ({ colour: 'red' })))
    assert.equal(schema.required, undefined)
    assert.equal(propertyOf(schema, 'colour').enum, undefined)
  })

  it('shows no value of a person', () => {
    const schema = propose(
      repeat(100, () => ({ firstName: 'Ada', plan: 'pro' })),
      false,
    )
    assert.ok(!JSON.stringify(schema).includes('Ada'))
  })

  it('proposes a schema that takes every value it was made from', () => {
    const text = fc.constantFrom(
      ...['', 'a', 'x@shop.example', 'X@sub.shop.example', 'not@mail', 'https://a.example/b'],
      ...[
        'y'.repeat(500),
        'https://a.example',
        'http://a/b c',
        '2026-02-28T23:59:59.5Z',
        '2026-02-30T00:00:00Z',
      ],
    )
    const leaf = fc.oneof(text, fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer())
    const value = fc.oneof(leaf, fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<Json>)
    const name = fc.constantFrom('a', 'b', 'c', 'pattern', '$ref', 'productId', 'enum')
    const values = fc.dictionary(name, value, { noNullPrototype: true })
    const sample = fc.array(values, { minLength: 1, maxLength: 30 })
    const property = fc.property(sample, fc.nat(20), (given, times) => {
      const sent = given.map((each) => JSON.parse(JSON.stringify(each)) as JsonObject)
      const schema = propose(Array.from({ length: times + 1 }, () => sent).flat())
      const ref = { kind: 'inline', schema } as const
      const created = createTrackingPlan({ mode: 'strict', events: { A: { schema: ref } } })
      const plan = created.kind === 'plan' ? created.plan : assert.fail(JSON.stringify(created))
      for (const properties of sent) {
        const event = { name: 'A', type: 'track', properties } as const
        assert.equal(plan.validate(event as unknown as Event), undefined)
      }
    })
    fc.assert(property, { numRuns: 50 })
  })
})
