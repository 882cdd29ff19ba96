/**
 * The spelling of ecommerce events: names of the first version of Segment's spec become those of
 * the second, so that a rule about `Product Viewed` sees every shop.
 */

import type { JsonObject } from '../lib/json.ts'

const todaysName = new Map<string, string>([
  ['Viewed Product Category', 'Product List Viewed'],
  ['Viewed Product List', 'Product List Viewed'],
  ['Filtered Product List', 'Product List Filtered'],
  ['Searched Products', 'Products Searched'],
  ['Viewed Product', 'Product Viewed'],
  ['Clicked Product', 'Product Clicked'],
  ['Added Product', 'Product Added'],
  ['Removed Product', 'Product Removed'],
  ['Viewed Cart', 'Cart Viewed'],
  ['Started Checkout', 'Checkout Started'],
  ['Started Order', 'Checkout Started'],
  ['Updated Order', 'Order Updated'],
  ['Completed Order', 'Order Completed'],
  ['Refunded Order', 'Order Refunded'],
  ['Cancelled Order', 'Order Cancelled'],
  ['Viewed Checkout Step', 'Checkout Step Viewed'],
  ['Completed Checkout Step', 'Checkout Step Completed'],
  ['Viewed Promotion', 'Promotion Viewed'],
  ['Clicked Promotion', 'Promotion Clicked'],
])

/** Returns the name in today's spelling; any other name as it is. */
export function todaysEventName(name: string): string {
  return todaysName.get(name) ?? name
}

/** Returns `properties` with the currency in capitals: producers write both `usd` and `USD`. */
export function withCurrencyInCapitals(properties: JsonObject): JsonObject {
  const currency = properties.currency
  if (typeof currency !== 'string' || currency.length !== 3) return properties
  const capitals = currency.toUpperCase()
  return capitals === currency ? properties : { ...properties, currency: capitals }
}
