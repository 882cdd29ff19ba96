/**
 * What a query looks at: the items of the person's last ten interactions, each once, heaviest
 * first. The weight is by kind (view 1, cart 6, purchase 3; after the winners of the OTTO contest),
 * halved for each day that the interaction is older than the newest one, and lessened by its place
 * from the end.
 *
 * Beside them stand the person's purchases, also of longer ago: what is needed again was bought
 * before much else was looked at.
 */

import { queryItemCountMax } from './candidates.ts'
import type { ItemTable } from './item-table.ts'
import { slotOf } from './item-table.ts'
import type { InteractionKind, RecommendQuery } from './recommender.ts'

export const kindWeights: Readonly<Record<InteractionKind, number>> = {
  view: 1,
  cart: 6,
  purchase: 3,
}

const ageHalvedMs = 86_400_000

export interface OwnItem {
  readonly slot: number
  readonly itemId: string
  readonly kind: InteractionKind
  readonly weight: number
  /** When the person last met it so. */
  readonly atMs: number
  /** Other items that the person met since: 0 of the newest one. */
  readonly recency: number
}

/** Returns the person's own items that the index knows, heaviest first. */
export function weighOwnItems(
  activity: RecommendQuery['activity'],
  items: ItemTable,
): readonly OwnItem[] {
  const newestAtMs = activity.at(-1)?.occurredAtMs ?? 0
  const bySlot = new Map<number, OwnItem>()
  const last = activity.slice(-queryItemCountMax).reverse()
  for (const [index, { itemId, kind, occurredAtMs }] of last.entries()) {
    const key = items.find(itemId)
    if (key < 0) continue
    const slot = slotOf(key)
    const ageMs = Math.max(0, newestAtMs - occurredAtMs)
    const weight = (kindWeights[kind] * 2 ** -(ageMs / ageHalvedMs)) / Math.log10(index + 2.7)
    const before = bySlot.get(slot)
    const recency = before?.recency ?? bySlot.size
    if (before === undefined || before.weight < weight) {
      bySlot.set(slot, { slot, itemId, kind, weight, atMs: occurredAtMs, recency })
    }
  }
  // The sort is stable, so among equals the newest stays first.
  return [...bySlot.values()].sort((left, right) => right.weight - left.weight)
}

/** Purchases that a query looks at. */
export const purchaseCountMax = 50

export interface OwnPurchase {
  readonly slot: number
  /** When the person last bought it. */
  readonly atMs: number
}

/** Returns what the person bought, as far as the index knows the items, each once; newest first. */
export function findPurchases(
  activity: RecommendQuery['activity'],
  items: ItemTable,
): readonly OwnPurchase[] {
  const bySlot = new Map<number, OwnPurchase>()
  for (const { itemId, kind, occurredAtMs } of activity.toReversed()) {
    if (bySlot.size === purchaseCountMax) break
    const key = kind === 'purchase' ? items.find(itemId) : -1
    if (key < 0 || bySlot.has(slotOf(key))) continue
    bySlot.set(slotOf(key), { slot: slotOf(key), atMs: occurredAtMs })
  }
  return [...bySlot.values()]
}

/** Returns the place of the newest own item; -1 where there is none. */
export function newestPlaceOf(ownItems: readonly OwnItem[]): number {
  return ownItems.findIndex(({ recency }) => recency === 0)
}
