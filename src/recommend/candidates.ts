/**
 * A scratch sheet for one query: per candidate item, how much each of the person's own items speaks
 * for it. Kept between queries, so that a query allocates nothing; `clear` costs only what was
 * touched.
 */

import { growTo } from './typed-array.ts'

/** The person's own items that a query looks at. */
export const queryItemCountMax = 10

export class Candidates {
  count = 0
  /** Item slots by candidate. */
  slots = new Int32Array(1024)
  /** Contributions by candidate and place of the own item in the query: a row of `#width` each. */
  #shares = new Float64Array(1024)
  /** Sum of its row, by candidate. */
  #sums = new Float64Array(1024)
  #width = 1
  /** Candidate + 1 by item slot; 0 where the item is none. */
  #candidateBySlot = new Int32Array(1024)

  /** Empties the sheet and makes room for `itemCount` slots and `ownCount` own items. */
  clear(itemCount: number, ownCount: number): void {
    for (let index = 0; index < this.count; index++) {
      this.#candidateBySlot[this.slots[index] ?? 0] = 0
    }
    this.count = 0
    this.#width = Math.max(1, ownCount)
    this.#candidateBySlot = growTo(this.#candidateBySlot, itemCount)
    this.#shares = growTo(this.#shares, this.slots.length * this.#width)
  }

  /** Adds what the own item at `place` says for an item. */
  add(slot: number, place: number, amount: number): void {
    const candidate = this.#candidateOf(slot)
    const at = candidate * this.#width + place
    this.#shares[at] = (this.#shares[at] ?? 0) + amount
    this.#sums[candidate] = (this.#sums[candidate] ?? 0) + amount
  }

  /** Returns the sum of a candidate's contributions. */
  scoreOf(candidate: number): number {
    return this.#sums[candidate] ?? 0
  }

  /** Multiplies all contributions to a candidate. */
  scale(candidate: number, factor: number): void {
    const start = candidate * this.#width
    for (let at = start; at < start + this.#width; at++) {
      this.#shares[at] = (this.#shares[at] ?? 0) * factor
    }
    this.#sums[candidate] = (this.#sums[candidate] ?? 0) * factor
  }

  /**
   * Adds the contributions of another sheet of the same query, its best candidate's sum as
   * `weight`.
   */
  addNormalised(other: Candidates, weight: number): void {
    let best = 0
    for (let from = 0; from < other.count; from++) best = Math.max(best, other.scoreOf(from))
    if (best === 0) return
    const factor = weight / best
    const width = this.#width
    for (let from = 0; from < other.count; from++) {
      const candidate = this.#candidateOf(other.slots[from] ?? 0)
      const source = from * width
      const target = candidate * width
      for (let place = 0; place < width; place++) {
        const share = other.#shares[source + place] ?? 0
        if (share > 0) {
          this.#shares[target + place] = (this.#shares[target + place] ?? 0) + share * factor
        }
      }
      this.#sums[candidate] = (this.#sums[candidate] ?? 0) + other.scoreOf(from) * factor
    }
  }

  /** Returns the place of the own item that speaks most for a candidate. */
  strongestPlace(candidate: number): number {
    const start = candidate * this.#width
    let strongest = 0
    for (let place = 1; place < this.#width; place++) {
      const share = this.#shares[start + place] ?? 0
      if (share > (this.#shares[start + strongest] ?? 0)) strongest = place
    }
    return strongest
  }

  #candidateOf(slot: number): number {
    const known = this.#candidateBySlot[slot] ?? 0
    if (known > 0) return known - 1
    const candidate = this.count
    this.count += 1
    if (candidate >= this.slots.length) {
      this.slots = growTo(this.slots, candidate + 1)
      this.#sums = growTo(this.#sums, this.slots.length)
      this.#shares = growTo(this.#shares, this.slots.length * this.#width)
    }
    this.slots[candidate] = slot
    this.#sums[candidate] = 0
    this.#candidateBySlot[slot] = candidate + 1
    const start = candidate * this.#width
    for (let at = start; at < start + this.#width; at++) this.#shares[at] = 0
    return candidate
  }
}
