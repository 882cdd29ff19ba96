/**
 * Recommends what the person met before, by how often people go back so far: a share of the next
 * interactions per number of steps back, counted as they come.
 */

import type { Algorithm, LearnedStep } from './algorithm.ts'
import type { Candidates } from './candidates.ts'
import { queryItemCountMax } from './candidates.ts'
import type { OwnItem } from './own-items.ts'
import type { Transfer } from './transfer.ts'

export class Revisit implements Algorithm {
  /** Returns by steps back. */
  #counts = new Float64Array(queryItemCountMax)

  learn({ kind, stepsBack }: LearnedStep): void {
    // A cart or an order after the view is no way back.
    if (kind !== 'view' || stepsBack < 0 || stepsBack >= queryItemCountMax) return
    this.#counts[stepsBack] = (this.#counts[stepsBack] ?? 0) + 1
  }

  forget(): void {}

  transfer(through: Transfer): void {
    this.#counts = through.array(this.#counts)
  }

  score(ownItems: readonly OwnItem[], target: Candidates): void {
    for (const [place, own] of ownItems.entries()) {
      const count = this.#counts[own.recency] ?? 0
      if (count > 0) target.add(own.slot, place, count)
    }
  }
}
