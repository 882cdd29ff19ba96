/**
 * The session a person is in: their activity without a pause of `sessionGapMs`, over all identity
 * keys, at most `sessionMsMax` back.
 *
 * Kept as spans of activity, [first atMs, last atMs] each, oldest first; spans of several keys join
 * where less than the gap lies between them.
 */

import { createKind, decodeNumbers, encodeNumbers, type TraitKind } from './kind.ts'

/** A pause of this length ends a session, as in Google Analytics. */
export const sessionGapMs = 30 * 60_000
/** What a trait of the session looks back at most. */
export const sessionMsMax = 24 * 3_600_000

/** The answer is `[first atMs, last atMs]` of the session at that time. */
export function createSessionKind(): TraitKind {
  const join = (spans: readonly number[]): readonly number[] => {
    const pairs = Array.from({ length: spans.length / 2 }, (_, index) => [
      spans[index * 2] as number,
      spans[index * 2 + 1] as number,
    ]).sort((left, right) => (left[0] as number) - (right[0] as number))
    const joined: number[] = []
    for (const [firstMs = 0, lastMs = 0] of pairs) {
      const before = joined.at(-1)
      if (before === undefined || firstMs - before >= sessionGapMs) joined.push(firstMs, lastMs)
      else joined[joined.length - 1] = Math.max(before, lastMs)
    }
    return joined
  }
  const forget = (spans: readonly number[]): readonly number[] => {
    // Twice the gap: the newest may be dated ahead of now, and a late event may join two spans.
    const oldestMs = (spans.at(-1) ?? 0) - sessionMsMax - 2 * sessionGapMs
    let from = 0
    while (from < spans.length && (spans[from + 1] as number) < oldestMs) from += 2
    return from === 0 ? spans : spans.slice(from)
  }
  return createKind<readonly number[]>({
    empty: [],
    prepare: () => 1,
    add: (state, samples) =>
      forget(join([...state, ...samples.flatMap(({ atMs }) => [atMs, atMs])])),
    merge: (left, right) => forget(join([...left, ...right])),
    answerAt: (state, nowMs) => {
      for (let at = state.length - 2; at >= 0; at -= 2) {
        const [firstMs = 0, lastMs = 0] = state.slice(at, at + 2)
        // What is dated ahead of now is not yet; then the session is that of what is.
        if (firstMs > nowMs) continue
        const isIn = nowMs - lastMs < sessionGapMs
        return { value: isIn ? [firstMs, lastMs] : undefined, isExact: true }
      }
      return { value: undefined, isExact: true }
    },
    nextChangeAt: (state, nowMs) => {
      let nextMs = Infinity
      for (const [index, atMs] of state.entries()) {
        const changeMs = index % 2 === 0 ? atMs : atMs + sessionGapMs
        if (changeMs > nowMs) nextMs = Math.min(nextMs, changeMs)
      }
      return nextMs
    },
    encode: encodeNumbers,
    decode: decodeNumbers,
  })
}
