/** min and max over all time: one number. */

import { createKind, decodeNumbers, encodeNumbers, numberSample, type TraitKind } from './kind.ts'

export function createExtreme(kind: 'min' | 'max'): TraitKind {
  const choose = kind === 'min' ? Math.min : Math.max
  const join = (left: readonly number[], right: readonly number[]): readonly number[] =>
    left.length === 0 || right.length === 0
      ? [...left, ...right]
      : [choose(left[0] as number, right[0] as number)]
  return createKind<readonly number[]>({
    empty: [],
    prepare: numberSample,
    add: (state, samples) =>
      samples.reduce((kept, { value }) => join(kept, [value as number]), state),
    merge: join,
    answerAt: ([value]) => ({ value, isExact: true }),
    nextChangeAt: () => Infinity,
    encode: encodeNumbers,
    decode: decodeNumbers,
  })
}
