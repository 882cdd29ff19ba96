/**
 * What a computed trait is once it is in force: all that reading its value takes, without the
 * definitions that it came from.
 */

import { assert, unreachable } from '../../lib/assert.ts'
import type { TraitPriorities } from '../trait-statement.ts'
import { createChosen } from './chosen.ts'
import { createExtreme } from './extreme.ts'
import { createFrequent } from './frequent.ts'
import type { TraitKind } from './kind.ts'
import { createRecency } from './recency.ts'
import { createRetained } from './retained.ts'
import { createSessionKind, sessionMsMax } from './session.ts'
import { createTally, createWindowTally } from './tally.ts'
import { createUnique } from './unique.ts'

export const computedKinds = [
  'count',
  'sum',
  'average',
  'min',
  'max',
  'first',
  'last',
  'mostFrequent',
  'uniqueCount',
  'list',
  'recency',
  'ratio',
] as const
export type ComputedKind = (typeof computedKinds)[number]

/** Computed traits that may be in force at a time. */
export const computedTraitCountMax = 100
/** Samples, buckets or values that one identity key keeps for one trait. */
export const cellCountMax = 128
/** Longest list of the last n. */
export const listCountMax = 20

/** How the value is read; part of the state of a partition. */
export interface ComputedShape {
  readonly name: string
  /** Hash of what is counted: states of another id do not belong to the trait. 16 hex digits. */
  readonly id: string
  readonly kind: ComputedKind
  /** Absent: over all time. */
  readonly windowMs?: number
  /** Counts the session alone; `windowMs` is how far that may go back. */
  readonly isSession?: boolean
  readonly listCount?: number
  readonly unitMs?: number
  /** Of a ratio: names of two others, and the answer where the second is 0. */
  readonly over?: string
  readonly by?: string
  readonly whenZero?: number | null
}

/** A computed trait as a partition has it. */
export interface TraitInForce extends ComputedShape {
  /** Version of the definitions that brought it: states of an older one are of another life. */
  readonly sinceVersion: number
  /** Fold time at which the past was in; absent while it is being filled. */
  readyAtMs?: number
  /**
   * Where the log had been trimmed before its past was read: no event is missing from here on.
   * Absent where none is missing at all.
   */
  fromMs?: number
}

/** A property by the name of its event. */
export type NamedProperty = readonly [event: string, property: string]

/** A property of events that a partition keeps with their activity, since a rule names it. */
export interface PropertyInForce {
  readonly event: string
  readonly property: string
  /** Version of the definitions that brought it. */
  readonly sinceVersion: number
  /** Fold time at which events before it had theirs; absent while the past is being filled. */
  readyAtMs?: number
  /** As of a trait: no value is missing from here on. */
  fromMs?: number
}

/** What a partition counts and keeps, and how far it has come. */
export interface ComputedInForce {
  /** Of the definitions in force. */
  readonly version: number
  readonly traits: readonly TraitInForce[]
  /** Absent where no rule names one. */
  readonly properties?: readonly PropertyInForce[]
  /** Of traits that people state; absent where no definition lists sources. */
  readonly priorities?: TraitPriorities
}

/** Its key in the state of each partition; absent before the first computed trait. */
export const computedKey = 'part/computed'
export const nothingComputed: ComputedInForce = { version: 0, traits: [] }

/** Id of the spans of activity, kept while a trait of the session is in force. */
export const sessionId = '5e5510000000000a'

/** Returns the rules of a trait's states. A ratio has none of its own. */
export function kindOf(shape: ComputedShape): TraitKind {
  const { kind, windowMs, listCount = 1, unitMs } = shape
  const isWindowed = windowMs !== undefined
  switch (kind) {
    case 'count':
    case 'sum':
    case 'average':
      return isWindowed ? createWindowTally(kind) : createTally(kind)
    case 'min':
    case 'max':
      return isWindowed ? retained(createExtreme(kind)) : createExtreme(kind)
    case 'first':
      return isWindowed ? retained(createChosen(kind, 1)) : createChosen(kind, 1)
    case 'last':
    case 'list': {
      const chosen = createChosen(kind, listCount)
      return isWindowed ? createRetained(chosen, { newestCount: listCount }) : chosen
    }
    case 'mostFrequent':
      return isWindowed ? retained(createFrequent()) : createFrequent()
    case 'uniqueCount':
      return isWindowed ? retained(createUnique()) : createUnique()
    case 'recency':
      assert(unitMs !== undefined, 'a recency has a unit')
      return createRecency(unitMs)
    case 'ratio':
      throw new Error('broken belief: a ratio keeps no state')
    default:
      return unreachable(kind)
  }
}

function retained(kind: TraitKind): TraitKind {
  return createRetained(kind, { newestCount: Infinity })
}

export const sessionKind: TraitKind = createSessionKind()
/** How far back spans of activity are kept. */
export const sessionWindowMs = sessionMsMax

/** What partitions have, by its bytes: it is read for each person, and hardly ever another. */
const decoded = new Map<string, ComputedInForce>()
const decodedCountMax = 1024

/**
 * Reads what a partition has; nothing where the key is absent. The same bytes give the same object,
 * so that what is made of a trait is made once: nobody may change it.
 */
export function decodeInForce(bytes: Uint8Array | undefined): ComputedInForce {
  if (bytes === undefined) return nothingComputed
  const stored = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const key = stored.toString('latin1')
  const known = decoded.get(key)
  if (known !== undefined) return known
  const made = JSON.parse(stored.toString()) as ComputedInForce
  if (decoded.size >= decodedCountMax) decoded.delete(decoded.keys().next().value ?? '')
  decoded.set(key, made)
  return made
}
