/**
 * Recommendations as they may be shown: what the index advises, joined with the catalog of this
 * moment. Price and stock come from the catalog alone, so what sold out, went or changed its price
 * since the index heard of it is left out here; a few more are asked for to make up for it.
 *
 * Several slots of one message are filled one after the other, and none shows what another shows.
 */

import { type Item, isAvailable } from '../catalog/item.ts'
import type { Activity } from '../profile/person-view.ts'
import { cartOf } from '../profile/view-person.ts'
import {
  type Advice,
  type AdviceRequest,
  type AdvisedItem,
  adviceRequestOf,
} from '../recommend/advisor.ts'
import { factsOf } from '../recommend/item-facts.ts'
import { defaultRules, fitsRules, type RecommenderRules } from '../recommend/recommender-rules.ts'
import type { ReadItems } from './item-reader.ts'
import { findItems, type StatePlace } from './read-state.ts'

export interface RecommendDeps {
  readonly place: StatePlace
  advise(request: AdviceRequest): Promise<Advice>
  /** Absent: each item is read from the state. */
  readonly readItems?: ReadItems
}

export interface RecommendedItem {
  readonly advised: AdvisedItem
  readonly item: Item
}

export interface RecommendedItems {
  readonly items: readonly RecommendedItem[]
  /** By id: what the reasons name, as the catalog has it. */
  readonly named: ReadonlyMap<string, Item>
  /** Version of the index. */
  readonly learnedCount: number
}

export interface SlotAsked {
  readonly name: string
  readonly countMax: number
  /** Absent: the rules that hold without a definition. */
  readonly rules?: RecommenderRules
}

export interface FilledSlot extends RecommendedItems {
  readonly name: string
}

/** Asked for besides, in place of those that cannot be sold any more. */
const spareCount = 5

/** Answers one query. */
export async function recommendItems(
  deps: RecommendDeps,
  request: AdviceRequest,
): Promise<RecommendedItems> {
  if (request.countMax <= 0) return { items: [], named: new Map(), learnedCount: 0 }
  const countMax = request.countMax + spareCount
  const { recommendations, learnedCount } = await deps.advise({ ...request, countMax })
  const itemIds = recommendations.flatMap(({ itemId, reason }) => [itemId, reason.itemId ?? itemId])
  const named = await (deps.readItems?.(itemIds) ?? findItems(deps.place, itemIds))
  const { rules = defaultRules, nowMs, currency = '' } = request
  const items: RecommendedItem[] = []
  for (const advised of recommendations) {
    const item = named.get(advised.itemId)
    if (item === undefined || !isAvailable(item, nowMs)) continue
    if (!fitsRules(rules, factsOf(item), currency)) continue
    items.push({ advised, item })
    if (items.length === request.countMax) break
  }
  return { items, named, learnedCount }
}

/** Fills the slots of one message for a person, in their order. */
export async function fillSlots(
  deps: RecommendDeps,
  activity: readonly Activity[],
  asked: {
    readonly slots: readonly SlotAsked[]
    readonly nowMs: number
    readonly currency: string
    readonly excludeItemIds?: readonly string[]
  },
): Promise<readonly FilledSlot[]> {
  const cartItemIds = cartOf(activity).map(({ itemId }) => itemId)
  const shown = [...cartItemIds, ...(asked.excludeItemIds ?? [])]
  const filled: FilledSlot[] = []
  for (const { name, countMax, rules } of asked.slots) {
    const { nowMs, currency } = asked
    const ask = { nowMs, currency, countMax, ...(rules === undefined ? {} : { rules }) }
    const slot = await recommendItems(deps, adviceRequestOf({ activity }, shown, ask))
    filled.push({ name, ...slot })
    shown.push(...slot.items.map(({ item }) => item.itemId))
  }
  return filled
}
