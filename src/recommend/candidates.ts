/**
 * A scratch sheet for one query: per candidate item, how much speaks for it, and which of the
 * person's own items said the most at once. Kept between queries, so that a query allocates
 * nothing; `clear` costs only what was touched.
 */

import { growTo } from './typed-array.ts'

/** The person's own items that a query looks at. */
export const queryItemCountMax = 10

/** Place of what no own item speaks for. */
export const noPlace = 255

export class Candidates {
  count = 0
  /** Item slots by candidate. */
  slots = new Int32Array(1024)
  /** Sum of contributions by candidate. */
  #sums = new Float64Array(1024)
  /** The largest contribution, and the place of the own item that it came from. */
  #largest = new Float64Array(1024)
  #places = new Uint8Array(1024)
  /** Candidate + 1 by item slot; 0 where the item is none. */
  #candidateBySlot = new Int32Array(1024)

  /** Empties the sheet and makes room for `itemCount` slots. */
  clear(itemCount: number): void {
    for (let index = 0; index < this.count; index++) {
      this.#candidateBySlot[this.slots[index] ?? 0] = 0
    }
    this.count = 0
    this.#candidateBySlot = growTo(this.#candidateBySlot, itemCount)
  }

  /** Adds what the own item at `place` says for an item. */
  add(slot: number, place: number, amount: number): void {
    this.#put(slot, place, amount, amount)
  }

  /** Returns the sum of a candidate's contributions. */
  scoreOf(candidate: number): number {
    return this.#sums[candidate] ?? 0
  }

  /** Multiplies all contributions to a candidate. */
  scale(candidate: number, factor: number): void {
    this.#sums[candidate] = (this.#sums[candidate] ?? 0) * factor
    this.#largest[candidate] = (this.#largest[candidate] ?? 0) * factor
  }

  /** Takes back what was said for an item. */
  silence(slot: number): void {
    const candidate = (this.#candidateBySlot[slot] ?? 0) - 1
    if (candidate >= 0) this.scale(candidate, 0)
  }

  /** Returns the sum of all candidates' contributions. */
  total(): number {
    let sum = 0
    for (let candidate = 0; candidate < this.count; candidate++) sum += this.scoreOf(candidate)
    return sum
  }

  /** Returns the share of an item in the sum of all. */
  shareOf(slot: number): number {
    const candidate = (this.#candidateBySlot[slot] ?? 0) - 1
    if (candidate < 0) return 0
    const score = this.scoreOf(candidate)
    return score === 0 ? 0 : score / this.total()
  }

  /** Adds the contributions of another sheet of the same query, all together as `weight`. */
  addNormalised(other: Candidates, weight: number): void {
    const sum = other.total()
    if (sum === 0) return
    const factor = weight / sum
    for (let from = 0; from < other.count; from++) {
      const amount = other.scoreOf(from) * factor
      const largest = (other.#largest[from] ?? 0) * factor
      this.#put(other.slots[from] ?? 0, other.placeOf(from), amount, largest)
    }
  }

  /** Returns the place of the own item that said most at once for a candidate. */
  placeOf(candidate: number): number {
    return this.#places[candidate] ?? 0
  }

  #put(slot: number, place: number, amount: number, largest: number): void {
    const known = (this.#candidateBySlot[slot] ?? 0) - 1
    if (known >= 0) {
      this.#sums[known] = (this.#sums[known] ?? 0) + amount
      if (largest <= (this.#largest[known] ?? 0)) return
      this.#largest[known] = largest
      this.#places[known] = place
      return
    }
    const candidate = this.count
    this.count += 1
    if (candidate >= this.slots.length) this.#grow(candidate + 1)
    this.slots[candidate] = slot
    this.#candidateBySlot[slot] = candidate + 1
    this.#sums[candidate] = amount
    this.#largest[candidate] = largest
    this.#places[candidate] = place
  }

  #grow(count: number): void {
    this.slots = growTo(this.slots, count)
    this.#sums = growTo(this.#sums, this.slots.length)
    this.#largest = growTo(this.#largest, this.slots.length)
    this.#places = growTo(this.#places, this.slots.length)
  }
}
