/**
 * What was stated about a trait, by whom and when, and which statement counts.
 *
 * One identity key keeps the newest statement of each source, so what loses can be shown. Newer is
 * what has the greater version, where the source gives versions, then the later time; which arrived
 * first matters between equals alone, and events of one key keep their order. Of several sources
 * those that the definition of the trait lists come first, in its order; the others by time.
 *
 * What was to be set once counts only where nobody has stated anything else, and the earliest of it
 * counts.
 */

import type { Json } from '../lib/json.ts'

/** A trait with where it came from. */
export type StoredTrait = [
  value: Json,
  statedAtMs: number,
  sourceId: string,
  /** The source's own version of it; null for none. */
  version?: number | null,
  /** True for what holds only where nothing else was stated. */
  isOnce?: boolean,
]

/** A single statement, or several of different sources. */
export type StoredTraits = StoredTrait | readonly StoredTrait[]

/** Sources of one trait and identity key that are kept; the oldest statement goes. */
export const statementCountMax = 8

/** By name of a trait: sources whose word counts more, the first most. */
export type TraitPriorities = Readonly<Record<string, readonly string[]>>

export function statementsOf(stored: StoredTraits | undefined): readonly StoredTrait[] {
  if (stored === undefined) return []
  return isSingle(stored) ? [stored] : stored
}

function isSingle(stored: StoredTraits): stored is StoredTrait {
  return typeof stored[1] === 'number'
}

/**
 * Returns what is stored with `given` in it; undefined where that changes nothing: it is older than
 * what the same source has stated.
 */
export function addStatement(
  stored: StoredTraits | undefined,
  given: StoredTrait,
): StoredTraits | undefined {
  const all = statementsOf(stored)
  const isOnce = given[4] === true
  const before = all.find((each) =>
    isOnce ? each[4] === true : each[4] !== true && each[2] === given[2],
  )
  const isStale =
    before !== undefined &&
    (isOnce ? given[1] >= before[1] : (compareVersions(given, before) || given[1] - before[1]) < 0)
  if (isStale) return undefined
  const others = all.filter((each) => each !== before)
  if (others.length === 0) return given
  const kept = [...others, given].sort(byTimeAndSource).slice(0, statementCountMax)
  return kept.includes(given) ? kept : undefined
}

/** The newest first. */
function byTimeAndSource(left: StoredTrait, right: StoredTrait): number {
  const byTime = right[1] - left[1]
  if (byTime !== 0 || left[2] === right[2]) return byTime
  // What the fold stores must not hang on how a machine orders words.
  return left[2] < right[2] ? -1 : 1
}

export interface SettledTrait {
  readonly winner: StoredTrait
  /** What does not count: the newest statement of each other source. */
  readonly others: readonly StoredTrait[]
}

/**
 * Settles the statements of one trait, those of the leading part first. Of one source the newest
 * counts over all parts; then the sources are compared.
 */
export function settleTrait(
  statements: readonly StoredTrait[],
  priority: readonly string[] = [],
): SettledTrait | undefined {
  const bySource = new Map<string, StoredTrait>()
  for (const each of statements) {
    const isOnce = each[4] === true
    const slot = isOnce ? '' : `source ${each[2]}`
    const before = bySource.get(slot)
    const isBetter =
      before === undefined ||
      (isOnce ? each[1] < before[1] : (compareVersions(each, before) || each[1] - before[1]) > 0)
    if (isBetter) bySource.set(slot, each)
  }
  const rankOf = (each: StoredTrait): number => {
    if (each[4] === true) return Infinity
    const place = priority.indexOf(each[2])
    return place < 0 ? priority.length : place
  }
  const settled = [...bySource.values()]
  // A stable sort: at one instant the leading part's statement stays first.
  settled.sort((left, right) => rankOf(left) - rankOf(right) || right[1] - left[1])
  const [winner, ...others] = settled
  return winner === undefined ? undefined : { winner, others }
}

function compareVersions(left: StoredTrait, right: StoredTrait): number {
  return (left[3] ?? -1) - (right[3] ?? -1)
}
