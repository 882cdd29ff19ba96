/**
 * Recommends what was bought in the same session as the own items. Lines of one order come one by
 * one, so what a session has bought so far is remembered for the sessions that bought last.
 */

import type { Algorithm, Erasure, LearnedStep } from './algorithm.ts'
import type { Candidates } from './candidates.ts'
import type { ItemTable } from './item-table.ts'
import { slotOf } from './item-table.ts'
import type { OwnItem } from './own-items.ts'
import type { PairTable } from './pair-table.ts'
import type { Transfer } from './transfer.ts'

/** Sessions whose purchases are remembered, a power of two; and purchases of one. */
const basketCountMax = 4096
const basketLengthMax = 16

export class BoughtTogether implements Algorithm {
  readonly #items: ItemTable
  readonly #pairs: PairTable
  /** Session + 1 by place; 0 where the place is free. */
  #sessions = new Float64Array(basketCountMax)
  #lengths = new Int32Array(basketCountMax)
  #keys = new Int32Array(basketCountMax * basketLengthMax)

  constructor(items: ItemTable, pairs: PairTable) {
    this.#items = items
    this.#pairs = pairs
  }

  learn({ key, slot, kind, atMs, session }: LearnedStep): void {
    if (kind !== 'purchase') return
    this.#pairs.meet(slot)
    const place = session & (basketCountMax - 1)
    if (this.#sessions[place] !== session + 1) {
      this.#sessions[place] = session + 1
      this.#lengths[place] = 0
    }
    const length = this.#lengths[place] ?? 0
    const start = place * basketLengthMax
    if (this.#keys.subarray(start, start + length).includes(key)) return
    const weight = this.#pairs.weightAt(atMs)
    for (let at = start; at < start + length; at++) {
      const other = this.#keys[at] ?? 0
      if (!this.#items.isCurrent(other)) continue
      this.#pairs.strengthen(slotOf(other), key, weight, weight)
      this.#pairs.strengthen(slot, other, 0, weight)
    }
    if (length === basketLengthMax) return
    this.#keys[start + length] = key
    this.#lengths[place] = length + 1
  }

  forget(slot: number): void {
    this.#pairs.forget(slot)
  }

  /** Pairs stay: they are of all people together. */
  erase({ sessions }: Erasure): void {
    for (const session of sessions) {
      const place = session & (basketCountMax - 1)
      if (this.#sessions[place] !== session + 1) continue
      this.#sessions[place] = 0
      this.#lengths[place] = 0
      this.#keys.fill(0, place * basketLengthMax, (place + 1) * basketLengthMax)
    }
  }

  score(ownItems: readonly OwnItem[], target: Candidates): void {
    for (const [place, own] of ownItems.entries()) {
      this.#pairs.spread(own.slot, own.weight, 0, target, place)
    }
  }

  transfer(through: Transfer): void {
    this.#pairs.transfer(through)
    this.#sessions = through.array(this.#sessions)
    this.#lengths = through.array(this.#lengths)
    this.#keys = through.array(this.#keys)
  }
}
