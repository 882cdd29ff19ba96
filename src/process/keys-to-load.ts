/**
 * What records will read of the state, so that one call of the store brings it for many of them:
 * where the state is elsewhere each call is a round trip.
 */

import { type ClaimSkeleton, messagePrefix } from '../campaign/message.ts'
import { suppressionPrefix } from '../delivery/suppression.ts'
import type { LogRecord } from '../log/record.ts'
import { itemPrefix, keysOfEvent, keysOfPerson } from './scope.ts'

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
