/** What is asked of the index for a person. */

import type { PersonView } from '../profile/person-view.ts'
import type { AdviceRequest } from './advisor.ts'
import { purchaseCountMax } from './own-items.ts'
import type { Interaction, InteractionKind } from './recommender.ts'
import { defaultRules } from './recommender-rules.ts'

const activityCountMax = 50

export const interactionKindOf: Readonly<Record<string, InteractionKind>> = {
  'Product Viewed': 'view',
  'Product Added': 'cart',
  'Order Completed': 'purchase',
}

/**
 * Returns the query for a person: their newest activity across all visits, an item once, and never
 * what they ever bought, as far as the profile knows, or have in the cart.
 */
export function adviceRequestOf(
  view: Pick<PersonView, 'activity' | 'bought'>,
  cartItemIds: readonly string[],
  asked: Pick<AdviceRequest, 'nowMs' | 'countMax' | 'rules' | 'currency'>,
): AdviceRequest {
  const { showsBought, showsViewed, kind } = asked.rules ?? defaultRules
  // By item and kind, so that a page loaded ten times leaves room for the other nine.
  const newest = new Map<string, Omit<Interaction, 'profileId'>>()
  const excluded = new Set(cartItemIds)
  for (const { name, itemId, occurredAtMs } of view.activity) {
    const done = Object.hasOwn(interactionKindOf, name) ? interactionKindOf[name] : undefined
    if (done === undefined || itemId === undefined) continue
    const key = `${done} ${itemId}`
    newest.delete(key)
    newest.set(key, { itemId, kind: done, occurredAtMs })
    if (done === 'purchase' && !showsBought) excluded.add(itemId)
    if (!showsViewed && kind !== 'viewed-not-bought') excluded.add(itemId)
  }
  const done = [...newest.values()]
  // Before them only what was bought, where it may come again.
  const older = showsBought ? done.slice(0, -activityCountMax) : []
  const purchases = older.filter((each) => each.kind === 'purchase').slice(-purchaseCountMax)
  return {
    ...asked,
    activity: [...purchases, ...done.slice(-activityCountMax)],
    excludeItemIds: [...excluded],
    ...(showsBought || view.bought === undefined ? {} : { bought: view.bought }),
  }
}
