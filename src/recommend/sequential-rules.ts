/**
 * Recommends what came next after the newest own item (sequential rules; Ludewig and Jannach, "SR",
 * UMUAI 2018): the nearer it followed, the more it counts.
 */

import type { Algorithm } from './algorithm.ts'
import type { Candidates } from './candidates.ts'
import { newestPlaceOf, type OwnItem } from './own-items.ts'
import type { PairTable } from './pair-table.ts'

export class SequentialRules implements Algorithm {
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
    const place = newestPlaceOf(ownItems)
    const own = ownItems[place]
    if (own === undefined) return
    const count = this.#pairs.read(own.slot, this.#slots, this.#weights, 'follows')
    for (let at = 0; at < count; at++) {
      target.add(this.#slots[at] ?? 0, place, this.#weights[at] ?? 0)
    }
  }
}
