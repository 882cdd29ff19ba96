/**
 * A scratch sheet for one query: per candidate item, how much speaks for it, which algorithm said
 * the most, and which of the person's own items that went by most. Kept between queries, so that a
 * query allocates nothing; `clear` costs only what was touched.
 *
 * Algorithms speak one after the other: what one says is gathered by `add`, and goes into the sums
 * of all by `settle`. An item has the same number throughout, so its place by slot is looked up
 * once for each time that something is said, and all else lies close together.
 */

import { growTo } from './typed-array.ts'

/** The person's own items that a query looks at. */
export const queryItemCountMax = 10

/** Place of what no own item speaks for. */
export const noPlace = 255

/** Less than any contribution: nothing was said. */
const silent = -1

export class Candidates {
  count = 0
  /** Item slots by candidate. */
  slots = new Int32Array(1024)
  /** Sum of all contributions by candidate, of those settled. */
  scores = new Float64Array(1024)
  /**
   * The most that one algorithm said, which one, and the place of the own item that its largest
   * contribution came from.
   */
  #most = new Float64Array(1024)
  #speakers = new Uint8Array(1024)
  #places = new Uint8Array(1024)
  /** The same of the algorithm that speaks now; `silent` where it has said nothing. */
  #saidSums = new Float64Array(1024)
  #saidLargest = new Float64Array(1024)
  #saidPlaces = new Uint8Array(1024)
  /** Candidates of which it spoke, in the order in which it first did. */
  #said = new Int32Array(1024)
  #saidCount = 0
  /** Candidate + 1 by item slot; 0 where the item is none. */
  #candidateBySlot = new Int32Array(1024)

  /** Empties the sheet and makes room for `itemCount` slots. */
  clear(itemCount: number): void {
    for (let candidate = 0; candidate < this.count; candidate++) {
      this.#candidateBySlot[this.slots[candidate] ?? 0] = 0
    }
    this.count = 0
    this.#saidCount = 0
    this.#candidateBySlot = growTo(this.#candidateBySlot, itemCount)
  }

  /** Adds what the own item at `place` says for an item. Not negative. */
  add(slot: number, place: number, amount: number): void {
    const known = (this.#candidateBySlot[slot] ?? 0) - 1
    const candidate = known < 0 ? this.#enter(slot) : known
    const largest = this.#saidLargest[candidate] ?? silent
    if (largest < 0) {
      this.#said[this.#saidCount] = candidate
      this.#saidCount += 1
      this.#saidSums[candidate] = amount
    } else {
      this.#saidSums[candidate] = (this.#saidSums[candidate] ?? 0) + amount
    }
    if (amount <= largest) return
    this.#saidLargest[candidate] = amount
    this.#saidPlaces[candidate] = place
  }

  /** Multiplies what is said now for each item by what `factorOf` returns for its slot. */
  scaleEach(factorOf: { factorOf(slot: number): number }): void {
    for (let nth = 0; nth < this.#saidCount; nth++) {
      const candidate = this.#said[nth] ?? 0
      this.#scale(candidate, factorOf.factorOf(this.slots[candidate] ?? 0))
    }
  }

  /** Takes back what is said now for an item. */
  silence(slot: number): void {
    const candidate = (this.#candidateBySlot[slot] ?? 0) - 1
    if (candidate >= 0 && (this.#saidLargest[candidate] ?? silent) >= 0) this.#scale(candidate, 0)
  }

  /** Returns the sum of what is said now for an item. */
  saidOf(slot: number): number {
    const candidate = (this.#candidateBySlot[slot] ?? 0) - 1
    const isSaid = candidate >= 0 && (this.#saidLargest[candidate] ?? silent) >= 0
    return isSaid ? (this.#saidSums[candidate] ?? 0) : 0
  }

  /** Returns the share of an item in all that is said now. */
  shareOf(slot: number): number {
    const said = this.saidOf(slot)
    return said === 0 ? 0 : said / this.#saidTotal()
  }

  /** Ends what `speaker` says, and adds it to the sums, all together as `weight`. */
  settle(weight: number, speaker: number): void {
    const total = this.#saidTotal()
    const factor = total === 0 ? 0 : weight / total
    for (let nth = 0; nth < this.#saidCount; nth++) {
      const candidate = this.#said[nth] ?? 0
      const sum = (this.#saidSums[candidate] ?? 0) * factor
      this.scores[candidate] = (this.scores[candidate] ?? 0) + sum
      this.#saidLargest[candidate] = silent
      if (sum <= (this.#most[candidate] ?? silent)) continue
      this.#most[candidate] = sum
      this.#speakers[candidate] = speaker
      this.#places[candidate] = this.#saidPlaces[candidate] ?? noPlace
    }
    this.#saidCount = 0
  }

  /** Returns who said the most for a candidate. */
  speakerOf(candidate: number): number {
    return this.#speakers[candidate] ?? 0
  }

  /** Returns what part of the score of a candidate that speaker gave. */
  mostShareOf(candidate: number): number {
    const score = this.scores[candidate] ?? 0
    return score > 0 ? Math.min(1, (this.#most[candidate] ?? 0) / score) : 0
  }

  /** Returns the place of the own item that this speaker went by most. */
  placeOf(candidate: number): number {
    return this.#places[candidate] ?? noPlace
  }

  #scale(candidate: number, factor: number): void {
    this.#saidSums[candidate] = (this.#saidSums[candidate] ?? 0) * factor
    this.#saidLargest[candidate] = (this.#saidLargest[candidate] ?? 0) * factor
  }

  #saidTotal(): number {
    let total = 0
    for (let nth = 0; nth < this.#saidCount; nth++) {
      total += this.#saidSums[this.#said[nth] ?? 0] ?? 0
    }
    return total
  }

  #enter(slot: number): number {
    const candidate = this.count
    this.count += 1
    if (candidate >= this.slots.length) this.#grow(candidate + 1)
    this.slots[candidate] = slot
    this.#candidateBySlot[slot] = candidate + 1
    this.scores[candidate] = 0
    this.#most[candidate] = silent
    this.#saidLargest[candidate] = silent
    return candidate
  }

  #grow(count: number): void {
    this.slots = growTo(this.slots, count)
    const { length } = this.slots
    this.scores = growTo(this.scores, length)
    this.#most = growTo(this.#most, length)
    this.#speakers = growTo(this.#speakers, length)
    this.#places = growTo(this.#places, length)
    this.#saidSums = growTo(this.#saidSums, length)
    this.#saidLargest = growTo(this.#saidLargest, length)
    this.#saidPlaces = growTo(this.#saidPlaces, length)
    this.#said = growTo(this.#said, length)
  }
}
