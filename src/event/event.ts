/**
 * An event: a fact about one person or device, as accepted. Immutable.
 *
 * This is what the body of an `event` record holds, as JSON. Its skeleton is `EventSkeleton`.
 */

import type { JsonObject } from '../lib/json.ts'
import type { EventChange } from './normal-form.ts'

export const eventTypes = ['track', 'identify', 'page', 'screen', 'group', 'alias'] as const
export type EventType = (typeof eventTypes)[number]

export interface Event {
  /** The producer's own id; unique per source within the horizon. */
  readonly eventId: string
  readonly sourceId: string
  readonly type: EventType
  /**
   * The `event` of a track call in today's spelling (`Product Viewed`); `Page Viewed` for page,
   * else the type.
   */
  readonly name: string
  readonly userId?: string
  readonly anonymousId?: string
  /** Of an alias call: the id the person had before. */
  readonly previousId?: string
  /** Of a group call. */
  readonly groupId?: string
  /** At the producer, corrected for its clock and kept within bounds. */
  readonly occurredAtMs: number
  readonly receivedAtMs: number
  /** Set where the producer's time had to be corrected or bounded. */
  readonly timeNote?:
    | 'skew-corrected'
    | 'future-bounded'
    | 'past-bounded'
    | 'missing'
    | 'unreadable'
  /** Of a track, page or screen call. */
  readonly properties?: JsonObject
  /** Of an identify or group call. */
  readonly traits?: JsonObject
  /** Of an identify call: traits that hold only where nothing else was ever stated. */
  readonly traitsOnce?: JsonObject
  readonly context?: JsonObject
  /** What is not as it was sent: see `normal-form.ts`. */
  readonly changes?: readonly EventChange[]
  /** What its schema has against it, where the plan takes it all the same. */
  readonly planFault?: { readonly path: string; readonly says: string }
  /** What the catalog says beside what the producer said. */
  readonly stamped?: ItemStamp
}

/** What the catalog had of an item, when the event was taken, that the event did not say. */
export interface StampedItem {
  readonly category?: string
  readonly brand?: string
  readonly price?: number
  /** `updatedAtMs` of the item. */
  readonly itemVersion: number
}

export interface ItemStamp {
  /** By item id. */
  readonly items?: Readonly<Record<string, StampedItem>>
  /** Items that the catalog does not have. */
  readonly unknown?: readonly string[]
  /** How many could not be read in time. */
  readonly unread?: number
}

/** The clear part of an `event` record. */
export interface EventSkeleton {
  readonly eventId: string
  readonly sourceId: string
  readonly name: string
  /**
   * Of what the event says, without who, its times and its context; never 0. Absent of records made
   * before there was one.
   */
  readonly contentHash?: number
}

/**
 * Returns the identity key of the person an event is about: the user where known, else the device.
 */
export function personKeyOf(event: Pick<Event, 'userId' | 'anonymousId'>): string {
  return event.userId === undefined
    ? `anonymous:${event.anonymousId ?? ''}`
    : `user:${event.userId}`
}
