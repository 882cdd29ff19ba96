/**
 * The stage that keeps computed traits: what one event adds to the states of one part.
 *
 * Which traits count, since which version of the definitions and whether their past is in is part
 * of the state (`part/computed`), so a replay counts the same. A state of a trait that is no longer
 * in force goes when its part is next written; one of a version that this partition has not
 * reached came from another partition, and stays.
 */

import { activityOf, type EventActivity } from '../event/activity.ts'
import type { Event } from '../event/event.ts'
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'
import type { PropertyNames } from '../profile/activity-values.ts'
import {
  cutComputed,
  decodeComputed,
  dropEntry,
  editComputed,
  encodeComputed,
  idNumbers,
  keepEntry,
  type PackedState,
} from '../profile/computed/computed-pack.ts'
import {
  type ComputedInForce,
  cellCountMax,
  kindOf,
  sessionId,
  sessionKind,
  sessionWindowMs,
} from '../profile/computed/computed-trait.ts'
import type { Sample, TraitKind } from '../profile/computed/kind.ts'
import { computedBytesMax, type Person, type ProfilePart } from '../profile/person.ts'
import type { ComputedTrait } from '../segment/computed-trait.ts'
import type { CompiledDefinitions } from './definitions.ts'
import { planSegments, type SegmentPlan } from './plan-segments.ts'

/** Samples that one event adds to one trait; an order has fewer lines. */
const sampleCountMax = 100
const orderSpan = 0x10000

interface Counter {
  readonly trait: ComputedTrait
  readonly kind: TraitKind
  readonly place: Place
  /** Steps of `of`. */
  readonly path: readonly string[]
  /** The place of the first counter that takes the same samples from an event. */
  readonly sampledAt: number
  /** The traits that it counts for, and the ratios of these. */
  readonly names: readonly string[]
}

/** Derived from the definitions and the state: made anew when either changes. */
export interface ComputedPlan extends SegmentPlan {
  readonly counters: readonly Counter[]
  readonly byEvent: ReadonlyMap<string, readonly Counter[]>
  /** Those that count every event. */
  readonly always: readonly Counter[]
  /** Traits that an event could change, by its name; and those that any other could. */
  readonly namesByEvent: ReadonlyMap<string, readonly string[]>
  readonly namesOfAny: readonly string[]
  /** By the first half of the id. */
  readonly byIdHigh: ReadonlyMap<number, readonly Counter[]>
  /** Names of the traits of the session; any event can change them. */
  readonly sessionNames: readonly string[]
  /** Spans of activity are kept. */
  readonly hasSession: boolean
  readonly version: number
}

/** What counts beside that: what the past is read again for. */
export interface ExtraTraits {
  readonly traits: readonly ComputedTrait[]
  /** Kept with the activity beside those that rules name. */
  readonly properties: PropertyNames
  readonly sinceVersion: number
  /**
   * Tells which segments triggered nothing behind the record at an offset. There where some of the
   * people are left out: how long the others took to be evaluated cannot be known from the rest.
   */
  pendingBehind?(offset: number): Promise<readonly string[]>
}

export function planComputed(
  definitions: CompiledDefinitions,
  inForce: ComputedInForce,
  extra?: ExtraTraits,
): ComputedPlan {
  const counters: Counter[] = []
  const ratios = inForce.traits.filter(({ kind }) => kind === 'ratio')
  const namesFor = (id: string): readonly string[] => {
    const own = inForce.traits.filter((each) => each.id === id).map(({ name }) => name)
    const over = ratios.filter((each) => own.some((name) => name === each.over || name === each.by))
    return [...own, ...over.map(({ name }) => name)]
  }
  const add = (trait: ComputedTrait, sinceVersion: number): void => {
    if (trait.kind === 'ratio' || counters.some((each) => each.trait.id === trait.id)) return
    const { id } = trait
    const place = { id, ...idNumbers(id), sinceVersion }
    const path = trait.of?.split('.') ?? []
    const kind = kindOf(trait)
    const sameAt = counters.findIndex(
      (each) => each.trait.of === trait.of && each.kind.prepare === kind.prepare,
    )
    const sampledAt = sameAt < 0 ? counters.length : sameAt
    counters.push({ trait, kind, place, path, sampledAt, names: namesFor(id) })
  }
  for (const trait of extra?.traits ?? []) add(trait, extra?.sinceVersion ?? 0)
  for (const trait of definitions.computed) {
    const known = inForce.traits.find(({ id }) => id === trait.id)
    if (known !== undefined) add(trait, known.sinceVersion)
  }
  const byEvent = new Map<string, Counter[]>()
  for (const counter of counters) {
    for (const name of counter.trait.events ?? []) {
      const listening = byEvent.get(name)
      if (listening === undefined) byEvent.set(name, [counter])
      else listening.push(counter)
    }
  }
  const ofSession = counters.filter(({ trait }) => trait.isSession === true)
  const sessionNames = [...new Set(ofSession.flatMap(({ names }) => names))]
  const always = counters.filter(({ trait }) => trait.events === undefined)
  const changedBy = (some: readonly Counter[]): readonly string[] => [
    ...new Set([...[...some, ...always].flatMap(({ names }) => names), ...sessionNames]),
  ]
  return {
    counters,
    byEvent,
    namesByEvent: new Map([...byEvent].map(([event, some]) => [event, changedBy(some)])),
    namesOfAny: changedBy([]),
    always,
    byIdHigh: Map.groupBy(counters, ({ place }) => place.idHigh),
    hasSession: ofSession.length > 0,
    sessionNames,
    version: inForce.version,
    ...planSegments(definitions, inForce),
  }
}

/** What is counted: an event, or what became of a message. */
export interface Counted {
  readonly event: Pick<Event, 'type' | 'name' | 'occurredAtMs' | 'properties'> & Partial<Event>
  /** Of the event's id: orders events of one instant. */
  readonly eventRef: number
  /** False for calls that say who a person is, and for what became of a message. */
  readonly isActivity: boolean
  /** For how long it keeps its session open; 0 where it is no visit. */
  readonly sessionIdleMs: number
  /** What it says of items and money, where that has been read already. */
  readonly lines?: readonly Pick<EventActivity, 'itemId' | 'value'>[]
}

/** Returns the traits that an event of this name could change. */
export function namesChangedBy(plan: ComputedPlan, eventName: string): readonly string[] {
  return plan.namesByEvent.get(eventName) ?? plan.namesOfAny
}

/** Adds an event to the states of `part`; returns the names of traits that may have changed. */
export function applyComputed(
  plan: ComputedPlan,
  person: Person,
  part: ProfilePart,
  counted: Counted,
  nowMs: number,
): readonly string[] {
  const { event, isActivity, sessionIdleMs } = counted
  const named = plan.byEvent.get(event.name) ?? none
  const isAlways = isActivity && plan.always.length > 0
  const listening = isAlways ? [...named, ...plan.always] : named
  const isInSession = sessionIdleMs > 0 && plan.hasSession
  if (listening.length === 0 && !isInSession) return none
  const changed: string[] = isInSession ? [...plan.sessionNames] : []
  const properties = event.properties ?? {}
  const additions: Addition[] = []
  const sampled: (readonly Sample[] | undefined)[] = []
  for (const counter of listening) {
    if (!counter.trait.matches(properties)) continue
    const samples = sampled[counter.sampledAt] ?? samplesOf(counter, counted)
    sampled[counter.sampledAt] = samples
    if (samples.length === 0) continue
    const { kind, place, trait } = counter
    additions.push({ place, kind, samples, windowMs: trait.windowMs })
    for (const name of counter.names) changed.push(name)
  }
  if (isInSession) {
    const samples = [{ atMs: event.occurredAtMs, order: 0, value: sessionIdleMs }]
    const place = { ...sessionPlace, sinceVersion: plan.version }
    additions.push({ place, kind: sessionKind, samples, windowMs: sessionWindowMs })
  }
  part.computed = editComputed(part.computed ?? emptyState, {
    changes: additions,
    changeOf: (idHigh, idLow, sinceVersion) => {
      const isSession = plan.hasSession && isOfSession(idHigh, idLow)
      for (let index = 0; index < additions.length; index++) {
        const { place } = additions[index] as Addition
        if (place.idLow !== idLow || place.idHigh !== idHigh) continue
        if (isSession || place.sinceVersion === sinceVersion) return index
      }
      return isAlive(plan, idHigh, idLow, sinceVersion) ? keepEntry : dropEntry
    },
    apply: (index, state) => {
      const { kind, samples = none, windowMs } = additions[index] ?? {}
      if (kind === undefined) return state
      const edgeMs = windowMs === undefined ? -Infinity : nowMs - windowMs
      return kind.add(state, samples, { edgeMs, cellCountMax })
    },
  })
  cutComputed(person.parts, computedBytesMax)
  return changed
}

interface Place {
  readonly id: string
  readonly idHigh: number
  readonly idLow: number
  readonly sinceVersion: number
}

interface Addition {
  readonly place: Place
  readonly kind: TraitKind
  readonly samples: readonly Sample[]
  readonly windowMs: number | undefined
}

const sessionPlace = { id: sessionId, ...idNumbers(sessionId) }

/** Merges states that were made elsewhere, of the past, into those of `part`. */
export function mergeComputed(
  plan: ComputedPlan,
  person: Person,
  part: ProfilePart,
  states: readonly PackedState[],
  nowMs: number,
): void {
  const isKept = ({ id, sinceVersion }: PackedState): boolean => {
    const { idHigh, idLow } = idNumbers(id)
    return isAlive(plan, idHigh, idLow, sinceVersion)
  }
  const entries = decodeComputed(part.computed ?? emptyState).filter(isKept)
  for (const { id, sinceVersion, isCut, state } of states) {
    const counter = plan.counters.find(({ trait }) => trait.id === id)
    const isSession = id === sessionId
    const at = entries.findIndex(
      (each) => each.id === id && (isSession || each.sinceVersion === sinceVersion),
    )
    const before = entries[at]
    const incoming = { id, sinceVersion, isCut, state }
    if (before === undefined) {
      if (isKept(incoming)) entries.push(incoming)
      continue
    }
    const kind = isSession ? sessionKind : counter?.kind
    if (kind === undefined) {
      // Of a version that is not in force here yet; a reader merges the two.
      entries.push(incoming)
      continue
    }
    const windowMs = isSession ? sessionWindowMs : counter?.trait.windowMs
    const edgeMs = windowMs === undefined ? -Infinity : nowMs - windowMs
    const merged = kind.merge(before.state, state, { edgeMs, cellCountMax })
    entries[at] = { ...before, isCut: before.isCut || isCut, state: merged }
  }
  part.computed = encodeComputed(entries)
  cutComputed(person.parts, computedBytesMax)
}

function isAlive(plan: ComputedPlan, idHigh: number, idLow: number, sinceVersion: number): boolean {
  if (sinceVersion > plan.version) return true
  if (isOfSession(idHigh, idLow)) return plan.hasSession
  return counterOf(plan, idHigh, idLow, sinceVersion) !== undefined
}

function isOfSession(idHigh: number, idLow: number): boolean {
  return idHigh === sessionPlace.idHigh && idLow === sessionPlace.idLow
}

function counterOf(
  plan: ComputedPlan,
  idHigh: number,
  idLow: number,
  sinceVersion: number,
): Counter | undefined {
  for (const counter of plan.byIdHigh.get(idHigh) ?? none) {
    const { place } = counter
    if (place.idLow === idLow && place.sinceVersion === sinceVersion) return counter
  }
  return undefined
}

function samplesOf({ trait, kind, path }: Counter, counted: Counted): readonly Sample[] {
  const { event, eventRef } = counted
  const atMs = event.occurredAtMs
  const values = trait.of === undefined ? one : valuesOf(counted, trait.of, path)
  const [first] = values
  // As it mostly is: then no list has to grow.
  if (values.length === 1 && first !== undefined) {
    const value = kind.prepare(first)
    return value === undefined ? none : [{ atMs, order: eventRef * orderSpan, value }]
  }
  const samples: Sample[] = []
  for (const value of values) {
    const kept = kind.prepare(value)
    if (kept === undefined) continue
    samples.push({ atMs, order: eventRef * orderSpan + samples.length, value: kept })
    if (samples.length === sampleCountMax) break
  }
  return samples
}

function valuesOf({ event, lines }: Counted, of: string, path: readonly string[]): readonly Json[] {
  if (of === '$event') return [event.name]
  if (of !== '$value' && of !== '$item') return valuesAt(event.properties ?? {}, path, of)
  const read = lines ?? activityOf(event as Event)
  if (of === '$item') return read.flatMap(({ itemId }) => itemId ?? [])
  const amounts = read.flatMap(({ value }) => value ?? [])
  if (amounts.length === 0) return none
  return [Math.round(amounts.reduce((sum, each) => sum + each, 0) * 100) / 100]
}

/** Returns what lies at a dotted path, `whole`; a `*` stands for each entry of a list. */
function valuesAt(value: Json, path: readonly string[], whole: string): readonly Json[] {
  const [step] = path
  if (step === undefined) return [value]
  if (step !== '*') {
    if (!isJsonObject(value)) return none
    if (Object.hasOwn(value, whole)) return [value[whole] as Json]
    if (path.length === 1 || !Object.hasOwn(value, step)) return none
  }
  const rest = path.slice(1)
  const under = whole.slice(step.length + 1)
  if (step !== '*') return valuesAt((value as JsonObject)[step] as Json, rest, under)
  if (!Array.isArray(value)) return none
  return value.flatMap((each: Json) => valuesAt(each, rest, under))
}

const one: readonly Json[] = [1]
const none: readonly never[] = []
const emptyState = new Uint8Array(0)
