import { kindWeights } from './own-items.ts'
import type { Interaction } from './recommender.ts'

export interface OpenItem {
  readonly itemId: string
  readonly weight: number
}

/** The interest in an item is halved with each three days without a further look at it. */
const interestHalvedMs = 3 * 86_400_000

/**
 * Returns what a person looked at or put into the cart and did not buy since, heaviest first: each
 * interaction weighs by its kind and its age.
 */
export function weighOpenItems(
  activity: readonly Omit<Interaction, 'profileId'>[],
  nowMs: number,
): readonly OpenItem[] {
  const weights = new Map<string, number>()
  for (const { itemId, kind, occurredAtMs } of activity) {
    if (kind === 'purchase') {
      weights.delete(itemId)
      continue
    }
    const ageMs = Math.max(0, nowMs - occurredAtMs)
    const weight = kindWeights[kind] * 2 ** -(ageMs / interestHalvedMs)
    weights.set(itemId, (weights.get(itemId) ?? 0) + weight)
  }
  return [...weights]
    .map(([itemId, weight]) => ({ itemId, weight }))
    .sort((left, right) => right.weight - left.weight)
}
