/**
 * Begins a session without decoding those before: most sessions begin behind all others of their
 * person. What is left to `addVisit` and `foldSessions`, which do the same with any event, is where
 * sessions join, are older than what is kept, or would be folded over several keys.
 */

import { copyPiece, type Desk } from './desk.ts'
import {
  behindEntry,
  compareEntriesAt,
  entryBytes,
  sessionCountMax,
  sessionHeadBytes,
  spanBytes,
  spanCountAt,
  type Visit,
} from './session-pack.ts'
import { writeTouch } from './touch.ts'

/** What the other keys of the person have. */
export interface OtherSessions {
  readonly spanCount: number
  readonly foldedUntilMs: number
}

const sessionsAt = 2
const spansAt = sessionsAt + sessionHeadBytes
const directByte = 0

/** Bytes by which habits grow at most, as long as a touch fits in `touchBytesMax`. */
export const beginBytesMax = 1024

/**
 * Writes the habits of `source` to `target` with one session more, and folds the oldest one where
 * they are too many. Where it answers false it is not that simple, and `target` is of no meaning.
 */
export function beginSession(
  source: Desk,
  target: Desk,
  visit: Visit,
  others: OtherSessions,
): boolean {
  const { atMs } = visit
  const { view } = source
  const sessionsEnd = sessionsAt + view.getUint16(0)
  const hasSome = sessionsEnd > sessionsAt
  const spanCount = hasSome ? spanCountAt(view, sessionsAt) : 0
  const isFolding = spanCount + others.spanCount >= sessionCountMax
  if (isFolding && (others.spanCount > 0 || spanCount > sessionCountMax)) return false
  const foldedUntilMs = hasSome ? view.getFloat64(sessionsAt) : 0
  if (atMs < foldedUntilMs || atMs < others.foldedUntilMs) return false
  let firstAt = spansAt
  let secondAt = spansAt
  let endMs = -Infinity
  for (let span = 0; span < spanCount; span++) {
    endMs = view.getFloat64(firstAt + 16)
    firstAt = behindEntry(view, firstAt + spanBytes)
    if (span === 0) secondAt = firstAt
  }
  if (atMs < endMs) return false

  const foldedCount = hasSome ? view.getUint32(sessionsAt + 8) : 0
  const gone = isFolding ? 1 : 0
  const goneEndMs = isFolding ? view.getFloat64(spansAt + 16) : 0
  target.view.setFloat64(sessionsAt, Math.max(foldedUntilMs, goneEndMs))
  target.view.setUint32(sessionsAt + 8, foldedCount + gone)
  target.view.setUint8(sessionsAt + 12, spanCount + 1 - gone)
  const keptAt = isFolding ? secondAt : spansAt
  let at = copyPiece(source, keptAt, firstAt, { desk: target, at: spansAt })
  const entryAt = at + spanBytes
  at = writeSpan(target, at, visit)
  if (hasSome) {
    at = copyFirst({ source, target }, { firstAt, entryAt, at })
    const foldedAt = behindEntry(view, firstAt)
    const ledAt = isFolding ? preferLedAt(source, foldedAt, spansAt + spanBytes) : foldedAt
    at = copyPiece(source, ledAt, behindEntry(view, ledAt), { desk: target, at })
  } else {
    at = copyPiece(target, entryAt, at, { desk: target, at })
    target.view.setUint16(at, 0)
    at += 2
  }
  target.view.setUint16(0, at - sessionsAt)
  target.end = copyPiece(source, sessionsEnd, source.end, { desk: target, at })
  return true
}

/** Returns where the entry behind it ends. */
function writeSpan({ bytes, view }: Desk, at: number, visit: Visit): number {
  const { atMs, order, idleMs } = visit
  view.setFloat64(at, atMs)
  view.setFloat64(at + 8, atMs)
  view.setFloat64(at + 16, atMs + idleMs)
  view.setUint32(at + 24, 1)
  const entryAt = at + spanBytes
  const touch = visit.readTouch()
  if (touch === undefined) {
    view.setUint16(entryAt, 0)
    return entryAt + 2
  }
  view.setFloat64(entryAt + 2, atMs)
  view.setUint32(entryAt + 10, order)
  const end = writeTouch(bytes, entryAt + 2 + entryBytes, touch)
  view.setUint16(entryAt, end - entryAt - 2)
  return end
}

/** The entry of all time is the earlier of the one before and that of the session. */
function copyFirst(
  { source, target }: { readonly source: Desk; readonly target: Desk },
  { firstAt, entryAt, at }: Readonly<Record<'firstAt' | 'entryAt' | 'at', number>>,
): number {
  const hasEntry = target.view.getUint16(entryAt) > 0
  const hasFirst = source.view.getUint16(firstAt) > 0
  const entry = { desk: target, at: entryAt }
  const first = { desk: source, at: firstAt }
  const isEarlier = hasEntry && (!hasFirst || compareEntriesAt(entry, first) < 0)
  return isEarlier
    ? copyPiece(target, entryAt, behindEntry(target.view, entryAt), { desk: target, at })
    : copyPiece(source, firstAt, behindEntry(source.view, firstAt), { desk: target, at })
}

/** As `preferLed`; returns where the entry is. */
function preferLedAt(desk: Desk, one: number, other: number): number {
  const { bytes, view } = desk
  if (view.getUint16(one) === 0) return other
  if (view.getUint16(other) === 0) return one
  const isOneLed = bytes[one + 2 + entryBytes] !== directByte
  const isOtherLed = bytes[other + 2 + entryBytes] !== directByte
  if (isOneLed !== isOtherLed) return isOneLed ? one : other
  return compareEntriesAt({ desk, at: other }, { desk, at: one }) > 0 ? other : one
}
