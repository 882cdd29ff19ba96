/** What is shown of the habits of a person: computed from all parts when it is read. Pure. */

import {
  type Affinities,
  type AffinityKind,
  affinityHalfLifeMs,
  affinityKinds,
  decodeAffinities,
  sumAffinities,
  weightAt,
} from './affinity-pack.ts'
import { type Session, sessionsOf } from './fold-sessions.ts'
import { type HabitPart, openHabits } from './habit-pack.ts'
import { decodeSessions, type Entry, earlier, preferLed } from './session-pack.ts'
import { decodeTouch, type Touch } from './touch.ts'

export interface ShownTouch extends Touch {
  readonly atMs: number
}

export interface ShownSession {
  /** Unique within the person; another one where an earlier event of the session arrives. */
  readonly id: string
  /** From 1. */
  readonly number: number
  readonly startedAtMs: number
  readonly lastEventAtMs: number
  /** It is over from then on, unless something more happens before. */
  readonly endsAtMs: number
  readonly eventCount: number
  /** Absent where no event of it named a page or a campaign. */
  readonly entry?: ShownTouch
}

export interface ShownAffinity {
  readonly name: string
  /** Of all that is kept of its kind; time alone does not change it. */
  readonly share: number
  /** As if all of it had been done at `affinitiesAtMs`: a view then is 1. */
  readonly weight: number
}

export interface HabitView {
  readonly sessionCount: number
  /** The newest, whether it is over or not. */
  readonly session?: ShownSession
  readonly firstTouch?: ShownTouch
  /** The newest by which something led the person here; where nothing did, the newest. */
  readonly lastTouch?: ShownTouch
  /** When the newest event that says what the person likes occurred; 0 where none did. */
  readonly affinitiesAtMs: number
  /** Heaviest first, weights as of then. */
  readonly affinities: Readonly<Record<AffinityKind, readonly ShownAffinity[]>>
}

/** Returns the habits of a person. */
export function viewHabits(parts: readonly HabitPart[]): HabitView {
  const opened = parts.map(({ key, habits }) => ({ key, ...openHabits(habits) }))
  const keys = opened.map(({ key, sessions }) => ({ key, sessions: decodeSessions(sessions) }))
  const kept = sessionsOf(keys)
  const all = keys.map(({ sessions }) => sessions)
  const foldedCount = all.reduce((sum, each) => sum + each.foldedCount, 0)
  const sessionCount = foldedCount + kept.length
  const firstEntry = all.map((each) => each.firstEntry).reduce(earlier, undefined)
  const foldedEntry = all.map((each) => each.foldedEntry).reduce(preferLed, undefined)
  const lastEntry = kept.map(({ entry }) => entry).reduce(preferLed, foldedEntry)
  const newest = kept.at(-1)
  return {
    sessionCount,
    ...(newest === undefined ? {} : { session: showSession(newest, sessionCount) }),
    ...(firstEntry === undefined ? {} : { firstTouch: showTouch(firstEntry) }),
    ...(lastEntry === undefined ? {} : { lastTouch: showTouch(lastEntry) }),
    ...viewAffinities(opened.map(({ affinities }) => decodeAffinities(affinities))),
  }
}

/** Returns what is left of a weight so long after the instant that it is of. */
export function agedWeight(weight: number, ageMs: number): number {
  return weight * 2 ** (-ageMs / affinityHalfLifeMs)
}

function viewAffinities(
  all: readonly Affinities[],
): Pick<HabitView, 'affinities' | 'affinitiesAtMs'> {
  const affinitiesAtMs = Math.max(0, ...all.map(({ newestAtMs }) => newestAtMs))
  const scale = weightAt(affinitiesAtMs)
  const shown = affinityKinds.map((kind, index) => {
    const summed = sumAffinities(all.map(({ lists }) => lists[index] ?? []))
    const total = summed.reduce((sum, { weight }) => sum + weight, 0)
    const list = summed.map(({ name, weight }) => ({
      name,
      share: weight / total,
      weight: weight / scale,
    }))
    return [kind, list] as const
  })
  const affinities = Object.fromEntries(shown) as unknown as HabitView['affinities']
  return { affinitiesAtMs, affinities }
}

function showSession(session: Session, number: number): ShownSession {
  const { startMs, lastMs, endMs, eventCount, entry } = session
  return {
    id: startMs.toString(36),
    number,
    startedAtMs: startMs,
    lastEventAtMs: lastMs,
    endsAtMs: endMs,
    eventCount,
    ...(entry === undefined ? {} : { entry: showTouch(entry) }),
  }
}

function showTouch({ atMs, touch }: Entry): ShownTouch {
  return { ...decodeTouch(touch), atMs }
}
