/**
 * What is popular now: a weight per item, by kind of interaction, that halves every seven days.
 * Forward decay (Cormode et al. 2009) makes newer interactions heavier instead of older ones
 * lighter, so the order of the items changes only when one is met.
 *
 * Items lie in buckets of a quarter of an octave of weight, each a ring of linked items, the one
 * that entered last first. So both ends are found without sorting: the heaviest to recommend, the
 * lightest to evict.
 */

import { kindWeights } from './own-items.ts'
import type { InteractionKind } from './recommender.ts'
import { type Transfer, transferInstant } from './transfer.ts'
import { growTo } from './typed-array.ts'

const bucketsPerOctave = 4
/** Weights lie between 2^-1000 and 2^1000: 19 years of half-lives from the first interaction. */
const exponentMax = 900
const bucketCount = 2 * 1024 * bucketsPerOctave

export class Trending {
  readonly #halfLifeMs: number
  #beganAtMs: number | undefined
  #weights = new Float64Array(256)
  /** Bucket + 1 by slot; 0 where the slot is in none. */
  #buckets = new Int32Array(256)
  #nexts = new Int32Array(256)
  #befores = new Int32Array(256)
  /** First slot + 1 by bucket; 0 where the bucket is empty. */
  #firsts = new Int32Array(bucketCount)
  #lowest = bucketCount
  #highest = -1

  constructor(halfLifeMs: number) {
    this.#halfLifeMs = halfLifeMs
  }

  learn(slot: number, kind: InteractionKind, atMs: number): void {
    this.#beganAtMs ??= atMs
    this.#grow(slot + 1)
    const halfLives = (atMs - this.#beganAtMs) / this.#halfLifeMs
    const exponent = Math.min(exponentMax, Math.max(-exponentMax, halfLives))
    const weight = (this.#weights[slot] ?? 0) + kindWeights[kind] * 2 ** exponent
    this.#weights[slot] = weight
    const bucket = Math.floor(Math.log2(weight) * bucketsPerOctave) + bucketCount / 2
    if (this.#buckets[slot] === bucket + 1) return
    this.#leave(slot)
    this.#enter(slot, bucket)
  }

  /** Takes in an item that nobody has met, as the lightest of all; one that is in stays. */
  admit(slot: number): void {
    this.#grow(slot + 1)
    if (this.#buckets[slot] !== 0) return
    this.#weights[slot] = 0
    this.#enter(slot, 0)
  }

  weightOf(slot: number): number {
    return this.#weights[slot] ?? 0
  }

  forget(slot: number): void {
    this.#leave(slot)
    this.#weights[slot] = 0
  }

  /**
   * Returns the slot whose weight is about the least; of equals the one that has waited longest.
   */
  lightest(): number | undefined {
    while (this.#lowest < bucketCount) {
      const first = (this.#firsts[this.#lowest] ?? 0) - 1
      if (first >= 0) return this.#befores[first]
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
        slot = this.#nexts[slot] ?? first
      } while (slot !== first)
    }
  }

  transfer(through: Transfer): void {
    this.#beganAtMs = transferInstant(through, this.#beganAtMs)
    this.#weights = through.array(this.#weights)
    this.#buckets = through.array(this.#buckets)
    this.#nexts = through.array(this.#nexts)
    this.#befores = through.array(this.#befores)
    this.#firsts = through.array(this.#firsts)
    this.#lowest = through.number(this.#lowest)
    this.#highest = through.number(this.#highest)
  }

  #grow(length: number): void {
    if (length <= this.#weights.length) return
    this.#weights = growTo(this.#weights, length)
    this.#buckets = growTo(this.#buckets, length)
    this.#nexts = growTo(this.#nexts, length)
    this.#befores = growTo(this.#befores, length)
  }

  #enter(slot: number, bucket: number): void {
    const first = (this.#firsts[bucket] ?? 0) - 1
    if (first < 0) {
      this.#nexts[slot] = slot
      this.#befores[slot] = slot
    } else {
      const last = this.#befores[first] ?? first
      this.#nexts[slot] = first
      this.#befores[slot] = last
      this.#nexts[last] = slot
      this.#befores[first] = slot
    }
    this.#firsts[bucket] = slot + 1
    this.#buckets[slot] = bucket + 1
    if (bucket < this.#lowest) this.#lowest = bucket
    if (bucket > this.#highest) this.#highest = bucket
  }

  #leave(slot: number): void {
    const bucket = (this.#buckets[slot] ?? 0) - 1
    if (bucket < 0) return
    const next = this.#nexts[slot] ?? slot
    const before = this.#befores[slot] ?? slot
    this.#nexts[before] = next
    this.#befores[next] = before
    if (this.#firsts[bucket] === slot + 1) this.#firsts[bucket] = next === slot ? 0 : next + 1
    this.#buckets[slot] = 0
  }
}
