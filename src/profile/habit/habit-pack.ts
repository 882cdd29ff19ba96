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
  type Added,
  addTaste,
  addTasteInPlace,
  affinityBytesMax,
  mergeAffinities,
  shortenAffinities,
  type Taste,
  weightAt,
} from './affinity-pack.ts'
import { beginBytesMax, beginSession, type OtherSessions } from './begin-session.ts'
import { createDesk, type Desk, makeRoom } from './desk.ts'
import { foldedUntilMsOf, foldSessions, type SessionsOfKey } from './fold-sessions.ts'
import {
  addVisit,
  addVisitInPlace,
  decodeSessions,
  encodeSessions,
  mergeSessions,
  spanCountAt,
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
/** Of neither sessions nor affinities. */
const nothing = new Uint8Array(headBytes)

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

/** Of most parts; for a larger one the desk grows. */
const deskBytes = 8 * 1024
/** Taken in turn: what is written to the one is read from the other. */
const desks = { now: createDesk(deskBytes), next: createDesk(deskBytes) }

/** Adds an event to one part of a person; may change other parts, whose sessions become old. */
export function addHabits(parts: readonly HabitPart[], part: HabitPart, happened: Happened): void {
  const { visit, atMs, tastes, action } = happened
  if (visit === undefined && tastes.length === 0) return
  layOut(part.habits)
  let isInPlace = true
  if (visit !== undefined && !isWithinNewest(visit)) {
    isInPlace = false
    if (beginSession(desks.now, desks.next, visit, sessionsOfOthers(parts, part))) turnDesks()
    else {
      addSession(parts, part, visit)
      layOut(part.habits)
    }
  }
  if (tastes.length > 0) {
    const added = { weight: action * weightAt(atMs), atMs }
    if (!isInPlace || !addAllInPlace(tastes, added)) {
      if (isInPlace) layAffinities(part.habits)
      isInPlace = false
      const from = headBytes + desks.now.view.getUint16(0)
      for (const taste of tastes) addTaste(desks.now, from, taste, added)
    }
  }
  if (desks.now.end > headBytes) part.habits = takeAway(desks.now)
  if (!isInPlace && parts.length > partCountSmall) cutHabits(parts)
}

/** Others may hold the same bytes, the state store for one: so a copy is changed. */
function layOut(habits: Uint8Array = nothing): void {
  const { now, next } = desks
  const room = habits.length + beginBytesMax + affinityBytesMax
  makeRoom(now, room)
  makeRoom(next, room)
  now.bytes.set(habits)
  now.end = habits.length
}

/** Those that were laid out, once more. */
function layAffinities(habits: Uint8Array = nothing): void {
  const { bytes, view } = desks.now
  const from = headBytes + view.getUint16(0)
  bytes.set(habits.subarray(from), from)
}

function turnDesks(): void {
  const { now, next } = desks
  desks.now = next
  desks.next = now
}

function takeAway({ bytes, end }: Desk): Uint8Array {
  const taken = Buffer.allocUnsafe(end)
  bytes.copy(taken, 0, 0, end)
  return taken
}

function sessionsOfOthers(parts: readonly HabitPart[], part: HabitPart): OtherSessions {
  let spanCount = 0
  let foldedUntilMs = 0
  for (const other of parts) {
    const { habits } = other
    if (other === part || habits === undefined) continue
    const view = new DataView(habits.buffer, habits.byteOffset, habits.byteLength)
    if (view.getUint16(0) === 0) continue
    spanCount += spanCountAt(view, headBytes)
    foldedUntilMs = Math.max(foldedUntilMs, view.getFloat64(headBytes))
  }
  return { spanCount, foldedUntilMs }
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

/** Adds a visit where no byte has to move. */
function isWithinNewest(visit: Visit): boolean {
  const { view } = desks.now
  return view.getUint16(0) > 0 && addVisitInPlace(view, headBytes, visit)
}

/** Adds where no byte has to move; where it answers false, some may be added. */
function addAllInPlace(tastes: readonly Taste[], added: Added): boolean {
  const { view, end } = desks.now
  const from = headBytes + view.getUint16(0)
  return from < end && tastes.every((taste) => addTasteInPlace(view, from, taste, added))
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
