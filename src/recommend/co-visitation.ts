/**
 * Recommends what goes with the own items: for each item a list of the items met in the same
 * session, weighted by kind, by nearness in the session and by time (forward decay: newer weights
 * are larger, so nothing is ever scaled down). What came after counts more than what came before.
 *
 * A list is bounded; a newcomer to a full list takes the place of the lightest and inherits its
 * weight (space-saving, Metwally et al. 2005), so an item's weight is overestimated by that at
 * most.
 */

import { BlockArena, blockLengthFor, blockLengthMin } from './block-arena.ts'
import type { Candidates } from './candidates.ts'
import type { ItemTable } from './item-table.ts'
import { slotOf } from './item-table.ts'
import type { OwnItem } from './own-items.ts'
import { type Transfer, transferInstant } from './transfer.ts'
import { growTo, powerOfTwoFrom } from './typed-array.ts'

export interface CoVisitationOptions {
  /** Items remembered per item. A power of two, rounded up. */
  readonly pairCountMax: number
  readonly halfLifeMs: number
}

/** Items of the session that an interaction is paired with. */
export const pairReachCount = 4

/** What came before an item counts this much of what came after it. */
const backwardShare = 0.4

/** 32-bit floats reach from 2^-126 to 2^127; starting low leaves room for 200 half-lives. */
const exponentMin = -100
const exponentMax = 100

export class CoVisitation {
  readonly #items: ItemTable
  readonly #options: CoVisitationOptions
  readonly #arena = new BlockArena()
  /**
   * By item slot: a block with room for keys and, behind them, as many weights; the count tells the
   * room.
   */
  #offsets = new Int32Array(256)
  #counts = new Int32Array(256)
  #beganAtMs: number | undefined

  constructor(items: ItemTable, options: CoVisitationOptions) {
    this.#items = items
    const pairCountMax = Math.max(blockLengthMin, powerOfTwoFrom(options.pairCountMax))
    this.#options = { ...options, pairCountMax }
  }

  /** Pairs the first of the session's newest keys, the one just met, with the others. */
  learn(newestKeys: Int32Array, keyCount: number, how: { weight: number; atMs: number }): void {
    this.#beganAtMs ??= how.atMs
    const halfLives = (how.atMs - this.#beganAtMs) / this.#options.halfLifeMs + exponentMin
    const decay = 2 ** Math.min(exponentMax, Math.max(exponentMin, halfLives))
    const key = newestKeys[0] ?? 0
    for (let index = 1; index < keyCount; index++) {
      const other = newestKeys[index] ?? 0
      const weight = (how.weight * decay) / index
      if (!this.#items.isCurrent(other)) continue
      this.#strengthen(slotOf(other), key, weight)
      this.#strengthen(slotOf(key), other, weight * backwardShare)
    }
  }

  /** Forgets an evicted item. Other items' lists recognise its key as stale. */
  forget(slot: number): void {
    const length = blockLengthFor(this.#counts[slot] ?? 0)
    if (length === 0) return
    this.#arena.giveBack(this.#offsets[slot] ?? 0, length * 2)
    this.#counts[slot] = 0
  }

  /** Adds to `target` what goes with each own item, as its share of that item's list. */
  score(ownItems: readonly OwnItem[], target: Candidates): void {
    const { ints, floats } = this.#arena
    for (const [place, own] of ownItems.entries()) {
      const start = this.#offsets[own.slot] ?? 0
      const count = this.#counts[own.slot] ?? 0
      const length = blockLengthFor(count)
      let sum = 0
      for (let at = start; at < start + count; at++) sum += floats[at + length] ?? 0
      for (let at = start; at < start + count; at++) {
        const key = ints[at] ?? 0
        if (!this.#items.isCurrent(key)) continue
        const share = (floats[at + length] ?? 0) / sum
        target.add(slotOf(key), place, (share * own.weight) / (place + 1))
      }
    }
  }

  transfer(through: Transfer): void {
    this.#arena.transfer(through)
    this.#offsets = through.array(this.#offsets)
    this.#counts = through.array(this.#counts)
    this.#beganAtMs = transferInstant(through, this.#beganAtMs)
  }

  #strengthen(slot: number, key: number, weight: number): void {
    if (slot >= this.#offsets.length) {
      this.#offsets = growTo(this.#offsets, slot + 1)
      this.#counts = growTo(this.#counts, slot + 1)
    }
    const count = this.#counts[slot] ?? 0
    let length = blockLengthFor(count)
    const { ints } = this.#arena
    const start = this.#offsets[slot] ?? 0
    for (let at = start; at < start + count; at++) {
      if (ints[at] !== key) continue
      const { floats } = this.#arena
      floats[at + length] = (floats[at + length] ?? 0) + weight
      return
    }
    if (count === this.#options.pairCountMax) {
      this.#replaceLightest(start, key, weight)
      return
    }
    if (count === length) length = this.#growList(slot, length)
    const end = (this.#offsets[slot] ?? 0) + count
    this.#arena.ints[end] = key
    this.#arena.floats[end + length] = weight
    this.#counts[slot] = count + 1
  }

  #replaceLightest(start: number, key: number, weight: number): void {
    const { ints, floats } = this.#arena
    const length = this.#options.pairCountMax
    let lightest = start + length
    for (let at = lightest + 1; at < start + length * 2; at++) {
      if ((floats[at] ?? 0) < (floats[lightest] ?? 0)) lightest = at
    }
    ints[lightest - length] = key
    floats[lightest] = (floats[lightest] ?? 0) + weight
  }

  #growList(slot: number, length: number): number {
    const longer = Math.max(blockLengthMin, length * 2)
    const before = this.#offsets[slot] ?? 0
    const offset = this.#arena.borrow(longer * 2)
    if (length > 0) {
      const { ints } = this.#arena
      ints.copyWithin(offset, before, before + length)
      ints.copyWithin(offset + longer, before + length, before + length * 2)
      this.#arena.giveBack(before, length * 2)
    }
    this.#offsets[slot] = offset
    return longer
  }
}
