/**
 * Recommends what goes with what goes with the own items: two steps of a walk over the pairs, each
 * to an item in proportion to its weight. So an item is found that was never met together with an
 * own one, which helps most where sessions are short and items many.
 */

import type { Algorithm } from './algorithm.ts'
import type { Candidates } from './candidates.ts'
import type { OwnItem } from './own-items.ts'
import type { PairTable } from './pair-table.ts'

/** Own items that a walk starts from. */
const startCountMax = 2
/** Steps that are less likely are not taken: they cost as much as likely ones. */
const firstShareMin = 0.01
const secondShareMin = 0.02

export class TwoSteps implements Algorithm {
  readonly #pairs: PairTable
  readonly #slots: Int32Array
  readonly #weights: Float64Array

  constructor(pairs: PairTable) {
    this.#pairs = pairs
    this.#slots = new Int32Array(pairs.pairCountMax)
    this.#weights = new Float64Array(pairs.pairCountMax)
  }

  forget(): void {}

  transfer(): void {}

  score(ownItems: readonly OwnItem[], target: Candidates): void {
    const startCount = Math.min(startCountMax, ownItems.length)
    for (let place = 0; place < startCount; place++) {
      const own = ownItems[place]
      if (own === undefined) continue
      const count = this.#pairs.read(own.slot, this.#slots, this.#weights, 'together')
      const sum = this.#pairs.sumRead
      for (let at = 0; at < count; at++) {
        const share = (this.#weights[at] ?? 0) / sum
        if (share < firstShareMin) continue
        const amount = (share * own.weight) / (place + 1)
        this.#pairs.spread(this.#slots[at] ?? 0, amount, secondShareMin, target, place)
      }
    }
    // A walk that comes back says nothing; that people go back is known to `revisit.ts`.
    for (const { slot } of ownItems) target.silence(slot)
  }
}
