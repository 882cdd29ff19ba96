import type { JsonObject } from '../lib/json.ts'

/** A thing that can be recommended, as the shop last described it. */
export interface Item {
  readonly itemId: string
  readonly name: string
  /** In the shop's currency; a whole and cents number such as 4.95. */
  readonly price: number
  /** Units that can be sold now; 0 = out of stock, absent = not counted (always available). */
  readonly stockCount?: number
  readonly category?: string
  readonly brand?: string
  readonly imageUrl?: string
  readonly url?: string
  /** When the shop made this version; an older one than the stored loses. */
  readonly updatedAtMs: number
  readonly extra?: JsonObject
}

/** Tells whether an item can be sold now. */
export function isAvailable(item: Pick<Item, 'stockCount'>): boolean {
  return item.stockCount === undefined || item.stockCount > 0
}
