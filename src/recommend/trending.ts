/**
 * What is popular now: a weight per item, by kind of interaction, that halves every seven days.
 * Newer interactions are heavier instead of older ones lighter, so the order of the items changes
 * only when one is met.
 *
 * Items lie in buckets of a quarter of an octave of weight, each a ring of linked items, the one
 * that entered last first. So both ends are found without sorting: the heaviest to recommend, the
 * lightest to evict.
 */

import { ForwardDecay } from './forward-decay.ts'
import { kindWeights } from './own-items.ts'
import type { InteractionKind } from './recommender.ts'
import type { Transfer } from './transfer.ts'
import { growTo } from './typed-array.ts'

const bucketsPerOctave = 4
/** Weights lie between 2^-1000 and 2^1000: 19 years of half-lives from the first interaction. */
const doubleRange = { exponentMin: -900, exponentMax: 900, exponentAtFirst: 0 }
const bucketCount = 2 * 1024 * bucketsPerOctave

const recordLength = 6
const weightsPerRecord = 3
const bucketField = 2
const nextField = 3
const beforeField = 4

export class Trending {
  readonly #decay: ForwardDecay
  /**
   * A record by slot, so that an item lies together: [ weight, a 64-bit float | bucket + 1, or 0
   * where the slot is in none | next | before | 0 ].
   */
  #records = new Int32Array(256 * recordLength)
  /** The same memory. */
  #weights = new Float64Array(this.#records.buffer)
  /** First slot + 1 by bucket; 0 where the bucket is empty. */
  #firsts = new Int32Array(bucketCount)
  #lowest = bucketCount
  #highest = -1

  constructor(halfLifeMs: number) {
    this.#decay = new ForwardDecay({ ...doubleRange, halfLifeMs })
  }

  learn(slot: number, kind: InteractionKind, atMs: number): void {
    this.#grow(slot + 1)
    const at = slot * weightsPerRecord
    const weight = (this.#weights[at] ?? 0) + kindWeights[kind] * this.#decay.weightAt(atMs)
    this.#weights[at] = weight
    const bucket = Math.floor(Math.log2(weight) * bucketsPerOctave) + bucketCount / 2
    if (this.#records[slot * recordLength + bucketField] === bucket + 1) return
    this.#leave(slot)
    this.#enter(slot, bucket)
  }

  /** Takes in an item that nobody has met, as the lightest of all; one that is in stays. */
  admit(slot: number): void {
    this.#grow(slot + 1)
    if (this.#records[slot * recordLength + bucketField] !== 0) return
    this.#weights[slot * weightsPerRecord] = 0
    this.#enter(slot, 0)
  }

  weightOf(slot: number): number {
    return this.#weights[slot * weightsPerRecord] ?? 0
  }

  forget(slot: number): void {
    this.#leave(slot)
    this.#weights[slot * weightsPerRecord] = 0
  }

  /**
   * Returns the slot whose weight is about the least; of equals the one that has waited longest.
   */
  lightest(): number | undefined {
    while (this.#lowest < bucketCount) {
      const first = (this.#firsts[this.#lowest] ?? 0) - 1
      if (first >= 0) return this.#records[first * recordLength + beforeField]
      this.#lowest += 1
    }
    return undefined
  }

  /** Yields all slots, heaviest bucket first. */
  *heaviest(): Generator<number> {
    while (this.#highest >= 0 && this.#firsts[this.#highest] === 0) this.#highest -= 1
    for (let bucket = this.#highest; bucket >= this.#lowest && bucket >= 0; bucket--) {
      const first = (this.#firsts[bucket] ?? 0) - 1
      if (first < 0) continue
      let slot = first
      do {
        yield slot
        slot = this.#records[slot * recordLength + nextField] ?? first
      } while (slot !== first)
    }
  }

  transfer(through: Transfer): void {
    this.#decay.transfer(through)
    this.#records = through.array(this.#records)
    this.#weights = new Float64Array(this.#records.buffer)
    this.#firsts = through.array(this.#firsts)
    this.#lowest = through.number(this.#lowest)
    this.#highest = through.number(this.#highest)
  }

  #grow(count: number): void {
    if (count * recordLength <= this.#records.length) return
    this.#records = growTo(this.#records, count * recordLength)
    this.#weights = new Float64Array(this.#records.buffer)
  }

  #enter(slot: number, bucket: number): void {
    const records = this.#records
    const first = (this.#firsts[bucket] ?? 0) - 1
    const next = first < 0 ? slot : first
    const before = first < 0 ? slot : (records[first * recordLength + beforeField] ?? first)
    records[slot * recordLength + nextField] = next
    records[slot * recordLength + beforeField] = before
    records[before * recordLength + nextField] = slot
    records[next * recordLength + beforeField] = slot
    this.#firsts[bucket] = slot + 1
    records[slot * recordLength + bucketField] = bucket + 1
    if (bucket < this.#lowest) this.#lowest = bucket
    if (bucket > this.#highest) this.#highest = bucket
  }

  #leave(slot: number): void {
    const records = this.#records
    const record = slot * recordLength
    const bucket = (records[record + bucketField] ?? 0) - 1
    if (bucket < 0) return
    const next = records[record + nextField] ?? slot
    const before = records[record + beforeField] ?? slot
    records[before * recordLength + nextField] = next
    records[next * recordLength + beforeField] = before
    if (this.#firsts[bucket] === slot + 1) this.#firsts[bucket] = next === slot ? 0 : next + 1
    records[record + bucketField] = 0
  }
}
