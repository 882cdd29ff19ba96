import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { JsonObject } from '../lib/json.ts'
import { parseImportMap } from './import-map.ts'
import { createStreamReader, eventNameOf, parseSingerLine, type SingerMessage } from './singer.ts'

type Schema = Extract<SingerMessage, { kind: 'schema' }>

const schemaOf = (stream: string, columns: readonly string[], key: readonly string[]): Schema => {
  const properties = Object.fromEntries(columns.map((name) => [name, { type: 'string' }]))
  const message = { type: 'schema', stream, schema: { properties }, key_properties: key }
  const parsed = parseSingerLine(JSON.stringify(message))
  assert.equal(parsed.kind, 'schema')
  return parsed as Schema
}

const readRecord = (schema: Schema, record: JsonObject, map: unknown = {}) => {
  const parsed = parseImportMap(map)
  assert.equal(parsed.kind, 'map', JSON.stringify(parsed))
  const { streams } = (parsed as Extract<typeof parsed, { kind: 'map' }>).map
  const opened = createStreamReader(schema, streams.get(schema.stream))
  assert.equal(opened.kind, 'reader', JSON.stringify(opened))
  const mapped = (opened as Extract<typeof opened, { kind: 'reader' }>).reader.read(record)
  assert.equal(mapped.kind, 'events', JSON.stringify(mapped))
  return mapped.kind === 'events' ? mapped.items : []
}

const orders = schemaOf('shop-order_items', ['id', 'customer_id', 'created_at', 'price'], ['id'])
const people = schemaOf('customers', ['id', 'email', 'updated_at', 'city'], ['id'])

describe('a Singer tap', () => {
  it('is read in any case; what is not known is named and passed over', () => {
    assert.deepEqual(parseSingerLine('{"type":"State","value":{"a":1}}'), {
      kind: 'state',
      value: { a: 1 },
    })
    assert.equal(parseSingerLine('{"type":"record","stream":"a","record":{}}').kind, 'record')
    assert.deepEqual(parseSingerLine('{"type":"ACTIVATE_VERSION","stream":"a"}'), {
      kind: 'other',
      type: 'ACTIVATE_VERSION',
    })
    assert.deepEqual(parseSingerLine('{}'), { kind: 'other', type: '' })
    const bad = ['x', '[]', '{"type":"RECORD"}', '{"type":"RECORD","stream":"a","record":1}']
    for (const line of bad) assert.equal(parseSingerLine(line).kind, 'refused', line)
  })

  it('tells what people did, by the name of the stream', () => {
    const record = { id: 1, customer_id: 'c7', created_at: '2026-11-01T10:00:00Z', price: 4.5 }
    const [item] = readRecord(orders, record)
    assert.equal(item?.['type'], 'track')
    assert.equal(item?.['event'], 'Shop Order Items')
    assert.equal(item?.['userId'], 'c7')
    assert.equal(item?.['timestamp'], Date.UTC(2026, 10, 1, 10))
    assert.deepEqual(item?.['properties'], { id: 1, price: 4.5 })
    assert.equal(eventNameOf('a__b-c'), 'A B C')
  })

  it('tells who people are where a stream has an email', () => {
    const [item] = readRecord(people, { id: 7, email: 'a@shop.example', city: 'Leeds' })
    assert.equal(item?.['type'], 'identify')
    assert.equal(item?.['userId'], 7)
    assert.deepEqual(item?.['traits'], { email: 'a@shop.example', city: 'Leeds' })
    const noKey = schemaOf('leads', ['email', 'name'], [])
    const [lead] = readRecord(noKey, { email: 'b@shop.example' })
    assert.equal(lead?.['userId'], 'b@shop.example')
    assert.deepEqual(lead?.['traits'], { email: 'b@shop.example' })
  })

  it('gives a record the same id again, and another where it is another fact', () => {
    const idOf = (schema: Schema, record: JsonObject): unknown =>
      readRecord(schema, record)[0]?.['messageId']
    const order = { id: 1, customer_id: 'c7', created_at: '2026-11-01T10:00:00Z', price: 4.5 }
    assert.equal(idOf(orders, order), idOf(orders, { ...order, price: 5 }))
    assert.notEqual(idOf(orders, order), idOf(orders, { ...order, id: 2 }))
    assert.notEqual(idOf(orders, order), idOf(orders, { ...order, created_at: '2026-11-02' }))
    const ada = { id: 7, email: 'a@shop.example', updated_at: '2026-11-01T10:00:00Z' }
    assert.equal(idOf(people, ada), idOf(people, { ...ada }))
    assert.notEqual(idOf(people, ada), idOf(people, { ...ada, email: 'b@shop.example' }))
    const other = schemaOf('other', ['id', 'customer_id', 'created_at', 'price'], ['id'])
    assert.notEqual(idOf(orders, order), idOf(other, order))
  })

  it('never throws for a line, and makes an event or a refusal of every record', () => {
    const opened = createStreamReader(orders, undefined)
    assert.equal(opened.kind, 'reader')
    const { reader } = opened as Extract<typeof opened, { kind: 'reader' }>
    const value = fc.jsonValue({ maxDepth: 3 })
    const record = fc.dictionary(fc.constantFrom('id', 'customer_id', 'created_at', 'x'), value)
    const message = fc.record(
      {
        type: fc.constantFrom('RECORD', 'state', 'Schema', 'BATCH', 7),
        stream: fc.oneof(fc.constant('shop-order_items'), value),
        record: fc.oneof(record, value),
        schema: fc.oneof(fc.record({ properties: value }), value),
        key_properties: value,
      },
      { requiredKeys: [] },
    )
    const line = fc.oneof(
      message.map((each) => JSON.stringify(each)),
      fc.string(),
    )
    fc.assert(
      fc.property(line, (text) => {
        const parsed = parseSingerLine(Buffer.from(text).toString('latin1'))
        if (parsed.kind === 'schema') createStreamReader(parsed, undefined)
        if (parsed.kind !== 'record') return
        assert.match(reader.read(parsed.record).kind, /^(events|refused)$/)
      }),
      { numRuns: 500 },
    )
  })

  it('is read as a definition says', () => {
    const map = {
      streams: {
        'shop-order_items': {
          columns: { customer_id: 'userId', price: 'properties.value' },
          set: { event: 'Product Added' },
          others: 'drop',
        },
      },
    }
    const [item] = readRecord(orders, { id: 1, customer_id: 'c7', price: 4.5 }, map)
    assert.equal(item?.['event'], 'Product Added')
    assert.deepEqual(item?.['properties'], { value: 4.5 })
  })
})
