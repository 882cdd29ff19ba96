/**
 * Why an item is in an answer: what the algorithm that said the most for it goes by, and which of
 * the person's own items it spoke of.
 */

import type { AlgorithmName } from './algorithm-names.ts'

export const reasonKinds = [
  ...(['because-viewed', 'because-carted', 'because-bought', 'bought-together'] as const),
  ...(['looked-at', 'bought-before', 'alike', 'trending'] as const),
] as const
export type ReasonKind = (typeof reasonKinds)[number]

export interface Reason {
  readonly kind: ReasonKind
  /** The item of the person's own activity that counted most; absent for `trending`. */
  readonly itemId?: string
  /** The algorithm that gave the most of the score. */
  readonly algorithm: AlgorithmName
  /** What part of the score it gave: above 0, at most 1. */
  readonly share: number
}

const becauseKinds = {
  view: 'because-viewed',
  cart: 'because-carted',
  purchase: 'because-bought',
} as const satisfies Readonly<Record<string, ReasonKind>>

interface Own {
  readonly itemId: string
  readonly kind: keyof typeof becauseKinds
}

/** Returns the reason of `itemId`; `own` is absent where no own item speaks for it. */
export function reasonOf(
  itemId: string,
  own: Own | undefined,
  said: Pick<Reason, 'algorithm' | 'share'>,
): Reason {
  if (said.algorithm === 'repeat-purchase') return { kind: 'bought-before', itemId, ...said }
  if (own === undefined) return { kind: 'trending', ...said }
  return { kind: kindOf(itemId, own, said.algorithm), itemId: own.itemId, ...said }
}

function kindOf(itemId: string, own: Own, algorithm: AlgorithmName): ReasonKind {
  if (own.itemId === itemId) return own.kind === 'purchase' ? 'bought-before' : 'looked-at'
  if (algorithm === 'similar-content') return 'alike'
  if (algorithm === 'bought-together') return 'bought-together'
  return becauseKinds[own.kind]
}
