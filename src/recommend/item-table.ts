/**
 * Items by dense number. A slot is a small number that arrays are indexed by; a key is a slot and
 * its generation. When an item is evicted its slot gets the next generation, so keys that other
 * structures still hold are seen to be stale and need not be hunted down. After 128 reuses of one
 * slot a key can mean a wrong item; by then what held it is long overwritten.
 */

import { assert } from '../lib/assert.ts'
import type { Transfer } from './transfer.ts'
import { growTo } from './typed-array.ts'

const slotBits = 24
const slotMask = 2 ** slotBits - 1
const generationMask = 0x7f

/** Slots are 24 bits, so that a key is a positive 32-bit number. */
export const itemCountLimit = 2 ** slotBits

export class ItemTable {
  readonly itemCountMax: number
  readonly #keyById = new Map<string, number>()
  readonly #idBySlot: string[] = []
  /** The current key of each slot. */
  #keys = new Int32Array(256)
  /** Until a slot is reused every key is current, and the look-up is spared. */
  #isReused = false

  constructor(itemCountMax: number) {
    assert(itemCountMax >= 1 && itemCountMax <= itemCountLimit, 'an item slot has 24 bits')
    this.itemCountMax = itemCountMax
  }

  get count(): number {
    return this.#idBySlot.length
  }

  /** Returns the key of an item, or -1. */
  find(itemId: string): number {
    return this.#keyById.get(itemId) ?? -1
  }

  /** Gives an unknown item a slot. There must be room. */
  add(itemId: string): number {
    const slot = this.#idBySlot.length
    assert(slot < this.itemCountMax, 'the item table has room for another item')
    this.#keys = growTo(this.#keys, slot + 1)
    this.#idBySlot.push(itemId)
    this.#keys[slot] = slot
    this.#keyById.set(itemId, slot)
    return slot
  }

  /** Gives the slot of an evicted item to an unknown one. */
  replace(slot: number, itemId: string): number {
    this.#isReused = true
    const before = this.#keys[slot] ?? 0
    const generation = ((before >>> slotBits) + 1) & generationMask
    const key = (generation << slotBits) | slot
    this.#keyById.delete(this.idOf(slot))
    this.#keyById.set(itemId, key)
    this.#idBySlot[slot] = itemId
    this.#keys[slot] = key
    return key
  }

  isCurrent(key: number): boolean {
    return !this.#isReused || this.#keys[key & slotMask] === key
  }

  idOf(slot: number): string {
    const itemId = this.#idBySlot[slot]
    assert(itemId !== undefined, 'a slot in use has an item id')
    return itemId
  }

  transfer(through: Transfer): void {
    const itemIds = through.texts(this.#idBySlot)
    this.#keys = through.array(this.#keys)
    this.#isReused = through.number(Number(this.#isReused)) === 1
    if (itemIds === this.#idBySlot) return
    this.#idBySlot.length = 0
    this.#keyById.clear()
    for (const [slot, itemId] of itemIds.entries()) {
      this.#idBySlot.push(itemId)
      this.#keyById.set(itemId, this.#keys[slot] ?? 0)
    }
  }
}

export function slotOf(key: number): number {
  return key & slotMask
}
