/**
 * For each item a list of the items met in the same session, with two weights: how often the other
 * came after it, and how often the two came together. Newer meetings weigh more (forward decay:
 * their weights are larger, so nothing is ever scaled down).
 *
 *     block of an item   [ keys ... | follows ... | together ... ]   4, 8, 16... of each
 *
 * A list is bounded; a newcomer to a full list takes the place of the lightest of some looked at
 * and inherits its weight together (after space-saving, Metwally et al. 2005), so an item's weight
 * is overestimated by that at most.
 */

import { BlockArena, blockLengthFor, blockLengthMin } from './block-arena.ts'
import type { ItemTable } from './item-table.ts'
import { slotOf } from './item-table.ts'
import { type Transfer, transferInstant } from './transfer.ts'
import { growTo, powerOfTwoFrom } from './typed-array.ts'

export interface PairTableOptions {
  /** Items remembered per item. A power of two, rounded up. */
  readonly pairCountMax: number
  readonly halfLifeMs: number
}

/** 32-bit floats reach from 2^-126 to 2^127; starting low leaves room for 200 half-lives. */
const exponentMin = -100
const exponentMax = 100

/**
 * A list grows with its item: most items are rare, and a long tail of long lists would cost most of
 * the memory for what was met once.
 */
const pairsPerMeeting = 4
const pairCountMin = 8
/** Places of a full list looked at for a light one; the next time those behind them. */
const replaceLookCount = 16

interface Pair {
  readonly key: number
  readonly follows: number
  readonly together: number
}

export class PairTable {
  /** Items remembered per item. */
  readonly pairCountMax: number
  readonly #items: ItemTable
  readonly #halfLifeMs: number
  readonly #arena = new BlockArena()
  #offsets = new Int32Array(256)
  #counts = new Int32Array(256)
  /** Interactions with the item, by slot; they decide how long its list may grow. */
  #meetings = new Int32Array(256)
  #beganAtMs: number | undefined
  #lookAt = 0

  constructor(items: ItemTable, options: PairTableOptions) {
    this.#items = items
    this.#halfLifeMs = options.halfLifeMs
    this.pairCountMax = Math.max(blockLengthMin, powerOfTwoFrom(options.pairCountMax))
  }

  /** Returns what a meeting at an instant weighs; instants of one table share the scale. */
  weightAt(atMs: number): number {
    this.#beganAtMs ??= atMs
    const halfLives = (atMs - this.#beganAtMs) / this.#halfLifeMs + exponentMin
    return 2 ** Math.min(exponentMax, Math.max(exponentMin, halfLives))
  }

  /** Notes that an item was met. */
  meet(slot: number): void {
    if (slot >= this.#offsets.length) {
      this.#offsets = growTo(this.#offsets, slot + 1)
      this.#counts = growTo(this.#counts, slot + 1)
      this.#meetings = growTo(this.#meetings, slot + 1)
    }
    this.#meetings[slot] = (this.#meetings[slot] ?? 0) + 1
  }

  /** Adds to the weights of `key` in the list of an item that was met. */
  strengthen(slot: number, key: number, follows: number, together: number): void {
    const count = this.#counts[slot] ?? 0
    let length = blockLengthFor(count)
    const { ints } = this.#arena
    const start = this.#offsets[slot] ?? 0
    for (let at = start; at < start + count; at++) {
      if (ints[at] !== key) continue
      const { floats } = this.#arena
      floats[at + length] = (floats[at + length] ?? 0) + follows
      floats[at + length * 2] = (floats[at + length * 2] ?? 0) + together
      this.#bringForward(start, length, at)
      return
    }
    if (count === length) {
      if (length >= this.#lengthMaxOf(slot)) {
        this.#replaceLightest(start, length, { key, follows, together })
        return
      }
      length = this.#growList(slot, length)
    }
    const end = (this.#offsets[slot] ?? 0) + count
    this.#arena.ints[end] = key
    this.#arena.floats[end + length] = follows
    this.#arena.floats[end + length * 2] = together
    this.#counts[slot] = count + 1
  }

  /** Forgets an evicted item. Other items' lists recognise its key as stale. */
  forget(slot: number): void {
    const length = blockLengthFor(this.#counts[slot] ?? 0)
    if (length > 0) this.#arena.giveBack(this.#offsets[slot] ?? 0, length * 3)
    if (slot >= this.#counts.length) return
    this.#counts[slot] = 0
    this.#meetings[slot] = 0
  }

  /**
   * Writes the slots of an item's list and their weights into arrays with room for `pairCountMax`,
   * without what was evicted; returns their number.
   */
  read(slot: number, slots: Int32Array, weights: Float64Array, which: PairWeight): number {
    const count = this.#counts[slot] ?? 0
    const start = this.#offsets[slot] ?? 0
    const shift = blockLengthFor(count) * (which === 'follows' ? 1 : 2)
    const { ints, floats } = this.#arena
    let found = 0
    for (let at = start; at < start + count; at++) {
      const key = ints[at] ?? 0
      const weight = floats[at + shift] ?? 0
      if (weight <= 0 || !this.#items.isCurrent(key)) continue
      slots[found] = slotOf(key)
      weights[found] = weight
      found += 1
    }
    return found
  }

  transfer(through: Transfer): void {
    this.#arena.transfer(through)
    this.#offsets = through.array(this.#offsets)
    this.#counts = through.array(this.#counts)
    this.#meetings = through.array(this.#meetings)
    this.#beganAtMs = transferInstant(through, this.#beganAtMs)
    this.#lookAt = through.number(this.#lookAt)
  }

  #lengthMaxOf(slot: number): number {
    const length = blockLengthFor((this.#meetings[slot] ?? 0) * pairsPerMeeting)
    return Math.min(this.pairCountMax, Math.max(pairCountMin, length))
  }

  #replaceLightest(start: number, length: number, pair: Pair): void {
    const { ints, floats } = this.#arena
    const { key, follows, together } = pair
    const lookCount = Math.min(length, replaceLookCount)
    const looked = start + length * 2
    let lightest = -1
    for (let nth = 0; nth < lookCount; nth++) {
      this.#lookAt = (this.#lookAt + 1) & (length - 1)
      const at = looked + this.#lookAt
      if (lightest < 0 || (floats[at] ?? 0) < (floats[lightest] ?? 0)) lightest = at
    }
    ints[lightest - length * 2] = key
    floats[lightest - length] = follows
    floats[lightest] = (floats[lightest] ?? 0) + together
  }

  /** Swaps a place with the one half as far from the start: what is met often is found soon. */
  #bringForward(start: number, length: number, at: number): void {
    const to = start + ((at - start) >>> 1)
    if (to === at) return
    const { ints } = this.#arena
    for (let shift = 0; shift < length * 3; shift += length) {
      const moved = ints[at + shift] ?? 0
      ints[at + shift] = ints[to + shift] ?? 0
      ints[to + shift] = moved
    }
  }

  #growList(slot: number, length: number): number {
    const longer = Math.max(blockLengthMin, length * 2)
    const before = this.#offsets[slot] ?? 0
    const offset = this.#arena.borrow(longer * 3)
    if (length > 0) {
      const { ints } = this.#arena
      for (let column = 0; column < 3; column++) {
        const from = before + column * length
        ints.copyWithin(offset + column * longer, from, from + length)
      }
      this.#arena.giveBack(before, length * 3)
    }
    this.#offsets[slot] = offset
    return longer
  }
}

export type PairWeight = 'follows' | 'together'
