/** What the items of an event are: what the line says, else the event, else the catalog. */

import type { Json } from '../lib/json.ts'
import { type ActivityLine, stampedItem } from './activity.ts'
import type { Event } from './event.ts'

export interface ItemTaste {
  readonly category: string | undefined
  readonly brand: string | undefined
  /** Of one piece. */
  readonly price: number | undefined
}

/** Returns what is known of the item of a line; undefined where it is of none. */
export function tasteOf(event: Event, { entry, product }: ActivityLine): ItemTaste | undefined {
  const { itemId, value, quantity = 1 } = entry
  if (itemId === undefined) return undefined
  const stamped = stampedItem(event.stamped?.items, itemId)
  const said = (name: 'category' | 'brand'): string | undefined =>
    textOf(product?.[name]) ?? textOf(event.properties?.[name]) ?? stamped?.[name]
  const category = said('category')
  const brand = said('brand')
  const price = value === undefined ? stamped?.price : value / quantity
  return { category, brand, price }
}

function textOf(value: Json | undefined): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
