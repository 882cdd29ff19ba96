import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { Item } from '../catalog/item.ts'
import { keptOf } from './collect-stage.fixture.ts'
import { deliverShopify, deliverWoo, openHookStage } from './hook-stage.fixture.ts'

/** In the form of Shopify's REST resource Product, with a product of our own. */
const shopifyProduct = {
  id: 632_910_392,
  title: 'Stoneware cup',
  body_html: '<p>Holds tea.</p>',
  vendor: 'Thimble & Oak',
  product_type: 'Cups',
  handle: 'stoneware-cup',
  status: 'active',
  tags: 'kitchen, tea',
  updated_at: '2026-11-02T10:00:00+01:00',
  image: { id: 1, src: 'https://cdn.shop.example/cup.png' },
  variants: [
    {
      ...{ id: 1, price: '12.00', compare_at_price: null, inventory_policy: 'deny' },
      ...{ inventory_management: 'shopify', inventory_quantity: 3 },
    },
    {
      ...{ id: 2, price: '9.50', compare_at_price: '11.00', inventory_policy: 'deny' },
      ...{ inventory_management: 'shopify', inventory_quantity: -1 },
    },
  ],
}
/** In the form of WooCommerce's REST API documentation, with a product of our own. */
const wooProduct = {
  id: 799,
  name: 'Tea towel',
  permalink: 'https://shop.example/product/tea-towel',
  status: 'publish',
  price: '7.00',
  regular_price: '8.00',
  sale_price: '7.00',
  manage_stock: true,
  stock_quantity: 12,
  stock_status: 'instock',
  categories: [{ id: 9, name: 'Linen', slug: 'linen' }],
  tags: [{ id: 1, name: 'gift', slug: 'gift' }],
  brands: [],
  images: [{ id: 2, src: 'https://shop.example/towel.png' }],
  date_modified_gmt: '2026-11-02T09:00:00',
}
const updatedAtMs = Date.parse('2026-11-02T09:00:00Z')

async function itemsAfter(
  t: TestContext,
  deliver: typeof deliverShopify,
  deliveries: readonly (readonly [topic: string, payload: unknown])[],
): Promise<readonly Item[]> {
  const stage = await openHookStage(t)
  for (const [topic, payload] of deliveries) {
    assert.equal((await deliver(stage, topic, payload)).status, 200)
  }
  assert.deepEqual(await keptOf(stage), [])
  const records = await stage.log.read(0, 0, 100)
  assert.ok(records.every(({ kind }) => kind === 'item'))
  return records.map(({ body, key }) => {
    const item = JSON.parse(Buffer.from(body).toString()) as Item
    assert.equal(key, `item:${item.itemId}`)
    return item
  })
}

describe("Shopify's product", () => {
  it('is an item with the price of its cheapest variant and the stock of all', async (t) => {
    const [item] = await itemsAfter(t, deliverShopify, [['products/create', shopifyProduct]])
    assert.deepEqual(item, {
      itemId: '632910392',
      name: 'Stoneware cup',
      price: 11,
      salePrice: 9.5,
      stockCount: 3,
      category: 'Cups',
      brand: 'Thimble & Oak',
      imageUrl: 'https://cdn.shop.example/cup.png',
      url: 'https://teapots.myshopify.example/products/stoneware-cup',
      tags: ['kitchen', 'tea'],
      updatedAtMs,
    })
  })

  it('is not counted where a variant is not, or is sold when there is none', async (t) => {
    const [first, second] = shopifyProduct.variants
    const items = await itemsAfter(t, deliverShopify, [
      [
        'products/update',
        { ...shopifyProduct, variants: [{ ...first, inventory_management: null }] },
      ],
      [
        'products/update',
        { ...shopifyProduct, variants: [{ ...second, inventory_policy: 'continue' }] },
      ],
    ])
    assert.deepEqual(
      items.map((item) => 'stockCount' in item),
      [false, false],
    )
  })

  it('that is a draft or was deleted is taken away', async (t) => {
    const [draft, gone] = await itemsAfter(t, deliverShopify, [
      ['products/update', { ...shopifyProduct, status: 'draft' }],
      ['products/delete', { id: 632_910_392 }],
    ])
    assert.equal(draft?.isRemoved, true)
    assert.equal(draft?.updatedAtMs, updatedAtMs)
    assert.equal(gone?.isRemoved, true)
    assert.equal(gone?.itemId, '632910392')
  })

  it('without a price is rejected and kept', async (t) => {
    const stage = await openHookStage(t)
    const payload = { ...shopifyProduct, variants: [{ id: 1, price: '1,234.50' }] }
    await deliverShopify(stage, 'products/update', payload)
    await deliverShopify(stage, 'products/update', { ...shopifyProduct, variants: [] })
    const kept = await keptOf(stage)
    assert.deepEqual(
      kept.map(({ reason, path }) => [reason, path]),
      [
        ['item-unreadable', '/variants/0/price'],
        ['item-unreadable', ''],
      ],
    )
    assert.equal(stage.counts.accepted, 0)
  })
})

describe("WooCommerce's product", () => {
  it('is an item', async (t) => {
    const [item] = await itemsAfter(t, deliverWoo, [['product.updated', wooProduct]])
    assert.deepEqual(item, {
      itemId: '799',
      name: 'Tea towel',
      price: 8,
      salePrice: 7,
      stockCount: 12,
      category: 'Linen',
      imageUrl: 'https://shop.example/towel.png',
      url: 'https://shop.example/product/tea-towel',
      tags: ['gift'],
      updatedAtMs,
    })
  })

  it('has the stock that its status says, and is taken away when it is not shown', async (t) => {
    const items = await itemsAfter(t, deliverWoo, [
      ['product.updated', { ...wooProduct, stock_status: 'outofstock' }],
      ['product.updated', { ...wooProduct, stock_status: 'onbackorder', stock_quantity: -2 }],
      ['product.updated', { ...wooProduct, status: 'private' }],
      ['product.deleted', { id: 799 }],
    ])
    assert.deepEqual(
      items.map(({ stockCount, isRemoved }) => [stockCount, isRemoved]),
      [
        [0, undefined],
        [undefined, undefined],
        [undefined, true],
        [undefined, true],
      ],
    )
  })
})
