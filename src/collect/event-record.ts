import type { Event, EventSkeleton } from '../event/event.ts'
import { personKeyOf } from '../event/event.ts'
import { sha256Bytes } from '../lib/hash.ts'
import { type NewRecord, partitionOf } from '../log/record.ts'
import type { ItemStamps } from './item-stamp.ts'

const idBytes = 16

/** Makes the record of an accepted event; a repeat of the event makes the same id again. */
export function eventRecord(
  event: Event,
  place: {
    readonly workspace: string
    readonly partitionCount: number
    readonly isBackfill: boolean
    readonly stamps: ItemStamps | undefined
  },
): NewRecord {
  const { eventId, sourceId, name } = event
  const skeleton: EventSkeleton = { eventId, sourceId, name }
  const key = personKeyOf(event)
  const stamped = place.stamps?.stampOf(event)
  const whole: Event = stamped === undefined ? event : { ...event, stamped }
  return {
    partition: partitionOf(place.workspace, key, place.partitionCount),
    key,
    kind: 'event',
    id: sha256Bytes(`${sourceId}\0${eventId}`, idBytes),
    recordedAtMs: event.receivedAtMs,
    isBackfill: place.isBackfill,
    keyId: 0,
    skeleton,
    body: Buffer.from(JSON.stringify(whole)),
  }
}
