/**
 * The interface of every recommendation algorithm. Pure data structures: no clock, no chance, no
 * I/O, so that the same interactions in the same order give the same answers.
 */

import type { BlendWeights } from './blend-weights.ts'
import type { ItemContent } from './item-contents.ts'
import type { Reason } from './reason.ts'
import type { Transfer } from './transfer.ts'

export const interactionKinds = ['view', 'cart', 'purchase'] as const
export type InteractionKind = (typeof interactionKinds)[number]

export interface Interaction {
  readonly profileId: string
  readonly itemId: string
  readonly kind: InteractionKind
  readonly occurredAtMs: number
}

/**
 * Where an item of an answer comes from, in their order: what the algorithms say of the own items,
 * then what is like these by content, what trends in their narrowest categories, in their widest,
 * and everywhere.
 */
export const recommendTiers = [
  'blend',
  'content',
  'category',
  'wide-category',
  'everywhere',
] as const
export type RecommendTier = (typeof recommendTiers)[number]

export interface RecommendQuery {
  /** What the person did, oldest first; the newest count most. */
  readonly activity: readonly Omit<Interaction, 'profileId'>[]
  readonly nowMs: number
  readonly countMax: number
  /** Never answered: bought just now, or shown elsewhere in the same email. */
  readonly excludeItemIds: ReadonlySet<string>
  /** Asked for each candidate at query time, so stock is never read from the index. */
  isAllowed(itemId: string): boolean
  /** Of a blend, for this query; absent: its own. */
  readonly weights?: BlendWeights
  /** Those that are asked, in the order of `recommendTiers`; absent: all. */
  readonly tiers?: readonly RecommendTier[]
}

export interface Recommendation {
  readonly itemId: string
  readonly score: number
  readonly reason: Reason
  readonly tier: RecommendTier
}

export interface Recommender {
  /**
   * Learns from one applied interaction. Interactions of one profile come in the order they were
   * applied.
   */
  learn(interaction: Interaction): void
  /**
   * Takes in what an item is, so that it can be recommended before anybody has met it. Not taken
   * where there is no room for another item.
   */
  describe(content: ItemContent): void
  /**
   * Returns at most `countMax` different items, best first; of all tiers fewer only where fewer are
   * allowed.
   */
  recommend(query: RecommendQuery): readonly Recommendation[]
  /** Number of interactions learned; evidence names it. */
  readonly learnedCount: number
  /**
   * Forgets what is known of profiles, by their ids as they were learned; returns how many sessions
   * went. Counts over all people stay: nobody is found in them.
   */
  erase(profileIds: readonly string[]): number
  /** Hands over all that was learned; see `transfer.ts`. */
  transfer(through: Transfer): void
}
