/** How the API shows recommendations: as the catalog has the items now, with why each came. */

import { currentPrice, type Item } from '../catalog/item.ts'
import type { RecommendedItem, RecommendedItems } from '../delivery/recommend-items.ts'
import type { AdviceReason } from '../recommend/advisor.ts'

/** Returns the items of one list. `shopCurrency` is that of items that name none. */
export function showRecommended(
  { items, named }: Pick<RecommendedItems, 'items' | 'named'>,
  shopCurrency: string,
): readonly Record<string, unknown>[] {
  return items.map((one) => showOne(one, named, shopCurrency))
}

function showOne(
  { item, advised }: RecommendedItem,
  named: ReadonlyMap<string, Item>,
  shopCurrency: string,
): Record<string, unknown> {
  const { kind, itemId, category, algorithm, share } = advised.reason
  const about = itemId === undefined ? undefined : named.get(itemId)
  return {
    itemId: item.itemId,
    name: item.name,
    price: item.price,
    currentPrice: currentPrice(item),
    currency: item.currency ?? shopCurrency,
    category: item.category,
    categoryPath: item.categoryPath,
    brand: item.brand,
    tags: item.tags,
    imageUrl: item.imageUrl,
    url: item.url,
    stockCount: item.stockCount,
    version: item.version,
    updatedAtMs: item.updatedAtMs,
    score: advised.score,
    weights: advised.weights,
    reason: {
      kind,
      itemId,
      name: about?.name,
      category,
      algorithm,
      share,
      says: reasonText(advised.reason, about?.name ?? itemId ?? ''),
    },
  }
}

function reasonText({ kind, category }: AdviceReason, name: string): string {
  switch (kind) {
    case 'because-viewed':
      return `Because of a look at ${name}`
    case 'because-carted':
      return `Because ${name} was put into the cart`
    case 'because-bought':
      return `People who bought ${name} took this too`
    case 'bought-together':
      return `Bought together with ${name}`
    case 'looked-at':
      return 'Looked at before'
    case 'bought-before':
      return 'Bought before'
    case 'alike':
      return `Like ${name}`
    case 'viewed-not-bought':
      return 'Looked at, and not bought yet'
    case 'pinned':
      return 'Pinned by a rule'
    case 'in-catalog':
      return 'In the catalog'
    case 'trending':
      return category === undefined ? 'Popular now' : `Popular now in ${category}`
    default:
      return kind
  }
}
