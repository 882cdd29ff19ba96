/**
 * Shopify's product webhooks, as items of the catalog. Facts: shopify.dev, the REST resource
 * Product.
 *
 * The item is the product, since orders and views name it; its price is that of its cheapest
 * variant, its stock that of all of them together. Only an active product can be sold.
 */

import { parseTimeMs } from '../event/event-time.ts'
import type { JsonObject } from '../lib/json.ts'
import { type HookFields, present } from './hook-fields.ts'

/** Returns the item of `products/create` and `products/update`. */
export function shopifyItem(fields: HookFields, shopDomain: string | undefined): JsonObject {
  const itemId = fields.id('id')
  const updatedAtMs = parseTimeMs(fields.text('updated_at'))
  const status = fields.text('status')
  if (status !== undefined && status !== 'active') {
    return present({ itemId, isRemoved: true, updatedAtMs })
  }
  const variants = fields.list('variants')
  const handle = fields.text('handle')
  const hasUrl = handle !== undefined && shopDomain !== undefined && isHost.test(shopDomain)
  const tags = (fields.text('tags') ?? '').split(',').map((tag) => tag.trim())
  return present({
    itemId,
    name: fields.text('title'),
    ...pricesOf(variants),
    stockCount: stockOf(variants),
    category: fields.text('product_type'),
    brand: fields.text('vendor'),
    imageUrl: fields.object('image')?.text('src'),
    url: hasUrl ? `https://${shopDomain}/products/${encodeURIComponent(handle)}` : undefined,
    tags: tags.some((tag) => tag !== '') ? tags.filter((tag) => tag !== '') : undefined,
    updatedAtMs,
  })
}

/** Returns the removal that `products/delete` means; it says nothing but the id. */
export function shopifyRemoval(fields: HookFields): JsonObject {
  return present({ itemId: fields.id('id'), isRemoved: true })
}

const isHost = /^[a-z0-9][a-z0-9.-]{0,252}$/i

/** Of the cheapest variant; what it is compared at is its regular price. */
function pricesOf(variants: readonly HookFields[]): JsonObject {
  let cheapest: { readonly price: number; readonly regular: number } | undefined
  for (const variant of variants) {
    const price = variant.money('price')
    const regular = variant.money('compare_at_price') ?? price
    if (price === undefined || regular === undefined) continue
    if (cheapest === undefined || price < cheapest.price) cheapest = { price, regular }
  }
  if (cheapest === undefined) return {}
  const { price, regular } = cheapest
  return regular > price ? { price: regular, salePrice: price } : { price }
}

/** Not counted where one variant is not, or is sold also when there is none. */
function stockOf(variants: readonly HookFields[]): number | undefined {
  let sum: number | undefined
  for (const variant of variants) {
    const isCounted = !variant.isNull('inventory_management')
    const count = variant.stock('inventory_quantity')
    if (!isCounted || count === undefined || variant.text('inventory_policy') === 'continue') {
      return undefined
    }
    sum = (sum ?? 0) + count
  }
  return sum
}
