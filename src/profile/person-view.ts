/**
 * What rules, rankings and templates see of a person: one view over all parts, made by the fold or
 * at read time.
 */

import type { Json, JsonObject } from '../lib/json.ts'
import type { TimedValue } from './computed/view-computed.ts'
import type { HabitPart } from './habit/habit-pack.ts'

/**
 * What a person did with one item, or once without any item. Retained for the longest window,
 * within a limit.
 */
export interface Activity {
  /** The event's name, e.g. `Product Viewed`. */
  readonly name: string
  readonly occurredAtMs: number
  /** The same for all entries of one event; tells events of one instant apart. */
  readonly eventRef?: number
  readonly itemId?: string
  readonly quantity?: number
  /** Money of this line (price x quantity), in the shop's currency. */
  readonly value?: number
  /** Those that a rule in force named when the event was folded; of the line, else of the event. */
  readonly properties?: JsonObject
}

export interface EventTotal {
  /** All events of this name ever applied, also those no longer retained. */
  readonly count: number
  readonly valueSum: number
  readonly firstAtMs: number
  readonly lastAtMs: number
}

export interface PersonView {
  /** The identity key that leads. */
  readonly key: string
  /** All identity keys, the leading one first. */
  readonly identities: readonly string[]
  readonly traits: Readonly<Record<string, Json>>
  /**
   * Oldest first by `occurredAtMs`. An event of several items has one entry per item, with the same
   * time.
   */
  readonly activity: readonly Activity[]
  /**
   * Returns when the retained events of a name occurred, oldest first; the same that `activity`
   * says, for whoever needs no more. Of those up to `afterMs` some or none.
   */
  eventTimes?(name: string, afterMs: number): readonly number[]
  /** Items ever bought, packed (bought-pack.ts), within its limit; absent where there are none. */
  readonly bought?: Uint8Array | undefined
  /** From which `viewHabits` makes sessions and affinities, for whoever looks at them. */
  readonly habitParts?: readonly HabitPart[]
  /** By event name. */
  readonly totals: Readonly<Record<string, EventTotal>>
  /** Names of the segments the person is in. */
  readonly memberships: readonly string[]
  /** Topics (`*` for all) that the person has left, with the time. */
  readonly withdrawn: Readonly<Record<string, number>>
  /** Returns a computed trait by its name, which goes before a trait of the same name. */
  computed?(name: string): TimedValue | undefined
}
