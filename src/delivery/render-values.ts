/**
 * What Liquid sees: the person, the cart, recommendations, the event that triggered, the shop.
 *
 * Read at the start of each attempt, so it is as fresh as the state. Items come from the catalog at
 * this moment, never from an index: a price in an email is the shop's price now.
 */

import { currentPrice, type Item } from '../catalog/item.ts'
import type { Event } from '../event/event.ts'
import type { Json, JsonObject } from '../lib/json.ts'
import { viewCart } from '../profile/cart.ts'
import { viewComputed } from '../profile/computed/view-computed.ts'
import type { PersonView } from '../profile/person-view.ts'
import { recentItems, viewPerson } from '../profile/view-person.ts'
import type { AdvisedItem } from '../recommend/advisor.ts'
import { habitValues } from './habit-values.ts'
import { type FoundPerson, findItems } from './read-state.ts'
import {
  type FilledSlot,
  fillSlots,
  type RecommendDeps,
  type RecommendedItem,
  type SlotAsked,
} from './recommend-items.ts'

export type ValueDeps = RecommendDeps

export interface ValueRequest {
  readonly found: FoundPerson
  readonly nowMs: number
  readonly recommendationCount: number
  /** Rules of `recommendations`; absent: those that hold without a definition. */
  readonly recommendationRules?: SlotAsked['rules'] | undefined
  /** Further lists, each with items that no other one shows. */
  readonly slots?: readonly SlotAsked[] | undefined
  readonly campaign: string
  readonly shop: JsonObject
  readonly publicUrl: string
  /** The triggering event; absent for a segment entry or a preview. */
  readonly event?: Event
}

export interface BuiltValues {
  readonly values: JsonObject
  readonly view: PersonView
  /** The first is `recommendations`. */
  readonly filled: readonly FilledSlot[]
}

const recentCountMax = 10
const orderLineCountMax = 20

/** Builds the values of one message. */
export async function buildValues(deps: ValueDeps, request: ValueRequest): Promise<BuiltValues> {
  const { found } = request
  const view = viewPerson(found.person, found.traits, found.inForce)
  const basket = viewCart(view.activity)
  const cart = basket.lines
  const recent = recentItems(view.activity, 'Product Viewed', recentCountMax)
  const order = lastOrder(view)
  const filled = await fillSlots(deps, view, {
    slots: slotsOf(request),
    nowMs: request.nowMs,
    currency: String(request.shop['currency'] ?? ''),
  })
  const itemIds = [
    ...cart.map(({ itemId }) => itemId),
    ...recent.flatMap(({ itemId }) => itemId ?? []),
    ...order.map(({ itemId }) => itemId),
  ]
  const items = await findItems(deps.place, itemIds)
  const shown = (itemId: string): JsonObject => showItem(items.get(itemId), itemId)
  const values: JsonObject = {
    profile: {
      id: found.person.key,
      version: found.person.version,
      traits: traitsAt(found, view, request.nowMs),
      segments: view.memberships,
      cart: cart.map(({ itemId, quantity }) => ({ ...shown(itemId), quantity })),
      ...habitValues(found.person, basket, request.nowMs),
      recent_views: recent.map(({ itemId = '' }) => shown(itemId)),
      last_order: order.map(({ itemId, quantity }) => ({ ...shown(itemId), quantity })),
    },
    recommendations: showSlot(filled[0]),
    slots: Object.fromEntries(filled.slice(1).map((slot) => [slot.name, showSlot(slot)])),
    event: showEvent(request.event),
    campaign: { name: request.campaign },
    shop: { image_origin: request.publicUrl, ...request.shop },
  }
  return { values, view, filled }
}

function slotsOf(request: ValueRequest): readonly SlotAsked[] {
  const { recommendationCount: countMax, recommendationRules: rules, slots = [] } = request
  const first = { name: 'recommendations', countMax, ...(rules === undefined ? {} : { rules }) }
  return [first, ...slots]
}

/** Computed traits stand among the others; one without a value, or pending, is not there. */
function traitsAt(
  { person, inForce }: FoundPerson,
  view: PersonView,
  nowMs: number,
): Readonly<Record<string, Json>> {
  if (inForce.traits.length === 0) return view.traits
  const answers = viewComputed(person.parts, inForce).answersAt(nowMs)
  const shadowed = new Set(answers.map(({ trait }) => trait.name))
  const stated = Object.entries(view.traits).filter(([name]) => !shadowed.has(name))
  const computed = answers.flatMap(({ trait, value }): readonly (readonly [string, Json])[] =>
    value === undefined ? [] : [[trait.name, value]],
  )
  return Object.fromEntries([...stated, ...computed])
}

function lastOrder(
  view: PersonView,
): readonly { readonly itemId: string; readonly quantity: number }[] {
  const lines = view.activity.filter(({ name }) => name === 'Order Completed')
  const newest = lines.at(-1)
  return lines
    .filter(({ eventRef, occurredAtMs }) => {
      return eventRef === newest?.eventRef && occurredAtMs === newest?.occurredAtMs
    })
    .flatMap(({ itemId, quantity = 1 }) => (itemId === undefined ? [] : [{ itemId, quantity }]))
    .slice(0, orderLineCountMax)
}

/** An item as templates name its fields; of an unknown item only the id. */
function showItem(item: Item | undefined, itemId: string): JsonObject {
  if (item === undefined) return { item_id: itemId }
  return {
    item_id: itemId,
    name: item.name,
    price: item.price,
    current_price: currentPrice(item),
    ...(currentPrice(item) === item.price ? {} : { sale_price: currentPrice(item) }),
    ...(item.currency === undefined ? {} : { currency: item.currency }),
    ...(item.version === undefined ? {} : { item_version: item.version }),
    item_updated_at_ms: item.updatedAtMs,
    ...(item.category === undefined ? {} : { category: item.category }),
    ...(item.brand === undefined ? {} : { brand: item.brand }),
    ...(item.imageUrl === undefined ? {} : { image_url: item.imageUrl }),
    ...(item.url === undefined ? {} : { url: item.url }),
    ...(item.extra === undefined ? {} : { extra: item.extra }),
  }
}

function showSlot(slot: FilledSlot | undefined): readonly JsonObject[] {
  if (slot === undefined) return []
  const { items, named } = slot
  return items.map(({ item, advised }: RecommendedItem) => ({
    ...showItem(item, item.itemId),
    reason: showReason(advised, named),
  }))
}

function showReason({ reason }: AdvisedItem, named: ReadonlyMap<string, Item>): JsonObject {
  const { kind, itemId, category } = reason
  const name = itemId === undefined ? undefined : named.get(itemId)?.name
  return {
    kind,
    ...(itemId === undefined ? {} : { item_id: itemId }),
    ...(name === undefined ? {} : { name }),
    ...(category === undefined ? {} : { category }),
  }
}

function showEvent(event: Event | undefined): Json {
  if (event === undefined) return null
  return { name: event.name, properties: event.properties ?? {} }
}
