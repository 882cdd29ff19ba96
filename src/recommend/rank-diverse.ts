/**
 * Orders candidates so that they differ: maximal marginal relevance (Carbonell and Goldstein, "The
 * use of MMR, diversity-based reranking", SIGIR 1998). Each time the candidate comes whose score,
 * less its likeness to those that came, is greatest.
 *
 * Likeness is of place in the catalog: the share of the way from the widest category that two items
 * have in common, and the brand. Candidates of a later tier come only behind all of an earlier one:
 * what is popular must not displace what is about the person. Limits by category and brand are kept
 * while there are enough others; a place is not left empty for them.
 */

import type { ItemFacts } from './item-facts.ts'

export interface DiverseCandidate {
  readonly facts: ItemFacts
  /** Not negative. */
  readonly score: number
  readonly tier: number
}

export interface DiversityOptions {
  /** 0 = by score alone. */
  readonly diversity: number
  readonly perCategoryMax?: number
  readonly perBrandMax?: number
  readonly countMax: number
}

const categoryShare = 0.7
const brandShare = 0.3

/**
 * Returns at most `countMax` candidates in their order. `first` came before them, and count for
 * likeness and limits.
 */
export function rankDiverse<Candidate extends DiverseCandidate>(
  candidates: readonly Candidate[],
  first: readonly ItemFacts[],
  options: DiversityOptions,
): readonly Candidate[] {
  const { diversity, countMax } = options
  const taken: Candidate[] = []
  const limits = new Limits(options)
  for (const facts of first) limits.take(facts)
  const best = candidates.reduce((most, { score }) => Math.max(most, score), 0)
  const rest = candidates.map((candidate) => ({
    candidate,
    likeness: Math.max(0, ...first.map((facts) => likenessOf(facts, candidate.facts))),
    isTaken: false,
  }))
  const pick = (isLimited: boolean): boolean => {
    let found: (typeof rest)[number] | undefined
    let foundValue = 0
    for (const entry of rest) {
      if (entry.isTaken || (isLimited && !limits.hasRoom(entry.candidate.facts))) continue
      const { score, tier } = entry.candidate
      const share = best === 0 ? 0 : score / best
      const value = (1 - diversity) * share - diversity * entry.likeness
      const isEarlier = found !== undefined && tier < found.candidate.tier
      const isBetter = found?.candidate.tier === tier && value > foundValue
      if (found !== undefined && !isEarlier && !isBetter) continue
      found = entry
      foundValue = value
    }
    if (found === undefined) return false
    found.isTaken = true
    taken.push(found.candidate)
    limits.take(found.candidate.facts)
    for (const entry of rest) {
      if (entry.isTaken || diversity === 0) continue
      const likeness = likenessOf(found.candidate.facts, entry.candidate.facts)
      entry.likeness = Math.max(entry.likeness, likeness)
    }
    return true
  }
  while (taken.length < countMax && pick(true));
  while (taken.length < countMax && pick(false));
  return taken
}

/** Returns how alike two items are by their place in the catalog, from 0 to 1. */
export function likenessOf(left: ItemFacts, right: ItemFacts): number {
  const longest = Math.max(left.categories.length, right.categories.length)
  let common = 0
  while (common < longest && left.categories[common] === right.categories[common]) common++
  const category = longest === 0 ? 0 : common / longest
  const isSameBrand = left.brand !== undefined && left.brand === right.brand
  return categoryShare * category + (isSameBrand ? brandShare : 0)
}

/** How many of a category, and of a brand, have come. */
export class Limits {
  readonly #options: Pick<DiversityOptions, 'perCategoryMax' | 'perBrandMax'>
  readonly #counts: Map<string, number>

  constructor(
    options: Pick<DiversityOptions, 'perCategoryMax' | 'perBrandMax'>,
    counts: ReadonlyMap<string, number> = new Map(),
  ) {
    this.#options = options
    this.#counts = new Map(counts)
  }

  /** Whether there are any. */
  get areSet(): boolean {
    return this.#options.perCategoryMax !== undefined || this.#options.perBrandMax !== undefined
  }

  /** At most so many of one group keep the limits. */
  get groupCountMax(): number {
    const { perCategoryMax = Infinity, perBrandMax = Infinity } = this.#options
    return Math.min(perCategoryMax, perBrandMax)
  }

  /** Returns what an item is counted under; '' where no limit is about it. */
  groupOf({ categories, brand }: ItemFacts): string {
    const { perCategoryMax, perBrandMax } = this.#options
    const names = [
      perCategoryMax === undefined ? undefined : categories.at(-1),
      perBrandMax === undefined ? undefined : brand,
    ]
    return names.every((name) => name === undefined) ? '' : JSON.stringify(names)
  }

  copy(): Limits {
    return new Limits(this.#options, this.#counts)
  }

  hasRoom(facts: ItemFacts): boolean {
    if (!this.areSet) return true
    const { perCategoryMax, perBrandMax } = this.#options
    const category = facts.categories.at(-1)
    return (
      (category === undefined || this.#isBelow(`category ${category}`, perCategoryMax)) &&
      (facts.brand === undefined || this.#isBelow(`brand ${facts.brand}`, perBrandMax))
    )
  }

  take(facts: ItemFacts): void {
    if (!this.areSet) return
    const category = facts.categories.at(-1)
    if (category !== undefined) this.#count(`category ${category}`)
    if (facts.brand !== undefined) this.#count(`brand ${facts.brand}`)
  }

  #isBelow(name: string, max: number | undefined): boolean {
    return max === undefined || (this.#counts.get(name) ?? 0) < max
  }

  #count(name: string): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1)
  }
}
