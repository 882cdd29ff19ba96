import { deepStrictEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  applyItemUpdate,
  categoriesOf,
  currentPrice,
  type Item,
  type ItemUpdate,
  isAvailable,
} from './item.ts'
import { itemBytesMax, parseItem } from './parse-item.ts'

const nowMs = Date.parse('2026-11-26T12:00:00Z')
const hourMs = 3_600_000
const plain = { itemId: 'a', name: 'Cup', price: 4.5 }

function pathsOf(input: unknown): readonly string[] {
  const parsed = parseItem(input, nowMs)
  return parsed.kind === 'refused' ? parsed.faults.map(({ path }) => path) : []
}

function itemOf(more: Partial<Item> = {}): Item {
  return { ...plain, updatedAtMs: nowMs, ...more }
}

describe('parseItem', () => {
  it('takes every field, and now for the time of an update that says none', () => {
    const full = {
      ...{ ...plain, salePrice: 4, currency: 'EUR', stockCount: 3, category: 'Cups' },
      ...{
        categoryPath: ['Home', 'Cups'],
        brand: 'Oak',
        imageUrl: '/a.png',
        url: 'https://s.example',
      },
      ...{ tags: ['new'], locale: 'en-GB', availableFromMs: 1, availableUntilMs: 2, version: 7 },
      ...{ updatedAtMs: nowMs - 1, extra: { colour: 'red' } },
    }
    const parsed = parseItem(full, nowMs)
    deepStrictEqual(parsed.kind === 'item' ? parsed.item : parsed, full)
    deepStrictEqual(parsed.kind === 'item' && JSON.parse(Buffer.from(parsed.body).toString()), full)
    const bare = parseItem(plain, nowMs)
    equal(bare.kind === 'item' && bare.item.updatedAtMs, nowMs)
  })

  it('takes the narrowest of a path for the category, where none is named', () => {
    const parsed = parseItem({ ...plain, categoryPath: ['Home', 'Cups'] }, nowMs)
    equal(parsed.kind === 'item' && parsed.item.category, 'Cups')
  })

  it('names the path of each thing that is wrong', () => {
    const wrong = { ...plain, price: Number.NaN, currency: 'euro', tags: [''], stockCount: 1.5 }
    deepStrictEqual(pathsOf(wrong), ['/price', '/currency', '/stockCount', '/tags/0'])
    deepStrictEqual(pathsOf({ ...plain, price: 1e10 }), ['/price'])
    deepStrictEqual(pathsOf({ ...plain, salePrice: Number.POSITIVE_INFINITY }), ['/salePrice'])
    deepStrictEqual(pathsOf({ ...plain, url: 'javascript:alert(1)' }), ['/url'])
    deepStrictEqual(pathsOf({ ...plain, colour: 'red' }), [''])
    deepStrictEqual(pathsOf(null), [''])
    deepStrictEqual(pathsOf({ ...plain, updatedAtMs: nowMs + 25 * hourMs }), ['/updatedAtMs'])
    const never = { ...plain, availableFromMs: 5, availableUntilMs: 5 }
    deepStrictEqual(pathsOf(never), ['/availableUntilMs'])
    const long = { ...plain, extra: { text: 'x'.repeat(itemBytesMax) } }
    deepStrictEqual(pathsOf(long), [''])
  })

  it('answers any JSON with an item or with faults (property)', () => {
    const names = ['itemId', 'name', 'price', 'tags', 'extra', 'isPartial', 'isRemoved', 'version']
    const value = fc.oneof(fc.jsonValue(), fc.string(), fc.double(), fc.constant('a'))
    const input = fc.oneof(fc.jsonValue(), fc.dictionary(fc.constantFrom(...names), value))
    fc.assert(
      fc.property(input, (given) => {
        const parsed = parseItem(given, nowMs)
        if (parsed.kind === 'refused') ok(parsed.faults.length > 0)
        else equal(typeof parsed.item.itemId, 'string')
      }),
      { numRuns: 500 },
    )
  })

  it('takes an item away by its id alone, and nothing beside it', () => {
    const parsed = parseItem({ itemId: 'a', isRemoved: true, version: 3 }, nowMs)
    const item = parsed.kind === 'item' ? applyItemUpdate(parsed.item, undefined) : undefined
    equal(item?.isRemoved, true)
    equal(item?.version, 3)
    ok(item !== undefined && !isAvailable(item, nowMs))
    deepStrictEqual(pathsOf({ ...plain, isRemoved: true }), ['', ''])
    deepStrictEqual(pathsOf({ itemId: 'a', isRemoved: false }), ['/isRemoved'])
  })
})

describe('an item', () => {
  it('is available within its times, with stock and a price that is a number', () => {
    ok(isAvailable(itemOf(), nowMs))
    ok(isAvailable(itemOf({ stockCount: 1 }), nowMs))
    ok(!isAvailable(itemOf({ stockCount: 0 }), nowMs))
    ok(!isAvailable(itemOf({ price: Number.NaN }), nowMs))
    // Stored as JSON, it comes back as null.
    ok(!isAvailable(JSON.parse(JSON.stringify(itemOf({ price: Number.NaN }))) as Item, nowMs))
    const timed = itemOf({ availableFromMs: nowMs, availableUntilMs: nowMs + 2 })
    deepStrictEqual(
      [nowMs - 1, nowMs, nowMs + 1, nowMs + 2].map((atMs) => isAvailable(timed, atMs)),
      [false, true, true, false],
    )
  })

  it('costs the sale price where that is less', () => {
    equal(currentPrice({ price: 5, salePrice: 4 }), 4)
    equal(currentPrice({ price: 5, salePrice: 6 }), 5)
    equal(currentPrice({ price: 5, salePrice: Number.NaN }), 5)
    equal(currentPrice({ price: 5 }), 5)
  })

  it('has the categories of its path, also of one that is written', () => {
    deepStrictEqual(categoriesOf({ categoryPath: ['A', 'B'], category: 'C' }), ['A', 'B'])
    deepStrictEqual(categoriesOf({ category: 'Home > Cups' }), ['Home', 'Cups'])
    deepStrictEqual(categoriesOf({ category: 'A>B' }), ['A>B'])
    deepStrictEqual(categoriesOf({}), [])
  })
})

describe('an update', () => {
  const isStale = (update: Item, known: Item): boolean =>
    applyItemUpdate(update, known) === undefined
  const updateOf = (input: object): ItemUpdate => {
    const parsed = parseItem(input, nowMs)
    if (parsed.kind === 'item') return parsed.item
    throw new Error(JSON.stringify(parsed.faults))
  }

  it('is stale by version where both have one, else by time; the same again is not', () => {
    const known = itemOf({ version: 5, updatedAtMs: 100 })
    ok(isStale(itemOf({ version: 4, updatedAtMs: 200 }), known))
    ok(!isStale(itemOf({ version: 6, updatedAtMs: 50 }), known))
    ok(isStale(itemOf({ version: 5, updatedAtMs: 99 }), known))
    ok(!isStale(known, known))
    ok(isStale(itemOf({ updatedAtMs: 99 }), known))
    ok(!isStale(itemOf({ updatedAtMs: 100 }), known))
  })

  it('may say only what changed, and null for what the item no longer has', () => {
    const known = itemOf({
      stockCount: 3,
      salePrice: 2,
      brand: 'Oak',
      updatedAtMs: 100,
      version: 1,
    })
    const update = updateOf({
      itemId: 'a',
      isPartial: true,
      price: 9,
      salePrice: null,
      stockCount: 0,
    })
    const { salePrice: _gone, ...kept } = known
    const changed = { ...kept, price: 9, stockCount: 0, updatedAtMs: nowMs }
    deepStrictEqual(applyItemUpdate(update, known), changed)
    equal(applyItemUpdate(update, itemOf({ updatedAtMs: nowMs + 1 })), undefined)
    equal(applyItemUpdate(update, undefined), undefined)
    equal(applyItemUpdate(update, itemOf({ isRemoved: true, updatedAtMs: 1 })), undefined)
  })

  it('cannot take away what an item needs', () => {
    deepStrictEqual(pathsOf({ itemId: 'a', isPartial: true, price: null, name: null }), [
      ...['/name', '/price'],
    ])
    deepStrictEqual(pathsOf({ itemId: 'a', isPartial: true, stockCount: -1 }), ['/stockCount'])
    deepStrictEqual(pathsOf({ itemId: 'a', isPartial: false }), ['/isPartial'])
  })
})
