/**
 * A person as the fold keeps it: one entry of the state, under the identity key that leads.
 *
 * The head is small JSON; activity lies behind it as packed bytes, so that an event appends without
 * decoding the past. Traits are cold and live under a key of their own. A profile has one part per
 * identity key, the leading one first; nothing is subtracted when a part is taken out, since what
 * is shown is computed from all parts.
 *
 * A key that joined another holds no parts any more, only `pointer`: its events go on to that one.
 */

import { assert } from '../lib/assert.ts'
import {
  appendActivity,
  decodeActivity,
  dropOldest,
  emptyPack,
  type PackedActivity,
} from './activity-pack.ts'
import { packBought } from './bought-pack.ts'
import { orderName } from './cart.ts'
import { forgetHashes } from './seen.ts'
import { type Ties, upgradeClaimed } from './ties.ts'
import type { Passage } from './trail.ts'
import {
  addStatement,
  type StoredTrait,
  type StoredTraits,
  statementsOf,
} from './trait-statement.ts'

/** Greatest number of identity keys that make up one profile. */
export const partCountMax = 32
/** Traits of one identity key. */
export const traitCountMax = 200
/** Event names counted per part; later names are counted together under `other`. */
export const totalNameCountMax = 64
/**
 * The same over all parts, and bytes of retained activity and of what was bought over all parts:
 * with them a person stays under what a value of the state may hold, whatever is sent.
 */
export const profileNameCountMax = 200
export const activityBytesMax = 120 * 1024
/** States of computed traits over all parts of a person. */
export const computedBytesMax = 96 * 1024
/** Topics that a person left one by one; who leaves more has left all. */
export const withdrawnCountMax = 100
/** Entries to and exits from segments that a profile shows. */
export const crossingCountMax = 10
/** All traits of a profile, as they are stored. */
export const traitsBytesMax = 96 * 1024
export const otherName = 'other'

/**
 * [count, sum of values, first occurredAtMs, last occurredAtMs]: an array, since it is in every
 * head.
 */
export type PackedTotal = [count: number, valueSum: number, firstAtMs: number, lastAtMs: number]

export interface ProfilePart {
  readonly key: string
  /** See trail.ts; absent where it has been at one person ever since it began. */
  id?: string
  totals: Record<string, PackedTotal>
  activity: Uint8Array
  /** States of computed traits, packed (computed/computed-pack.ts); absent where there are none. */
  computed?: Uint8Array
  /** Sessions and affinities: see habit/habit-pack.ts. Absent where there are none. */
  habits?: Uint8Array
  /** Items bought: see bought-pack.ts. Absent where there are none. */
  bought?: Uint8Array
}

/** By identity key, then by name. */
export type PersonTraits = Record<string, Record<string, StoredTraits>>

export interface Enrollment {
  readonly enrollmentId: string
  readonly campaign: string
  /** Index of the step that comes next. */
  step: number
  readonly startedAtMs: number
  /** When the wait ends; the timer's due time. */
  dueAtMs: number
  readonly trigger: TriggerRef
  /** The key at which it began, where that has joined this person since. */
  readonly fromKey?: string
}

/**
 * Names the record that started an enrollment, so that evidence can show it and render can read it.
 */
export interface TriggerRef {
  readonly kind: 'event' | 'segment-entry' | 'segment-exit'
  /** Event or segment name. */
  readonly name: string
  readonly offset: number
  readonly atMs: number
  /** Where the record is; absent where it is the partition of the person itself. */
  readonly partition?: number
}

export interface Person extends Ties {
  readonly key: string
  version: number
  readonly createdAtMs: number
  updatedAtMs: number
  /** Ids of events seen at this key, packed: see seen.ts. */
  seen: Uint8Array
  /** What made the versions since the last checkpoint, packed: see step-pack.ts. */
  steps: Uint8Array
  parts: ProfilePart[]
  /** Segment name to the time of entry. */
  memberships: Record<string, number>
  /** Segment name to the due time of its pending timer. */
  segmentTimers: Record<string, number>
  /** By campaign: one passage at a time. */
  enrollments: Record<string, Enrollment>
  /** Messages that may still be granted, to their campaign; an exit takes them out. */
  openMessages: Record<string, string>
  /** Topic (`*` for all) to the time of withdrawal. */
  withdrawn: Record<string, number>
  /** That of the newest order; absent before the first that names one. */
  currency?: string
  /** The newest entries to and exits from segments, oldest first; absent before the first. */
  crossings?: PackedCrossing[]
  /** Where parts went that were here, oldest first; absent while none has left. */
  trail?: Passage[]
}

/** An array, since it is in every head. `isEntry` is 1 or 0. */
export type PackedCrossing = [segment: string, isEntry: number, atMs: number]

export const personPrefix = 'person/'
export const traitPrefix = 'trait/'

/** Returns a person of whom nothing is known yet. */
export function createPerson(key: string, nowMs: number): Person {
  return {
    key,
    version: 0,
    createdAtMs: nowMs,
    updatedAtMs: nowMs,
    seen: emptyPack,
    steps: emptyPack,
    claimed: {},
    parts: [{ key, totals: {}, activity: emptyPack }],
    memberships: {},
    segmentTimers: {},
    enrollments: {},
    openMessages: {},
    withdrawn: {},
  }
}

const layoutVersion = 6
/** Did not say what was bought, apart from activity. */
const layoutWithoutBought = 5
/** Had no habits either. */
const layoutWithoutHabits = 4
/** Had no states of computed traits either. */
const layoutWithoutComputed = 3
/** Had no steps either. */
const layoutWithoutSteps = 2
/** Had whole ids in `seen`, and no hashes; and neither of the two. */
const layoutOfWholeIds = 1
const prefixBytes = 5

/**
 * Layout: u8 version | u32 head bytes | head (JSON, without what follows) | u32 bytes, ids seen |
 * u32 bytes, steps | per part u32 bytes, activity | per part u32 bytes, states of computed traits |
 * per part u32 bytes, habits | where something was bought, per part u32 bytes, items bought.
 */
export function encodePerson(person: Person): Uint8Array {
  const head = JSON.stringify({
    ...person,
    seen: undefined,
    steps: undefined,
    parts: person.parts.map(({ key, totals, id }) => (id ? [key, totals, id] : [key, totals])),
  })
  const hasBought = person.parts.some(({ bought }) => bought !== undefined)
  const packs = [
    person.seen,
    person.steps,
    ...person.parts.map(({ activity }) => activity),
    ...person.parts.map(({ computed = emptyPack }) => computed),
    ...person.parts.map(({ habits = emptyPack }) => habits),
    ...(hasBought ? person.parts.map(({ bought = emptyPack }) => bought) : []),
  ]
  const headBytes = Buffer.byteLength(head)
  const packBytes = packs.reduce((sum, pack) => sum + 4 + pack.length, 0)
  const bytes = Buffer.allocUnsafe(prefixBytes + headBytes + packBytes)
  bytes[0] = layoutVersion
  bytes.writeUInt32BE(headBytes, 1)
  let at = prefixBytes + bytes.write(head, prefixBytes)
  for (const pack of packs) {
    at = bytes.writeUInt32BE(pack.length, at)
    bytes.set(pack, at)
    at += pack.length
  }
  return bytes
}

export function decodePerson(source: Uint8Array): Person {
  const bytes = Buffer.from(source.buffer, source.byteOffset, source.byteLength)
  const layout = bytes[0] ?? 0
  const isKnown = layout >= layoutOfWholeIds && layout <= layoutVersion
  assert(isKnown, `person layout ${layout} is known`)
  const headEnd = prefixBytes + bytes.readUInt32BE(1)
  const head = JSON.parse(bytes.toString('utf8', prefixBytes, headEnd)) as Omit<
    Person,
    'parts' | 'seen' | 'steps'
  > & {
    readonly parts: readonly (readonly [string, Record<string, PackedTotal>, string?])[]
  }
  let at = headEnd
  const readPack = (): Uint8Array => {
    const from = at + 4
    at = from + bytes.readUInt32BE(at)
    return bytes.subarray(from, at)
  }
  const ids = readPack()
  const seen = layout === layoutOfWholeIds ? forgetHashes(ids) : ids
  const steps = layout <= layoutWithoutSteps ? emptyPack : readPack()
  const activities = head.parts.map(readPack)
  const states = head.parts.map(() => (layout <= layoutWithoutComputed ? emptyPack : readPack()))
  const habitPacks = head.parts.map(() => (layout <= layoutWithoutHabits ? emptyPack : readPack()))
  const boughtPacks = at < bytes.length ? head.parts.map(readPack) : []
  const parts = head.parts.map(([key, totals, id], index) => {
    const part: ProfilePart = { key, totals, activity: activities[index] ?? emptyPack }
    if (id !== undefined) part.id = id
    const computed = states[index] ?? emptyPack
    const habits = habitPacks[index] ?? emptyPack
    const isTold = layout > layoutWithoutBought
    const bought = isTold ? boughtPacks[index] : boughtAsFarAsKept(part)
    if (computed.length > 0) part.computed = computed
    if (habits.length > 0) part.habits = habits
    if (bought !== undefined && bought.length > 0) part.bought = bought
    return part
  })
  return { ...head, claimed: upgradeClaimed(head.claimed), seen, steps, parts }
}

/** Of a layout that did not tell: activity may have made room for older purchases. */
function boughtAsFarAsKept({ totals, activity }: ProfilePart): Uint8Array {
  const isBuyer = Object.hasOwn(totals, orderName)
  return isBuyer ? packBought(decodeActivity(activity)) : emptyPack
}

/** Tells whether the person has taken back permission for `topic`, or for all. */
export function hasWithdrawn({ withdrawn }: Person, topic: string): boolean {
  return Object.hasOwn(withdrawn, '*') || Object.hasOwn(withdrawn, topic)
}

/** Returns the part of `key`, or undefined where the profile has none. */
export function findPart(person: Person, key: string): ProfilePart | undefined {
  return person.parts.find((part) => part.key === key)
}

/**
 * Returns the part of `key`, made where there is room for one; else the person's first. `newId`
 * tells it from another part of that key which was there before.
 */
export function partOf(person: Person, key: string, newId: string): ProfilePart {
  const known = findPart(person, key)
  if (known !== undefined) return known
  const [first] = person.parts
  if (first !== undefined && person.parts.length >= partCountMax) return first
  const part = newPart(person, key, newId)
  person.parts.push(part)
  return part
}

/**
 * Returns a part that begins at a person, of which nothing is known yet; with an id where another
 * part may have left before it.
 */
export function newPart({ trail }: Person, key: string, newId: string): ProfilePart {
  const part: ProfilePart = { key, totals: {}, activity: emptyPack }
  return trail === undefined ? part : { ...part, id: newId }
}

/** Adds one event to the totals of `part`. Names beyond the limits are counted together. */
export function addToTotals(
  person: Person,
  part: ProfilePart,
  event: { readonly name: string; readonly occurredAtMs: number; readonly value: number },
): void {
  const isKnown = Object.hasOwn(part.totals, event.name)
  const hasRoom =
    isKnown ||
    (Object.keys(part.totals).length < totalNameCountMax &&
      countNames(person.parts) < profileNameCountMax)
  const name = hasRoom ? event.name : otherName
  const before = Object.hasOwn(part.totals, name) ? part.totals[name] : undefined
  part.totals[name] = before
    ? [
        before[0] + 1,
        roundMoney(before[1] + event.value),
        Math.min(before[2], event.occurredAtMs),
        Math.max(before[3], event.occurredAtMs),
      ]
    : [1, roundMoney(event.value), event.occurredAtMs, event.occurredAtMs]
}

/** Counts event names over parts. */
export function countNames(parts: readonly ProfilePart[]): number {
  return parts.reduce((sum, { totals }) => sum + Object.keys(totals).length, 0)
}

/** So that a merge takes a little from several parts, and not all of one. */
const cutBytes = 1024

/**
 * Adds activity to one part. Returns the names of which older entries made room: rules that see
 * those may answer otherwise now.
 */
export function addActivity(
  person: Person,
  part: ProfilePart,
  entries: readonly PackedActivity[],
): ReadonlySet<string> {
  const dropped = new Set<string>()
  part.activity = appendActivity(part.activity, entries, dropped)
  cutActivity(person, dropped)
  return dropped
}

/**
 * Takes the oldest activity out of the largest parts until all of it, with what was bought, is
 * within the limit; the names of what went are added to `dropped`.
 */
export function cutActivity({ parts }: Person, dropped: Set<string> = new Set()): void {
  let bytes = parts.reduce(
    (sum, { activity, bought = emptyPack }) => sum + activity.length + bought.length,
    0,
  )
  while (bytes > activityBytesMax) {
    const largest = parts.reduce((most, part) =>
      part.activity.length > most.activity.length ? part : most,
    )
    const before = largest.activity.length
    const step = Math.min(bytes - activityBytesMax, cutBytes)
    largest.activity = dropOldest(largest.activity, step, dropped)
    bytes -= before - largest.activity.length
  }
}

/**
 * Adds statements to the traits of one part: see trait-statement.ts. Returns the names whose
 * statements changed, and how many had no room.
 */
export function setTraits(
  traits: PersonTraits,
  partKey: string,
  given: Readonly<Record<string, StoredTraits>>,
): { readonly changed: readonly string[]; readonly droppedCount: number } {
  const stored = traits[partKey] ?? {}
  const changed: string[] = []
  let droppedCount = 0
  let bytes = bytesOf(traits)
  const each = Object.entries(given).flatMap(([name, statements]) =>
    statementsOf(statements).map((statement): [string, StoredTrait] => [name, statement]),
  )
  for (const [name, statement] of each) {
    const before = Object.hasOwn(stored, name) ? stored[name] : undefined
    const trait = addStatement(before, statement)
    if (trait === undefined) continue
    const more = bytesOf([name, trait]) - (before === undefined ? 0 : bytesOf([name, before]))
    const isFull = before === undefined && Object.keys(stored).length >= traitCountMax
    if (isFull || (more > 0 && bytes + more > traitsBytesMax)) {
      droppedCount++
      continue
    }
    bytes += more
    stored[name] = trait
    if (!changed.includes(name)) changed.push(name)
  }
  // Where nothing changed nothing is written, so nothing may be different in memory either.
  if (changed.length > 0) traits[partKey] = stored
  return { changed, droppedCount }
}

function bytesOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value))
}

export function roundMoney(value: number): number {
  return Math.round(value * 100) / 100
}
