/**
 * A recommender joined with what is known of the items: who asks gets only items that can be sold
 * now.
 *
 * Learns from the feed of applied events and follows the catalog. Lives beside the fold's state,
 * outside of it: it is rebuilt from the feed at start, and its version is the number of
 * interactions learned.
 */

import { type Item, isInStock } from '../catalog/item.ts'
import type { PersonView } from '../profile/person-view.ts'
import type { Interaction, InteractionKind, Recommendation, Recommender } from './recommender.ts'

/** A query as data, so that it can cross threads and be kept as evidence. */
export interface AdviceRequest {
  readonly activity: readonly Omit<Interaction, 'profileId'>[]
  readonly excludeItemIds: readonly string[]
  readonly nowMs: number
  readonly countMax: number
}

export interface Advice {
  readonly recommendations: readonly Recommendation[]
  readonly learnedCount: number
}

export interface Advisor {
  learn(interactions: readonly Interaction[]): void
  follow(item: Item): void
  advise(request: AdviceRequest): Advice
}

export const adviceCountMax = 100
const activityCountMax = 50

export const interactionKindOf: Readonly<Record<string, InteractionKind>> = {
  'Product Viewed': 'view',
  'Product Added': 'cart',
  'Order Completed': 'purchase',
}

export function createAdvisor(recommender: Recommender): Advisor {
  const available = new Set<string>()
  return {
    learn(interactions) {
      for (const interaction of interactions) recommender.learn(interaction)
    },
    follow(item) {
      if (isInStock(item)) available.add(item.itemId)
      else available.delete(item.itemId)
    },
    advise(request) {
      const recommendations = recommender.recommend({
        activity: request.activity,
        nowMs: request.nowMs,
        countMax: Math.min(request.countMax, adviceCountMax),
        excludeItemIds: new Set(request.excludeItemIds),
        isAllowed: (itemId) => available.has(itemId),
      })
      return { recommendations, learnedCount: recommender.learnedCount }
    },
  }
}

/**
 * Returns the query for a person: their newest activity, and never what they bought or have in the
 * cart.
 */
export function adviceRequestOf(
  view: PersonView,
  cartItemIds: readonly string[],
  nowMs: number,
  countMax: number,
): AdviceRequest {
  const activity: Omit<Interaction, 'profileId'>[] = []
  const excluded = new Set(cartItemIds)
  for (const { name, itemId, occurredAtMs } of view.activity) {
    const kind = Object.hasOwn(interactionKindOf, name) ? interactionKindOf[name] : undefined
    if (kind === undefined || itemId === undefined) continue
    activity.push({ itemId, kind, occurredAtMs })
    if (kind === 'purchase') excluded.add(itemId)
  }
  return {
    activity: activity.slice(-activityCountMax),
    excludeItemIds: [...excluded],
    nowMs,
    countMax,
  }
}
