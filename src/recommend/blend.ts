/**
 * The shipped recommender: session neighbours and co-visitation blended, trending items where they
 * have no more to say. Each algorithm's best candidate gets that algorithm's weight, the others in
 * proportion; an algorithm of weight 0 is not asked, so an experiment can compare one with another.
 *
 * Promises: at most `countMax` different items, none excluded, none that `isAllowed` refuses, and
 * fewer than `countMax` only where the index knows no more such items. The same interactions in the
 * same order give the same answers.
 *
 * Order of effects of `learn`: evict if the table is full, then trending (the new item must never
 * be the lightest unseen), session, neighbours, co-visitation. Limits evict the oldest sessions and
 * events, and of the items the one that trends least.
 */

import { assert } from '../lib/assert.ts'
import { Candidates } from './candidates.ts'
import { CoVisitation, pairReachCount } from './co-visitation.ts'
import { ItemTable, slotOf } from './item-table.ts'
import type { OwnItem } from './own-items.ts'
import { kindWeights, weighOwnItems } from './own-items.ts'
import type {
  Interaction,
  Reason,
  Recommendation,
  Recommender,
  RecommendQuery,
} from './recommender.ts'
import { SessionNeighbours } from './session-neighbours.ts'
import { SessionStore } from './session-store.ts'
import { indexLayout, SnapshotUnfitError, type Transfer } from './transfer.ts'
import { Trending } from './trending.ts'

export interface BlendOptions {
  /** Sessions remembered; rounded up to a power of two. */
  readonly sessionCountMax: number
  readonly itemCountMax: number
  /** Interactions remembered; rounded up to a power of two. */
  readonly eventCountMax: number
  readonly neighbourPoolMax: number
  readonly neighbourCountMax: number
  readonly rarityWeight: number
  readonly pairCountMax: number
  readonly pairHalfLifeMs: number
  readonly trendingHalfLifeMs: number
  readonly neighbourWeight: number
  readonly coVisitationWeight: number
}

const dayMs = 86_400_000

/** About 0.8 GB of process memory at 3 million sessions, 13 million events and 500,000 items. */
export const blendDefaults: BlendOptions = {
  sessionCountMax: 2 ** 22,
  itemCountMax: 2 ** 20,
  eventCountMax: 2 ** 24,
  neighbourPoolMax: 1024,
  neighbourCountMax: 300,
  rarityWeight: 2,
  pairCountMax: 64,
  pairHalfLifeMs: 30 * dayMs,
  trendingHalfLifeMs: 7 * dayMs,
  neighbourWeight: 1,
  coVisitationWeight: 0.25,
}

/** Makes an empty recommender. Options left out take `blendDefaults`. */
export function createBlend(options: Partial<BlendOptions> = {}): Recommender {
  return new Blend({ ...blendDefaults, ...options })
}

class Blend implements Recommender {
  readonly #options: BlendOptions
  readonly #items: ItemTable
  readonly #sessions: SessionStore
  readonly #neighbours: SessionNeighbours
  readonly #coVisitation: CoVisitation
  readonly #trending: Trending
  readonly #newestKeys = new Int32Array(pairReachCount + 1)
  readonly #sheet = new Candidates()
  readonly #blended = new Candidates()
  #learnedCount = 0

  constructor(options: BlendOptions) {
    assert(options.neighbourCountMax >= 1, 'at least one neighbour speaks')
    this.#options = options
    this.#items = new ItemTable(options.itemCountMax)
    this.#sessions = new SessionStore(options.sessionCountMax, options.eventCountMax)
    this.#neighbours = new SessionNeighbours(this.#items, this.#sessions, options)
    this.#coVisitation = new CoVisitation(this.#items, {
      pairCountMax: options.pairCountMax,
      halfLifeMs: options.pairHalfLifeMs,
    })
    this.#trending = new Trending(options.trendingHalfLifeMs)
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
    const session = this.#sessions.append(profileId, key, occurredAtMs)
    if (this.#sessions.isNewItem) this.#neighbours.learn(slot, session)
    this.#learnedCount += 1
    // A page loaded again says nothing new; a cart or a purchase after the view does.
    if (this.#sessions.isReload && kind === 'view') return
    const place = this.#sessions.placeOf(session)
    const keyCount = this.#sessions.readKeys(place, this.#newestKeys, true)
    if (keyCount > 1 && this.#newestKeys[0] === key) {
      const how = { weight: kindWeights[kind], atMs: occurredAtMs }
      this.#coVisitation.learn(this.#newestKeys, keyCount, how)
    }
  }

  recommend(query: RecommendQuery): readonly Recommendation[] {
    if (query.countMax <= 0) return []
    const ownItems = weighOwnItems(query.activity, this.#items)
    const { neighbourWeight, coVisitationWeight } = this.#options
    this.#blended.clear(this.#items.count, ownItems.length)
    if (ownItems.length > 0 && neighbourWeight > 0) {
      this.#sheet.clear(this.#items.count, ownItems.length)
      this.#neighbours.score(ownItems, this.#sheet)
      this.#blended.addNormalised(this.#sheet, neighbourWeight)
    }
    if (ownItems.length > 0 && coVisitationWeight > 0) {
      this.#sheet.clear(this.#items.count, ownItems.length)
      this.#coVisitation.score(ownItems, this.#sheet)
      this.#blended.addNormalised(this.#sheet, coVisitationWeight)
    }
    const answer = new Map<string, Recommendation>()
    this.#takeBest(query, ownItems, answer)
    if (answer.size < query.countMax) this.#fillUp(query, answer)
    return [...answer.values()]
  }

  transfer(through: Transfer): void {
    const { sessionCountMax, itemCountMax, eventCountMax, pairCountMax, neighbourPoolMax } =
      this.#options
    const limits = [sessionCountMax, itemCountMax, eventCountMax, pairCountMax, neighbourPoolMax]
    for (const own of [indexLayout, ...limits]) {
      if (through.number(own) !== own) throw new SnapshotUnfitError('was made with other limits')
    }
    this.#items.transfer(through)
    this.#sessions.transfer(through)
    this.#neighbours.transfer(through)
    this.#coVisitation.transfer(through)
    this.#trending.transfer(through)
    this.#learnedCount = through.number(this.#learnedCount)
  }

  /** Finds a slot for an unknown item, at the cost of the lightest one where the table is full. */
  #admit(itemId: string): number {
    if (this.#items.count < this.#items.itemCountMax) return this.#items.add(itemId)
    const slot = this.#trending.lightest()
    assert(slot !== undefined, 'every item in the table trends')
    this.#trending.forget(slot)
    this.#neighbours.forget(slot)
    this.#coVisitation.forget(slot)
    return this.#items.replace(slot, itemId)
  }

  /**
   * Takes the best candidates out of a heap, so that only those near the top are asked for and
   * ordered.
   */
  #takeBest(
    query: RecommendQuery,
    ownItems: readonly OwnItem[],
    answer: Map<string, Recommendation>,
  ): void {
    const { slots, count } = this.#blended
    const scores = new Float64Array(count)
    for (let index = 0; index < count; index++) scores[index] = this.#blended.scoreOf(index)
    const heap = new CandidateHeap(scores)
    while (answer.size < query.countMax) {
      const candidate = heap.take()
      if (candidate === undefined) return
      const itemId = this.#items.idOf(slots[candidate] ?? 0)
      if (query.excludeItemIds.has(itemId) || !query.isAllowed(itemId)) continue
      const own = ownItems[this.#blended.strongestPlace(candidate)]
      assert(own !== undefined, 'a candidate has an own item that speaks for it')
      const score = scores[candidate] ?? 0
      answer.set(itemId, {
        itemId,
        score,
        reason: { kind: reasonKinds[own.kind], itemId: own.itemId },
      })
    }
  }

  /** Fills up with trending items; their scores lie below that of the last candidate. */
  #fillUp(query: RecommendQuery, answer: Map<string, Recommendation>): void {
    let bestScore = 1
    for (const { score } of answer.values()) bestScore = Math.min(bestScore, score)
    const found: number[] = []
    for (const slot of this.#trending.heaviest()) {
      const itemId = this.#items.idOf(slot)
      if (answer.has(itemId) || query.excludeItemIds.has(itemId)) continue
      if (!query.isAllowed(itemId)) continue
      found.push(slot)
      if (answer.size + found.length === query.countMax) break
    }
    found.sort((left, right) => this.#trending.weightOf(right) - this.#trending.weightOf(left))
    const heaviest = this.#trending.weightOf(found[0] ?? 0)
    for (const slot of found) {
      const itemId = this.#items.idOf(slot)
      const score = (bestScore * this.#trending.weightOf(slot)) / heaviest / 2
      answer.set(itemId, { itemId, score, reason: { kind: 'trending' } })
    }
  }
}

const reasonKinds = {
  view: 'because-viewed',
  cart: 'because-carted',
  purchase: 'because-bought',
} as const satisfies Record<Interaction['kind'], Reason['kind']>

/** Gives candidates by falling score; of equals the one met first. */
class CandidateHeap {
  readonly #scores: Float64Array
  readonly #heap: Int32Array
  #count: number

  constructor(scores: Float64Array) {
    this.#scores = scores
    this.#count = scores.length
    this.#heap = new Int32Array(scores.length)
    for (let at = 0; at < scores.length; at++) this.#heap[at] = at
    for (let at = (this.#count >>> 1) - 1; at >= 0; at--) this.#sink(at)
  }

  take(): number | undefined {
    if (this.#count === 0) return undefined
    const best = this.#heap[0]
    this.#count -= 1
    this.#heap[0] = this.#heap[this.#count] ?? 0
    this.#sink(0)
    return best
  }

  #sink(start: number): void {
    let at = start
    for (;;) {
      let best = at
      const left = at * 2 + 1
      if (left < this.#count && this.#isBefore(left, best)) best = left
      if (left + 1 < this.#count && this.#isBefore(left + 1, best)) best = left + 1
      if (best === at) return
      const moved = this.#heap[at] ?? 0
      this.#heap[at] = this.#heap[best] ?? 0
      this.#heap[best] = moved
      at = best
    }
  }

  #isBefore(left: number, right: number): boolean {
    const first = this.#heap[left] ?? 0
    const second = this.#heap[right] ?? 0
    const difference = (this.#scores[first] ?? 0) - (this.#scores[second] ?? 0)
    return difference > 0 || (difference === 0 && first < second)
  }
}
