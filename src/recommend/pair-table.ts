/**
 * For each item a list of the items met in the same session, with two weights: how often the other
 * came after it, and how often the two came together. Newer meetings weigh more (forward decay:
 * their weights are larger, so nothing is ever scaled down).
 *
 *     record of an item  [ offset of its block | pairs it has room for | meetings | 0 ]
 *     block              [ set | set | ... ]
 *     set                [ keys ... | follows ... | together ... ]   4, 8 or 16 of each
 *
 * Up to 16 pairs are one set. Longer lists are of several sets of 16, and a key lies in the one
 * that its hash names: so a line of memory tells whether it is there, however long the list. Within
 * a set the places in use come first.
 *
 * A list is bounded; a newcomer to a full set takes the place of its lightest and inherits its
 * weight together (after space-saving, Metwally et al. 2005), so an item's weight is overestimated
 * by that at most.
 */

import { BlockArena, blockLengthFor, blockLengthMin } from './block-arena.ts'
import type { Candidates } from './candidates.ts'
import { ForwardDecay } from './forward-decay.ts'
import type { ItemTable } from './item-table.ts'
import { slotOf } from './item-table.ts'
import type { Transfer } from './transfer.ts'
import { growTo, powerOfTwoFrom } from './typed-array.ts'

export interface PairTableOptions {
  /** Items remembered per item. A power of two, rounded up. */
  readonly pairCountMax: number
  readonly halfLifeMs: number
}

/** 32-bit floats reach from 2^-126 to 2^127; starting low leaves room for 200 half-lives. */
const floatRange = { exponentMin: -100, exponentMax: 100, exponentAtFirst: -100 }

/**
 * A list grows with its item: most items are rare, and a long tail of long lists would cost most of
 * the memory for what was met once.
 */
const pairsPerMeeting = 4
const pairCountMin = 8
/** Keys of a set: 64 bytes, a line of memory. */
const setLengthMax = 16
/** Of a key that was never put. */
const noKey = -1

const recordLength = 4
const lengthField = 1
const meetingsField = 2

export class PairTable {
  /** Items remembered per item. */
  readonly pairCountMax: number
  /** Sum of the weights that `read` wrote last. */
  sumRead = 0
  readonly #items: ItemTable
  readonly #decay: ForwardDecay
  readonly #arena = new BlockArena()
  #records = new Int32Array(256 * recordLength)

  constructor(items: ItemTable, options: PairTableOptions) {
    this.#items = items
    const { halfLifeMs } = options
    this.#decay = new ForwardDecay({ ...floatRange, halfLifeMs })
    this.pairCountMax = Math.max(blockLengthMin, powerOfTwoFrom(options.pairCountMax))
  }

  /** Returns what a meeting at an instant weighs. */
  weightAt(atMs: number): number {
    return this.#decay.weightAt(atMs)
  }

  /** Notes that an item was met; meetings decide how long its list may grow. */
  meet(slot: number): void {
    const record = slot * recordLength
    this.#records = growTo(this.#records, record + recordLength)
    this.#records[record + meetingsField] = (this.#records[record + meetingsField] ?? 0) + 1
  }

  /** Adds to the weights of `key` in the list of an item that was met. */
  strengthen(slot: number, key: number, follows: number, together: number): void {
    const record = slot * recordLength
    for (;;) {
      const length = this.#records[record + lengthField] ?? 0
      const width = Math.min(length, setLengthMax)
      const first = (this.#records[record] ?? 0) + setStartOf(key, length)
      const { ints, floats } = this.#arena
      for (let at = first; at < first + width; at++) {
        const known = ints[at] ?? noKey
        if (known !== key && known >= 0) continue
        if (known < 0) ints[at] = key
        if (follows > 0) floats[at + width] = (floats[at + width] ?? 0) + follows
        floats[at + width * 2] = (floats[at + width * 2] ?? 0) + together
        return
      }
      if (length >= this.#lengthMaxOf(record)) {
        const at = this.#lightestOf(first + width * 2, width)
        ints[at - width * 2] = key
        floats[at - width] = follows
        floats[at] = (floats[at] ?? 0) + together
        return
      }
      this.#growList(record, length)
    }
  }

  /** Forgets an evicted item. Other items' lists recognise its key as stale. */
  forget(slot: number): void {
    const record = slot * recordLength
    const length = this.#records[record + lengthField] ?? 0
    if (length > 0) this.#arena.giveBack(this.#records[record] ?? 0, length * 3)
    if (record < this.#records.length) this.#records.fill(0, record, record + recordLength)
  }

  /**
   * Writes the slots of an item's list and their weights into arrays with room for `pairCountMax`,
   * without what was evicted; returns their number.
   */
  read(slot: number, slots: Int32Array, weights: Float64Array, which: PairWeight): number {
    const record = slot * recordLength
    const length = this.#records[record + lengthField] ?? 0
    const start = this.#records[record] ?? 0
    const width = Math.min(length, setLengthMax)
    const shift = which === 'follows' ? width : width * 2
    const { ints, floats } = this.#arena
    let found = 0
    let sum = 0
    for (let set = start; set < start + length * 3; set += width * 3) {
      for (let at = set; at < set + width; at++) {
        const weight = floats[at + shift] ?? 0
        const key = ints[at] ?? noKey
        if (weight <= 0 || !this.#items.isCurrent(key)) continue
        slots[found] = slotOf(key)
        weights[found] = weight
        sum += weight
        found += 1
      }
    }
    this.sumRead = sum
    return found
  }

  /**
   * Adds to `target` what share of an item's list each other item has, all together as `amount`;
   * shares below `shareMin` are left out.
   */
  spread(slot: number, amount: number, shareMin: number, target: Candidates, place: number): void {
    const record = slot * recordLength
    const length = this.#records[record + lengthField] ?? 0
    const start = this.#records[record] ?? 0
    const width = Math.min(length, setLengthMax)
    const { ints, floats } = this.#arena
    const items = this.#items
    let sum = 0
    for (let set = start; set < start + length * 3; set += width * 3) {
      for (let at = set; at < set + width; at++) {
        const weight = floats[at + width * 2] ?? 0
        if (weight > 0 && items.isCurrent(ints[at] ?? noKey)) sum += weight
      }
    }
    const factor = amount / sum
    const weightMin = sum * shareMin
    for (let set = start; set < start + length * 3; set += width * 3) {
      for (let at = set; at < set + width; at++) {
        const weight = floats[at + width * 2] ?? 0
        if (weight <= 0 || weight < weightMin) continue
        const key = ints[at] ?? noKey
        if (items.isCurrent(key)) target.add(slotOf(key), place, weight * factor)
      }
    }
  }

  transfer(through: Transfer): void {
    this.#arena.transfer(through)
    this.#records = through.array(this.#records)
    this.#decay.transfer(through)
  }

  #lengthMaxOf(record: number): number {
    const length = blockLengthFor((this.#records[record + meetingsField] ?? 0) * pairsPerMeeting)
    return Math.min(this.pairCountMax, Math.max(pairCountMin, length))
  }

  #lightestOf(first: number, width: number): number {
    const { floats } = this.#arena
    let lightest = first
    let least = floats[first] ?? 0
    for (let at = first + 1; at < first + width; at++) {
      const weight = floats[at] ?? 0
      if (weight >= least) continue
      least = weight
      lightest = at
    }
    return lightest
  }

  /** Doubles a list; the keys of each set go to one of two. */
  #growList(record: number, length: number): void {
    const longer = Math.max(blockLengthMin, length * 2)
    const before = this.#records[record] ?? 0
    const offset = this.#arena.borrow(longer * 3)
    const { ints } = this.#arena
    const width = Math.min(length, setLengthMax)
    const wider = Math.min(longer, setLengthMax)
    for (let set = offset; set < offset + longer * 3; set += wider * 3) {
      ints.fill(noKey, set, set + wider)
      ints.fill(0, set + wider, set + wider * 3)
    }
    for (let set = before; set < before + length * 3; set += width * 3) {
      for (let at = set; at < set + width; at++) {
        const key = ints[at] ?? noKey
        if (key < 0) continue
        let to = offset + setStartOf(key, longer)
        while ((ints[to] ?? noKey) >= 0) to += 1
        for (let column = 0; column < 3; column++) {
          ints[to + wider * column] = ints[at + width * column] ?? 0
        }
      }
    }
    if (length > 0) this.#arena.giveBack(before, length * 3)
    this.#records[record] = offset
    this.#records[record + lengthField] = longer
  }
}

export type PairWeight = 'follows' | 'together'

/** Returns where in a block of a length the set of a key begins. */
function setStartOf(key: number, length: number): number {
  if (length <= setLengthMax) return 0
  return ((Math.imul(key, 0x9e3779b1) >>> 24) & (length / setLengthMax - 1)) * setLengthMax * 3
}
