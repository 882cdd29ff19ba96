/**
 * Which segments to evaluate after which change, so that a record costs only the rules that name
 * what it changed. A dotted trait path is found by the whole trait's name too: a change of
 * `address` touches `address.city`.
 *
 * `evaluateSegments` goes through the affected segments in topological order with the memberships
 * as they stand at that moment, and takes along those that name a segment whose membership turned.
 */

import type { PersonView } from '../profile/person-view.ts'
import type { RuleAnswer } from './evaluate.ts'
import { evaluateRule } from './evaluate.ts'
import type { Segment } from './segment.ts'
import { namesOf } from './segment.ts'

export interface Change {
  /** Names of events applied. */
  readonly events?: Iterable<string>
  /** Names of traits and computed traits that have a new value. */
  readonly traits?: Iterable<string>
  /** Segments whose membership changed by other means. */
  readonly segments?: Iterable<string>
  /** Segments to evaluate in any case: their `changesAtMs` has come, or they are new. */
  readonly due?: Iterable<string>
}

export interface EvaluationPlan {
  /** In topological order. */
  readonly segments: readonly Segment[]
  /** All segments that the change can touch, also through other segments, in topological order. */
  affected(change: Change): readonly Segment[]
  /** Places in `segments` that the change touches at first hand. */
  touched(change: Change): ReadonlySet<number>
  /** Places in `segments` of those that name the segment. */
  dependents(segmentName: string): readonly number[]
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
  const byTrait = new Map<string, number[]>()
  const bySegment = new Map<string, number[]>()
  const placeByName = new Map<string, number>()
  for (const [place, segment] of segments.entries()) {
    placeByName.set(segment.name, place)
    const names = namesOf(segment.rule)
    for (const name of names.events) enter(byEvent, name, place)
    for (const name of names.segments) enter(bySegment, name, place)
    for (const name of names.traits) {
      for (const prefix of prefixesOf(name)) enter(byTrait, prefix, place)
    }
  }
  const dependents = (name: string): readonly number[] => bySegment.get(name) ?? []
  const touched = (change: Change): ReadonlySet<number> => {
    const places = new Set<number>()
    for (const name of change.events ?? []) addAll(places, byEvent.get(name))
    for (const name of change.traits ?? []) addAll(places, byTrait.get(name))
    for (const name of change.segments ?? []) addAll(places, bySegment.get(name))
    for (const name of change.due ?? []) {
      const place = placeByName.get(name)
      if (place !== undefined) places.add(place)
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
  return { segments, affected, touched, dependents }
}

/**
 * Evaluates what a change touches. Returns an answer for each segment evaluated, in topological
 * order.
 */
export function evaluateSegments(
  plan: EvaluationPlan,
  change: Change,
  person: { readonly view: PersonView; readonly nowMs: number },
): readonly SegmentAnswer[] {
  const places = new Set(plan.touched(change))
  const answers: SegmentAnswer[] = []
  let view = person.view
  // A dependent lies behind what it names, so a place added on the way is still ahead.
  for (let place = 0; places.size > answers.length && place < plan.segments.length; place++) {
    const segment = plan.segments[place]
    if (segment === undefined || !places.has(place)) continue
    const { name, rule } = segment
    const wasMember = view.memberships.includes(name)
    const answer = evaluateRule(rule, view, person.nowMs)
    answers.push({ name, wasMember, ...answer })
    if (answer.isMember === wasMember) continue
    const others = view.memberships.filter((membership) => membership !== name)
    view = { ...view, memberships: answer.isMember ? [...others, name] : others }
    addAll(places, plan.dependents(name))
  }
  return answers
}

function enter(index: Map<string, number[]>, name: string, place: number): void {
  const places = index.get(name)
  if (places === undefined) index.set(name, [place])
  else if (places.at(-1) !== place) places.push(place)
}

function addAll(target: Set<number>, places: readonly number[] | undefined): void {
  for (const place of places ?? []) target.add(place)
}

/** Yields `a`, `a.b` and `a.b.c` for `a.b.c`. */
function* prefixesOf(path: string): Generator<string> {
  for (let dot = path.indexOf('.'); dot >= 0; dot = path.indexOf('.', dot + 1)) {
    yield path.slice(0, dot)
  }
  yield path
}
