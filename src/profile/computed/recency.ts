/** How long ago the newest event was, in whole units: 0 in the first, one more with each. */

import { createKind, decodeNumbers, encodeNumbers, type TraitKind } from './kind.ts'

export function createRecency(unitMs: number): TraitKind {
  const newest = (left: readonly number[], right: readonly number[]): readonly number[] =>
    left.length + right.length === 0 ? [] : [Math.max(...left, ...right)]
  const unitsAt = (lastMs: number, nowMs: number): number =>
    Math.max(0, Math.floor((nowMs - lastMs) / unitMs))
  return createKind<readonly number[]>({
    empty: [],
    prepare: () => 1,
    add: (state, samples) =>
      newest(
        state,
        samples.map(({ atMs }) => atMs),
      ),
    merge: newest,
    answerAt: ([lastMs], nowMs) => ({
      value: lastMs === undefined ? undefined : unitsAt(lastMs, nowMs),
      isExact: true,
    }),
    nextChangeAt: ([lastMs], nowMs) =>
      lastMs === undefined ? Infinity : lastMs + (unitsAt(lastMs, nowMs) + 1) * unitMs,
    growsFromMs: ([lastMs]) => lastMs,
    encode: encodeNumbers,
    decode: decodeNumbers,
  })
}
