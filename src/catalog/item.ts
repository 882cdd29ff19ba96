import type { JsonObject } from '../lib/json.ts'

/** A thing that can be recommended, as the shop last described it. */
export interface Item {
  readonly itemId: string
  readonly name: string
  /** The regular price, such as 4.95, in `currency`. */
  readonly price: number
  /** What it costs now, where that is less. */
  readonly salePrice?: number
  /** Three capitals; absent = the shop's currency. */
  readonly currency?: string
  /** Units that can be sold now; 0 = out of stock, absent = not counted (always available). */
  readonly stockCount?: number
  /** The narrowest category; where there is no path, a path may be written `Home > Kitchen`. */
  readonly category?: string
  /** From the widest category to the narrowest. */
  readonly categoryPath?: readonly string[]
  readonly brand?: string
  readonly imageUrl?: string
  readonly url?: string
  readonly tags?: readonly string[]
  /** Language of the texts, such as `de` or `en-GB`; absent = any. */
  readonly locale?: string
  /** Sold from this instant on, and until before that one. */
  readonly availableFromMs?: number
  readonly availableUntilMs?: number
  /** Number that the source raises with each change. */
  readonly version?: number
  /** When the shop made this version. */
  readonly updatedAtMs: number
  /** Set where the shop has taken it away; kept, so that an older update does not revive it. */
  readonly isRemoved?: true
  readonly extra?: JsonObject
}

/** What changed of an item that is known: the fields that are there; null takes one away. */
export type PartialItem = Pick<Item, 'itemId' | 'updatedAtMs' | 'version'> & {
  readonly isPartial: true
} & {
  readonly [Field in keyof Omit<Item, 'itemId' | 'updatedAtMs' | 'version'>]?: Item[Field] | null
}

/** What the shop says of an item: all, or what changed. */
export type ItemUpdate = Item | PartialItem

/** Tells whether there is any to sell. There is not where the price is no number. */
export function isInStock(item: Item): boolean {
  if (item.isRemoved === true || !isPrice(item.price)) return false
  return item.stockCount === undefined || item.stockCount > 0
}

/** Tells whether an item can be sold at an instant. */
export function isAvailable(item: Item, nowMs: number): boolean {
  if (!isInStock(item)) return false
  if (item.availableFromMs !== undefined && nowMs < item.availableFromMs) return false
  return item.availableUntilMs === undefined || nowMs < item.availableUntilMs
}

/** Returns what an item costs now: the sale price where there is a lower one. */
export function currentPrice({ price, salePrice }: Pick<Item, 'price' | 'salePrice'>): number {
  return isPrice(salePrice) && salePrice < price ? salePrice : price
}

/** Returns the categories of an item, widest first. */
export function categoriesOf(item: Pick<Item, 'category' | 'categoryPath'>): readonly string[] {
  if (item.categoryPath !== undefined) return item.categoryPath
  if (item.category === undefined) return []
  return item.category.split(/\s+>\s+/)
}

/**
 * Returns an item as it is after an update; undefined where the update changes nothing: it is older
 * than what is known, or tells only what changed of an item that is not known or was taken away.
 */
export function applyItemUpdate(update: ItemUpdate, known: Item | undefined): Item | undefined {
  if (known !== undefined && isStaleUpdate(update, known)) return undefined
  if (!isPartial(update)) return update
  if (known === undefined || known.isRemoved === true) return undefined
  const { isPartial: _isPartial, ...said } = update
  const fields = Object.entries({ ...known, ...said }).filter(([, value]) => value !== null)
  // Null takes away only what an item need not have: see `parse-item.ts`.
  return Object.fromEntries(fields) as unknown as Item
}

function isPartial(update: ItemUpdate): update is PartialItem {
  return 'isPartial' in update
}

/**
 * By the version of the source where both have one, else, and where versions are equal, by time.
 * The same update again is not stale.
 */
function isStaleUpdate(update: ItemUpdate, known: Item): boolean {
  const { version } = update
  if (version !== undefined && known.version !== undefined && version !== known.version) {
    return version < known.version
  }
  return update.updatedAtMs < known.updatedAtMs
}

function isPrice(price: number | undefined): price is number {
  return typeof price === 'number' && price >= 0 && price < Number.POSITIVE_INFINITY
}
