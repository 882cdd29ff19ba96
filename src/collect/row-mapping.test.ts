import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseImportMap } from './import-map.ts'
import { createRowMapper, plainMapping, type RowMapping } from './row-mapping.ts'
import { parsePlace, readTime, type TimeForm } from './row-place.ts'

const mapRow = (
  columns: readonly string[],
  values: readonly unknown[],
  mapping: RowMapping = plainMapping,
) => {
  const created = createRowMapper(columns, mapping)
  assert.equal(created.kind, 'mapper', JSON.stringify(created))
  return (created as Extract<typeof created, { kind: 'mapper' }>).mapper.map(values, 'row-id')
}

const rowsOf = (input: unknown): RowMapping => {
  const parsed = parseImportMap(input)
  assert.equal(parsed.kind, 'map', JSON.stringify(parsed))
  return (parsed as Extract<typeof parsed, { kind: 'map' }>).map.rows
}

describe('a row', () => {
  it('is what somebody did where it names an event', () => {
    const columns = ['userId', 'event', 'timestamp', 'properties.price', 'properties.a.b']
    const mapped = mapRow(columns, ['u1', 'Bought', '2026-11-01T10:00:00Z', '4.95', 'x'])
    assert.deepEqual(mapped, {
      kind: 'events',
      items: [
        {
          type: 'track',
          messageId: 'row-id',
          userId: 'u1',
          timestamp: Date.UTC(2026, 10, 1, 10),
          event: 'Bought',
          properties: { price: 4.95, a: { b: 'x' } },
        },
      ],
    })
  })

  it('is who somebody is where it has traits, and both in that order where it has both', () => {
    const columns = ['userId', 'event', 'traits.email', 'messageId']
    const identify = mapRow(columns, ['u1', '', 'a@shop.example', ''])
    assert.deepEqual(identify, {
      kind: 'events',
      items: [
        {
          ...{ type: 'identify', userId: 'u1', traits: { email: 'a@shop.example' } },
          messageId: 'row-id',
        },
      ],
    })
    const both = mapRow(columns, ['u1', 'Bought', 'a@shop.example', 'own-id'])
    assert.deepEqual(
      both.kind === 'events' && both.items.map(({ type, messageId }) => [type, messageId]),
      [
        ['identify', 'own-id.i'],
        ['track', 'own-id'],
      ],
    )
  })

  it('is refused where it says neither, or a cell is not what its place wants', () => {
    const refusal = (columns: readonly string[], values: readonly unknown[]) => {
      const mapped = mapRow(columns, values)
      return mapped.kind === 'refused' ? `${mapped.path}|${mapped.says}` : 'not refused'
    }
    assert.match(refusal(['userId'], ['u1']), /^\|The row has neither/)
    assert.match(refusal(['event', 'properties.price'], ['x', 'abc']), /^properties.price\|/)
    assert.match(refusal(['event', 'properties.x:boolean'], ['x', 'maybe']), /neither true nor/)
    assert.match(refusal(['event', 'properties.x:json'], ['x', '{']), /no JSON/)
    assert.match(refusal(['event', 'timestamp'], ['x', 'yesterday']), /^timestamp\|The time/)
    assert.match(refusal(['event', 'properties.x:time'], ['x', '?']), /is no time/)
  })

  it('keeps text as text: an id of digits is no number', () => {
    const mapped = mapRow(
      ['event', 'properties.product_id', 'properties.points:number', 'properties.list:json'],
      ['x', '0042', '7', '[1]'],
    )
    const properties = mapped.kind === 'events' && mapped.items[0]?.['properties']
    assert.deepEqual(properties, { product_id: '0042', points: 7, list: [1] })
  })

  it('goes where a definition says', () => {
    const mapping = rowsOf({
      columns: { Customer: 'userId', Mail: ['traits.email', 'traits.login'], When: 'timestamp' },
      set: { event: 'Order Completed', 'properties.currency': 'GBP' },
      drop: ['Note'],
      others: 'properties',
      timestamps: 'day-first',
    })
    const mapped = mapRow(
      ['Customer', 'Mail', 'When', 'Note', 'Store.Name'],
      ['7', 'a@shop.example', '13/1/2026 8:05', 'secret', 'Leeds'],
      mapping,
    )
    const timestamp = Date.UTC(2026, 0, 13, 8, 5)
    assert.deepEqual(mapped, {
      kind: 'events',
      items: [
        {
          ...{ type: 'identify', userId: '7', timestamp, messageId: 'row-id.i' },
          traits: { email: 'a@shop.example', login: 'a@shop.example' },
        },
        {
          ...{ type: 'track', messageId: 'row-id', userId: '7', timestamp },
          ...{ event: 'Order Completed' },
          properties: { currency: 'GBP', 'Store.Name': 'Leeds' },
        },
      ],
    })
    const missing = createRowMapper(['Other'], mapping)
    assert.equal(missing.kind === 'refused' && missing.faults.length, 3)
  })

  it('reads times as they are written elsewhere, and none that do not exist', () => {
    const cases: readonly (readonly [string, TimeForm, number | undefined])[] = [
      ['12/1/2010 8:26', 'month-first', Date.UTC(2010, 11, 1, 8, 26)],
      ['12/1/2010 8:26', 'day-first', Date.UTC(2010, 0, 12, 8, 26)],
      ['1.2.2010', 'day-first', Date.UTC(2010, 1, 1)],
      ['1/2/2010 12:05:01 AM', 'month-first', Date.UTC(2010, 0, 2, 0, 5, 1)],
      ['1/2/2010 1:05 pm', 'month-first', Date.UTC(2010, 0, 2, 13, 5)],
      ['13/1/2010', 'month-first', undefined],
      ['30/2/2010', 'day-first', undefined],
      ['1/2/2010 13:05 pm', 'month-first', undefined],
      ['2026-11-01 10:00:00', 'day-first', Date.UTC(2026, 10, 1, 10)],
      ['1/2/2010', 'iso', undefined],
      ['1764181956', 'iso', 1_764_181_956_000],
    ]
    for (const [text, form, expected] of cases) assert.equal(readTime(text, form), expected, text)
  })

  it('takes no place that could reach behind an event', () => {
    for (const place of ['properties.__proto__', 'traits.constructor.x', 'properties.', 'email']) {
      assert.equal(parsePlace(place).kind, 'refused', place)
    }
    assert.equal(parsePlace('userId:number').kind, 'refused')
    assert.equal(parsePlace('properties.x:y').kind, 'refused')
  })
})

describe('a definition of an import', () => {
  it('names every fault at once, with its place', () => {
    const parsed = parseImportMap({
      colums: {},
      columns: { a: 'b' },
      set: { event: ['x'] },
      others: 'keep',
      timestamps: 'german',
      site: 'shop.example/x',
      anonymousId: '__proto__',
      extraFields: ['ip'],
      rules: [{ path: 'x' }, { path: '/a/**/b', properties: { id: ':id' }, when: 1 }],
      fields: { ip: 7 },
      streams: { orders: 'skip', customers: { columns: { id: 'who' } } },
    })
    assert.equal(parsed.kind, 'refused')
    const paths = parsed.kind === 'refused' ? parsed.faults.map(({ path }) => path) : []
    assert.deepEqual([...paths].sort(), [
      '/anonymousId',
      '/columns/a',
      '/colums',
      '/extraFields/0',
      '/fields/ip',
      '/others',
      '/rules/0/path',
      '/rules/1/path',
      '/rules/1/properties/id',
      '/rules/1/when',
      '/set/event',
      '/site',
      '/streams/customers/columns/id',
      '/streams/orders',
      '/timestamps',
    ])
    assert.equal(parseImportMap(null).kind, 'refused')
  })
})
