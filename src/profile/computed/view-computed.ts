/**
 * The values of computed traits of one person, at any instant, over all parts. Pure, and lazy:
 * nothing is decoded of a trait that nobody asks for.
 */

import type { Json } from '../../lib/json.ts'
import { type FoundState, findStates, type IdNumbers, idNumbers } from './computed-pack.ts'
import {
  type ComputedInForce,
  kindOf,
  sessionId,
  sessionKind,
  type TraitInForce,
} from './computed-trait.ts'
import type { KindAnswer, OpenState, TraitKind } from './kind.ts'

/** A value that may change by time alone. */
export interface TimedValue {
  /** Undefined where there is nothing to say it of, and while the trait is being filled. */
  at(nowMs: number): Json | undefined
  /** Returns when the value could change next if nothing happens; Infinity where never. */
  nextChangeAt(nowMs: number): number
  /** Of a value that grows with time: it is `value` from this instant on. */
  readonly reachesAt?: ((value: number) => number) | undefined
  /** Set where the value can only fall by time alone, from this instant on. */
  readonly fallsFromMs?: number | undefined
}

/** What is shown of one computed trait. */
export interface ComputedAnswer extends KindAnswer {
  readonly trait: TraitInForce
}

export interface ComputedView {
  readonly inForce: ComputedInForce
  /** Returns a trait's value over time; undefined where no computed trait has this name. */
  timed(name: string): TimedValue | undefined
  answersAt(nowMs: number): readonly ComputedAnswer[]
  /** Tells whether the past of a trait, or of a term of a ratio, is still being filled. */
  isPending(name: string): boolean
  /** Returns when any of the values could change next; Infinity where none can. */
  nextChangeAt(nowMs: number): number
}

/** What a part of a profile has for it. */
export interface ComputedPart {
  readonly computed?: Uint8Array
}

interface Reading {
  readonly trait: TraitInForce
  answerAt(nowMs: number): KindAnswer
  nextChangeAt(nowMs: number): number
  readonly growsFromMs?: number | undefined
  readonly fallsFromMs?: number | undefined
  readonly isPending?: boolean
  /** Made when a rule first asks. */
  timed?: TimedValue
}

/** Returns the view of a person whose parts are `parts`. */
export function viewComputed(
  parts: readonly ComputedPart[],
  inForce: ComputedInForce,
): ComputedView {
  const byName = traitsByName(inForce)
  const readings = new Map<string, Reading>()
  const statesOf = (id: IdNumbers, sinceVersion?: number): readonly FoundState[] => {
    const found: FoundState[] = []
    for (const { computed } of parts) {
      if (computed !== undefined) findStates(computed, id, sinceVersion, found)
    }
    return found
  }
  const session = lazily(
    (): OpenState => sessionKind.open(statesOf(sessionNumbers).map(({ state }) => state)),
  )
  const readingOf = (name: string): Reading | undefined => {
    const trait = byName.get(name)
    if (trait === undefined) return undefined
    const known = readings.get(name)
    if (known !== undefined) return known
    const reading =
      trait.kind === 'ratio' ? readRatio(trait, readingOf) : readStates(trait, statesOf, session)
    readings.set(name, reading)
    return reading
  }
  const all = (): readonly Reading[] => inForce.traits.flatMap(({ name }) => readingOf(name) ?? [])
  return {
    inForce,
    timed: (name) => {
      const reading = readingOf(name)
      if (reading !== undefined) reading.timed ??= timedOf(reading)
      return reading?.timed
    },
    isPending: (name) => readingOf(name)?.isPending === true,
    answersAt: (nowMs) =>
      all().map((reading) => ({ trait: reading.trait, ...reading.answerAt(nowMs) })),
    nextChangeAt: (nowMs) =>
      Math.min(
        ...all().flatMap((reading) => [reading.nextChangeAt(nowMs), exactAt(reading, nowMs)]),
      ),
  }
}

/** Made once for all people whom a partition looks at under the same traits. */
const namesOf = new WeakMap<ComputedInForce, ReadonlyMap<string, TraitInForce>>()

function traitsByName(inForce: ComputedInForce): ReadonlyMap<string, TraitInForce> {
  const known = namesOf.get(inForce)
  if (known !== undefined) return known
  const made = new Map(inForce.traits.map((trait) => [trait.name, trait]))
  namesOf.set(inForce, made)
  return made
}

interface Reader extends IdNumbers {
  readonly kind: TraitKind
}

/** Made once for a trait, not for each person who is read. */
const readers = new WeakMap<TraitInForce, Reader>()
const sessionNumbers = idNumbers(sessionId)

function readerOf(trait: TraitInForce): Reader {
  const known = readers.get(trait)
  if (known !== undefined) return known
  const made = { kind: kindOf(trait), ...idNumbers(trait.id) }
  readers.set(trait, made)
  return made
}

const pending: KindAnswer = { value: undefined, isExact: false }

function readStates(
  trait: TraitInForce,
  statesOf: (id: IdNumbers, sinceVersion: number) => readonly FoundState[],
  session: () => OpenState,
): Reading {
  if (trait.readyAtMs === undefined) return pendingReading(trait)
  const reader = readerOf(trait)
  const states = statesOf(reader, trait.sinceVersion)
  const open = reader.kind.open(states.map(({ state }) => state))
  const isUncut = states.every(({ isCut }) => !isCut)
  const { windowMs, isSession, fromMs = -Infinity } = trait
  // Over all time what a trimmed log lacked is missing for good; a window moves on from it.
  const isWhole = isUncut && (windowMs !== undefined || fromMs === -Infinity)
  if (windowMs === undefined) {
    return {
      trait,
      answerAt: (nowMs) => withLoss(open.answerAt(nowMs, -Infinity), isWhole),
      nextChangeAt: (nowMs) => open.nextChangeAt(nowMs, Infinity),
      growsFromMs: open.growsFromMs,
    }
  }
  if (isSession !== true) {
    return {
      trait,
      answerAt: (nowMs) => {
        const edgeMs = nowMs - windowMs
        return withLoss(open.answerAt(nowMs, edgeMs), isWhole && edgeMs >= fromMs)
      },
      nextChangeAt: (nowMs) => open.nextChangeAt(nowMs, windowMs),
      fallsFromMs: open.fallsFromMs,
    }
  }
  return {
    trait,
    answerAt: (nowMs) => {
      const { value } = session().answerAt(nowMs, -Infinity)
      // Outside a session nothing counts: no sample lies after now.
      const beginMs = Array.isArray(value) ? (value[0] as number) - 1 : nowMs
      const edgeMs = nowMs - windowMs
      const answer = open.answerAt(nowMs, Math.max(beginMs, edgeMs))
      return withLoss(answer, isWhole && edgeMs >= fromMs)
    },
    nextChangeAt: (nowMs) =>
      Math.min(open.nextChangeAt(nowMs, windowMs), session().nextChangeAt(nowMs, windowMs)),
  }
}

function pendingReading(trait: TraitInForce): Reading {
  return { trait, answerAt: () => pending, nextChangeAt: () => Infinity, isPending: true }
}

/** Returns when a window has moved on from what a trimmed log lacked; Infinity where it has. */
function exactAt({ trait }: Reading, nowMs: number): number {
  const atMs = exactFromOf(trait)
  return atMs !== undefined && atMs > nowMs ? atMs : Infinity
}

/**
 * Returns from when on a trait's values are what they would be with the whole log: Infinity for
 * never, undefined where they always are.
 */
export function exactFromOf({ fromMs, windowMs = Infinity }: TraitInForce): number | undefined {
  return fromMs === undefined ? undefined : fromMs + windowMs
}

function withLoss(answer: KindAnswer, isWhole: boolean): KindAnswer {
  return isWhole ? answer : { ...answer, isExact: false }
}

/** A ratio is pending while one of its terms is; where it divides by 0 the definition says what. */
function readRatio(trait: TraitInForce, readingOf: (name: string) => Reading | undefined): Reading {
  const over = readingOf(trait.over ?? '')
  const by = readingOf(trait.by ?? '')
  const terms = [over, by].flatMap((term) => term ?? [])
  const isPending = terms.some((term) => term.isPending === true)
  if (over === undefined || by === undefined || isPending) return pendingReading(trait)
  return {
    trait,
    answerAt: (nowMs) => {
      const top = over.answerAt(nowMs)
      const bottom = by.answerAt(nowMs)
      const isExact = top.isExact && bottom.isExact
      const value = divide(top.value, bottom.value, trait.whenZero ?? null)
      return { value: value ?? undefined, isExact }
    },
    nextChangeAt: (nowMs) => Math.min(over.nextChangeAt(nowMs), by.nextChangeAt(nowMs)),
  }
}

function divide(
  over: Json | undefined,
  by: Json | undefined,
  whenZero: number | null,
): number | null {
  if (typeof over !== 'number' || typeof by !== 'number' || by === 0) return whenZero
  return over / by
}

function timedOf({ trait, answerAt, nextChangeAt, growsFromMs, fallsFromMs }: Reading): TimedValue {
  const { unitMs } = trait
  // Rules that are evaluated together ask for one instant.
  let lastMs: number | undefined
  let last: Json | undefined
  return {
    at: (nowMs) => {
      if (nowMs !== lastMs) last = answerAt(nowMs).value
      lastMs = nowMs
      return last
    },
    nextChangeAt,
    fallsFromMs,
    reachesAt:
      growsFromMs === undefined || unitMs === undefined
        ? undefined
        : (value) => growsFromMs + Math.ceil(value) * unitMs,
  }
}

function lazily<Value>(make: () => Value): () => Value {
  let made: Value | undefined
  return () => {
    made ??= make()
    return made
  }
}
