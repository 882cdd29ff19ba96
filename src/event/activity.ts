/**
 * What a person did with which items, read from the properties that Segment's ecommerce spec names.
 *
 * One entry per item. An event that names no item has one entry without, with the money of the
 * whole. Where the producer names no price the catalog's counts, which the collector has stamped
 * into the event; not for orders: what was paid is the producer's word alone.
 */

import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'
import type { Event, ItemStamp } from './event.ts'

/** Same shape as the `Activity` of a profile, which is above this part. */
export interface EventActivity {
  readonly name: string
  readonly occurredAtMs: number
  readonly itemId?: string
  readonly quantity?: number
  readonly value?: number
}

const itemIdLengthMax = 200
/** Above this, cents are no longer exact in a sum of many. */
const moneyMax = 1e12

/**
 * Returns the entries of an event; none for identify, group and alias, which say who a person is.
 */
export function activityOf(event: Event): readonly EventActivity[] {
  if (event.type === 'identify' || event.type === 'group' || event.type === 'alias') return []
  const properties = event.properties ?? {}
  const { name, occurredAtMs } = event
  const stamped = name.startsWith('Order ') ? undefined : event.stamped?.items
  const entries: EventActivity[] = []
  if (Array.isArray(properties.products)) {
    for (const product of properties.products as readonly Json[]) {
      const entry = isJsonObject(product)
        ? lineOf({ name, occurredAtMs }, product, stamped)
        : undefined
      if (entry !== undefined) entries.push(entry)
    }
  }
  if (entries.length > 0) return entries
  const single = lineOf({ name, occurredAtMs }, properties, stamped)
  if (single !== undefined) return [single]
  const value =
    numberOf(properties.total) ?? numberOf(properties.revenue) ?? numberOf(properties.value)
  if (value === undefined) return [{ name, occurredAtMs }]
  return [{ name, occurredAtMs, value: roundMoney(value) }]
}

/** Returns the item id of a product: `product_id`, else `productId`, else `sku`. */
export function itemIdOf(product: JsonObject): string | undefined {
  return textOf(product.product_id) ?? textOf(product.productId) ?? textOf(product.sku)
}

function lineOf(
  done: Pick<EventActivity, 'name' | 'occurredAtMs'>,
  product: JsonObject,
  stamped: ItemStamp['items'],
): EventActivity | undefined {
  const itemId = itemIdOf(product)
  if (itemId === undefined) return undefined
  const stated = numberOf(product.quantity)
  const quantity = stated !== undefined && stated > 0 ? stated : undefined
  const price = numberOf(product.price) ?? stampedPriceOf(itemId, product, stamped)
  const value = price === undefined ? undefined : roundMoney(price * (quantity ?? 1))
  return {
    ...done,
    itemId,
    ...(quantity === undefined ? {} : { quantity }),
    ...(value === undefined || value > moneyMax ? {} : { value }),
  }
}

/** A price that was stated and cannot be read is not made up for. */
function stampedPriceOf(
  itemId: string,
  product: JsonObject,
  stamped: ItemStamp['items'],
): number | undefined {
  if (stamped === undefined || product.price !== undefined) return undefined
  return Object.hasOwn(stamped, itemId) ? stamped[itemId]?.price : undefined
}

function textOf(value: Json | undefined): string | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? String(value) : undefined
  if (typeof value !== 'string' || value === '' || value.length > itemIdLengthMax) return undefined
  return value
}

/**
 * Returns an amount that is not negative; a decimal text counts, `1,234.50` does not: it may mean
 * two things.
 */
function numberOf(value: Json | undefined): number | undefined {
  const number =
    typeof value === 'string' && /^\d{1,12}(\.\d{1,9})?$/.test(value) ? Number(value) : value
  return typeof number === 'number' && number >= 0 && number <= moneyMax ? number : undefined
}

/** Rounds to cents. The factor lifts 1.005, held as 1.00499..., over the half. */
function roundMoney(amount: number): number {
  return Math.round(amount * 100 * (1 + Number.EPSILON)) / 100
}
