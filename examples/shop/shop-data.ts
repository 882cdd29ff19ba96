/**
 * Reads the shop's data as `scripts/make-shop-data.ts` wrote it, and turns orders into Segment
 * calls.
 *
 * Calls carry no time: whoever sends them adds `timestamp` in its own time, real or virtual.
 */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import type { Item } from '../../src/catalog/item.ts'
import type { JsonObject } from '../../src/lib/json.ts'

/** The first invoice: minute 0 of every order. The data names no zone; UTC is assumed. */
export const firstInvoice = '2010-12-01T08:26:00Z'

/** What happened to one invoice, or to a part of a long one. */
export interface ShopOrder {
  readonly event: 'Order Completed' | 'Order Refunded'
  readonly orderId: string
  /** From 1, with `partCount`, where an invoice of more than 200 lines was split. */
  readonly part?: number
  readonly partCount?: number
  /** Since the first invoice. */
  readonly minute: number
  readonly customerId: string | null
  readonly country: string
  readonly lines: readonly (readonly [itemId: string, quantity: number, unitPrice: number])[]
}

/**
 * The body of a Segment HTTP call, to be posted to `/v1/<type>`. Invalid ones lack what they should
 * have.
 */
export interface SegmentCall {
  readonly type: 'track' | 'identify' | 'page'
  readonly messageId: string
  readonly userId?: string
  readonly anonymousId?: string
  readonly event?: string
  readonly name?: string
  readonly properties?: JsonObject
  readonly traits?: JsonObject
  readonly context?: JsonObject
}

/** Returns the catalog and all orders in time order, from a folder as `examples/shop/data`. */
export async function readShop(
  folder: string,
): Promise<{ readonly items: readonly Item[]; readonly orders: readonly ShopOrder[] }> {
  const [items, orders] = await Promise.all([
    readLines(join(folder, 'items.ndjson.gz')),
    readLines(join(folder, 'orders.ndjson.gz')),
  ])
  // The script that wrote the files has these types; a test compares the files with what it writes.
  return { items: items as Item[], orders: orders as ShopOrder[] }
}

/**
 * Returns the call that tells of an order. Unknown customers stay unknown: one anonymous id per
 * invoice.
 */
export function orderCall(order: ShopOrder): SegmentCall {
  const total = order.lines.reduce((sum, [, quantity, price]) => sum + quantity * price, 0)
  return {
    type: 'track',
    messageId: order.part === undefined ? order.orderId : `${order.orderId}-${order.part}`,
    event: order.event,
    ...(order.customerId === null
      ? { anonymousId: `guest-${order.orderId}` }
      : { userId: customerUserId(order.customerId) }),
    properties: {
      order_id: order.orderId,
      total: roundPence(total),
      currency: 'GBP',
      products: order.lines.map(([itemId, quantity, price]) => ({
        product_id: itemId,
        quantity,
        price,
      })),
    },
  }
}

/**
 * Returns one identify call per customer, with the country of the first order. Nothing more is
 * known of them.
 */
export function customerCalls(orders: readonly ShopOrder[]): readonly SegmentCall[] {
  const calls = new Map<string, SegmentCall>()
  for (const { customerId, country } of orders) {
    if (customerId === null || calls.has(customerId)) continue
    calls.set(customerId, {
      type: 'identify',
      messageId: `customer-${customerId}`,
      userId: customerUserId(customerId),
      traits: { country },
    })
  }
  return [...calls.values()]
}

export function customerUserId(customerId: string): string {
  return `customer-${customerId}`
}

export function roundPence(money: number): number {
  return Math.round(money * 100) / 100
}

async function readLines(path: string): Promise<readonly unknown[]> {
  const text = gunzipSync(await readFile(path)).toString('utf8')
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line): unknown => JSON.parse(line))
}
