/**
 * What records will read of the state, so that one call of the store brings it for many of them:
 * where the state is elsewhere each call is a round trip.
 */

import { type ClaimSkeleton, messagePrefix } from '../campaign/message.ts'
import { suppressionPrefix } from '../delivery/suppression.ts'
import type { LogRecord } from '../log/record.ts'
import { moreKeysOfEvent } from './fold-event.ts'
import { type FoldScope, itemPrefix, keysOfEvent, keysOfPerson } from './scope.ts'

const itemKeyPrefix = 'item:'

/** Names what a record will surely read. */
export function keysToLoad({ kind, key, skeleton }: LogRecord): readonly string[] {
  switch (kind) {
    case 'event':
    case 'forwarded':
      return keysOfEvent(key)
    case 'identity-claim':
    case 'identity-part':
    case 'identity-refused':
    case 'identity-ask':
    case 'identity-moved':
    case 'identity-split':
    case 'identity-taken-out':
    case 'identity-join':
      return keysOfPerson(key)
    case 'claim':
    case 'result':
    case 'outcome':
      return [messagePrefix + (skeleton as ClaimSkeleton).messageId, ...keysOfPerson(key)]
    case 'item':
      return [itemPrefix + key.slice(itemKeyPrefix.length)]
    case 'suppress':
      return [suppressionPrefix + key]
    default:
      return []
  }
}

/** Names what it will read beyond that, by what is known of its person once that is loaded. */
export function moreKeysToLoad(scope: FoldScope, record: LogRecord): readonly string[] {
  if (record.kind !== 'event') return []
  try {
    return moreKeysOfEvent(scope, record)
  } catch {
    // A person that cannot be read is found by the record itself, which then stops its partition.
    return []
  }
}
