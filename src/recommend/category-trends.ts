/**
 * Recommends what trends: in the categories of the own items, and everywhere. Forward decay leaves
 * the order of items as it is until one is met, so a bounded list of the heaviest items of each
 * category is kept by looking at the item that was met alone; and at nothing else while that is no
 * heavier than what is known of the lightest in the list.
 */

import type { Algorithm, LearnedStep } from './algorithm.ts'
import { type Candidates, noPlace } from './candidates.ts'
import { CategoryLists } from './category-lists.ts'
import type { ItemContents } from './item-contents.ts'
import type { OwnItem } from './own-items.ts'
import type { RecommendTier } from './recommender.ts'
import type { Transfer } from './transfer.ts'
import type { Trending } from './trending.ts'
import { growTo } from './typed-array.ts'

/** Heaviest items remembered of a category, and looked at of all. */
const heaviestCountMax = 64

export type TrendTier = Exclude<RecommendTier, 'blend' | 'content'>

export class CategoryTrends implements Algorithm {
  readonly #contents: ItemContents
  readonly #trending: Trending
  readonly #lists = new CategoryLists(heaviestCountMax)
  /**
   * By category a weight that all in a full list have at least, since weights only grow; 0 where
   * none is known.
   */
  #bounds = new Float64Array(64)

  constructor(contents: ItemContents, trending: Trending) {
    this.#contents = contents
    this.#trending = trending
  }

  learn({ slot }: Pick<LearnedStep, 'slot'>): void {
    const narrow = this.#contents.narrowOf(slot)
    if (narrow !== 0) this.#lift(narrow, slot)
    const wide = this.#contents.wideOf(slot)
    if (wide !== 0) this.#lift(wide, slot)
  }

  /** To be called before an item loses its categories: its place in their lists is then free. */
  forget(slot: number): void {
    for (const category of [this.#contents.narrowOf(slot), this.#contents.wideOf(slot)]) {
      if (category < this.#bounds.length) this.#bounds[category] = 0
    }
  }

  score(ownItems: readonly OwnItem[], target: Candidates): void {
    let left = heaviestCountMax
    for (const slot of this.#trending.heaviest()) {
      if (left === 0) break
      left -= 1
      target.add(slot, noPlace, this.#trending.weightOf(slot))
    }
    for (const { slot } of ownItems) {
      for (const other of this.heaviestOf(this.#contents.narrowOf(slot))) {
        target.add(other, noPlace, this.#trending.weightOf(other))
      }
    }
  }

  /** Yields lists of slots, heaviest first. */
  *listsOf(tier: TrendTier, ownItems: readonly OwnItem[]): Generator<Iterable<number>> {
    if (tier === 'everywhere') {
      yield this.#trending.heaviest()
      return
    }
    const contents = this.#contents
    for (const { slot } of ownItems) {
      yield this.heaviestOf(tier === 'category' ? contents.narrowOf(slot) : contents.wideOf(slot))
    }
  }

  /** Returns the heaviest items of a category, heaviest first. */
  heaviestOf(category: number): readonly number[] {
    const slots: number[] = []
    if (category === 0) return slots
    for (let place = 0; place < heaviestCountMax; place++) {
      const slot = this.#lists.at(category, place)
      if (slot >= 0 && this.#isOf(category, slot)) slots.push(slot)
    }
    return slots.sort(
      (left, right) => this.#trending.weightOf(right) - this.#trending.weightOf(left),
    )
  }

  transfer(through: Transfer): void {
    this.#lists.transfer(through)
  }

  #isOf(category: number, slot: number): boolean {
    return this.#contents.narrowOf(slot) === category || this.#contents.wideOf(slot) === category
  }

  #lift(category: number, slot: number): void {
    const weight = this.#trending.weightOf(slot)
    if (weight <= (this.#bounds[category] ?? 0) && weight > 0) return
    if (this.#lists.holds(category, slot)) return
    let lightest = -1
    let least = weight
    let next = Infinity
    for (let place = 0; place < heaviestCountMax; place++) {
      const other = this.#lists.at(category, place)
      const isFree = other < 0 || !this.#isOf(category, other)
      const otherWeight = isFree ? -1 : this.#trending.weightOf(other)
      if (otherWeight < least) {
        if (lightest >= 0) next = Math.min(next, least)
        least = otherWeight
        lightest = place
      } else {
        next = Math.min(next, otherWeight)
      }
    }
    if (lightest >= 0) this.#lists.put(category, lightest, slot)
    this.#bounds = growTo(this.#bounds, category + 1)
    this.#bounds[category] = Math.max(0, lightest >= 0 ? Math.min(next, weight) : next)
  }
}
