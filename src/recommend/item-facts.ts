/**
 * What rules and rankings ask of an item: its place in the catalog, and whether it is offered. Kept
 * beside the index for the items that can be sold, as the catalog said last; who shows an item
 * reads the catalog itself once more.
 *
 * Texts and lists are kept once, however many items share them. At most `itemCountMax` items are
 * known; what comes beyond is not offered until one goes, and counted.
 */

import { categoriesOf, currentPrice, type Item, isInStock } from '../catalog/item.ts'

export interface ItemFacts {
  readonly itemId: string
  /** Widest first. */
  readonly categories: readonly string[]
  readonly brand: string | undefined
  readonly tags: readonly string[]
  readonly locale: string | undefined
  readonly price: number
  /** Absent: the shop's. */
  readonly currency: string | undefined
  readonly fromMs: number
  readonly untilMs: number
}

const none: readonly string[] = []

export function factsOf(item: Item): ItemFacts {
  return {
    itemId: item.itemId,
    categories: categoriesOf(item),
    brand: item.brand,
    tags: item.tags ?? none,
    locale: item.locale,
    price: currentPrice(item),
    currency: item.currency,
    fromMs: item.availableFromMs ?? Number.NEGATIVE_INFINITY,
    untilMs: item.availableUntilMs ?? Number.POSITIVE_INFINITY,
  }
}

export class FactTable {
  /** Items that were not taken since the table was full. */
  refusedCount = 0
  readonly #itemCountMax: number
  readonly #facts = new Map<string, ItemFacts>()
  readonly #lists = new Map<string, readonly string[]>()
  readonly #texts = new Map<string, string>()

  constructor(itemCountMax: number) {
    this.#itemCountMax = itemCountMax
  }

  get size(): number {
    return this.#facts.size
  }

  /** Takes what the catalog says now of an item. */
  follow(item: Item): void {
    const { itemId } = item
    if (!isInStock(item)) {
      this.#facts.delete(itemId)
      return
    }
    if (!this.#facts.has(itemId) && this.#facts.size >= this.#itemCountMax) {
      this.refusedCount += 1
      return
    }
    const facts = factsOf(item)
    this.#facts.set(itemId, {
      ...facts,
      categories: this.#listOf(facts.categories),
      brand: this.#textOf(facts.brand),
      tags: this.#listOf(facts.tags),
      locale: this.#textOf(facts.locale),
      currency: this.#textOf(facts.currency),
    })
  }

  /** Returns the facts of an item that is offered at an instant. */
  offered(itemId: string, nowMs: number): ItemFacts | undefined {
    const facts = this.#facts.get(itemId)
    return facts === undefined || nowMs < facts.fromMs || nowMs >= facts.untilMs ? undefined : facts
  }

  /** Returns the facts of those of some items that can be sold, offered now or not. */
  known(itemIds: readonly string[]): readonly ItemFacts[] {
    return itemIds.flatMap((itemId) => this.#facts.get(itemId) ?? [])
  }

  /** All items in the order in which they were first offered. */
  all(): Iterable<ItemFacts> {
    return this.#facts.values()
  }

  #listOf(list: readonly string[]): readonly string[] {
    if (list.length === 0) return none
    const key = list.join('\0')
    const known = this.#lists.get(key)
    if (known !== undefined) return known
    const kept = list.map((each) => this.#textOf(each) ?? each)
    // Lists may be as many as items: then they are no longer shared.
    if (this.#lists.size < this.#itemCountMax / 4) this.#lists.set(key, kept)
    return kept
  }

  #textOf(text: string | undefined): string | undefined {
    if (text === undefined) return undefined
    const known = this.#texts.get(text)
    if (known !== undefined) return known
    if (this.#texts.size < this.#itemCountMax / 4) this.#texts.set(text, text)
    return text
  }
}
