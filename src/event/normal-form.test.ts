import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'
import { eventNameRows, type PropertyRow, propertyRows } from './event-mapping.ts'
import { type EventChange, todaysEventName, toNormalForm } from './normal-form.ts'

const sampleOf: Readonly<Record<PropertyRow['reads'], readonly [Json, Json]>> = {
  'as-is': ['x-1', 'x-1'],
  number: ['12.50', 12.5],
  currency: ['usd', 'USD'],
}

/** Returns the properties as they were sent, by the changes alone. */
function restore(properties: JsonObject, changes: readonly EventChange[]): JsonObject {
  const [lines, own] = [changes.filter(isOfProducts), changes.filter((one) => !isOfProducts(one))]
  const restored = restoreOne(properties, own, () => 0)
  const { products } = restored
  if (!Array.isArray(products)) return restored
  return {
    ...restored,
    products: (products as readonly Json[]).map((line, index) => {
      const meant = lines.filter(({ at }) => at === undefined || at.includes(index))
      const placeOf = ({ at }: EventChange): number =>
        at === undefined ? index : at.indexOf(index)
      return isJsonObject(line) ? restoreOne(line, meant, placeOf) : line
    }),
  }
}

function restoreOne(
  values: JsonObject,
  changes: readonly EventChange[],
  placeOf: (change: EventChange) => number,
): JsonObject {
  const entries = new Map(Object.entries(values))
  const nameOf = new Map<string, string>()
  for (const change of changes) {
    const key = keyOf(change)
    if (change.kind === 'copied') entries.delete(change.to ?? '')
    if (change.kind === 'renamed') nameOf.set(key, change.to ?? '')
  }
  for (const change of changes) {
    const { kind, was } = change
    if (kind !== 'read' || change.path === '/event') continue
    const one = Array.isArray(was) ? (was as readonly Json[])[placeOf(change)] : was
    entries.set(nameOf.get(keyOf(change)) ?? keyOf(change), one as Json)
  }
  const namedBack = new Map([...nameOf].map(([key, name]) => [name, key]))
  return Object.fromEntries([...entries].map(([key, value]) => [namedBack.get(key) ?? key, value]))
}

const isOfProducts = ({ path }: EventChange): boolean => path.startsWith('/properties/products/*/')
const keyOf = ({ path }: EventChange): string => path.slice(path.lastIndexOf('/') + 1)

describe('the table of event names', () => {
  for (const { name, older } of eventNameRows) {
    it(`knows ${name} in every spelling`, () => {
      for (const one of [name, ...older]) {
        const spellings = [
          one,
          one.toLowerCase(),
          one.toUpperCase(),
          one.replaceAll(' ', '_').toLowerCase(),
          one.replaceAll(' ', '-'),
          one.replaceAll(' ', '.'),
          one.replaceAll(' ', ''),
          one[0]?.toLowerCase() + one.slice(1).replaceAll(' ', ''),
        ]
        for (const spelling of spellings) {
          const normal = toNormalForm(spelling, undefined)
          assert.equal(normal.name, name, spelling)
          const expected =
            spelling === name ? [] : [{ kind: 'read', path: '/event', was: spelling }]
          assert.deepEqual(normal.changes, expected)
        }
      }
    })
  }

  it('gives each spelling one meaning', () => {
    const spellings = eventNameRows.flatMap(({ name, older }) => [name, ...older])
    const plain = spellings.map((each) => each.toLowerCase().replaceAll(' ', ''))
    assert.equal(new Set(plain).size, plain.length)
  })

  it('leaves every other name as it is', () => {
    for (const name of ['Gift Wrapped', 'product viewed twice', 'productsviewed', '', 'Ordre']) {
      assert.equal(todaysEventName(name), name)
    }
  })
})

describe('the table of properties', () => {
  for (const row of propertyRows) {
    const [sent, read] = sampleOf[row.reads]
    const isRead = sent !== read
    for (const alias of [row.name, ...row.renamed]) {
      if (alias === row.name && !isRead) continue
      const kinds = [...(alias === row.name ? [] : ['renamed']), ...(isRead ? ['read'] : [])]
      if (row.at !== 'product') {
        it(`reads ${alias} of an order as ${row.name}`, () => {
          const normal = toNormalForm('Order Completed', { [alias]: sent, other: 1 })
          assert.deepEqual(normal.properties, { [row.name]: read, other: 1 })
          assert.deepEqual(
            normal.changes.map(({ kind, path }) => [kind, path]),
            kinds.map((kind) => [kind, `/properties/${alias}`]),
          )
        })
      }
      if (row.at === 'event') continue
      it(`reads ${alias} of a product as ${row.name}`, () => {
        const single = toNormalForm('Product Viewed', { [alias]: sent })
        assert.deepEqual(single.properties, { [row.name]: read })
        const many = toNormalForm('Order Completed', { products: [{ [alias]: sent }, { a: 1 }, 7] })
        assert.deepEqual(many.properties, { products: [{ [row.name]: read }, { a: 1 }, 7] })
        assert.deepEqual(
          many.changes.map(({ kind, path, at }) => [kind, path, at]),
          kinds.map((kind) => [kind, `/properties/products/*/${alias}`, [0]]),
        )
      })
    }
    for (const other of row.copied ?? []) {
      it(`takes ${other} of a product for ${row.name} where it is missing`, () => {
        const normal = toNormalForm('Product Viewed', { [other]: 'x-1' })
        assert.deepEqual(normal.properties, { [other]: 'x-1', [row.name]: 'x-1' })
        const change = { kind: 'copied', path: `/properties/${other}`, to: row.name }
        assert.deepEqual(normal.changes, [change])
        const both = { [other]: 'x-1', [row.name]: 'x-2' }
        assert.equal(toNormalForm('Product Viewed', both).properties, both)
      })
    }
  }

  it('gives each spelling of a property one meaning in each place', () => {
    for (const place of ['event', 'product'] as const) {
      const rows = propertyRows.filter(({ at }) => at === 'both' || at === place)
      const names = rows.flatMap(({ name, renamed, copied }) => [
        name,
        ...renamed,
        ...(copied ?? []),
      ])
      assert.equal(new Set(names).size, names.length)
    }
  })
})

describe('toNormalForm', () => {
  it('leaves and tells what it cannot read', () => {
    const sent = {
      price: '1,234.50',
      quantity: '1e3',
      value: true,
      currency: 'EURO',
      product_id: 'a',
      productId: 'b',
    }
    const normal = toNormalForm('Product Added', sent)
    assert.equal(normal.properties, sent)
    assert.deepEqual(
      normal.changes.map(({ kind, path }) => `${kind} ${path}`),
      ['price', 'quantity', 'value', 'currency', 'productId'].map(
        (name) => `left /properties/${name}`,
      ),
    )
  })

  it('touches nothing but the currency of events that the spec does not name', () => {
    const sent = { productId: 'a', price: '12.50', currency: 'usd', products: [{ qty: '1' }] }
    const normal = toNormalForm('Gift Wrapped', sent)
    assert.deepEqual(normal.properties, { ...sent, currency: 'USD' })
    assert.deepEqual(normal.changes, [{ kind: 'read', path: '/properties/currency', was: 'usd' }])
    assert.deepEqual(toNormalForm('Gift Wrapped', { currency: 'gold' }).changes, [])
  })

  it('gives the normal event itself back, and is done in one step', () => {
    const sent = { product_id: 'p1', price: 12.5, currency: 'EUR', products: [{ product_id: 'a' }] }
    const normal = toNormalForm('Product Viewed', sent)
    assert.equal(normal.properties, sent)
    assert.deepEqual(normal.changes, [])
  })

  it('tells a change of two hundred products once', () => {
    const products = Array.from({ length: 200 }, (_, index) => ({ id: `p${index}`, qty: index }))
    const { changes } = toNormalForm('Order Completed', { products })
    assert.deepEqual(changes, [
      { kind: 'renamed', path: '/properties/products/*/qty', to: 'quantity' },
      { kind: 'copied', path: '/properties/products/*/id', to: 'product_id' },
    ])
  })

  it('loses nothing: what was sent can be made again, and a second time changes nothing', () => {
    const names = propertyRows.flatMap((row) => [row.name, ...row.renamed, ...(row.copied ?? [])])
    const value = fc.oneof(
      fc.constantFrom('12.50', '007', '-0', '1,5', 'usd', 'EUR', 'x', '', null, true, 5, -1.5),
      fc.jsonValue({ maxDepth: 1 }) as fc.Arbitrary<Json>,
    )
    const line = fc.dictionary(fc.constantFrom(...names, 'extra'), value, {
      maxKeys: 8,
      noNullPrototype: true,
    })
    const products = fc.array(fc.oneof(line, value), { maxLength: 4 })
    const sent = fc.tuple(line, fc.option(products, { nil: undefined })).map(([own, lines]) => {
      return { ...own, ...(lines === undefined ? {} : { products: lines }) } as JsonObject
    })
    const name = fc.constantFrom('Order Completed', 'productViewed', 'Completed Order', 'Other')
    let changedCount = 0
    const property = fc.property(name, sent, (sentName, properties) => {
      const before = JSON.stringify(properties)
      const normal = toNormalForm(sentName, properties)
      assert.equal(JSON.stringify(properties), before, 'what was given is not touched')
      assert.deepEqual(restore(normal.properties ?? {}, normal.changes), properties)
      const again = toNormalForm(normal.name, normal.properties)
      assert.equal(again.properties, normal.properties)
      if (normal.properties !== properties) changedCount++
    })
    fc.assert(property, { numRuns: 2_000 })
    assert.ok(changedCount > 100, 'many of the samples are changed')
  })
})
