import type { ItemFacts } from './item-facts.ts'
import type { Limits } from './rank-diverse.ts'

/**
 * Keeps the newest of the items that it is offered, oldest first: `countMax` of them, or where
 * there are limits as many as keep them.
 */
export class NewestItems {
  readonly #countMax: number
  readonly #limits: Limits | undefined
  /** By what limits tell apart: the newest, each with its place in the order of all. */
  readonly #groups = new Map<string, { readonly nth: number; readonly facts: ItemFacts }[]>()
  #offeredCount = 0

  constructor(countMax: number, limits: Limits | undefined) {
    this.#countMax = countMax
    this.#limits = limits
  }

  offer(facts: ItemFacts): void {
    const key = this.#limits?.groupOf(facts) ?? ''
    const group = this.#groups.get(key) ?? []
    if (group.length === 0) this.#groups.set(key, group)
    group.push({ nth: this.#offeredCount, facts })
    this.#offeredCount += 1
    const groupCountMax = key === '' ? Infinity : (this.#limits?.groupCountMax ?? Infinity)
    if (group.length > Math.min(this.#countMax, groupCountMax)) group.shift()
  }

  /** Returns them, newest first. */
  take(): readonly ItemFacts[] {
    const limits = this.#limits?.copy()
    const all = [...this.#groups.values()].flat().sort((left, right) => right.nth - left.nth)
    const taken: ItemFacts[] = []
    for (const { facts } of all) {
      if (taken.length === this.#countMax) break
      if (limits?.hasRoom(facts) === false) continue
      limits?.take(facts)
      taken.push(facts)
    }
    return taken
  }
}
