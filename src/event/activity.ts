/**
 * What a person did with which items, read from the properties that Segment's ecommerce spec names.
 *
 * One entry per item. An event that names no item has one entry without, with the money of the
 * whole. Where the producer names no price the catalog's counts, which the collector has stamped
 * into the event; not for orders: what was paid is the producer's word alone.
 */

import { isJsonObject, type Json, type JsonObject, valueAt } from '../lib/json.ts'
import type { Event, ItemStamp, StampedItem } from './event.ts'

/** Same shape as the `Activity` of a profile, which is above this part. */
export interface EventActivity {
  readonly name: string
  readonly occurredAtMs: number
  readonly itemId?: string
  readonly quantity?: number
  readonly value?: number
  /** Of those asked for: what the line says, else the event, else the catalog. */
  readonly properties?: JsonObject
}

const itemIdLengthMax = 200
/** Of a property that is kept; a longer text, or list of texts and numbers, is not. */
const keptLengthMax = 500
const keptCountMax = 20
/** Above this, cents are no longer exact in a sum of many. */
const moneyMax = 1e12

/**
 * Returns the entries of an event; none for identify, group and alias, which say who a person is.
 * Each has those of the properties `keep` that are texts, numbers, truth values or lists of them.
 */
export function activityOf(
  event: Event,
  keep: readonly string[] = [],
  lines: readonly ActivityLine[] = linesOf(event),
): readonly EventActivity[] {
  if (keep.length === 0) return lines.map(({ entry }) => entry)
  return lines.map(({ entry, product }) => {
    const properties = keptProperties(event, { entry, product }, keep)
    return Object.keys(properties).length === 0 ? entry : { ...entry, properties }
  })
}

/** An entry, with the product of the event that it was read from. */
export interface ActivityLine {
  readonly entry: EventActivity
  readonly product?: JsonObject | undefined
}

function keptProperties(event: Event, line: ActivityLine, keep: readonly string[]): JsonObject {
  const stamped = stampedItem(event.stamped?.items, line.entry.itemId)
  const sources = [line.product, event.properties, stamped as JsonObject | undefined]
  const kept: Record<string, Json> = {}
  for (const name of keep) {
    for (const source of sources) {
      const value = source === undefined ? undefined : valueAt(source, name)
      if (value === undefined || value === null) continue
      if (isKept(value)) kept[name] = value
      break
    }
  }
  return kept
}

function isKept(value: Json): boolean {
  if (Array.isArray(value)) {
    const values: readonly Json[] = value
    return (
      values.length <= keptCountMax && values.every((each) => !Array.isArray(each) && isKept(each))
    )
  }
  return typeof value === 'string' ? value.length <= keptLengthMax : typeof value !== 'object'
}

/** Returns the entries of an event, before properties are kept with them. */
export function linesOf(event: Event): readonly ActivityLine[] {
  if (event.type === 'identify' || event.type === 'group' || event.type === 'alias') return []
  const properties = event.properties ?? {}
  const { name, occurredAtMs } = event
  const stamped = name.startsWith('Order ') ? undefined : event.stamped?.items
  const entries: ActivityLine[] = []
  if (Array.isArray(properties.products)) {
    for (const product of properties.products as readonly Json[]) {
      if (!isJsonObject(product)) continue
      const entry = lineOf({ name, occurredAtMs }, product, stamped)
      if (entry !== undefined) entries.push({ entry, product })
    }
  }
  if (entries.length > 0) return entries
  const single = lineOf({ name, occurredAtMs }, properties, stamped)
  if (single !== undefined) return [{ entry: single }]
  const value =
    numberOf(properties.total) ?? numberOf(properties.revenue) ?? numberOf(properties.value)
  if (value === undefined) return [{ entry: { name, occurredAtMs } }]
  return [{ entry: { name, occurredAtMs, value: roundMoney(value) } }]
}

/** Returns what the catalog was stamped to say of an item. */
export function stampedItem(
  items: ItemStamp['items'],
  itemId: string | undefined,
): StampedItem | undefined {
  if (items === undefined || itemId === undefined) return undefined
  return Object.hasOwn(items, itemId) ? items[itemId] : undefined
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
  return product.price === undefined ? stampedItem(stamped, itemId)?.price : undefined
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
