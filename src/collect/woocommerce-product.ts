/**
 * WooCommerce's product webhooks, as items of the catalog. Facts: WooCommerce's REST API
 * documentation, products.
 *
 * The price of a variable product is that of its cheapest variation, as the shop says itself. Only
 * a published product can be sold.
 */

import { parseTimeMs } from '../event/event-time.ts'
import type { JsonObject } from '../lib/json.ts'
import { type HookFields, present } from './hook-fields.ts'

/** Returns the item of `product.created`, `product.updated` and `product.restored`. */
export function woocommerceItem(fields: HookFields): JsonObject {
  const itemId = fields.id('id')
  const modified = fields.text('date_modified_gmt')
  // Times in `..._gmt` are of UTC and do not say so.
  const isPlain = modified !== undefined && !/[Zz]$/.test(modified)
  const updatedAtMs = parseTimeMs(isPlain ? `${modified}Z` : modified)
  const status = fields.text('status')
  if (status !== undefined && status !== 'publish') {
    return present({ itemId, isRemoved: true, updatedAtMs })
  }
  const namesOf = (list: string): readonly string[] =>
    fields.list(list).flatMap((each) => each.text('name') ?? [])
  const tags = namesOf('tags')
  return present({
    itemId,
    name: fields.text('name'),
    ...pricesOf(fields),
    stockCount: stockOf(fields),
    category: namesOf('categories')[0],
    brand: namesOf('brands')[0],
    imageUrl: fields.list('images')[0]?.text('src'),
    url: fields.text('permalink'),
    tags: tags.length === 0 ? undefined : tags,
    updatedAtMs,
  })
}

/** Returns the removal that `product.deleted` means; it says nothing but the id. */
export function woocommerceRemoval(fields: HookFields): JsonObject {
  return present({ itemId: fields.id('id'), isRemoved: true })
}

function pricesOf(fields: HookFields): JsonObject {
  const price = fields.money('price')
  const regular = fields.money('regular_price')
  if (price === undefined) return {}
  return regular !== undefined && regular > price ? { price: regular, salePrice: price } : { price }
}

function stockOf(fields: HookFields): number | undefined {
  if (fields.text('stock_status') === 'outofstock') return 0
  const mayGoOn = fields.text('stock_status') === 'onbackorder'
  return fields.isTrue('manage_stock') && !mayGoOn ? fields.stock('stock_quantity') : undefined
}
