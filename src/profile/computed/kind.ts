/**
 * What every kind of computed trait can do, and how a kind is made of a few pure functions.
 *
 * A state is what one identity key contributes. States of one person are merged when the trait is
 * read, so a key can be taken out again; a state filled from history is merged with what came
 * since. So `merge` and `add` do not depend on the order in which samples arrive; what depends on
 * order goes by (atMs, order) of the samples.
 */

import type { Json } from '../../lib/json.ts'

/** What one event says for a trait. */
export interface Sample {
  readonly atMs: number
  /** Orders samples of one instant: of the event's id, then of the place in the event. */
  readonly order: number
  readonly value: Json
}

export interface Bounds {
  /** Samples at or before it are in no window any more; -Infinity for all time. */
  readonly edgeMs: number
  /** Greatest number of samples, buckets or values kept. */
  readonly cellCountMax: number
}

export interface KindAnswer {
  /** Undefined where there is nothing to say it of. */
  readonly value: Json | undefined
  /** False where the bound of a state has been reached, and what it lost would count now. */
  readonly isExact: boolean
}

/** States of one person, merged, to be read at any instant. */
export interface OpenState {
  /** Reads what counts now: what lies in `(edgeMs, nowMs]` where the trait has a window. */
  answerAt(nowMs: number, edgeMs: number): KindAnswer
  /** Returns when time alone could change the answer next; Infinity where it cannot. */
  nextChangeAt(nowMs: number, windowMs: number): number
  /** Of a value that grows by one each `unitMs`, the instant at which it was 0. */
  readonly growsFromMs?: number | undefined
  /** Of a value in a window: from this instant on time alone makes it less or leaves it. */
  readonly fallsFromMs?: number | undefined
}

/** One kind of computed trait, over states as bytes. An empty state has no bytes. */
export interface TraitKind {
  /** Returns what is kept of a value; undefined where it says nothing for this kind. */
  prepare(value: Json): Json | undefined
  add(state: Uint8Array, samples: readonly Sample[], bounds: Bounds): Uint8Array
  merge(left: Uint8Array, right: Uint8Array, bounds: Bounds): Uint8Array
  open(states: readonly Uint8Array[]): OpenState
}

/** The same over decoded states. */
export interface KindRules<State> {
  readonly empty: State
  prepare(value: Json): Json | undefined
  add(state: State, samples: readonly Sample[], bounds: Bounds): State
  merge(left: State, right: State, bounds: Bounds): State
  answerAt(state: State, nowMs: number, edgeMs: number): KindAnswer
  nextChangeAt(state: State, nowMs: number, windowMs: number): number
  growsFromMs?(state: State): number | undefined
  fallsFromMs?(state: State): number
  /**
   * Adds without decoding, which most events can do, to no bytes too: the answer is the bytes that
   * `add` would come to, or undefined where it has to be asked.
   */
  addToBytes?(bytes: Uint8Array, sample: Sample, bounds: Bounds): Uint8Array | undefined
  encode(state: State): Uint8Array
  decode(bytes: Uint8Array): State
}

/** Where a person is read all cells of all parts count: each part is bounded for itself. */
const unbounded: Bounds = { edgeMs: -Infinity, cellCountMax: Infinity }

export function createKind<State>(rules: KindRules<State>): TraitKind {
  const decode = (bytes: Uint8Array): State =>
    bytes.length === 0 ? rules.empty : rules.decode(bytes)
  return {
    prepare: rules.prepare,
    add: (bytes, samples, bounds) => {
      const [only] = samples
      const isQuick = samples.length === 1 && only !== undefined
      const quick = isQuick ? rules.addToBytes?.(bytes, only, bounds) : undefined
      return quick ?? rules.encode(rules.add(decode(bytes), samples, bounds))
    },
    merge: (left, right, bounds) => {
      if (left.length === 0) return right
      if (right.length === 0) return left
      return rules.encode(rules.merge(decode(left), decode(right), bounds))
    },
    open: (states) => {
      const decoded = states.map(decode)
      const [only = rules.empty] = decoded
      const state =
        decoded.length < 2
          ? only
          : decoded.reduce((left, right) => rules.merge(left, right, unbounded))
      return {
        answerAt: (nowMs, edgeMs) => rules.answerAt(state, nowMs, edgeMs),
        nextChangeAt: (nowMs, windowMs) => rules.nextChangeAt(state, nowMs, windowMs),
        growsFromMs: rules.growsFromMs?.(state),
        fallsFromMs: rules.fallsFromMs?.(state),
      }
    },
  }
}

/** Numbers as state bytes, 8 each. */
export function encodeNumbers(numbers: readonly number[]): Uint8Array {
  const bytes = Buffer.allocUnsafe(numbers.length * 8)
  for (let index = 0; index < numbers.length; index++) {
    bytes.writeDoubleBE(numbers[index] as number, index * 8)
  }
  return bytes
}

export function decodeNumbers(bytes: Uint8Array): number[] {
  const view = viewOf(bytes)
  const numbers = new Array<number>(bytes.length / 8)
  for (let index = 0; index < numbers.length; index++) numbers[index] = view.getFloat64(index * 8)
  return numbers
}

export function encodeJsonState(state: readonly Json[]): Uint8Array {
  return Buffer.from(JSON.stringify(state))
}

export function decodeJsonState(bytes: Uint8Array): readonly Json[] {
  const { buffer, byteOffset, byteLength } = bytes
  return JSON.parse(Buffer.from(buffer, byteOffset, byteLength).toString()) as readonly Json[]
}

export function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength)
}

/** What an event counts for: itself. */
export function countSample(): number {
  return 1
}

/** A number that can be added without loss; undefined for all else. */
export function numberSample(value: Json): number | undefined {
  const isUsable = typeof value === 'number' && Math.abs(value) <= amountMax
  return isUsable ? value : undefined
}

/** Above it, six decimals are not exact in a sum of many. */
const amountMax = 1e12
/** Longest text kept of a value; what is longer is cut. */
export const valueLengthMax = 100

/** A text, number, true or false, as it is kept; undefined for all else. */
export function scalarSample(value: Json): Json | undefined {
  if (typeof value === 'string') {
    if (value === '') return undefined
    return value.length > valueLengthMax ? value.slice(0, valueLengthMax).toWellFormed() : value
  }
  return typeof value === 'number' || typeof value === 'boolean' ? value : undefined
}
