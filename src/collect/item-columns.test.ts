import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseItem } from '../catalog/parse-item.ts'
import { createItemMapper } from './item-columns.ts'

function mapRow(columns: readonly string[], cells: readonly string[]) {
  const created = createItemMapper(columns)
  return created.kind === 'mapper' ? created.mapper.map(cells, 'id') : assert.fail('columns')
}

function itemOf(columns: readonly string[], cells: readonly string[]) {
  const mapped = mapRow(columns, cells)
  return mapped.kind === 'events' ? mapped.items[0] : assert.fail(mapped.says)
}

const needed = ['id', 'title', 'price']

describe('a row of a catalog', () => {
  it("is read by the names of Google's product feed", () => {
    const columns = [
      ...['id', 'title', 'link', 'image_link', 'price', 'sale_price', 'availability', 'brand'],
      ...['product_type', 'expiration_date', 'gtin'],
    ]
    const cells = [
      ...['s1', 'Cup', 'https://s.example/c', 'https://s.example/c.png', '12.50 GBP', '10.00 GBP'],
      ...['in stock', 'Oak', 'Home > Kitchen > Cups', '2026-12-01T00:00:00Z', '4006381333931'],
    ]
    const item = itemOf(columns, cells)
    assert.deepEqual(item, {
      itemId: 's1',
      name: 'Cup',
      url: 'https://s.example/c',
      imageUrl: 'https://s.example/c.png',
      price: 12.5,
      salePrice: 10,
      currency: 'GBP',
      brand: 'Oak',
      categoryPath: ['Home', 'Kitchen', 'Cups'],
      availableUntilMs: Date.parse('2026-12-01T00:00:00Z'),
      extra: { gtin: '4006381333931' },
    })
    assert.equal(parseItem(item, 0).kind, 'item')
  })

  it('is read by our own names; an empty cell says nothing', () => {
    const columns = ['itemId', 'name', 'price', 'stockCount', 'tags', 'updatedAt', 'version', 'url']
    const item = itemOf(columns, ['a', 'A', '1', '0', 'x | y,z', '2026-11-01', '9', ''])
    assert.deepEqual(item, {
      ...{ itemId: 'a', name: 'A', price: 1, stockCount: 0, tags: ['x', 'y', 'z'] },
      ...{ updatedAtMs: Date.parse('2026-11-01'), version: 9 },
    })
  })

  it('is refused by the column that cannot be read', () => {
    const cases: readonly (readonly [string, string])[] = [
      ['price', '1,234.50'],
      ['price', 'NaN'],
      ['price', '-1'],
      ['stock', '2.5'],
      ['availability', 'maybe'],
      ['updated_at', 'yesterday'],
      ['sale_price', '5 USD'],
    ]
    for (const [column, cell] of cases) {
      const isPrice = column === 'price'
      const columns = isPrice ? needed : [...needed, column]
      const cells = isPrice ? ['a', 'A', cell] : ['a', 'A', '6 EUR', cell]
      const mapped = mapRow(columns, cells)
      assert.equal(mapped.kind === 'refused' && mapped.path, column, `${column} ${cell}`)
    }
    assert.deepEqual(itemOf([...needed, 'availability'], ['a', 'A', '1', 'out_of_stock']), {
      ...{ itemId: 'a', name: 'A', price: 1, stockCount: 0 },
    })
  })

  it('needs an id, a name and a price, each once', () => {
    const refusals = [['id', 'title'], [...needed, 'itemId'], ['price']].map(createItemMapper)
    assert.deepEqual(
      refusals.map((created) => created.kind === 'refused' && created.faults.length),
      [1, 1, 2],
    )
  })
})
