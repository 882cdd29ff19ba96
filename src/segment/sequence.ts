/**
 * Whether a person did things in an order, and when time alone changes that.
 *
 * A match is one event for each step that must happen, each later in the order of `facts.ts` than
 * the one before, all with the same value of `same`. `within: 2h` of a step means earlier than 2 h
 * after the step before. A step that must not happen bars the events between its neighbours, within
 * its time; behind the last event it bars those that come until then, and with `within` it holds
 * only once that time is over.
 *
 * So each match holds for one span of time, known from the events alone: from its last event (or
 * the end of a wait) to the first barred event, or to the instant when its first event leaves the
 * window. The condition holds in the union of all spans, which gives the exact next turn.
 *
 * For one last event only the latest possible first event matters, so the search goes from step to
 * step and keeps that alone: its cost is bounded by steps x retained events squared.
 */

import type { Activity } from '../profile/person-view.ts'
import type { Verdict } from './condition.ts'
import { type Facts, type Happening, isMeant } from './facts.ts'
import type { SequenceRule, SequenceStep } from './rule.ts'

/** When a match holds: from `fromMs`, before `toMs`. */
interface Span {
  readonly fromMs: number
  readonly toMs: number
  readonly reached: Reached
}

/** An event as the last of so many steps, by way of the latest first event. */
interface Reached {
  readonly event: Happening
  readonly firstMs: number
  readonly before: Reached | undefined
}

/** A step that must happen, with those behind it that must not. */
interface Leg {
  readonly step: SequenceStep
  readonly barred: readonly SequenceStep[]
}

export interface SequenceVerdict extends Verdict {
  /** Times of the events of a match; empty where there is none. */
  readonly match: readonly number[]
}

export function judgeSequence(rule: SequenceRule, facts: Facts, nowMs: number): SequenceVerdict {
  const legs = legsOf(rule.steps)
  const spans: Span[] = []
  for (const eventsOf of groupsOf(rule, facts)) {
    for (const reached of search(legs, eventsOf)) {
      const span = spanOf(rule, legs, eventsOf, reached)
      if (span.toMs > span.fromMs && span.toMs > nowMs) spans.push(span)
    }
  }
  const current = spans.filter(({ fromMs }) => fromMs <= nowMs)
  const later = spans
    .filter(({ fromMs }) => fromMs > nowMs)
    .sort((left, right) => left.fromMs - right.fromMs)
  const holding = current.reduce<Span | undefined>(
    (longest, span) => (longest === undefined || span.toMs > longest.toMs ? span : longest),
    undefined,
  )
  if (holding === undefined) {
    return { isTrue: false, untilMs: later[0]?.fromMs ?? Infinity, match: [] }
  }
  let untilMs = holding.toMs
  for (const { fromMs, toMs } of later) {
    if (fromMs > untilMs) break
    untilMs = Math.max(untilMs, toMs)
  }
  return { isTrue: true, untilMs, match: timesOf(holding.reached) }
}

function legsOf(steps: readonly SequenceStep[]): readonly Leg[] {
  const legs: { readonly step: SequenceStep; readonly barred: SequenceStep[] }[] = []
  for (const step of steps) {
    if (step.isAbsent) legs.at(-1)?.barred.push(step)
    else legs.push({ step, barred: [] })
  }
  return legs
}

type EventsOf = (step: SequenceStep) => readonly Happening[]

const noEvents: readonly Happening[] = []

/** Yields the matching events of each step: once, or for each value of `same`. */
function* groupsOf(rule: SequenceRule, facts: Facts): Generator<EventsOf> {
  const { same } = rule
  const isHopeless = rule.steps.some(
    (step) => !step.isAbsent && facts.happenings(step.event).length === 0,
  )
  if (isHopeless) return
  if (same === undefined) {
    const events = new Map(
      rule.steps.map((step) => [
        step,
        facts.happenings(step.event).filter(({ lines }) => isMeant(step, lines)),
      ]),
    )
    yield (step) => events.get(step) ?? noEvents
    return
  }
  const byStep = new Map(rule.steps.map((step) => [step, splitEvents(step, facts, same)]))
  const first = rule.steps[0]
  const values = first === undefined ? undefined : byStep.get(first)
  for (const value of values?.keys() ?? []) {
    yield (step) => byStep.get(step)?.get(value) ?? noEvents
  }
}

function splitEvents(
  step: SequenceStep,
  facts: Facts,
  same: string,
): ReadonlyMap<string, readonly Happening[]> {
  const byValue = new Map<string, Happening[]>()
  const add = (value: string | undefined, happening: Happening): void => {
    if (value === undefined || !isMeant(step, happening.lines)) return
    const list = byValue.get(value)
    if (list === undefined) byValue.set(value, [happening])
    else list.push(happening)
  }
  for (const happening of facts.happenings(step.event)) {
    const [first] = happening.lines
    // Most events have one line: nothing to group, nothing to copy.
    if (first !== undefined && happening.lines.length === 1) add(valueIn(first, same), happening)
    else {
      const groups = Map.groupBy(happening.lines, (line) => valueIn(line, same))
      for (const [value, lines] of groups) add(value, { ...happening, lines })
    }
  }
  return byValue
}

/** Returns a value of `same` as text that tells its type; undefined where there is none. */
function valueIn(line: Activity, same: string): string | undefined {
  const { itemId, properties = {} } = line
  const own = Object.hasOwn(properties, same) ? properties[same] : undefined
  const value = same === 'item' ? itemId : own
  if (value === undefined || value === null || typeof value === 'object') return undefined
  return typeof value === 'string' ? `"${value}` : String(value)
}

/** Returns the events that can be the last of a match, each by way of its latest first event. */
function search(legs: readonly Leg[], eventsOf: EventsOf): readonly Reached[] {
  let reached: readonly Reached[] = []
  for (const [index, leg] of legs.entries()) {
    const events = eventsOf(leg.step)
    if (index === 0) {
      reached = events.map((event) => ({ event, firstMs: event.atMs, before: undefined }))
      continue
    }
    const barred = legs[index - 1]?.barred ?? []
    const withinMs = leg.step.withinMs ?? Infinity
    const next: Reached[] = []
    for (const event of events) {
      let best: Reached | undefined
      for (const each of reached) {
        if (each.event.order >= event.order) break
        if (event.atMs >= each.event.atMs + withinMs) continue
        if (best !== undefined && best.firstMs >= each.firstMs) continue
        if (barred.some((step) => isBetween(step, eventsOf(step), each.event, event))) continue
        best = each
      }
      if (best !== undefined) next.push({ event, firstMs: best.firstMs, before: best })
    }
    reached = next
  }
  return reached
}

function isBetween(
  { withinMs = Infinity }: SequenceStep,
  events: readonly Happening[],
  from: Happening,
  to: Happening,
): boolean {
  return events.some(
    ({ order, atMs }) => order > from.order && order < to.order && atMs < from.atMs + withinMs,
  )
}

function spanOf(
  { windowMs = Infinity }: SequenceRule,
  legs: readonly Leg[],
  eventsOf: EventsOf,
  reached: Reached,
): Span {
  const { event: last, firstMs } = reached
  let fromMs = last.atMs
  let toMs = firstMs + windowMs
  for (const step of legs.at(-1)?.barred ?? []) {
    const next = eventsOf(step).find(({ order }) => order > last.order)
    if (step.withinMs === undefined) toMs = Math.min(toMs, next?.atMs ?? Infinity)
    else if (next !== undefined && next.atMs < last.atMs + step.withinMs) toMs = -Infinity
    else fromMs = Math.max(fromMs, last.atMs + step.withinMs)
  }
  return { fromMs, toMs, reached }
}

function timesOf(reached: Reached): readonly number[] {
  const times: number[] = []
  for (let each: Reached | undefined = reached; each !== undefined; each = each.before)
    times.unshift(each.event.atMs)
  return times
}
