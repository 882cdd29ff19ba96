/**
 * What each algorithm of a blend counts. An algorithm's scores are brought to a sum of 1, so its
 * weight is the share of the blend that it decides. Whom it is about matters: who met one item is
 * best told by what others did next, who met many also by where they go back to. So there is a row
 * of weights for each range of own items.
 */

import { type AlgorithmName, algorithmNames } from './algorithm-names.ts'

export type WeightRow = Readonly<Partial<Record<AlgorithmName, number>>>

/** By `weightRowOf`; an algorithm left out, or of weight 0, is not asked. */
export type BlendWeights = readonly WeightRow[]

/** Fewest own items of each row. */
export const rowOwnCounts = [1, 2, 3, 5] as const

/** Returns the row for so many own items. */
export function weightRowOf(ownCount: number): number {
  let row = 0
  while (row + 1 < rowOwnCounts.length && ownCount >= (rowOwnCounts[row + 1] ?? 0)) row += 1
  return row
}

/** Returns weights with which one algorithm decides alone. */
export function onlyWeights(name: AlgorithmName): BlendWeights {
  return rowOwnCounts.map(() => ({ [name]: 1 }))
}

/**
 * The mean of the weights fitted to two public sets of sessions, diginetica and yoochoose1_64, by
 * `attune evaluate` (on the last tenth of the training sessions; see docs/benchmarks.md).
 */
export const defaultWeights: BlendWeights = [
  {
    'session-neighbours': 0.39,
    'sequential-rules': 0.15,
    'co-visitation': 0.09,
    'two-steps': 0.33,
    revisit: 0.03,
  },
  {
    'session-neighbours': 0.24,
    'sequential-rules': 0.18,
    'co-visitation': 0.16,
    'two-steps': 0.29,
    revisit: 0.12,
  },
  {
    'session-neighbours': 0.27,
    'sequential-rules': 0.16,
    'co-visitation': 0.21,
    'two-steps': 0.25,
    revisit: 0.11,
  },
  {
    'session-neighbours': 0.17,
    'sequential-rules': 0.18,
    'co-visitation': 0.32,
    'two-steps': 0.22,
    revisit: 0.1,
  },
]

export function isAlgorithmName(text: string): text is AlgorithmName {
  return algorithmNames.some((name) => name === text)
}
