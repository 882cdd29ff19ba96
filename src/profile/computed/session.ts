/**
 * The session a person is in, over all identity keys, as far as a computed trait looks back. It is
 * the one of the profile (habit/session-pack.ts): each event is there for as long as its source
 * says, and what overlaps is one session.
 *
 * Kept as [startMs, endMs] of each, oldest first; those of several keys join where they overlap.
 */

import { createKind, decodeNumbers, encodeNumbers, type TraitKind } from './kind.ts'

/** What a trait of the session looks back at most. */
export const sessionMsMax = 24 * 3_600_000
/** The newest session may be dated ahead of now by less than this. */
const aheadMsMax = 3_600_000
/** Sessions kept, the newest; who pauses more often in a day and an hour is no person. */
const sessionCountMax = 64

/**
 * A sample's value is for how long its event is there, in ms. The answer is `[startMs, endMs]` of
 * the session at that time.
 */
export function createSessionKind(): TraitKind {
  const join = (spans: readonly number[]): readonly number[] => {
    const pairs = Array.from({ length: spans.length / 2 }, (_, index) => [
      spans[index * 2] as number,
      spans[index * 2 + 1] as number,
    ]).sort((left, right) => (left[0] as number) - (right[0] as number))
    const joined: number[] = []
    for (const [startMs = 0, endMs = 0] of pairs) {
      const before = joined.at(-1)
      if (before === undefined || startMs >= before) joined.push(startMs, endMs)
      else joined[joined.length - 1] = Math.max(before, endMs)
    }
    return joined
  }
  const forget = (spans: readonly number[]): readonly number[] => {
    const oldestMs = (spans.at(-2) ?? 0) - sessionMsMax - aheadMsMax
    let from = Math.max(0, spans.length - 2 * sessionCountMax)
    while (from < spans.length && (spans[from + 1] as number) < oldestMs) from += 2
    return from === 0 ? spans : spans.slice(from)
  }
  return createKind<readonly number[]>({
    empty: [],
    prepare: (value) => value,
    add: (state, samples) =>
      forget(
        join([...state, ...samples.flatMap(({ atMs, value }) => [atMs, atMs + Number(value)])]),
      ),
    merge: (left, right) => forget(join([...left, ...right])),
    answerAt: (state, nowMs) => {
      for (let at = state.length - 2; at >= 0; at -= 2) {
        const [startMs = 0, endMs = 0] = state.slice(at, at + 2)
        // What is dated ahead of now is not yet; then the session is that of what is.
        if (startMs > nowMs) continue
        return { value: nowMs < endMs ? [startMs, endMs] : undefined, isExact: true }
      }
      return { value: undefined, isExact: true }
    },
    nextChangeAt: (state, nowMs) => state.find((atMs) => atMs > nowMs) ?? Infinity,
    encode: encodeNumbers,
    decode: decodeNumbers,
  })
}
