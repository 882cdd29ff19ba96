/**
 * What Liquid sees: the person, the cart, recommendations, the event that triggered, the shop.
 *
 * Read at the start of each attempt, so it is as fresh as the state. Items come from the catalog at
 * this moment, never from an index: a price in an email is the shop's price now.
 */

import type { Item } from '../catalog/item.ts'
import type { Event } from '../event/event.ts'
import type { Json, JsonObject } from '../lib/json.ts'
import type { PersonView } from '../profile/person-view.ts'
import { cartOf, recentItems, viewPerson } from '../profile/view-person.ts'
import { type Advice, type AdviceRequest, adviceRequestOf } from '../recommend/advisor.ts'
import type { Recommendation } from '../recommend/recommender.ts'
import { type FoundPerson, findItems, type StatePlace } from './read-state.ts'

export interface ValueDeps {
  readonly place: StatePlace
  advise(request: AdviceRequest): Promise<Advice>
}

export interface ValueRequest {
  readonly found: FoundPerson
  readonly nowMs: number
  readonly recommendationCount: number
  readonly campaign: string
  readonly shop: JsonObject
  readonly publicUrl: string
  /** The triggering event; absent for a segment entry or a preview. */
  readonly event?: Event
}

export interface BuiltValues {
  readonly values: JsonObject
  readonly view: PersonView
  readonly advice: Advice
}

const recentCountMax = 10
const orderLineCountMax = 20

/** Builds the values of one message. */
export async function buildValues(deps: ValueDeps, request: ValueRequest): Promise<BuiltValues> {
  const { found } = request
  const view = viewPerson(found.person, found.traits)
  const cart = cartOf(view.activity)
  const recent = recentItems(view.activity, 'Product Viewed', recentCountMax)
  const order = lastOrder(view)
  const advice = await adviseFor(
    deps,
    request,
    view,
    cart.map(({ itemId }) => itemId),
  )
  const itemIds = [
    ...cart.map(({ itemId }) => itemId),
    ...recent.flatMap(({ itemId }) => itemId ?? []),
    ...order.map(({ itemId }) => itemId),
    ...advice.recommendations.flatMap(({ itemId, reason }) => [itemId, reason.itemId ?? itemId]),
  ]
  const items = await findItems(deps.place, itemIds)
  const shown = (itemId: string): JsonObject => showItem(items.get(itemId), itemId)
  const values: JsonObject = {
    profile: {
      id: found.person.key,
      version: found.person.version,
      traits: view.traits,
      segments: view.memberships,
      cart: cart.map(({ itemId, quantity }) => ({ ...shown(itemId), quantity })),
      recent_views: recent.map(({ itemId = '' }) => shown(itemId)),
      last_order: order.map(({ itemId, quantity }) => ({ ...shown(itemId), quantity })),
    },
    recommendations: advice.recommendations.map((one) => ({
      ...shown(one.itemId),
      reason: showReason(one, items),
    })),
    event: showEvent(request.event),
    campaign: { name: request.campaign },
    shop: { image_origin: request.publicUrl, ...request.shop },
  }
  return { values, view, advice }
}

async function adviseFor(
  deps: ValueDeps,
  request: ValueRequest,
  view: PersonView,
  cartItemIds: readonly string[],
): Promise<Advice> {
  if (request.recommendationCount === 0) return { recommendations: [], learnedCount: 0 }
  const { nowMs, recommendationCount } = request
  return await deps.advise(adviceRequestOf(view, cartItemIds, nowMs, recommendationCount))
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
    ...(item.category === undefined ? {} : { category: item.category }),
    ...(item.brand === undefined ? {} : { brand: item.brand }),
    ...(item.imageUrl === undefined ? {} : { image_url: item.imageUrl }),
    ...(item.url === undefined ? {} : { url: item.url }),
    ...(item.extra === undefined ? {} : { extra: item.extra }),
  }
}

function showReason(one: Recommendation, items: ReadonlyMap<string, Item>): JsonObject {
  const { kind, itemId } = one.reason
  const name = itemId === undefined ? undefined : items.get(itemId)?.name
  return {
    kind,
    ...(itemId === undefined ? {} : { item_id: itemId }),
    ...(name === undefined ? {} : { name }),
  }
}

function showEvent(event: Event | undefined): Json {
  if (event === undefined) return null
  return { name: event.name, properties: event.properties ?? {} }
}
