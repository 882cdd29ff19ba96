/**
 * The shipped recommender: what each algorithm says, as shares of a sum of 1, in a weighted sum,
 * and where they have no more to say items like the own ones and trending ones. An algorithm of
 * weight 0 is not asked, so an experiment can compare one with another.
 *
 * Promises: at most `countMax` different items, none excluded, none that `isAllowed` refuses, and
 * fewer than `countMax` only where the index knows no more such items. The same interactions in the
 * same order give the same answers.
 *
 * Order of effects of `learn`: evict if the table is full, then trending (the new item must never
 * be the lightest unseen), session, the other algorithms. Limits evict the oldest
 * sessions, and of the items the one that trends least.
 */

import { assert } from '../lib/assert.ts'
import type { Algorithm, Asked } from './algorithm.ts'
import { type AlgorithmName, algorithmNames } from './algorithm-names.ts'
import { type BlendWeights, defaultWeights, weightRowOf } from './blend-weights.ts'
import { BoughtTogether } from './bought-together.ts'
import { CandidateHeap } from './candidate-heap.ts'
import { Candidates } from './candidates.ts'
import { CategoryTrends, type TrendTier } from './category-trends.ts'
import { CoVisitation, pairReachCount } from './co-visitation.ts'
import { hashText } from './hash-text.ts'
import { type ItemContent, ItemContents } from './item-contents.ts'
import { ItemTable, slotOf } from './item-table.ts'
import type { OwnItem } from './own-items.ts'
import { findPurchases, weighOwnItems } from './own-items.ts'
import { PairTable } from './pair-table.ts'
import { type Reason, reasonOf } from './reason.ts'
import {
  type Interaction,
  type Recommendation,
  type Recommender,
  type RecommendQuery,
  recommendTiers,
} from './recommender.ts'
import { RepeatPurchase } from './repeat-purchase.ts'
import { Revisit } from './revisit.ts'
import { SequentialRules } from './sequential-rules.ts'
import { SessionNeighbours } from './session-neighbours.ts'
import { SessionStore } from './session-store.ts'
import { SimilarContent } from './similar-content.ts'
import { indexLayout, SnapshotUnfitError, type Transfer } from './transfer.ts'
import { Trending } from './trending.ts'
import { TwoSteps } from './two-steps.ts'

export interface BlendOptions {
  /** Sessions remembered; rounded up to a power of two. */
  readonly sessionCountMax: number
  readonly itemCountMax: number
  /** Interactions remembered. */
  readonly eventCountMax: number
  readonly neighbourPoolMax: number
  readonly neighbourCountMax: number
  readonly rarityWeight: number
  readonly distanceSteps: number
  readonly beforeShare: number
  readonly pairCountMax: number
  readonly pairHalfLifeMs: number
  /** The same of what is bought together. */
  readonly boughtPairCountMax: number
  readonly boughtHalfLifeMs: number
  /** Purchases remembered to tell a repeated one; a power of two, rounded up. */
  readonly purchaseCountMax: number
  readonly trendingHalfLifeMs: number
  readonly weights: BlendWeights
  /** Those that it has; what reads the pairs of `co-visitation` finds none without it. */
  readonly algorithms: readonly AlgorithmName[]
}

const dayMs = 86_400_000

/** About 0.8 GB of process memory at 3 million sessions, 13 million events and 500,000 items. */
export const blendDefaults: BlendOptions = {
  sessionCountMax: 2 ** 22,
  itemCountMax: 2 ** 20,
  eventCountMax: 2 ** 24,
  neighbourPoolMax: 512,
  neighbourCountMax: 200,
  rarityWeight: 2,
  distanceSteps: 5,
  beforeShare: 0.8,
  pairCountMax: 128,
  pairHalfLifeMs: 30 * dayMs,
  boughtPairCountMax: 32,
  boughtHalfLifeMs: 90 * dayMs,
  purchaseCountMax: 2 ** 18,
  trendingHalfLifeMs: 7 * dayMs,
  weights: defaultWeights,
  algorithms: algorithmNames,
}

/** Makes an empty recommender. Options left out take `blendDefaults`. */
export function createBlend(options: Partial<BlendOptions> = {}): Blend {
  return new Blend({ ...blendDefaults, ...options })
}

/** What algorithms are told of one interaction; the one object is used for all. */
class Step {
  profileId = ''
  key = 0
  slot = 0
  kind: Interaction['kind'] = 'view'
  atMs = 0
  session = 0
  isNewItem = false
  stepsBack = -1
  readonly newestKeys = new Int32Array(pairReachCount + 1)
  keyCount = 1
}

export class Blend implements Recommender {
  readonly #options: BlendOptions
  readonly #items: ItemTable
  readonly #sessions: SessionStore
  readonly #trending: Trending
  readonly #contents = new ItemContents()
  readonly #similarContent: SimilarContent
  readonly #trends: CategoryTrends
  readonly #algorithms: ReadonlyMap<AlgorithmName, Algorithm>
  readonly #learners: readonly Algorithm[]
  readonly #step = new Step()
  readonly #candidates = new Candidates()
  readonly #heap = new CandidateHeap()
  #learnedCount = 0

  constructor(options: BlendOptions) {
    assert(options.neighbourCountMax >= 1, 'at least one neighbour speaks')
    this.#options = options
    this.#items = new ItemTable(options.itemCountMax)
    this.#sessions = new SessionStore(options.sessionCountMax, options.eventCountMax)
    this.#trending = new Trending(options.trendingHalfLifeMs)
    const pairs = new PairTable(this.#items, {
      pairCountMax: options.pairCountMax,
      halfLifeMs: options.pairHalfLifeMs,
    })
    const boughtPairs = new PairTable(this.#items, {
      pairCountMax: options.boughtPairCountMax,
      halfLifeMs: options.boughtHalfLifeMs,
    })
    this.#similarContent = new SimilarContent(this.#contents)
    this.#trends = new CategoryTrends(this.#contents, this.#trending)
    const makers: Readonly<Record<AlgorithmName, () => Algorithm>> = {
      'session-neighbours': () => new SessionNeighbours(this.#items, this.#sessions, options),
      'sequential-rules': () => new SequentialRules(pairs),
      'co-visitation': () => new CoVisitation(this.#items, pairs),
      'two-steps': () => new TwoSteps(pairs),
      revisit: () => new Revisit(),
      'bought-together': () => new BoughtTogether(this.#items, boughtPairs),
      'repeat-purchase': () => new RepeatPurchase(options.purchaseCountMax),
      'similar-content': () => this.#similarContent,
      trending: () => this.#trends,
    }
    const names = algorithmNames.filter((name) => options.algorithms.includes(name))
    this.#algorithms = new Map(names.map((name) => [name, makers[name]()]))
    this.#learners = [...this.#algorithms.values()].filter(({ learn }) => learn !== undefined)
  }

  get learnedCount(): number {
    return this.#learnedCount
  }

  learn(interaction: Interaction): void {
    const { profileId, itemId, kind, occurredAtMs } = interaction
    const known = this.#items.find(itemId)
    const key = known >= 0 ? known : this.#admit(itemId)
    const slot = slotOf(key)
    this.#trending.learn(slot, kind, occurredAtMs)
    const sessions = this.#sessions
    const session = sessions.append(profileId, key, occurredAtMs)
    this.#learnedCount += 1
    const step = this.#step
    step.profileId = profileId
    step.key = key
    step.slot = slot
    step.kind = kind
    step.atMs = occurredAtMs
    step.session = session
    step.isNewItem = sessions.isNewItem
    step.stepsBack = sessions.stepsBack
    step.keyCount = this.#readNewest(step)
    for (const algorithm of this.#learners) algorithm.learn?.(step)
  }

  describe(content: ItemContent): void {
    const known = this.#items.find(content.itemId)
    if (known < 0 && this.#items.count === this.#items.itemCountMax) return
    const slot = slotOf(known < 0 ? this.#items.add(content.itemId) : known)
    this.#trending.admit(slot)
    this.#trends.forget(slot)
    if (!this.#contents.set(slot, content)) return
    this.#similarContent.welcome(slot)
    this.#trends.learn({ slot })
  }

  recommend(query: RecommendQuery): readonly Recommendation[] {
    if (query.countMax <= 0) return []
    const ownItems = weighOwnItems(query.activity, this.#items)
    const answer = new Map<string, Recommendation>()
    for (const tier of query.tiers ?? recommendTiers) {
      if (answer.size === query.countMax) break
      if (tier === 'blend') this.#askAlgorithms(query, ownItems, answer)
      else if (tier === 'content') this.#askContent(query, ownItems, answer)
      else this.#fillUp(query, tier, ownItems, answer)
    }
    return [...answer.values()]
  }

  /**
   * Returns what share of its scores each algorithm gives to an item, in the order of
   * `algorithmNames`, and which row of weights the query falls into; -1 where no own item is known.
   * Weights are fitted by this.
   */
  sharesOf(
    activity: RecommendQuery['activity'],
    itemId: string,
    nowMs: number,
  ): { readonly row: number; readonly shares: Float64Array } {
    const ownItems = weighOwnItems(activity, this.#items)
    const asked = this.#askedOf({ activity, nowMs })
    const shares = new Float64Array(algorithmNames.length)
    const key = this.#items.find(itemId)
    if (ownItems.length === 0) return { row: -1, shares }
    for (const [index, name] of algorithmNames.entries()) {
      this.#candidates.clear(this.#items.count)
      this.#algorithms.get(name)?.score(ownItems, this.#candidates, asked)
      shares[index] = key < 0 ? 0 : this.#candidates.shareOf(slotOf(key))
    }
    return { row: weightRowOf(ownItems.length), shares }
  }

  erase(profileIds: readonly string[]): number {
    const sessions = this.#sessions.erase(profileIds)
    const profileHashes = new Set(profileIds.map((profileId) => hashText(profileId)))
    for (const algorithm of this.#algorithms.values()) {
      algorithm.erase?.({ profileHashes, sessions })
    }
    return sessions.length
  }

  transfer(through: Transfer): void {
    const { sessionCountMax, itemCountMax, eventCountMax, pairCountMax, neighbourPoolMax } =
      this.#options
    assert(this.#algorithms.size === algorithmNames.length, 'a snapshot is of all algorithms')
    const limits = [sessionCountMax, itemCountMax, eventCountMax, pairCountMax, neighbourPoolMax]
    for (const own of [indexLayout, ...limits]) {
      if (through.number(own) !== own) throw new SnapshotUnfitError('was made with other limits')
    }
    this.#items.transfer(through)
    this.#sessions.transfer(through)
    this.#trending.transfer(through)
    this.#contents.transfer(through)
    for (const algorithm of this.#algorithms.values()) algorithm.transfer(through)
    this.#learnedCount = through.number(this.#learnedCount)
  }

  /** A page loaded again says nothing new; a cart or a purchase after the view does. */
  #readNewest(step: Step): number {
    step.newestKeys[0] = step.key
    if (step.stepsBack === 0 && step.kind === 'view') return 1
    const place = this.#sessions.placeOf(step.session)
    const count = this.#sessions.readKeys(place, step.newestKeys, true)
    // Where the session is longer than what is kept of it, the newest key is another's.
    if (step.newestKeys[0] === step.key) return count
    step.newestKeys[0] = step.key
    return 1
  }

  /** Finds a slot for an unknown item, at the cost of the lightest one where the table is full. */
  #admit(itemId: string): number {
    if (this.#items.count < this.#items.itemCountMax) return this.#items.add(itemId)
    const slot = this.#trending.lightest()
    assert(slot !== undefined, 'every item in the table trends')
    for (const algorithm of this.#algorithms.values()) algorithm.forget(slot)
    this.#trending.forget(slot)
    this.#contents.forget(slot)
    return this.#items.replace(slot, itemId)
  }

  #askedOf({ activity, nowMs }: Pick<RecommendQuery, 'activity' | 'nowMs'>): Asked {
    return { nowMs, purchases: () => findPurchases(activity, this.#items) }
  }

  #askAlgorithms(
    query: RecommendQuery,
    ownItems: readonly OwnItem[],
    answer: Map<string, Recommendation>,
  ): void {
    const weights = (query.weights ?? this.#options.weights)[weightRowOf(ownItems.length)]
    if (ownItems.length === 0 || weights === undefined) return
    const asked = this.#askedOf(query)
    this.#candidates.clear(this.#items.count)
    for (const [name, algorithm] of this.#algorithms) {
      const weight = weights[name] ?? 0
      if (weight <= 0) continue
      algorithm.score(ownItems, this.#candidates, asked)
      this.#candidates.settle(weight, algorithmNames.indexOf(name))
    }
    this.#takeBest(query, 'blend', ownItems, answer)
  }

  /** What is like the own items, and none of them: found though nobody has met it yet. */
  #askContent(
    query: RecommendQuery,
    ownItems: readonly OwnItem[],
    answer: Map<string, Recommendation>,
  ): void {
    this.#candidates.clear(this.#items.count)
    this.#similarContent.score(ownItems, this.#candidates)
    for (const { slot } of ownItems) this.#candidates.silence(slot)
    this.#candidates.settle(1, algorithmNames.indexOf('similar-content'))
    this.#takeBest(query, 'content', ownItems, answer)
  }

  /**
   * Takes the best candidates out of a heap, so that only those near the top are asked for and
   * ordered. Scores of a later tier go on falling from the last one.
   */
  #takeBest(
    query: RecommendQuery,
    tier: 'blend' | 'content',
    ownItems: readonly OwnItem[],
    answer: Map<string, Recommendation>,
  ): void {
    const { slots, scores, count } = this.#candidates
    const factor =
      tier === 'blend' ? 1 : (leastScoreOf(answer) * fallbackStep) / greatestOf(scores, count)
    this.#heap.fill(scores, count)
    while (answer.size < query.countMax) {
      const candidate = this.#heap.take()
      // What has no score was taken back.
      if (candidate === undefined || !((scores[candidate] ?? 0) > 0)) return
      const itemId = this.#items.idOf(slots[candidate] ?? 0)
      if (answer.has(itemId) || query.excludeItemIds.has(itemId)) continue
      if (!query.isAllowed(itemId)) continue
      const reason = this.#reasonOf(candidate, itemId, ownItems)
      answer.set(itemId, { itemId, score: (scores[candidate] ?? 0) * factor, reason, tier })
    }
  }

  #reasonOf(candidate: number, itemId: string, ownItems: readonly OwnItem[]): Reason {
    const own = ownItems[this.#candidates.placeOf(candidate)]
    const algorithm = algorithmNames[this.#candidates.speakerOf(candidate)]
    assert(algorithm !== undefined, 'who has a score was spoken of')
    return reasonOf(itemId, own, { algorithm, share: this.#candidates.mostShareOf(candidate) })
  }

  /**
   * Fills up with what trends; what nobody has met is left to who knows the catalog. Scores go on
   * falling from the last one.
   */
  #fillUp(
    query: RecommendQuery,
    tier: TrendTier,
    ownItems: readonly OwnItem[],
    answer: Map<string, Recommendation>,
  ): void {
    let score = leastScoreOf(answer)
    for (const slots of this.#trends.listsOf(tier, ownItems)) {
      const found: number[] = []
      for (const slot of slots) {
        if (answer.size + found.length === query.countMax) break
        if (this.#trending.weightOf(slot) === 0) continue
        const itemId = this.#items.idOf(slot)
        if (answer.has(itemId) || query.excludeItemIds.has(itemId)) continue
        if (query.isAllowed(itemId)) found.push(slot)
      }
      found.sort((left, right) => this.#trending.weightOf(right) - this.#trending.weightOf(left))
      for (const slot of found) {
        score *= fallbackStep
        const itemId = this.#items.idOf(slot)
        answer.set(itemId, { itemId, score, reason: trendingReason, tier })
      }
    }
  }
}

function greatestOf(scores: Float64Array, count: number): number {
  let greatest = 0
  for (let at = 0; at < count; at++) greatest = Math.max(greatest, scores[at] ?? 0)
  return greatest
}

function leastScoreOf(answer: ReadonlyMap<string, Recommendation>): number {
  let least = 1
  for (const { score } of answer.values()) least = Math.min(least, score)
  return least
}

/** What the score of one fallback is of that before it. */
const fallbackStep = 0.99

const trendingReason: Reason = { kind: 'trending', algorithm: 'trending', share: 1 }
