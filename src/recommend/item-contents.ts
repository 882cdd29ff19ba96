/**
 * What items are, by slot, as far as likeness needs it: categories, brand and price. Texts are kept
 * once, as numbers; beyond `textCountMax` different ones a text is not known (0).
 */

import type { Transfer } from './transfer.ts'
import { transferMap } from './transfer.ts'
import { growTo } from './typed-array.ts'

export interface ItemContent {
  readonly itemId: string
  /** From the widest to the narrowest. */
  readonly categories: readonly string[]
  readonly brand?: string
  readonly price?: number
  /** Absent: the shop's. */
  readonly currency?: string
}

const textCountMax = 2 ** 16

export class ItemContents {
  #numbers = new Map<string, number>()
  #narrow = new Int32Array(256)
  #wide = new Int32Array(256)
  #brands = new Int32Array(256)
  #prices = new Float64Array(256)
  #currencies = new Int32Array(256)

  /** Returns whether the item has come into a category that it was not in. */
  set(slot: number, content: ItemContent): boolean {
    if (slot >= this.#narrow.length) this.#grow(slot + 1)
    const before = this.#narrow[slot] ?? 0
    const { categories, brand, price, currency } = content
    const narrow = categories.length === 0 ? 0 : this.#numberOf(`c ${categories.join(' > ')}`)
    this.#narrow[slot] = narrow
    this.#wide[slot] = categories.length < 2 ? 0 : this.#numberOf(`c ${categories[0]}`)
    this.#brands[slot] = brand === undefined ? 0 : this.#numberOf(`b ${brand}`)
    this.#prices[slot] = price !== undefined && price > 0 && price < Infinity ? price : 0
    this.#currencies[slot] = currency === undefined ? 0 : this.#numberOf(`m ${currency}`)
    return narrow !== 0 && narrow !== before
  }

  /** Returns the number of the narrowest category; 0 where none is known. */
  narrowOf(slot: number): number {
    return this.#narrow[slot] ?? 0
  }

  /** Returns the number of the widest of several categories; 0 where none is known. */
  wideOf(slot: number): number {
    return this.#wide[slot] ?? 0
  }

  /**
   * Returns how alike two items of one category are: 0.25 to 1, by brand and price. Prices in two
   * currencies say nothing of each other.
   */
  likenessOf(slot: number, other: number): number {
    const brand = this.#brands[slot] ?? 0
    const price = this.#prices[slot] ?? 0
    const otherPrice = this.#prices[other] ?? 0
    const isSameBrand = brand !== 0 && brand === this.#brands[other]
    const higher = Math.max(price, otherPrice)
    const isSameCurrency = this.#currencies[slot] === this.#currencies[other]
    const isComparable = price !== 0 && otherPrice !== 0 && isSameCurrency
    const nearness = !isComparable ? 0.5 : Math.min(price, otherPrice) / higher
    return (isSameBrand ? 1 : 0.5) * (0.5 + nearness / 2)
  }

  forget(slot: number): void {
    if (slot >= this.#narrow.length) return
    this.#narrow[slot] = 0
    this.#wide[slot] = 0
    this.#brands[slot] = 0
    this.#prices[slot] = 0
    this.#currencies[slot] = 0
  }

  transfer(through: Transfer): void {
    this.#numbers = transferMap(through, this.#numbers)
    this.#narrow = through.array(this.#narrow)
    this.#wide = through.array(this.#wide)
    this.#brands = through.array(this.#brands)
    this.#prices = through.array(this.#prices)
    this.#currencies = through.array(this.#currencies)
  }

  #numberOf(text: string): number {
    const known = this.#numbers.get(text)
    if (known !== undefined) return known
    if (this.#numbers.size >= textCountMax) return 0
    this.#numbers.set(text, this.#numbers.size + 1)
    return this.#numbers.size
  }

  #grow(length: number): void {
    this.#narrow = growTo(this.#narrow, length)
    this.#wide = growTo(this.#wide, length)
    this.#brands = growTo(this.#brands, length)
    this.#prices = growTo(this.#prices, length)
    this.#currencies = growTo(this.#currencies, length)
  }
}
