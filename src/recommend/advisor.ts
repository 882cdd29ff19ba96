/**
 * A recommender joined with what is known of the items, and with rules: who asks gets only items
 * that can be sold now and fit the rules, each with why it came.
 *
 * Learns from the feed of applied events and follows the catalog. Lives beside the fold's state,
 * outside of it: it is rebuilt from the feed at start.
 *
 * Order of an answer: pins; what the algorithms find, boosted and made diverse; what is like the
 * own items by content; what is popular in their categories, then everywhere; at last what the
 * catalog has besides. So there are fewer items than asked for only where no more fit the rules.
 */

import { categoriesOf, type Item, isInStock } from '../catalog/item.ts'
import { hashesOf, hashItemId } from '../profile/bought-pack.ts'
import type { AlgorithmName } from './algorithm-names.ts'
import type { ItemContent } from './item-contents.ts'
import { FactTable, type ItemFacts } from './item-facts.ts'
import { NewestItems } from './newest-items.ts'
import { type DiverseCandidate, Limits, rankDiverse } from './rank-diverse.ts'
import type { ReasonKind } from './reason.ts'
import type { Interaction, Recommendation, Recommender, RecommendTier } from './recommender.ts'
import { boostOf, defaultRules, fitsRules, type RecommenderRules } from './recommender-rules.ts'
import { RobotGuard } from './robot-guard.ts'
import { weighOpenItems } from './viewed-not-bought.ts'

/** A query as data, so that it can cross threads and be kept as evidence. */
export interface AdviceRequest {
  readonly activity: readonly Omit<Interaction, 'profileId'>[]
  readonly excludeItemIds: readonly string[]
  /**
   * In the list already, of which this answer is the rest: never answered, and counted where items
   * are to differ. Absent: none.
   */
  readonly takenItemIds?: readonly string[]
  /** Items that the person bought, packed (profile/bought-pack.ts): never answered either. */
  readonly bought?: Uint8Array
  readonly nowMs: number
  readonly countMax: number
  /** Absent: `defaultRules`. */
  readonly rules?: RecommenderRules
  /** The shop's, for items that name none; absent: no two currencies are told apart. */
  readonly currency?: string
}

export interface AdviceReason {
  readonly kind: ReasonKind | 'viewed-not-bought' | 'pinned' | 'in-catalog'
  /** The item of the person's own activity that counted most, or the item asked about. */
  readonly itemId?: string
  /** Of `trending`: the category within which it trends; absent: everywhere. */
  readonly category?: string
  /** The algorithm that gave the most of `base`, and what part of it; absent: a rule alone. */
  readonly algorithm?: AlgorithmName
  readonly share?: number
}

/** How the score came about. */
export interface AdviceWeights {
  /** What the algorithm gave it; 0 of a pin. */
  readonly base: number
  /** Product of the boosts that fit. */
  readonly boost?: number
}

export interface AdvisedItem {
  readonly itemId: string
  readonly score: number
  readonly reason: AdviceReason
  readonly weights: AdviceWeights
}

export interface Advice {
  readonly recommendations: readonly AdvisedItem[]
  readonly learnedCount: number
}

/** What an operator may want to know of the index. */
export interface IndexState {
  readonly learnedCount: number
  /** Items that can be sold; and those for which there was no room. */
  readonly itemCount: number
  readonly refusedItemCount: number
  /** Times that a profile did too much within an hour, and interactions left out for it. */
  readonly flaggedCount: number
  readonly ignoredCount: number
}

export interface Advisor {
  learn(interactions: readonly Interaction[]): void
  follow(item: Item): void
  /** Forgets profiles, by the ids under which they were learned. */
  erase(profileIds: readonly string[]): void
  advise(request: AdviceRequest): Advice
  /** What was flagged and not learned; see `robot-guard.ts`. */
  readonly robots: Pick<RobotGuard, 'isFlagged' | 'transfer'>
  state(): IndexState
}

export interface AdvisorOptions {
  /** Items of the catalog that are known at most. */
  readonly itemCountMax: number
}

export const adviceCountMax = 100
/** Candidates that are made diverse, for one that is asked for. */
const poolFactor = 3
const poolCountMin = 20
const poolCountMax = 200
const itemCountMax = 2 ** 20

export function createAdvisor(
  recommender: Recommender,
  options: AdvisorOptions = { itemCountMax },
): Advisor {
  const facts = new FactTable(options.itemCountMax)
  const robots = new RobotGuard()
  return {
    robots,
    state: () => ({
      learnedCount: recommender.learnedCount,
      itemCount: facts.size,
      refusedItemCount: facts.refusedCount,
      flaggedCount: robots.flaggedCount,
      ignoredCount: robots.ignoredCount,
    }),
    learn(interactions) {
      for (const interaction of interactions) {
        const { profileId, occurredAtMs } = interaction
        if (robots.admits(profileId, occurredAtMs)) recommender.learn(interaction)
      }
    },
    follow(item) {
      facts.follow(item)
      if (isInStock(item)) recommender.describe(contentOf(item))
    },
    erase(profileIds) {
      recommender.erase(profileIds)
      for (const profileId of profileIds) robots.forget(profileId)
    },
    advise(request) {
      const recommendations = new Answer(recommender, facts, request).make()
      return { recommendations, learnedCount: recommender.learnedCount }
    },
  }
}

/** Returns what the index knows of an item beside who met it. */
export function contentOf(item: Item): ItemContent {
  const { itemId, brand, currency, price } = item
  const categories = categoriesOf(item)
  return {
    ...{ itemId, categories, price },
    ...(brand === undefined ? {} : { brand }),
    ...(currency === undefined ? {} : { currency }),
  }
}

interface Candidate extends DiverseCandidate {
  readonly advised: AdvisedItem
}

/** One question to the index for what stands in. */
interface Step {
  readonly tier: RecommendTier
  /** Only items of this category. */
  readonly within?: string
}

/** One answer, as it comes about. */
class Answer {
  readonly #recommender: Recommender
  readonly #facts: FactTable
  readonly #request: AdviceRequest
  readonly #rules: RecommenderRules
  readonly #countMax: number
  /** Neither asked for, nor in the answer yet. */
  readonly #excluded: Set<string>
  readonly #bought: ReadonlySet<number> | undefined
  readonly #pinned: AdvisedItem[] = []
  readonly #candidates: Candidate[] = []
  /** With all that came: how many of them keep the limits of the rules. */
  readonly #limits: Limits
  #keptCount = 0

  constructor(recommender: Recommender, facts: FactTable, request: AdviceRequest) {
    this.#recommender = recommender
    this.#facts = facts
    this.#request = request
    this.#rules = request.rules ?? defaultRules
    this.#countMax = Math.min(request.countMax, adviceCountMax)
    this.#limits = new Limits(this.#rules)
    this.#excluded = new Set([...request.excludeItemIds, ...(request.takenItemIds ?? [])])
    this.#bought = request.bought && hashesOf(request.bought)
  }

  make(): readonly AdvisedItem[] {
    if (this.#countMax <= 0) return []
    const first = [...this.#facts.known(this.#request.takenItemIds ?? []), ...this.#takePins()]
    for (const facts of first) this.#limits.take(facts)
    const missing = this.#countMax - this.#pinned.length
    const poolMax = Math.min(poolCountMax, Math.max(poolCountMin, missing * poolFactor))
    if (missing > 0) this.#gather(missing, poolMax)
    const { diversity, perCategoryMax, perBrandMax } = this.#rules
    const ranked = rankDiverse(this.#candidates, first, {
      countMax: missing,
      diversity,
      ...(perCategoryMax === undefined ? {} : { perCategoryMax }),
      ...(perBrandMax === undefined ? {} : { perBrandMax }),
    })
    return [...this.#pinned, ...ranked.map(({ advised }) => advised)]
  }

  #takePins(): readonly ItemFacts[] {
    const first: ItemFacts[] = []
    for (const itemId of this.#rules.pins) {
      if (this.#pinned.length === this.#countMax) break
      const facts = this.#fitting(itemId)
      if (facts === undefined) continue
      first.push(facts)
      this.#excluded.add(itemId)
      const reason = { kind: 'pinned' } as const
      this.#pinned.push({ itemId, score: 1, reason, weights: { base: 0 } })
    }
    return first
  }

  #gather(missing: number, poolMax: number): void {
    const { kind } = this.#rules
    const { activity } = this.#request
    if (kind === 'viewed-not-bought') {
      // Nothing stands in for it: what was never looked at is no reminder.
      for (const { itemId, weight } of weighOpenItems(activity, this.#request.nowMs)) {
        this.#put(itemId, weight, { kind, itemId }, 0)
      }
      return
    }
    const steps = this.#fallbacks()
    if (steps.length > 1) this.#ask(poolMax, { tier: 'blend', rank: 0, isLimited: false })
    // First what keeps the limits, so that they hold while there are enough others.
    for (const isLimited of this.#limits.areSet ? [true, false] : [false]) {
      const isShort = (): boolean =>
        (isLimited ? this.#keptCount : this.#candidates.length) < missing
      for (const [index, step] of steps.entries()) {
        if (isShort()) this.#ask(poolMax, { ...step, rank: index + 1, isLimited })
      }
      if (isShort()) this.#takeFromCatalog(missing, { rank: steps.length + 1, isLimited })
    }
  }

  /** Returns what is asked where the blend falls short, in this order. */
  #fallbacks(): readonly Step[] {
    const { kind } = this.#rules
    const anchor = this.#request.activity.at(-1)?.itemId
    const everywhere = { tier: 'everywhere' } as const
    if (kind === 'trending' || anchor === undefined) return [everywhere]
    const within = kind === 'similar' ? this.#categoryOf(anchor) : undefined
    return [
      { tier: 'content' },
      { tier: 'category' },
      // Of a long category more than the index has at hand.
      ...(within === undefined ? [] : [{ ...everywhere, within }]),
      { tier: 'wide-category' },
      everywhere,
    ]
  }

  #ask(
    countMax: number,
    {
      tier,
      within,
      rank,
      isLimited,
    }: Step & { readonly rank: number; readonly isLimited: boolean },
  ): void {
    const limits = isLimited ? this.#limits.copy() : undefined
    const isAllowed = (facts: ItemFacts): boolean => {
      if (within !== undefined && !facts.categories.includes(within)) return false
      if (limits?.hasRoom(facts) === false) return false
      limits?.take(facts)
      return true
    }
    for (const { itemId, score, reason } of this.#recommend(tier, countMax, isAllowed)) {
      const isTrend = reason.kind === 'trending'
      const category = isTrend ? (within ?? this.#trendOf(tier, itemId)) : undefined
      this.#put(itemId, score, category === undefined ? reason : { ...reason, category }, rank)
    }
  }

  /** Returns the category within which an item of a tier trends; undefined: everywhere. */
  #trendOf(tier: RecommendTier, itemId: string): string | undefined {
    const { include, within } = this.#rules
    const { categories = [] } = this.#fitting(itemId) ?? {}
    if (tier === 'category') {
      const own = this.#request.activity.map((done) => this.#categoryOf(done.itemId))
      return categories.findLast((category) => own.includes(category)) ?? categories.at(-1)
    }
    if (tier === 'wide-category') return categories[0]
    return within ?? (include?.categories?.length === 1 ? include.categories[0] : undefined)
  }

  /** What `isAllowed` says yes to is answered, as long as there is room. */
  #recommend(
    tier: RecommendTier,
    countMax: number,
    isAllowed: (facts: ItemFacts) => boolean,
  ): readonly Recommendation[] {
    const { weights } = this.#rules
    const { activity, nowMs } = this.#request
    return this.#recommender.recommend({
      ...(weights === undefined ? {} : { weights }),
      tiers: [tier],
      activity,
      nowMs,
      countMax,
      excludeItemIds: this.#excluded,
      isAllowed: (itemId) => {
        const facts = this.#fitting(itemId)
        return facts !== undefined && isAllowed(facts)
      },
    })
  }

  /** The newest of the catalog that no event has named yet. */
  #takeFromCatalog(
    missing: number,
    { rank, isLimited }: { readonly rank: number; readonly isLimited: boolean },
  ): void {
    const newest = new NewestItems(missing, isLimited ? this.#limits : undefined)
    for (const facts of this.#facts.all()) {
      if (this.#fitting(facts.itemId) !== undefined) newest.offer(facts)
    }
    for (const { itemId } of newest.take()) this.#put(itemId, 0, { kind: 'in-catalog' }, rank)
  }

  #put(itemId: string, base: number, reason: AdviceReason, rank: number): void {
    const facts = this.#fitting(itemId)
    if (facts === undefined) return
    this.#excluded.add(itemId)
    if (this.#limits.hasRoom(facts)) {
      this.#limits.take(facts)
      this.#keptCount += 1
    }
    const boost = boostOf(this.#rules, facts)
    const score = Math.max(0, base) * boost
    const weights = boost === 1 ? { base } : { base, boost }
    this.#candidates.push({ facts, score, tier: rank, advised: { itemId, score, reason, weights } })
  }

  /**
   * Returns the facts of an item that may come: not yet in the answer, not bought, offered, by the
   * rules.
   */
  #fitting(itemId: string): ItemFacts | undefined {
    if (this.#excluded.has(itemId)) return undefined
    if (this.#bought?.has(hashItemId(itemId))) return undefined
    const { nowMs, currency = '' } = this.#request
    const facts = this.#facts.offered(itemId, nowMs)
    return facts !== undefined && fitsRules(this.#rules, facts, currency) ? facts : undefined
  }

  #categoryOf(itemId: string): string | undefined {
    return this.#facts.offered(itemId, this.#request.nowMs)?.categories.at(-1)
  }
}
