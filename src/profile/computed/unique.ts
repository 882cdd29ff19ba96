/**
 * How many different values, over all time.
 *
 * Keeps the `uniqueCountMax` smallest 52-bit hashes (k minimum values: Bar-Yossef et al., "Counting
 * Distinct Elements in a Data Stream", 2002). With fewer values than that they are all there, and
 * the count is exact but for two values of one hash (one pair in 10^11 at 256). Beyond, it is
 * estimated with a standard error of about 1 / sqrt(k - 2), 6.3 % for 256, and not called exact.
 */

import { murmur3 } from '../../lib/hash.ts'
import type { Json } from '../../lib/json.ts'
import {
  createKind,
  decodeNumbers,
  encodeNumbers,
  scalarSample,
  type TraitKind,
  viewOf,
} from './kind.ts'

/** Greatest number of values counted exactly. */
export const uniqueCountMax = 256
const hashSpan = 2 ** 52
const lowSpan = 2 ** 20

export function createUnique(): TraitKind {
  return createKind<readonly number[]>({
    empty: [],
    prepare: hashSample,
    add: (state, samples) =>
      join(
        state,
        samples.map(({ value }) => value as number),
      ),
    merge: join,
    answerAt: (state) => ({
      value: estimate(state),
      isExact: state.length < uniqueCountMax,
    }),
    nextChangeAt: () => Infinity,
    addToBytes: (bytes, { value }) => insertHash(bytes, value as number),
    encode: encodeNumbers,
    decode: decodeNumbers,
  })
}

/** A value as 52 bits of two hashes. Texts and numbers of the same digits differ. */
export function hashSample(value: Json): number | undefined {
  const kept = scalarSample(value)
  if (kept === undefined) return undefined
  const text = JSON.stringify(kept)
  return murmur3(text) * lowSpan + (murmur3(`${text}\0`) % lowSpan)
}

function join(left: readonly number[], right: readonly number[]): readonly number[] {
  const all = [...new Set([...left, ...right])].sort((one, other) => one - other)
  return all.slice(0, uniqueCountMax)
}

function insertHash(bytes: Uint8Array, hash: number): Uint8Array | undefined {
  const view = viewOf(bytes)
  let at = 0
  while (at < bytes.length && view.getFloat64(at) < hash) at += 8
  if (at < bytes.length && view.getFloat64(at) === hash) return bytes
  const isFull = bytes.length === uniqueCountMax * 8
  if (isFull && at === bytes.length) return bytes
  const added = Buffer.allocUnsafe(isFull ? bytes.length : bytes.length + 8)
  added.set(bytes.subarray(0, at))
  added.writeDoubleBE(hash, at)
  added.set(bytes.subarray(at, added.length - 8), at + 8)
  return added
}

function estimate(state: readonly number[]): number {
  const greatest = state.at(-1)
  if (greatest === undefined || state.length < uniqueCountMax) return state.length
  return Math.round(((state.length - 1) * hashSpan) / greatest)
}
