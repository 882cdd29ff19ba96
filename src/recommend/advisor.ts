/**
 * A recommender joined with what is known of the items, and with rules: who asks gets only items
 * that can be sold now and fit the rules, each with why it came.
 *
 * Learns from the feed of applied events and follows the catalog. Lives beside the fold's state,
 * outside of it: it is rebuilt from the feed at start.
 *
 * Order of an answer: pins; what the algorithm finds, boosted and made diverse; what is popular, of
 * the category of the item asked about first; at last what the catalog has besides. So there are
 * fewer items than asked for only where no more fit the rules.
 */

import { categoriesOf, type Item, isInStock } from '../catalog/item.ts'
import type { PersonView } from '../profile/person-view.ts'
import type { ItemContent } from './item-contents.ts'
import { FactTable, type ItemFacts } from './item-facts.ts'
import { NewestItems } from './newest-items.ts'
import { type DiverseCandidate, Limits, rankDiverse } from './rank-diverse.ts'
import type {
  Interaction,
  InteractionKind,
  Reason,
  Recommendation,
  Recommender,
} from './recommender.ts'
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
  readonly nowMs: number
  readonly countMax: number
  /** Absent: `defaultRules`. */
  readonly rules?: RecommenderRules
  /** The shop's, for items that name none; absent: no two currencies are told apart. */
  readonly currency?: string
}

export interface AdviceReason {
  readonly kind: Reason['kind'] | 'viewed-not-bought' | 'pinned' | 'in-catalog'
  /** The item of the person's own activity that counted most, or the item asked about. */
  readonly itemId?: string
  /** Of `trending`: the category within which it trends, where only one was asked for. */
  readonly category?: string
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
  readonly robots: Pick<RobotGuard, 'isFlagged'>
  state(): IndexState
}

export interface AdvisorOptions {
  /** Items of the catalog that are known at most. */
  readonly itemCountMax: number
}

export const adviceCountMax = 100
const activityCountMax = 50
/** Candidates that are made diverse, for one that is asked for. */
const poolFactor = 3
const poolCountMin = 20
const poolCountMax = 200
const itemCountMax = 2 ** 20

export const interactionKindOf: Readonly<Record<string, InteractionKind>> = {
  'Product Viewed': 'view',
  'Product Added': 'cart',
  'Order Completed': 'purchase',
}

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

/** One answer, as it comes about. */
class Answer {
  readonly #recommender: Recommender
  readonly #facts: FactTable
  readonly #request: AdviceRequest
  readonly #rules: RecommenderRules
  readonly #countMax: number
  /** Neither asked for, nor in the answer yet. */
  readonly #excluded: Set<string>
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
    if (kind !== 'trending') this.#askAbout(activity, poolMax)
    const anchor = kind === 'similar' ? activity.at(-1)?.itemId : undefined
    const category = anchor === undefined ? undefined : this.#categoryOf(anchor)
    // First what keeps the limits, so that they hold while there are enough others.
    for (const isLimited of this.#limits.areSet ? [true, false] : [false]) {
      const isShort = (): boolean =>
        (isLimited ? this.#keptCount : this.#candidates.length) < missing
      if (isShort() && category !== undefined) {
        this.#askPopular(poolMax, { tier: 1, isLimited, category })
      }
      if (isShort()) this.#askPopular(poolMax, { tier: 2, isLimited })
      if (isShort()) this.#takeFromCatalog(missing, isLimited)
    }
  }

  /** Asks what goes with an activity; what is only popular is asked for where it falls short. */
  #askAbout(activity: AdviceRequest['activity'], countMax: number): void {
    if (activity.length === 0) return
    for (const { itemId, score, reason } of this.#recommend(activity, countMax)) {
      if (reason.kind !== 'trending') this.#put(itemId, score, reason, 0)
    }
  }

  #askPopular(
    countMax: number,
    {
      tier,
      isLimited,
      category,
    }: { readonly tier: number; readonly isLimited: boolean; readonly category?: string },
  ): void {
    const { include } = this.#rules
    const only = include?.categories?.length === 1 ? include.categories[0] : undefined
    const asked = category ?? only
    const limits = isLimited ? this.#limits.copy() : undefined
    const isAllowed = (facts: ItemFacts): boolean => {
      if (category !== undefined && !facts.categories.includes(category)) return false
      if (limits?.hasRoom(facts) === false) return false
      limits?.take(facts)
      return true
    }
    for (const { itemId, score } of this.#recommend([], countMax, isAllowed)) {
      const reason = {
        kind: 'trending',
        ...(asked === undefined ? {} : { category: asked }),
      } as const
      this.#put(itemId, score, reason, tier)
    }
  }

  /** What `isAllowed` says yes to is answered, as long as there is room. */
  #recommend(
    activity: AdviceRequest['activity'],
    countMax: number,
    isAllowed: (facts: ItemFacts) => boolean = () => true,
  ): readonly Recommendation[] {
    const { weights } = this.#rules
    return this.#recommender.recommend({
      ...(weights === undefined ? {} : { weights }),
      activity,
      nowMs: this.#request.nowMs,
      countMax,
      excludeItemIds: this.#excluded,
      isAllowed: (itemId) => {
        const facts = this.#fitting(itemId)
        return facts !== undefined && isAllowed(facts)
      },
    })
  }

  /** The newest of the catalog that no event has named yet. */
  #takeFromCatalog(missing: number, isLimited: boolean): void {
    const newest = new NewestItems(missing, isLimited ? this.#limits : undefined)
    for (const facts of this.#facts.all()) {
      if (this.#fitting(facts.itemId) !== undefined) newest.offer(facts)
    }
    for (const { itemId } of newest.take()) this.#put(itemId, 0, { kind: 'in-catalog' }, 3)
  }

  #put(itemId: string, base: number, reason: AdviceReason, tier: number): void {
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
    this.#candidates.push({ facts, score, tier, advised: { itemId, score, reason, weights } })
  }

  /** Returns the facts of an item that may come: not yet in the answer, offered, by the rules. */
  #fitting(itemId: string): ItemFacts | undefined {
    if (this.#excluded.has(itemId)) return undefined
    const { nowMs, currency = '' } = this.#request
    const facts = this.#facts.offered(itemId, nowMs)
    return facts !== undefined && fitsRules(this.#rules, facts, currency) ? facts : undefined
  }

  #categoryOf(itemId: string): string | undefined {
    return this.#facts.offered(itemId, this.#request.nowMs)?.categories.at(-1)
  }
}

/**
 * Returns the query for a person: their newest activity across all visits, an item once, and never
 * what they bought or have in the cart.
 */
export function adviceRequestOf(
  view: Pick<PersonView, 'activity'>,
  cartItemIds: readonly string[],
  asked: Pick<AdviceRequest, 'nowMs' | 'countMax' | 'rules' | 'currency'>,
): AdviceRequest {
  const { showsBought, showsViewed, kind } = asked.rules ?? defaultRules
  // By item and kind, so that a page loaded ten times leaves room for the other nine.
  const newest = new Map<string, Omit<Interaction, 'profileId'>>()
  const excluded = new Set(cartItemIds)
  for (const { name, itemId, occurredAtMs } of view.activity) {
    const done = Object.hasOwn(interactionKindOf, name) ? interactionKindOf[name] : undefined
    if (done === undefined || itemId === undefined) continue
    const key = `${done} ${itemId}`
    newest.delete(key)
    newest.set(key, { itemId, kind: done, occurredAtMs })
    if (done === 'purchase' && !showsBought) excluded.add(itemId)
    if (!showsViewed && kind !== 'viewed-not-bought') excluded.add(itemId)
  }
  return {
    ...asked,
    activity: [...newest.values()].slice(-activityCountMax),
    excludeItemIds: [...excluded],
  }
}
