/**
 * Recommends what was met in the same sessions as the own items: of each list the shares, lessened
 * by the rank of the own item. Learns the pairs that `sequential-rules.ts` and `two-steps.ts` read
 * too: by kind of interaction, by nearness in the session and by time.
 */

import type { Algorithm, LearnedStep } from './algorithm.ts'
import type { Candidates } from './candidates.ts'
import type { ItemTable } from './item-table.ts'
import { slotOf } from './item-table.ts'
import { kindWeights, type OwnItem } from './own-items.ts'
import type { PairTable } from './pair-table.ts'
import type { Transfer } from './transfer.ts'

/** Items of the session that an interaction is paired with. */
export const pairReachCount = 4

export class CoVisitation implements Algorithm {
  readonly #items: ItemTable
  readonly #pairs: PairTable

  constructor(items: ItemTable, pairs: PairTable) {
    this.#items = items
    this.#pairs = pairs
  }

  learn({ key, slot, kind, atMs, newestKeys, keyCount }: LearnedStep): void {
    this.#pairs.meet(slot)
    const weight = kindWeights[kind] * this.#pairs.weightAt(atMs)
    const reach = Math.min(keyCount, pairReachCount + 1)
    for (let gap = 1; gap < reach; gap++) {
      const other = newestKeys[gap] ?? 0
      if (!this.#items.isCurrent(other)) continue
      const together = weight / gap
      this.#pairs.strengthen(slotOf(other), key, weight / (gap * gap), together)
      this.#pairs.strengthen(slot, other, 0, together)
    }
  }

  forget(slot: number): void {
    this.#pairs.forget(slot)
  }

  transfer(through: Transfer): void {
    this.#pairs.transfer(through)
  }

  score(ownItems: readonly OwnItem[], target: Candidates): void {
    for (const [place, own] of ownItems.entries()) {
      this.#pairs.spread(own.slot, own.weight / (place + 1), 0, target, place)
    }
  }
}
