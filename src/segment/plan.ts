/**
 * Which segments to evaluate after which change, so that a record costs only the rules that name
 * what it changed. A dotted trait path is found by the whole trait's name too: a change of
 * `address` touches `address.city`.
 *
 * `evaluateSegments` goes through the touched segments in topological order with the memberships as
 * they stand at that moment, and takes along those that name a segment whose membership turned.
 * Its cost grows with those it evaluates, not with all.
 */

import type { RuleAnswer } from './evaluate.ts'
import { evaluateRule } from './evaluate.ts'
import type { Facts } from './facts.ts'
import { partsOfRule, type Rule } from './rule.ts'
import type { Segment } from './segment.ts'
import { namesOf } from './segment.ts'

export interface Change {
  /** Names of events applied. */
  readonly events?: Iterable<string>
  /** Names of traits and computed traits that have a new value. */
  readonly traits?: Iterable<string>
  /** Segments whose membership changed by other means. */
  readonly segments?: Iterable<string>
  /** Topics left or taken up again; `*` for all. */
  readonly consents?: Iterable<string>
  /** Segments to evaluate in any case: their `changesAtMs` has come, or they are new. */
  readonly due?: Iterable<string>
}

export interface EvaluationPlan {
  /** In topological order. */
  readonly segments: readonly Segment[]
  /** Names of the lists that rules name. */
  readonly lists: ReadonlySet<string>
  /** The longest window in which a rule counts events; 0 where none does. */
  readonly windowMsMax: number
  /** Properties that rules name of events of this name; those are kept with the activity. */
  propertiesOf(event: string): readonly string[]
  /** All segments that the change can touch, also through other segments, in topological order. */
  affected(change: Change): readonly Segment[]
  /** Places in `segments` that the change touches at first hand, ascending. */
  touched(change: Change): readonly number[]
  /** Places in `segments` of those that name the segment. */
  dependents(segmentName: string): readonly number[]
  /** Names of those that name the list. */
  namingList(list: string): readonly string[]
}

export interface SegmentAnswer extends RuleAnswer {
  readonly name: string
  readonly wasMember: boolean
}

/**
 * Indexes segments, given in the topological order of `parseSegments`, by what their rules name.
 */
export function planEvaluation(segments: readonly Segment[]): EvaluationPlan {
  const byEvent = new Map<string, number[]>()
  const ofAnyEvent: number[] = []
  const byTrait = new Map<string, number[]>()
  const bySegment = new Map<string, number[]>()
  const byConsent = new Map<string, number[]>()
  const byList = new Map<string, number[]>()
  const placeByName = new Map<string, number>()
  const properties = new Map<string, Set<string>>()
  for (const [place, segment] of segments.entries()) {
    placeByName.set(segment.name, place)
    const names = namesOf(segment.rule)
    for (const name of names.events) enter(byEvent, name, place)
    if (names.isOfAnyEvent) ofAnyEvent.push(place)
    for (const name of names.segments) enter(bySegment, name, place)
    for (const name of names.consents) enter(byConsent, name, place)
    // Who leaves all mail leaves each topic.
    if (names.consents.length > 0) enter(byConsent, '*', place)
    for (const name of names.lists) enter(byList, name, place)
    for (const name of names.traits) {
      for (const prefix of prefixesOf(name)) enter(byTrait, prefix, place)
    }
    for (const [event, some] of names.properties) {
      properties.set(event, new Set([...(properties.get(event) ?? []), ...some]))
    }
  }
  const propertyLists = new Map([...properties].map(([event, names]) => [event, [...names]]))
  const join = createJoin()
  const dependents = (name: string): readonly number[] => bySegment.get(name) ?? none
  const touched = (change: Change): readonly number[] => {
    let joined = none
    const meet = (places: readonly number[] | undefined): void => {
      if (places === undefined || places.length === 0) return
      joined = joined.length === 0 ? places : join(joined, places)
    }
    for (const name of change.events ?? noNames) {
      meet(byEvent.get(name))
      meet(ofAnyEvent)
    }
    for (const name of change.traits ?? noNames) meet(byTrait.get(name))
    for (const name of change.segments ?? noNames) meet(bySegment.get(name))
    for (const name of change.consents ?? noNames) meet(byConsent.get(name))
    if (change.due === undefined) return joined
    const places = [...joined]
    for (const name of change.due) {
      const place = placeByName.get(name)
      if (place !== undefined) insert(places, place, 0)
    }
    return places
  }
  const affected = (change: Change): readonly Segment[] => {
    const places = new Set(touched(change))
    return segments.filter((segment, place) => {
      if (!places.has(place)) return false
      addAll(places, dependents(segment.name))
      return true
    })
  }
  return {
    segments,
    lists: new Set(byList.keys()),
    windowMsMax: Math.max(0, ...segments.map(({ rule }) => longestWindow(rule))),
    propertiesOf: (event) => propertyLists.get(event) ?? noNames,
    affected,
    touched,
    dependents,
    namingList: (list) => (byList.get(list) ?? none).map((place) => segments[place]?.name ?? ''),
  }
}

/** What two lists come to, kept per plan. */
const joinCountMax = 1_000
const none: readonly number[] = []
const noNames: readonly string[] = []

/**
 * Evaluates what a change touches. Returns an answer for each segment evaluated, in topological
 * order, and keeps the memberships of `facts` up with them.
 */
export function evaluateSegments(
  plan: EvaluationPlan,
  change: Change,
  person: { readonly facts: Facts; readonly nowMs: number },
): readonly SegmentAnswer[] {
  const { facts, nowMs } = person
  facts.timesAfterMs = nowMs - plan.windowMsMax
  const touched = plan.touched(change)
  let places: number[] | undefined
  const answers: SegmentAnswer[] = []
  for (let at = 0; at < (places ?? touched).length; at++) {
    const segment = plan.segments[(places ?? touched)[at] ?? -1]
    if (segment === undefined) continue
    const { name, rule } = segment
    const wasMember = facts.memberships.has(name)
    const { isMember, changesAtMs } = evaluateRule(rule, facts, nowMs)
    answers.push(
      changesAtMs === undefined
        ? { name, wasMember, isMember }
        : { name, wasMember, isMember, changesAtMs },
    )
    if (isMember === wasMember) continue
    if (isMember) facts.memberships.add(name)
    else facts.memberships.delete(name)
    // A dependent lies behind what it names, so a place added on the way is still ahead.
    for (const place of plan.dependents(name)) {
      places ??= [...touched]
      insert(places, place, at + 1)
    }
  }
  return answers
}

function longestWindow(rule: Rule): number {
  let windowMsMax = 0
  for (const part of partsOfRule(rule)) {
    if (part.kind === 'event') windowMsMax = Math.max(windowMsMax, part.windowMs ?? 0)
  }
  return windowMsMax
}

/**
 * Returns what joins two lists of places, each place once. Events of one name touch the same lists
 * again and again, so what two of them come to is kept.
 */
function createJoin(): (left: readonly number[], right: readonly number[]) => readonly number[] {
  const known = new Map<readonly number[], Map<readonly number[], readonly number[]>>()
  let knownCount = 0
  return (left, right) => {
    const joined = known.get(left)?.get(right)
    if (joined !== undefined) return joined
    if (knownCount === joinCountMax) {
      known.clear()
      knownCount = 0
    }
    const made = [...left]
    for (const place of right) insert(made, place, 0)
    const ofLeft = known.get(left) ?? new Map<readonly number[], readonly number[]>()
    known.set(left, ofLeft.set(right, made))
    knownCount++
    return made
  }
}

/** Puts a place among those ahead, where it is not yet. */
function insert(places: number[], place: number, from: number): void {
  let low = from
  let high = places.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((places[middle] ?? Infinity) < place) low = middle + 1
    else high = middle
  }
  if (places[low] !== place) places.splice(low, 0, place)
}

function enter(index: Map<string, number[]>, name: string, place: number): void {
  const places = index.get(name)
  if (places === undefined) index.set(name, [place])
  else if (places.at(-1) !== place) places.push(place)
}

function addAll(target: Set<number>, places: readonly number[] | undefined): void {
  for (const place of places ?? none) target.add(place)
}

/** Yields `a`, `a.b` and `a.b.c` for `a.b.c`. */
function* prefixesOf(path: string): Generator<string> {
  for (let dot = path.indexOf('.'); dot >= 0; dot = path.indexOf('.', dot + 1)) {
    yield path.slice(0, dot)
  }
  yield path
}
