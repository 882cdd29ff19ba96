/**
 * Recommends what the person bought before and is about to need again: the share of an item's
 * purchases that are repeats, around the time that usually lies between two. It goes by all
 * purchases that the query knows, whatever was looked at since.
 *
 * Who bought what is remembered by hashes in a table of fixed size, where a newer purchase takes
 * the place of an older one; two people are taken for one with a chance of 2^-32 a look.
 */

import type { Algorithm, Asked, Erasure, LearnedStep } from './algorithm.ts'
import { type Candidates, noPlace } from './candidates.ts'
import { hashText } from './hash-text.ts'
import type { OwnItem } from './own-items.ts'
import type { Transfer } from './transfer.ts'
import { growTo, powerOfTwoFrom } from './typed-array.ts'

/** What is bought again within a day is one purchase in two orders. */
const apartMsMin = 86_400_000
/** Purchases that an item is thought to have had without a repeat, before it has any. */
const doubtCount = 5

export class RepeatPurchase implements Algorithm {
  #marks: Int32Array
  /** Hashes of the profiles that bought, so that an erasure finds them. */
  #profiles: Int32Array
  #boughtAtMs: Float64Array
  readonly #hashShift: number
  /** By item slot: purchases, repeats, and the sum of the times between. */
  #buys = new Float64Array(256)
  #repeats = new Float64Array(256)
  #apartMs = new Float64Array(256)

  /** It remembers `purchaseCountMax` purchases, rounded up to a power of two; 16 bytes each. */
  constructor(purchaseCountMax: number) {
    const placeCount = powerOfTwoFrom(Math.max(2, purchaseCountMax))
    this.#marks = new Int32Array(placeCount)
    this.#profiles = new Int32Array(placeCount)
    this.#boughtAtMs = new Float64Array(placeCount)
    this.#hashShift = Math.clz32(placeCount - 1)
  }

  learn({ profileId, key, slot, kind, atMs }: LearnedStep): void {
    if (kind !== 'purchase') return
    if (slot >= this.#buys.length) {
      this.#buys = growTo(this.#buys, slot + 1)
      this.#repeats = growTo(this.#repeats, slot + 1)
      this.#apartMs = growTo(this.#apartMs, slot + 1)
    }
    this.#buys[slot] = (this.#buys[slot] ?? 0) + 1
    const profileHash = hashText(profileId)
    const mark = hashPurchase(profileHash, key)
    const place = Math.imul(mark, 0x9e3779b1) >>> this.#hashShift
    if (this.#marks[place] === mark) {
      const apartMs = atMs - (this.#boughtAtMs[place] ?? atMs)
      if (apartMs < apartMsMin) return
      this.#repeats[slot] = (this.#repeats[slot] ?? 0) + 1
      this.#apartMs[slot] = (this.#apartMs[slot] ?? 0) + apartMs
    }
    this.#marks[place] = mark
    this.#profiles[place] = profileHash
    this.#boughtAtMs[place] = atMs
  }

  forget(slot: number): void {
    if (slot >= this.#buys.length) return
    this.#buys[slot] = 0
    this.#repeats[slot] = 0
    this.#apartMs[slot] = 0
  }

  /** Counts of purchases and repeats stay: they are of all people together. */
  erase({ profileHashes }: Erasure): void {
    for (let place = 0; place < this.#marks.length; place++) {
      if (this.#marks[place] === 0 || !profileHashes.has(this.#profiles[place] ?? 0)) continue
      this.#marks[place] = 0
      this.#profiles[place] = 0
      this.#boughtAtMs[place] = 0
    }
  }

  score(_ownItems: readonly OwnItem[], target: Candidates, { nowMs, purchases }: Asked): void {
    for (const { slot, atMs } of purchases()) {
      const repeats = this.#repeats[slot] ?? 0
      if (repeats === 0) continue
      const rate = repeats / ((this.#buys[slot] ?? 0) + doubtCount)
      const usualMs = (this.#apartMs[slot] ?? 0) / repeats
      target.add(slot, noPlace, rate * dueShare((nowMs - atMs) / usualMs))
    }
  }

  transfer(through: Transfer): void {
    this.#marks = through.array(this.#marks)
    this.#profiles = through.array(this.#profiles)
    this.#boughtAtMs = through.array(this.#boughtAtMs)
    this.#buys = through.array(this.#buys)
    this.#repeats = through.array(this.#repeats)
    this.#apartMs = through.array(this.#apartMs)
  }
}

/** Returns how due a purchase is after so many of its usual times: most at one, little at none. */
function dueShare(times: number): number {
  if (!(times > 0)) return 0
  return times <= 1 ? times * times : 1 / times
}

/** The hash of the profile, mixed with the item; never 0, which means none. */
function hashPurchase(profileHash: number, key: number): number {
  let hash = Math.imul(profileHash ^ key, 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) | 0 || 1
}
