/** Which segments are new to a partition, and whom they have not reached yet. */

import { compareKeys } from '../state/key-order.ts'
import type { FoldScope } from './scope.ts'

/** Returns the segments that trigger nothing yet. */
export function pendingOf(scope: FoldScope): readonly string[] {
  return scope.meta.evaluation?.pending ?? none
}

const none: readonly string[] = []

/** Tells whether a person has not been evaluated by the rules in force. */
export function isStale({ meta }: FoldScope, personKey: string): boolean {
  const { evaluation } = meta
  return evaluation !== undefined && compareKeys(personKey, evaluation.after) > 0
}
