import { crc32 } from 'node:zlib'
import type { Event, EventSkeleton } from '../event/event.ts'
import { personKeyOf } from '../event/event.ts'
import { type NewRecord, partitionOf } from '../log/record.ts'
import type { ItemStamps } from './item-stamp.ts'

/**
 * Makes the record of an accepted event. A repeat of the event makes the same id and the same hash
 * of what it says again, whenever it comes and whatever the circumstances; another event under the
 * same id makes another hash.
 */
export function eventRecord(
  event: Event,
  place: {
    readonly workspace: string
    readonly partitionCount: number
    readonly isBackfill: boolean
    readonly stamps: ItemStamps | undefined
  },
): NewRecord {
  const { eventId, sourceId, occurredAtMs, receivedAtMs, timeNote } = event
  const { type, name, previousId, groupId, properties, traits, traitsOnce } = event
  // Some clients put the user's id on what they send again, so who it was is not hashed.
  const said = JSON.stringify({ type, name, previousId, groupId, properties, traits, traitsOnce })
  const { userId, anonymousId, context, changes, planFault } = event
  const stamped = place.stamps?.stampOf(event) ?? event.stamped
  const around = JSON.stringify({
    eventId,
    sourceId,
    occurredAtMs,
    receivedAtMs,
    timeNote,
    userId,
    anonymousId,
    context,
    changes,
    planFault,
    stamped,
  })
  const skeleton: EventSkeleton = {
    eventId,
    sourceId,
    name: event.name,
    contentHash: crc32(said) || 1,
  }
  const key = personKeyOf(event)
  return {
    partition: partitionOf(place.workspace, key, place.partitionCount),
    key,
    kind: 'event',
    id: { hashOf: `${sourceId}\0${eventId}` },
    recordedAtMs: receivedAtMs,
    isBackfill: place.isBackfill,
    keyId: 0,
    skeleton,
    // One value in two pieces, so that what is hashed is not written twice.
    body: { first: around, second: said },
  }
}
