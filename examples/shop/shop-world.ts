/**
 * The shop as its simulated visitors meet it: which items are bought together, who has bought
 * before, and where people live. All of it is taken from the real orders, so that what visitors
 * look at next is what real customers put in the same order, and a recommender has something to
 * learn.
 *
 * A step from item to item is a walk on the graph of items and orders: look into a few orders with
 * this item, and take what they have in common. No table of pairs is needed.
 */

import { type Item, isInStock } from '../../src/catalog/item.ts'
import { assert } from '../../src/lib/assert.ts'
import type { Random } from '../../src/lib/random.ts'
import type { ShopOrder } from './shop-data.ts'

/** Greater orders are a wholesaler's: their items have nothing to do with each other. */
const basketItemsMax = 40
/** Orders looked into at each step; the more, the more alike the items of one visit. */
const basketsSeen = 6
/** Wanted items are chosen among so many of the best. */
const relatedChoice = 4
const sameCategoryWeight = 0.75
/**
 * Customers with orders this early are left out as visitors: some of their orders pass out of a
 * window of 365 days while a demo runs, and whether the segment is entered would hang on seconds.
 */
const edgeMinutes = 18 * 24 * 60

export interface Waits {
  readonly cartMs: number
  readonly thankYouMs: number
  readonly loyalMs: number
}

export interface Customer {
  readonly customerId: string
  readonly country: string
  readonly orderCount: number
  /** What they bought of what is offered, oldest first; never empty. */
  readonly itemIds: readonly string[]
}

export interface ShopWorld {
  readonly items: ReadonlyMap<string, Item>
  /** Item ids of the orders that steps look into. */
  readonly baskets: readonly (readonly string[])[]
  /** Indexes of the baskets that hold an item. */
  readonly basketsOf: ReadonlyMap<string, readonly number[]>
  /** Customers who may come back, those one order short of loyal and others by turns. */
  readonly customers: readonly Customer[]
  /** Country of each order, so that a random one is as likely as it was. */
  readonly countries: readonly string[]
  readonly waits: Waits
  /** Begins every id that the visitors send, so that two runs do not look like duplicates. */
  readonly runId: string
}

/** Makes the world of one run from the shop's data. */
export function createShopWorld(options: {
  readonly items: readonly Item[]
  readonly orders: readonly ShopOrder[]
  readonly waits: Waits
  readonly runId: string
}): ShopWorld {
  const items = new Map(options.items.map((item) => [item.itemId, item]))
  const completed = options.orders.filter((order) => order.event === 'Order Completed')
  const baskets = completed
    .map((order) => [...new Set(order.lines.map(([itemId]) => itemId))])
    .map((itemIds) => itemIds.filter((itemId) => isOffered(items.get(itemId))))
    .filter((itemIds) => itemIds.length >= 2 && itemIds.length <= basketItemsMax)
  assert(baskets.length > 0, 'the shop has orders of two items or more')
  const basketsOf = new Map<string, number[]>()
  for (const [index, basket] of baskets.entries()) {
    for (const itemId of basket) {
      const indexes = basketsOf.get(itemId)
      if (indexes) indexes.push(index)
      else basketsOf.set(itemId, [index])
    }
  }
  return {
    items,
    baskets,
    basketsOf,
    customers: returningCustomers(completed, basketsOf),
    countries: completed.map((order) => order.country),
    waits: options.waits,
    runId: options.runId,
  }
}

/** Returns an item to begin a visit with: as likely as it is in the orders. */
export function pickFirstItem(world: ShopWorld, random: Random, customer?: Customer): string {
  return pickOne(customer?.itemIds ?? pickOne(world.baskets, random), random)
}

/**
 * Returns an item that was bought together with `itemId` and is not among `seen`; undefined if
 * there is none.
 */
export function pickRelatedItem(
  world: ShopWorld,
  random: Random,
  { itemId, seen }: { readonly itemId: string; readonly seen: ReadonlySet<string> },
): string | undefined {
  const indexes = world.basketsOf.get(itemId) ?? []
  if (indexes.length === 0) return undefined
  const category = world.items.get(itemId)?.category
  const weights = new Map<string, number>()
  for (let look = 0; look < basketsSeen; look++) {
    for (const other of world.baskets[pickOne(indexes, random)] ?? []) {
      if (seen.has(other)) continue
      const start = world.items.get(other)?.category === category ? sameCategoryWeight : 0
      weights.set(other, (weights.get(other) ?? start) + 1)
    }
  }
  const best = [...weights].sort((left, right) => right[1] - left[1]).slice(0, relatedChoice)
  return best.length === 0 ? undefined : pickOne(best, random)[0]
}

export function pickOne<Value>(values: readonly Value[], random: Random): Value {
  assert(values.length > 0, 'one of nothing cannot be picked')
  // The index is below the length, so there is a value.
  return values[Math.floor(random.unit() * values.length)] as Value
}

function isOffered(item: Item | undefined): boolean {
  return item !== undefined && isInStock(item)
}

function returningCustomers(
  completed: readonly ShopOrder[],
  basketsOf: ReadonlyMap<string, readonly number[]>,
): readonly Customer[] {
  const byCustomer = Map.groupBy(completed, (order) => order.customerId)
  const customers: Customer[] = []
  for (const [customerId, orders] of byCustomer) {
    if (customerId === null || orders.some((order) => order.minute < edgeMinutes)) continue
    const itemIds = orders.flatMap((order) => order.lines.map(([itemId]) => itemId))
    const known = itemIds.filter((itemId) => basketsOf.has(itemId))
    const country = orders[0]?.country
    if (known.length === 0 || country === undefined) continue
    customers.push({ customerId, country, orderCount: orders.length, itemIds: known })
  }
  const almostLoyal = customers.filter((customer) => customer.orderCount === 2)
  const others = customers.filter((customer) => customer.orderCount !== 2)
  return almostLoyal.flatMap((customer, index) => {
    const other = others[index]
    return other === undefined ? [customer] : [customer, other]
  })
}
