/**
 * Sessions over all keys of a person. A session may be spread over several: who logs in on the way
 * goes on under another key. The newest `sessionCountMax` are kept; an older one becomes a number,
 * counted once, at the key at which it began.
 */

import {
  joinSpan,
  type KeySessions,
  preferLed,
  type Span,
  sessionCountMax,
} from './session-pack.ts'

/** The order of keys says nothing. */
export interface SessionsOfKey {
  readonly key: string
  readonly sessions: KeySessions
}

export interface Session extends Span {
  /** The key at which it began. */
  readonly key: string
  /** The key of its entry. */
  readonly entryKey: string
}

/** Returns the kept sessions of a person, oldest first. */
export function sessionsOf(keys: readonly SessionsOfKey[]): readonly Session[] {
  const spans = keys.flatMap(({ key, sessions }) =>
    sessions.spans.map((span) => ({ ...span, key, entryKey: key })),
  )
  spans.sort((one, other) => one.startMs - other.startMs || (one.key < other.key ? -1 : 1))
  const joined: Session[] = []
  for (const span of spans) {
    const before = joined.at(-1)
    if (before === undefined || span.startMs >= before.endMs) joined.push(span)
    else joined[joined.length - 1] = joinTwo(before, span)
  }
  return joined
}

/** Returns the instant up to which sessions of the person are folded. */
export function foldedUntilMsOf(keys: readonly SessionsOfKey[]): number {
  return keys.reduce((newest, { sessions }) => Math.max(newest, sessions.foldedUntilMs), 0)
}

/** Folds the oldest sessions beyond the limit; a key that keeps all stays the same object. */
export function foldSessions(keys: readonly SessionsOfKey[]): readonly SessionsOfKey[] {
  const spanCount = keys.reduce((count, { sessions }) => count + sessions.spans.length, 0)
  if (spanCount <= sessionCountMax) return keys
  return sessionsOf(keys).slice(0, -sessionCountMax).reduce(foldOne, keys)
}

function foldOne(keys: readonly SessionsOfKey[], session: Session): readonly SessionsOfKey[] {
  return keys.map((one) => {
    const { key, sessions } = one
    const spans = sessions.spans.filter(({ startMs }) => startMs >= session.endMs)
    const isOther = spans.length < sessions.spans.length
    if (!isOther) return one
    const isCounted = key === session.key
    const { foldedCount, foldedUntilMs, foldedEntry } = sessions
    return {
      key,
      sessions: {
        ...sessions,
        spans,
        foldedCount: foldedCount + (isCounted ? 1 : 0),
        foldedUntilMs: Math.max(foldedUntilMs, isCounted ? session.endMs : 0),
        foldedEntry: key === session.entryKey ? preferLed(foldedEntry, session.entry) : foldedEntry,
      },
    }
  })
}

function joinTwo(one: Session, other: Session): Session {
  const joined = joinSpan(one, other)
  const entryKey = joined.entry === one.entry ? one.entryKey : other.entryKey
  return { ...joined, key: one.key, entryKey }
}
