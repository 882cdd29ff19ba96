/**
 * Simulated shoppers: what each of them sends, and when. Nothing is sent here.
 *
 * A plan is a function of (index, chance, world), so that a demo can send it in real time and a
 * simulation in virtual time. Every length is a share of the campaigns' waits, so a wait of 4 s and
 * one of 4 h give the same story.
 *
 * No plan hangs on a close call. Counted from the first `Product Added` of a visit: more items are
 * added within a quarter of the wait; who buys in time does so at half of the wait or less; who
 * buys late does so at two and a half times the wait or more. A second visit begins after all waits
 * of the first have passed one and a half times.
 */

import type { Item } from '../../src/catalog/item.ts'
import type { JsonObject } from '../../src/lib/json.ts'
import { createSeededRandom, type Random } from '../../src/lib/random.ts'
import { customerUserId, roundPence, type SegmentCall, type ShopOrder } from './shop-data.ts'
import {
  type Customer,
  createShopWorld,
  pickFirstItem,
  pickOne,
  pickRelatedItem,
  type ShopWorld,
  type Waits,
} from './shop-world.ts'
import { shopperName } from './shopper-name.ts'

/** What becomes of the shoppers. Shares of a whole; the rest buys late. */
export const shopperShares = {
  returning: 0.3,
  onlyLooks: 0.1,
  neverNamed: 0.08,
  abandons: 0.6,
  buysInTime: 0.22,
  comesTwice: 0.15,
  sentTwice: 0.02,
  invalid: 0.01,
} as const

export interface PlannedCall {
  /** After the shopper's start. */
  readonly atMs: number
  readonly call: SegmentCall
}

export interface Shopper {
  readonly index: number
  readonly startAtMs: number
  readonly calls: readonly PlannedCall[]
}

export interface ShopperOptions {
  readonly items: readonly Item[]
  readonly orders: readonly ShopOrder[]
  readonly waits: Waits
  readonly runId: string
  readonly random: Random
  readonly startMs: number
  readonly shopperCount: number
  /** Mean time between the starts of two shoppers. */
  readonly arrivalMs: number
}

/** Yields shoppers in the order in which they start. */
export function* createShoppers(options: ShopperOptions): Generator<Shopper> {
  const world = createShopWorld(options)
  let startAtMs = options.startMs
  for (let index = 0; index < options.shopperCount; index++) {
    const random = createSeededRandom(Math.floor(options.random.unit() * 2 ** 32))
    yield { index, startAtMs, calls: planShopper(index, random, world) }
    startAtMs += Math.round(options.random.unit() * 2 * options.arrivalMs)
  }
}

/** Returns the calls of all `shoppers` by the time at which they are to be sent. */
export function scheduleCalls(
  shoppers: Iterable<Shopper>,
): readonly { readonly sentAtMs: number; readonly call: SegmentCall }[] {
  return [...shoppers]
    .flatMap(({ startAtMs, calls }) =>
      calls.map(({ atMs, call }) => ({ sentAtMs: startAtMs + atMs, call })),
    )
    .sort((left, right) => left.sentAtMs - right.sentAtMs)
}

/** Returns what shopper number `index` sends, in order of time. */
export function planShopper(
  index: number,
  random: Random,
  world: ShopWorld,
): readonly PlannedCall[] {
  const plan = createPlan(index, random, world)
  planVisit(plan, 0)
  if (plan.isNamed && random.unit() < shopperShares.comesTwice) {
    const { cartMs, thankYouMs, loyalMs } = world.waits
    planVisit(plan, plan.nowMs + 1.5 * Math.max(cartMs, thankYouMs, loyalMs))
  }
  return withFaults(plan).sort((left, right) => left.atMs - right.atMs)
}

/** A plan in the making; only functions of this file write to it. */
interface Plan {
  readonly index: number
  readonly random: Random
  readonly world: ShopWorld
  readonly customer: Customer | undefined
  readonly userId: string
  readonly anonymousId: string
  /** Whether the shopper ever says who they are. */
  readonly isNamed: boolean
  readonly calls: PlannedCall[]
  hasIdentified: boolean
  nowMs: number
  visitCount: number
}

function createPlan(index: number, random: Random, world: ShopWorld): Plan {
  // Each customer comes back as one shopper only, whatever the chances of the others.
  const turn = Math.floor(index * shopperShares.returning)
  const isTurn = Math.floor((index + 1) * shopperShares.returning) > turn
  const customer = isTurn ? world.customers[turn] : undefined
  return {
    index,
    random,
    world,
    customer,
    userId: customer ? customerUserId(customer.customerId) : `shopper-${world.runId}-${index}`,
    anonymousId: `browser-${world.runId}-${index}`,
    isNamed: customer !== undefined || random.unit() >= shopperShares.neverNamed,
    calls: [],
    hasIdentified: false,
    nowMs: 0,
    visitCount: 0,
  }
}

function planVisit(plan: Plan, startMs: number): void {
  const { random, world } = plan
  const waitMs = world.waits.cartMs
  plan.nowMs = Math.round(startMs)
  plan.visitCount++
  addCall(plan, { type: 'page', name: 'Home', properties: { path: '/', title: 'Thimble & Oak' } })
  const seen = browse(plan, 3 + Math.floor(random.unit() * 5))
  if (random.unit() < shopperShares.onlyLooks) return
  const wanted = pickWanted(seen, 1 + Math.floor(random.unit() ** 2 * 4), random)
  let firstAddedMs: number | undefined
  for (const item of wanted) {
    pass(plan, 0.01, 0.05)
    firstAddedMs ??= plan.nowMs
    addTrack(plan, 'Product Added', {
      cart_id: cartId(plan),
      ...itemProperties(item.item, item.quantity),
    })
  }
  const chance = random.unit()
  if (firstAddedMs === undefined || chance < shopperShares.abandons) return
  const isInTime = chance < shopperShares.abandons + shopperShares.buysInTime
  const share = isInTime ? 0.3 + random.unit() * 0.2 : 2.5 + random.unit()
  plan.nowMs = firstAddedMs + Math.floor(share * waitMs)
  addOrder(plan, wanted)
}

interface Wanted {
  readonly item: Item
  readonly quantity: number
}

/**
 * Looks at related items, and says who is there on the way. Returns what was seen, oldest first.
 */
function browse(plan: Plan, viewCount: number): readonly Item[] {
  const { random, world } = plan
  const seen = new Map<string, Item>()
  let itemId: string | undefined = pickFirstItem(world, random, plan.customer)
  for (let view = 0; view < viewCount && itemId !== undefined; view++) {
    const item = world.items.get(itemId)
    if (item === undefined) break
    seen.set(itemId, item)
    pass(plan, 0.02, 0.06)
    addTrack(plan, 'Product Viewed', itemProperties(item, 1))
    if (view === 1 && plan.isNamed && !plan.hasIdentified) addIdentify(plan)
    itemId = pickRelatedItem(world, random, { itemId, seen: new Set(seen.keys()) })
  }
  // A visit may be too short to be asked on the way; a cart needs a name, unless there will never
  // be one.
  if (plan.isNamed && !plan.hasIdentified) addIdentify(plan)
  return [...seen.values()]
}

/**
 * Takes some of the items seen last, once each: a gift shop sells small things by the half dozen.
 */
function pickWanted(seen: readonly Item[], countMax: number, random: Random): readonly Wanted[] {
  return seen.slice(-countMax).map((item) => ({
    item,
    quantity: item.price < 3 ? pickOne([1, 2, 4, 6, 12], random) : pickOne([1, 1, 1, 2], random),
  }))
}

function addIdentify(plan: Plan): void {
  pass(plan, 0.01, 0.03)
  const { name, email } = shopperName(plan.index)
  const country = plan.customer?.country ?? pickOne(plan.world.countries, plan.random)
  plan.hasIdentified = true
  addCall(plan, { type: 'identify', traits: { name, email, country } })
}

function addOrder(plan: Plan, wanted: readonly Wanted[]): void {
  const total = wanted.reduce((sum, { item, quantity }) => sum + item.price * quantity, 0)
  addTrack(plan, 'Order Completed', {
    order_id: `TO-${plan.world.runId}-${plan.index}-${plan.visitCount}`,
    total: roundPence(total),
    currency: 'GBP',
    products: wanted.map(({ item, quantity }) => ({
      product_id: item.itemId,
      name: item.name,
      price: item.price,
      quantity,
    })),
  })
}

function itemProperties(item: Item, quantity: number): JsonObject {
  return {
    product_id: item.itemId,
    name: item.name,
    ...(item.category === undefined ? {} : { category: item.category }),
    price: item.price,
    quantity,
    currency: 'GBP',
    ...(item.url === undefined ? {} : { url: item.url }),
    ...(item.imageUrl === undefined ? {} : { image_url: item.imageUrl }),
  }
}

function cartId(plan: Plan): string {
  return `cart-${plan.world.runId}-${plan.index}-${plan.visitCount}`
}

function addTrack(plan: Plan, event: string, properties: JsonObject): void {
  addCall(plan, { type: 'track', event, properties })
}

function addCall(plan: Plan, call: Omit<SegmentCall, 'messageId'>): void {
  plan.calls.push({
    atMs: plan.nowMs,
    call: {
      ...call,
      messageId: `${plan.world.runId}-${plan.index}-${plan.calls.length}`,
      ...(plan.hasIdentified ? { userId: plan.userId } : {}),
      anonymousId: plan.anonymousId,
    },
  })
}

/** Lets time pass: between two shares of the cart's wait. */
function pass(plan: Plan, shareMin: number, shareMax: number): void {
  const share = shareMin + plan.random.unit() * (shareMax - shareMin)
  plan.nowMs += Math.max(1, Math.round(share * plan.world.waits.cartMs))
}

/**
 * Adds what goes wrong between a browser and a server: calls sent twice, and calls that mean
 * nothing.
 */
function withFaults(plan: Plan): PlannedCall[] {
  const { random, world } = plan
  const laterMs = Math.max(1, Math.round(world.waits.cartMs * 0.01))
  return plan.calls.flatMap((planned, index) => {
    const calls = [planned]
    if (random.unit() < shopperShares.sentTwice) {
      calls.push({ atMs: planned.atMs + laterMs, call: planned.call })
    }
    if (random.unit() < shopperShares.invalid) {
      const messageId = `${world.runId}-${plan.index}-bad-${index}`
      calls.push({ atMs: planned.atMs, call: invalidCall(planned.call, messageId, random) })
    }
    return calls
  })
}

/** Invalid in three ways. Were one accepted, it would count as the shopper's own. */
function invalidCall(call: SegmentCall, messageId: string, random: Random): SegmentCall {
  const ids = {
    ...(call.userId === undefined ? {} : { userId: call.userId }),
    ...(call.anonymousId === undefined ? {} : { anonymousId: call.anonymousId }),
  }
  const properties = { product_id: '85123A', quantity: 1 }
  return pickOne<SegmentCall>(
    [
      // No product_id: the tracking plan's schema refuses it.
      { type: 'track', messageId, ...ids, event: 'Product Added', properties: { quantity: 1 } },
      { type: 'track', messageId, ...ids, properties },
      { type: 'track', messageId, event: 'Product Added', properties },
    ],
    random,
  )
}
