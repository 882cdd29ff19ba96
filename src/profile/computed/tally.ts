/**
 * count, sum and average.
 *
 * Over all time: three numbers. A sum is kept as its whole part and millionths, both whole numbers,
 * so that it does not depend on the order of adding; values count to six decimals.
 *
 * In a window: buckets in order of time. A bucket is one instant, and exact, while there are at
 * most `cellCountMax` of them. Beyond, neighbours within one cell of a grid are joined, its width
 * doubling until half of them are left, so that joining is rare. A bucket leaves the window as a
 * whole, with its newest sample; the answer is not exact while its oldest has left and its newest
 * has not.
 */

import {
  type Bounds,
  countSample,
  createKind,
  decodeNumbers,
  encodeNumbers,
  numberSample,
  type Sample,
  type TraitKind,
  viewOf,
} from './kind.ts'

export type TallyKind = 'count' | 'sum' | 'average'

const millionth = 1e6
/** Finest width of joined buckets. */
const gridMsMin = 1000
/** Numbers of a bucket: first atMs, last atMs, count, whole part, millionths. */
const stride = 5

export function createTally(kind: TallyKind): TraitKind {
  return createKind<readonly number[]>({
    empty: [],
    prepare: kind === 'count' ? countSample : numberSample,
    add: (state, samples) =>
      samples.reduce((sum, { value }) => addTotals(sum, totalsOf(value as number)), state),
    merge: addTotals,
    answerAt: ([count = 0, whole = 0, parts = 0]) => ({
      value: answerOf(kind, count, whole, parts),
      isExact: true,
    }),
    nextChangeAt: () => Infinity,
    addToBytes: (bytes, { value }) => {
      const totals = totalsOf(value as number)
      if (bytes.length === 0) return encodeNumbers(totals)
      const sum = Buffer.from(bytes)
      for (let index = 0; index < totals.length; index++) {
        sum.writeDoubleBE(sum.readDoubleBE(index * 8) + (totals[index] ?? 0), index * 8)
      }
      return sum
    },
    encode: encodeNumbers,
    decode: decodeNumbers,
  })
}

export function createWindowTally(kind: TallyKind): TraitKind {
  return createKind<readonly number[]>({
    empty: [],
    prepare: kind === 'count' ? countSample : numberSample,
    add: (state, samples, bounds) => {
      const insertOne = (into: readonly number[], { atMs, value }: Sample): readonly number[] =>
        insert(into, [atMs, atMs, ...totalsOf(value as number)])
      return bound(samples.reduce(insertOne, state), bounds)
    },
    merge: (left, right, bounds) => bound(interleave(left, right), bounds),
    answerAt: (state, nowMs, edgeMs) => answerWindow(kind, state, nowMs, edgeMs),
    nextChangeAt: (state, nowMs, windowMs) => {
      let nextMs = Infinity
      for (let at = 0; at < state.length; at += stride) {
        for (const each of [state[at] as number, state[at + 1] as number]) {
          if (each > nowMs) nextMs = Math.min(nextMs, each)
          else if (each + windowMs > nowMs) nextMs = Math.min(nextMs, each + windowMs)
        }
      }
      return nextMs
    },
    // A sum may rise where a negative amount leaves.
    ...(kind === 'count' ? { fallsFromMs: newestFirstMs } : {}),
    addToBytes: appendBucket,
    encode: encodeNumbers,
    decode: decodeNumbers,
  })
}

/** Returns when the last of the buckets begins to count. */
function newestFirstMs(state: readonly number[]): number {
  let newestMs = -Infinity
  for (let at = 0; at < state.length; at += stride) newestMs = Math.max(newestMs, state[at] ?? 0)
  return newestMs
}

/** The newest of few: nothing is joined. What has left the window goes first. */
function appendBucket(
  bytes: Uint8Array,
  { atMs, value }: Sample,
  { edgeMs, cellCountMax }: Bounds,
): Uint8Array | undefined {
  if (atMs <= edgeMs) return undefined
  if (bytes.length === 0) return encodeNumbers([atMs, atMs, ...totalsOf(value as number)])
  const view = viewOf(bytes)
  const isNewest = view.getFloat64(bytes.length - (stride - 1) * 8) < atMs
  if (!isNewest || bytes.length >= cellCountMax * stride * 8) return undefined
  let from = 0
  while (from < bytes.length && view.getFloat64(from + 8) <= edgeMs) from += stride * 8
  const keptBytes = bytes.length - from
  const added = Buffer.allocUnsafe(keptBytes + stride * 8)
  added.set(from === 0 ? bytes : bytes.subarray(from))
  added.writeDoubleBE(atMs, keptBytes)
  added.writeDoubleBE(atMs, keptBytes + 8)
  const totals = totalsOf(value as number)
  for (let index = 0; index < totals.length; index++) {
    added.writeDoubleBE(totals[index] ?? 0, keptBytes + 16 + index * 8)
  }
  return added
}

function totalsOf(value: number): readonly number[] {
  const whole = Math.trunc(value)
  return [1, whole, Math.round((value - whole) * millionth)]
}

function addTotals(left: readonly number[], right: readonly number[]): readonly number[] {
  if (left.length === 0) return right
  return left.map((each, index) => each + (right[index] ?? 0))
}

function answerOf(kind: TallyKind, count: number, whole: number, parts: number) {
  if (kind === 'count') return count
  // One rounding: the digits of a sum are those of the amounts.
  const sum = Math.round((whole + parts / millionth) * millionth) / millionth
  if (kind === 'sum') return sum
  return count === 0 ? undefined : sum / count
}

function answerWindow(kind: TallyKind, state: readonly number[], nowMs: number, edgeMs: number) {
  let [count, whole, parts] = [0, 0, 0]
  let isExact = true
  for (let at = 0; at < state.length; at += stride) {
    const firstMs = state[at] as number
    const lastMs = state[at + 1] as number
    if (lastMs <= edgeMs || firstMs > nowMs) continue
    if (firstMs <= edgeMs || lastMs > nowMs) isExact = false
    count += state[at + 2] as number
    whole += state[at + 3] as number
    parts += state[at + 4] as number
  }
  return { value: answerOf(kind, count, whole, parts), isExact }
}

/** Mostly the newest: then it is put behind the others. */
function insert(state: readonly number[], bucket: readonly number[]): readonly number[] {
  const lastMs = state[state.length - stride + 1]
  if (lastMs === undefined || lastMs < (bucket[0] as number)) return [...state, ...bucket]
  return interleave(state, bucket)
}

/** Joins buckets of the same instants, so that many samples of one are one bucket. */
function interleave(left: readonly number[], right: readonly number[]): readonly number[] {
  const buckets = [...bucketsOf(left), ...bucketsOf(right)].sort(byTime)
  return joinWhere(buckets, (before, next) => before[0] === next[0] && before[1] === next[1])
}

function bound(
  state: readonly number[],
  { edgeMs, cellCountMax }: { readonly edgeMs: number; readonly cellCountMax: number },
): readonly number[] {
  let from = 0
  while (from < state.length && (state[from + 1] as number) <= edgeMs) from += stride
  let kept = from === 0 ? state : state.slice(from)
  if (kept.length <= cellCountMax * stride) return kept
  for (let gridMs = gridMsMin; kept.length > (cellCountMax / 2) * stride; gridMs *= 2) {
    const cellOf = (atMs: number): number => Math.floor(atMs / gridMs)
    kept = joinWhere(
      bucketsOf(kept),
      (before, next) => cellOf(before[1] as number) === cellOf(next[0] as number),
    )
  }
  return kept
}

function bucketsOf(state: readonly number[]): readonly (readonly number[])[] {
  return Array.from({ length: state.length / stride }, (_, index) =>
    state.slice(index * stride, (index + 1) * stride),
  )
}

function byTime(left: readonly number[], right: readonly number[]): number {
  return (left[0] as number) - (right[0] as number) || (left[1] as number) - (right[1] as number)
}

function joinWhere(
  buckets: readonly (readonly number[])[],
  isOne: (before: readonly number[], next: readonly number[]) => boolean,
): readonly number[] {
  const joined: number[][] = []
  for (const bucket of buckets) {
    const before = joined.at(-1)
    if (before === undefined || !isOne(before, bucket)) {
      joined.push([...bucket])
      continue
    }
    before[1] = Math.max(before[1] as number, bucket[1] as number)
    for (let at = 2; at < stride; at++) before[at] = (before[at] ?? 0) + (bucket[at] ?? 0)
  }
  return joined.flat()
}
