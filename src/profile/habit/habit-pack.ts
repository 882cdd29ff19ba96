/**
 * What the events of one identity key say of habits: its sessions with where they came from, and
 * what the person likes. Bytes in the key's part of the profile; an event changes a few of them,
 * without decoding the rest. What the person as a whole has is computed from all parts when it is
 * read (view-habits.ts), so a part may join, and be taken out again.
 *
 * Layout, big endian: u16 bytes of sessions | sessions (session-pack.ts) | affinities
 * (affinity-pack.ts).
 */

import {
  addTaste,
  addTasteInPlace,
  mergeAffinities,
  shortenAffinities,
  type Taste,
  weightAt,
} from './affinity-pack.ts'
import { foldedUntilMsOf, foldSessions, type SessionsOfKey } from './fold-sessions.ts'
import {
  addVisit,
  addVisitInPlace,
  decodeSessions,
  encodeSessions,
  mergeSessions,
  type Visit,
} from './session-pack.ts'

/** A part as far as this module knows it. */
export interface HabitPart {
  readonly key: string
  /** Absent where no event said anything of the kind. */
  habits?: Uint8Array
}

/** Over all parts of a person. One part alone has at most about 2.5 KB. */
export const habitBytesMax = 56 * 1024
const headBytes = 2
const empty = new Uint8Array(0)

export interface Habits {
  readonly sessions: Uint8Array
  readonly affinities: Uint8Array
}

export interface Happened {
  /** Absent of what is no visit. */
  readonly visit?: Visit | undefined
  readonly atMs: number
  /** What the items of the event are, each of which counts for so many views. */
  readonly tastes: readonly Taste[]
  readonly action: number
}

/** Adds an event to one part of a person; may change other parts, whose sessions become old. */
export function addHabits(parts: readonly HabitPart[], part: HabitPart, happened: Happened): void {
  const { visit, atMs, tastes, action } = happened
  if (visit === undefined && tastes.length === 0) return
  const added = { weight: tastes.length === 0 ? 0 : action * weightAt(atMs), atMs }
  // Others may hold the same bytes: the state store, for one. A `slice` of a Buffer is no copy.
  const copy = part.habits === undefined ? undefined : new Uint8Array(part.habits)
  if (copy !== undefined && addInPlace(copy, happened, added)) {
    part.habits = copy
    return
  }
  if (visit !== undefined) addSession(parts, part, visit)
  if (tastes.length > 0) {
    const { sessions, affinities } = openHabits(part.habits)
    const all = tastes.reduce((bytes, taste) => addTaste(bytes, taste, added), affinities)
    if (all.length > 0) part.habits = closeHabits({ sessions, affinities: all })
  }
  if (parts.length > partCountSmall) cutHabits(parts)
}

/** Adds to the sessions of one part; those of others may be folded for it. */
function addSession(parts: readonly HabitPart[], part: HabitPart, visit: Visit): void {
  const before = parts.map(sessionsOfPart)
  const at = parts.indexOf(part)
  const own = before[at]
  if (own === undefined) return
  const sessions = addVisit(own.sessions, visit, () => foldedUntilMsOf(before))
  writeSessions(parts, before, foldSessions(before.with(at, { ...own, sessions })))
}

/** Adds where no byte has to move; where it answers false, some may be added. */
function addInPlace(
  habits: Uint8Array,
  { visit, tastes }: Happened,
  added: { readonly weight: number; readonly atMs: number },
): boolean {
  const view = new DataView(habits.buffer, habits.byteOffset, habits.byteLength)
  const sessionBytes = view.getUint16(0)
  if (visit !== undefined) {
    if (sessionBytes === 0 || !addVisitInPlace(view, headBytes, visit)) return false
  }
  for (const taste of tastes) {
    if (!addTasteInPlace(view, headBytes + sessionBytes, taste, added)) return false
  }
  return true
}

/** So many parts cannot take up too much. */
const partCountSmall = 20

/** What two persons had of the same key, one after the other. */
export function mergeHabits(
  left: Uint8Array | undefined,
  right: Uint8Array | undefined,
): Uint8Array | undefined {
  if (left === undefined || right === undefined) return left ?? right
  const [one, other] = [openHabits(left), openHabits(right)]
  return closeHabits({
    sessions: mergeSessions(one.sessions, other.sessions),
    affinities: mergeAffinities(one.affinities, other.affinities),
  })
}

/** Brings the parts of two who have become one within what one person may have. */
export function settleHabits(parts: readonly HabitPart[]): void {
  const before = parts.map(sessionsOfPart)
  writeSessions(parts, before, foldSessions(before))
  cutHabits(parts)
}

/** Returns views into the bytes. */
export function openHabits(habits: Uint8Array = empty): Habits {
  if (habits.length === 0) return { sessions: empty, affinities: empty }
  const end = headBytes + ((habits[0] ?? 0) << 8) + (habits[1] ?? 0)
  return { sessions: habits.subarray(headBytes, end), affinities: habits.subarray(end) }
}

export function closeHabits({ sessions, affinities }: Habits): Uint8Array {
  const bytes = new Uint8Array(headBytes + sessions.length + affinities.length)
  bytes[0] = sessions.length >> 8
  bytes[1] = sessions.length & 0xff
  bytes.set(sessions, headBytes)
  bytes.set(affinities, headBytes + sessions.length)
  return bytes
}

function sessionsOfPart({ key, habits }: HabitPart): SessionsOfKey {
  return { key, sessions: decodeSessions(openHabits(habits).sessions) }
}

function writeSessions(
  parts: readonly HabitPart[],
  before: readonly SessionsOfKey[],
  after: readonly SessionsOfKey[],
): void {
  for (const [index, part] of parts.entries()) {
    const now = after[index]
    if (now === undefined || now === before[index]) continue
    const { affinities } = openHabits(part.habits)
    part.habits = closeHabits({ sessions: encodeSessions(now.sessions), affinities })
  }
}

/** Shortens what the largest parts like until all of them are within the limit. */
function cutHabits(parts: readonly HabitPart[]): void {
  const sizeOf = ({ habits }: HabitPart): number => habits?.length ?? 0
  let bytes = parts.reduce((sum, part) => sum + sizeOf(part), 0)
  if (bytes <= habitBytesMax) return
  const largest = parts.toSorted((one, other) => sizeOf(other) - sizeOf(one))
  for (const part of largest) {
    if (bytes <= habitBytesMax) return
    const { sessions, affinities } = openHabits(part.habits)
    const size = sizeOf(part)
    part.habits = closeHabits({ sessions, affinities: shortenAffinities(affinities) })
    bytes -= size - sizeOf(part)
  }
}
