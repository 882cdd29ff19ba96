/**
 * first, last, and the list of the last n over all time: the samples themselves, the few that
 * matter. Exact.
 */

import type { Json } from '../../lib/json.ts'
import {
  createKind,
  decodeJsonState,
  encodeJsonState,
  type Sample,
  scalarSample,
  type TraitKind,
} from './kind.ts'

export type ChosenKind = 'first' | 'last' | 'list'

/** `listCount` is the length of a list; first and last keep one. */
export function createChosen(kind: ChosenKind, listCount: number): TraitKind {
  const countMax = kind === 'list' ? listCount : 1
  const choose = (samples: readonly Sample[]): readonly Sample[] => {
    const ordered = samples.toSorted(bySampleOrder)
    return kind === 'first' ? ordered.slice(0, countMax) : ordered.slice(-countMax)
  }
  return createKind<readonly Sample[]>({
    empty: [],
    prepare: scalarSample,
    add: (state, samples) => choose([...state, ...samples]),
    merge: (left, right) => choose([...left, ...right]),
    answerAt: (state) => ({ value: answerChosen(kind, state), isExact: true }),
    nextChangeAt: () => Infinity,
    ...(kind === 'list' ? {} : { addToBytes: (bytes, sample) => chooseOne(kind, bytes, sample) }),
    encode: (state) => encodeJsonState(flattenSamples(state)),
    decode: (bytes) => gatherSamples(decodeJsonState(bytes)),
  })
}

/** Of two samples of one place the newer is the last, and the one that was there the first. */
function chooseOne(kind: 'first' | 'last', bytes: Uint8Array, sample: Sample): Uint8Array {
  if (bytes.length > 0) {
    const [atMs, order] = decodeJsonState(bytes)
    const before = { atMs: atMs as number, order: order as number, value: null }
    if (bySampleOrder(before, sample) <= 0 !== (kind === 'last')) return bytes
  }
  return encodeJsonState([sample.atMs, sample.order, sample.value])
}

function answerChosen(kind: ChosenKind, ordered: readonly Sample[]): Json | undefined {
  return kind === 'list' ? ordered.map(({ value }) => value).reverse() : ordered[0]?.value
}

export function bySampleOrder(left: Sample, right: Sample): number {
  return left.atMs - right.atMs || left.order - right.order
}

export function flattenSamples(samples: readonly Sample[]): readonly Json[] {
  return samples.flatMap(({ atMs, order, value }) => [atMs, order, value])
}

export function gatherSamples(flat: readonly Json[]): readonly Sample[] {
  return Array.from({ length: flat.length / 3 }, (_, index) => ({
    atMs: flat[index * 3] as number,
    order: flat[index * 3 + 1] as number,
    value: flat[index * 3 + 2] as Json,
  }))
}
