/**
 * Recommends new items that are like the own ones: of the same narrowest category, by brand and
 * price. Others can say nothing of an item that nobody has met yet.
 */

import type { Algorithm } from './algorithm.ts'
import type { Candidates } from './candidates.ts'
import { CategoryLists } from './category-lists.ts'
import type { ItemContents } from './item-contents.ts'
import type { OwnItem } from './own-items.ts'
import type { Transfer } from './transfer.ts'
import { growTo } from './typed-array.ts'

/** Newest items remembered of a category. */
const newestCountMax = 32

export class SimilarContent implements Algorithm {
  readonly #contents: ItemContents
  readonly #newest = new CategoryLists(newestCountMax)
  /** Items that ever came into a category. */
  #pushes = new Int32Array(64)

  constructor(contents: ItemContents) {
    this.#contents = contents
  }

  /** Notes that an item has come into its category. */
  welcome(slot: number): void {
    const category = this.#contents.narrowOf(slot)
    this.#pushes = growTo(this.#pushes, category + 1)
    const pushes = this.#pushes[category] ?? 0
    this.#newest.put(category, pushes % newestCountMax, slot)
    this.#pushes[category] = pushes + 1
  }

  forget(): void {}

  score(ownItems: readonly OwnItem[], target: Candidates): void {
    for (const [place, own] of ownItems.entries()) {
      const category = this.#contents.narrowOf(own.slot)
      if (category === 0) continue
      for (let at = 0; at < newestCountMax; at++) {
        const slot = this.#newest.at(category, at)
        if (slot < 0 || slot === own.slot || this.#contents.narrowOf(slot) !== category) continue
        target.add(slot, place, own.weight * this.#contents.likenessOf(own.slot, slot))
      }
    }
  }

  transfer(through: Transfer): void {
    this.#newest.transfer(through)
    this.#pushes = through.array(this.#pushes)
  }
}
