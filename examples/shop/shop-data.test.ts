import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { countRows, makeShopData } from '../../scripts/make-shop-data.ts'
import { sha256Hex } from '../../src/lib/hash.ts'
import { itemCategories } from './item-category.ts'
import { tidyName } from './item-name.ts'
import { customerCalls, orderCall, readShop } from './shop-data.ts'

const folder = fileURLToPath(new URL('./data', import.meta.url))
const bytesMax = 6 * 1024 * 1024
/** The file is not part of the repository; these are the places where it may lie. */
const csvPath = ['data', '../shared/data']
  .map((place) => `../../${place}/online-retail/online-retail.csv.gz`)
  .map((path) => fileURLToPath(new URL(path, import.meta.url)))
  .find((path) => existsSync(path))

const shop = await readShop(folder)
const readme = await readFile(`${folder}/README.md`, 'utf8')

function stated(name: string): number {
  const row = readme.split('\n').find((line) => line.startsWith(`| ${name} |`))
  assert.ok(row, `the README states: ${name}`)
  return Number(row.split('|')[2]?.replaceAll(',', ''))
}

async function committed(name: string): Promise<string> {
  return gunzipSync(await readFile(`${folder}/${name}`)).toString('utf8')
}

describe('the data of the shop', () => {
  it('is what the script makes of the published file', {
    skip: csvPath === undefined && 'shared data is absent: online-retail.csv.gz',
  }, async () => {
    const made = await makeShopData(csvPath ?? '')
    assert.equal(sha256Hex(await committed('items.ndjson.gz')), sha256Hex(made.items))
    assert.equal(sha256Hex(await committed('orders.ndjson.gz')), sha256Hex(made.orders))
    for (const row of countRows(made.counts)) {
      assert.ok(readme.includes(`${row}\n`), `the README has the row ${row}`)
    }
  })

  it('holds as much as its README states', () => {
    const completed = shop.orders.filter(({ event }) => event === 'Order Completed')
    const invoices = (orders: typeof shop.orders) => new Set(orders.map((o) => o.orderId)).size
    const split = shop.orders.filter(({ partCount }) => partCount !== undefined)
    const unknown = completed.filter(({ customerId }) => customerId === null)
    const known = shop.orders.flatMap(({ customerId }) => customerId ?? [])
    const lineCount = shop.orders.reduce((sum, { lines }) => sum + lines.length, 0)
    assert.equal(shop.items.length, stated('items'))
    assert.equal(
      shop.items.filter(({ stockCount }) => stockCount === 0).length,
      stated('items out of stock'),
    )
    assert.equal(shop.orders.length, stated('order events'))
    assert.equal(completed.length, stated('of them Order Completed'))
    assert.equal(shop.orders.length - completed.length, stated('of them Order Refunded'))
    assert.equal(lineCount, stated('order lines'))
    assert.equal(invoices(completed), stated('orders completed (invoices)'))
    assert.equal(invoices(unknown), stated('orders completed by nobody known (invoices)'))
    assert.equal(invoices(split), stated('invoices still over 200 lines and split'))
    assert.equal(new Set(known).size, stated('customers'))
  })

  it('accounts for every row that was read', () => {
    const leftOut = [
      'not a product',
      'stock adjustment',
      'no price',
      'refund of an item never sold',
    ]
    const sum = leftOut.reduce((total, why) => total + stated(`rows left out: ${why}`), 0)
    assert.equal(sum + stated('order lines'), stated('rows read'))
  })

  it('is small, in order, and refers to itself only', async () => {
    const sizes = await Promise.all(
      ['items', 'orders'].map(async (name) => (await stat(`${folder}/${name}.ndjson.gz`)).size),
    )
    assert.ok(sizes.reduce((sum, size) => sum + size, 0) <= bytesMax)
    const itemIds = new Set(shop.items.map(({ itemId }) => itemId))
    assert.equal(itemIds.size, shop.items.length)
    let minute = 0
    for (const order of shop.orders) {
      assert.ok(order.minute >= minute && order.lines.length >= 1 && order.lines.length <= 200)
      minute = order.minute
      for (const [itemId, quantity, price] of order.lines) {
        assert.ok(itemIds.has(itemId) && quantity >= 1 && price > 0, `${order.orderId} ${itemId}`)
      }
    }
  })

  it('describes every item well enough to show it', () => {
    for (const item of shop.items) {
      assert.match(item.name, /^\S.*\S$/)
      assert.doesNotMatch(item.name, /[<>?*]|\s\s/)
      assert.ok(item.price > 0 && Number(item.stockCount) >= 0)
      assert.ok(itemCategories.some((category) => category === item.category))
      assert.equal(item.imageUrl, `/demo/items/${item.itemId}.svg`)
    }
    assert.equal(new Set(shop.items.map(({ category }) => category)).size, itemCategories.length)
  })

  it('becomes calls that fit the limit of an event, each under an id of its own', () => {
    const calls = [...customerCalls(shop.orders), ...shop.orders.map(orderCall)]
    assert.equal(new Set(calls.map(({ messageId }) => messageId)).size, calls.length)
    for (const call of calls) {
      assert.notEqual(call.userId === undefined, call.anonymousId === undefined)
      assert.ok(JSON.stringify(call).length < 32 * 1024)
    }
  })
})

describe('tidyName', () => {
  const names = [
    ['SET OF 3 REGENCY CAKE TINS ', 'Set of 3 Regency Cake Tins'],
    ['WHITE HANGING HEART T-LIGHT HOLDER', 'White Hanging Heart T-Light Holder'],
    ["CHILDREN'S APRON DOLLY GIRL", "Children's Apron Dolly Girl"],
    ['THE KING GIFT BAG 25x24x12cm', 'The King Gift Bag 25x24x12cm'],
    ['*USB Office Mirror Ball', 'USB Office Mirror Ball'],
    ['GREETING CARD,STICKY GORDON', 'Greeting Card, Sticky Gordon'],
    ['LETTER "A" BLING KEY RING', 'Letter "A" Bling Key Ring'],
  ] as const
  for (const [before, after] of names) {
    it(`reads ${before.trim()} as ${after}`, () => assert.equal(tidyName(before), after))
  }
})
