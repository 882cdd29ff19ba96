/**
 * The sessions of one identity key, as bytes in its part of the profile.
 *
 * A session is a stretch of events without a pause. Each event is there for `idleMs` from when it
 * occurred, which its source says; a session is what hangs together: the union of the intervals
 * `[occurredAtMs, occurredAtMs + idleMs)`. So it does not matter in which order events arrive, nor
 * over which keys of the person they are spread: spans that overlap are one session.
 *
 * The newest sessions of a person are kept as spans; what is older is a number (fold-sessions.ts).
 * An event from before what is kept changes no session.
 *
 * Layout, big endian: f64 foldedUntilMs | u32 foldedCount | u8 spans |
 *   per span: f64 startMs | f64 lastMs | f64 endMs | u32 events | entry
 *   | entry of all time | entry of what was folded
 * An entry is u16 bytes, 0 for none | f64 atMs | u32 order | touch (touch.ts).
 */

import type { Piece } from './desk.ts'
import { channelAt, encodeTouch, type Touch } from './touch.ts'

/** Sessions of a person that are kept one by one. */
export const sessionCountMax = 3

/** What one event says of where its person came from; the earliest of a session is its entry. */
export interface Entry {
  readonly atMs: number
  /** Orders events of one instant. */
  readonly order: number
  /** Packed. */
  readonly touch: Uint8Array
}

export interface Span {
  readonly startMs: number
  readonly lastMs: number
  /** When it is over, if nothing more happens. */
  readonly endMs: number
  readonly eventCount: number
  readonly entry?: Entry | undefined
}

export interface KeySessions {
  /** Oldest first; no two overlap. */
  readonly spans: readonly Span[]
  /** Sessions before those, as far as they are counted here. */
  readonly foldedCount: number
  /** When the last of them was over; 0 where there is none. */
  readonly foldedUntilMs: number
  /** The earliest of all time. */
  readonly firstEntry?: Entry | undefined
  /** Of folded sessions: see `preferLed`. */
  readonly foldedEntry?: Entry | undefined
}

export interface Visit {
  readonly atMs: number
  readonly order: number
  readonly idleMs: number
  /** Asked only where it can matter: most events are not the first of their session. */
  readTouch(): Touch | undefined
}

export const sessionHeadBytes = 13
export const spanBytes = 28
/** Of its instant and order. */
export const entryBytes = 12
const noSessions: KeySessions = { spans: [], foldedCount: 0, foldedUntilMs: 0 }

/** Adds an event. `readFoldedUntilMs` tells of the whole person. */
export function addVisit(
  before: KeySessions,
  visit: Visit,
  readFoldedUntilMs: () => number,
): KeySessions {
  const { atMs, order, idleMs } = visit
  const touch = visit.readTouch()
  const entry = touch === undefined ? undefined : { atMs, order, touch: encodeTouch(touch) }
  const firstEntry = earlier(before.firstEntry, entry)
  const one: Span = { startMs: atMs, lastMs: atMs, endMs: atMs + idleMs, eventCount: 1, entry }
  const newest = before.spans.at(-1)
  const isNewest = newest === undefined || atMs >= newest.endMs
  const isKnown = !isNewest && before.spans.some((span) => overlaps(span, one))
  const isForgotten = !isKnown && atMs < readFoldedUntilMs()
  if (isForgotten) return { ...before, firstEntry }
  const spans = [...before.spans, one]
  return { ...before, spans: isNewest ? spans : joinSpans(spans), firstEntry }
}

/** Joins those that overlap; oldest first. */
function joinSpans(spans: readonly Span[]): readonly Span[] {
  const joined: Span[] = []
  for (const span of [...spans].sort((one, other) => one.startMs - other.startMs)) {
    const before = joined.at(-1)
    if (before === undefined || !overlaps(before, span)) joined.push(span)
    else joined[joined.length - 1] = joinSpan(before, span)
  }
  return joined
}

/** Sessions of one key that two persons had, one after the other. */
export function mergeSessions(left: Uint8Array, right: Uint8Array): Uint8Array {
  if (left.length === 0 || right.length === 0) return left.length === 0 ? right : left
  const [one, other] = [decodeSessions(left), decodeSessions(right)]
  return encodeSessions({
    spans: joinSpans([...one.spans, ...other.spans]),
    foldedCount: one.foldedCount + other.foldedCount,
    foldedUntilMs: Math.max(one.foldedUntilMs, other.foldedUntilMs),
    firstEntry: earlier(one.firstEntry, other.firstEntry),
    foldedEntry: preferLed(one.foldedEntry, other.foldedEntry),
  })
}

export function earlier(one: Entry | undefined, other: Entry | undefined): Entry | undefined {
  if (one === undefined || other === undefined) return one ?? other
  return compareEntries(other, one) < 0 ? other : one
}

/** Returns the newer; one that somebody was led by before any that they came by themselves. */
export function preferLed(one: Entry | undefined, other: Entry | undefined): Entry | undefined {
  if (one === undefined || other === undefined) return one ?? other
  const [isOneLed, isOtherLed] = [one, other].map(({ touch }) => channelAt(touch) !== 'direct')
  if (isOneLed !== isOtherLed) return isOneLed ? one : other
  return compareEntries(other, one) > 0 ? other : one
}

export function encodeSessions(sessions: KeySessions): Uint8Array {
  const { spans, foldedCount, foldedUntilMs, firstEntry, foldedEntry } = sessions
  let size = sessionHeadBytes + spans.length * spanBytes + sizeOf(firstEntry) + sizeOf(foldedEntry)
  for (const { entry } of spans) size += sizeOf(entry)
  const bytes = new Uint8Array(size)
  const view = viewOf(bytes)
  view.setFloat64(0, foldedUntilMs)
  view.setUint32(8, foldedCount)
  bytes[12] = spans.length
  let at = sessionHeadBytes
  for (const { startMs, lastMs, endMs, eventCount, entry } of spans) {
    view.setFloat64(at, startMs)
    view.setFloat64(at + 8, lastMs)
    view.setFloat64(at + 16, endMs)
    view.setUint32(at + 24, eventCount)
    at = writeEntry(view, at + spanBytes, entry)
  }
  at = writeEntry(view, at, firstEntry)
  writeEntry(view, at, foldedEntry)
  return bytes
}

function sizeOf(entry: Entry | undefined): number {
  return 2 + (entry === undefined ? 0 : entryBytes + entry.touch.length)
}

/** Its touches are views into `source`. */
export function decodeSessions(source: Uint8Array): KeySessions {
  if (source.length === 0) return noSessions
  const view = viewOf(source)
  let at = sessionHeadBytes
  const readEntry = (): Entry | undefined => {
    const length = view.getUint16(at)
    const from = at + 2
    at = from + length
    if (length === 0) return undefined
    const touch = source.subarray(from + entryBytes, at)
    return { atMs: view.getFloat64(from), order: view.getUint32(from + 8), touch }
  }
  const spans = Array.from({ length: view.getUint8(12) }, (): Span => {
    const [startMs, lastMs] = [view.getFloat64(at), view.getFloat64(at + 8)]
    const [endMs, eventCount] = [view.getFloat64(at + 16), view.getUint32(at + 24)]
    at += spanBytes
    return { startMs, lastMs, endMs, eventCount, entry: readEntry() }
  })
  const [foldedUntilMs, foldedCount] = [view.getFloat64(0), view.getUint32(8)]
  return { spans, foldedCount, foldedUntilMs, firstEntry: readEntry(), foldedEntry: readEntry() }
}

/**
 * Adds to the newest span of the sessions that begin at `from`, where nothing else changes: an
 * event within it that comes behind its entry, and the entry of all time. Answers whether it did.
 */
export function addVisitInPlace(view: DataView, from: number, visit: Visit): boolean {
  const { atMs, order, idleMs } = visit
  const spanCount = spanCountAt(view, from)
  if (spanCount === 0) return false
  let at = from + sessionHeadBytes
  for (let span = 1; span < spanCount; span++) at = behindEntry(view, at + spanBytes)
  if (atMs < view.getFloat64(at) || atMs >= view.getFloat64(at + 16)) return false
  const entryAt = at + spanBytes
  const firstAt = behindEntry(view, entryAt)
  const isBehind =
    isBehindEntry(view, entryAt, atMs, order) && isBehindEntry(view, firstAt, atMs, order)
  if (!isBehind && visit.readTouch() !== undefined) return false
  view.setFloat64(at + 8, Math.max(view.getFloat64(at + 8), atMs))
  view.setFloat64(at + 16, Math.max(view.getFloat64(at + 16), atMs + idleMs))
  view.setUint32(at + 24, view.getUint32(at + 24) + 1)
  return true
}

/** Returns how many spans the sessions that begin at `from` have. */
export function spanCountAt(view: DataView, from: number): number {
  return view.getUint8(from + 12)
}

/** Returns where an entry ends. */
export function behindEntry(view: DataView, at: number): number {
  return at + 2 + view.getUint16(at)
}

function isBehindEntry(view: DataView, at: number, atMs: number, order: number): boolean {
  if (view.getUint16(at) === 0) return false
  const entryMs = view.getFloat64(at + 2)
  return atMs === entryMs ? order > view.getUint32(at + 10) : atMs > entryMs
}

function writeEntry(view: DataView, at: number, entry: Entry | undefined): number {
  if (entry === undefined) return at + 2
  const { atMs, order, touch } = entry
  view.setUint16(at, entryBytes + touch.length)
  view.setFloat64(at + 2, atMs)
  view.setUint32(at + 10, order)
  const from = at + 2 + entryBytes
  for (let index = 0; index < touch.length; index++) view.setUint8(from + index, touch[index] ?? 0)
  return from + touch.length
}

function overlaps(one: Span, other: Span): boolean {
  return one.startMs < other.endMs && other.startMs < one.endMs
}

/** Returns the span of two that are one; `entry` is one of theirs. */
export function joinSpan(one: Span, other: Span): Span {
  return {
    startMs: Math.min(one.startMs, other.startMs),
    lastMs: Math.max(one.lastMs, other.lastMs),
    endMs: Math.max(one.endMs, other.endMs),
    eventCount: one.eventCount + other.eventCount,
    entry: earlier(one.entry, other.entry),
  }
}

/** Those of one instant and order are told apart by what they say, so that any order will do. */
function compareEntries(one: Entry, other: Entry): number {
  return one.atMs - other.atMs || one.order - other.order || Buffer.compare(one.touch, other.touch)
}

/** As `compareEntries`, of two that are there. */
export function compareEntriesAt(one: Piece, other: Piece): number {
  const [left, right] = [one.desk, other.desk]
  const [from, to] = [one.at + 2, other.at + 2]
  const byTime =
    left.view.getFloat64(from) - right.view.getFloat64(to) ||
    left.view.getUint32(from + 8) - right.view.getUint32(to + 8)
  if (byTime !== 0) return byTime
  const touch = left.bytes.subarray(from + entryBytes, behindEntry(left.view, one.at))
  const otherTouch = right.bytes.subarray(to + entryBytes, behindEntry(right.view, other.at))
  return Buffer.compare(touch, otherTouch)
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength)
}
