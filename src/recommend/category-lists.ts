/**
 * Per category a bounded list of item slots, of a fixed length each. A slot that is no longer of
 * the category is passed over by whoever reads.
 */

import type { Transfer } from './transfer.ts'
import { growTo } from './typed-array.ts'

export class CategoryLists {
  readonly lengthMax: number
  /** Items by category, `lengthMax` places each; slot + 1, 0 where free. */
  #slots = new Int32Array(0)

  constructor(lengthMax: number) {
    this.lengthMax = lengthMax
  }

  /** Returns the slot at a place; -1 where there is none. */
  at(category: number, place: number): number {
    return (this.#slots[category * this.lengthMax + place] ?? 0) - 1
  }

  holds(category: number, slot: number): boolean {
    const start = category * this.lengthMax
    for (let at = start; at < start + this.lengthMax; at++) {
      if (this.#slots[at] === slot + 1) return true
    }
    return false
  }

  put(category: number, place: number, slot: number): void {
    const at = category * this.lengthMax + place
    this.#slots = growTo(this.#slots, (category + 1) * this.lengthMax)
    this.#slots[at] = slot + 1
  }

  transfer(through: Transfer): void {
    this.#slots = through.array(this.#slots)
  }
}
