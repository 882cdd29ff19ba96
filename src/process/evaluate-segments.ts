/**
 * The stage that keeps memberships exact.
 *
 * Only rules that name what changed are evaluated. Each answer comes with the next instant at which
 * time alone could change it; that becomes a timer, so nobody is ever scanned.
 *
 * Segments that are pending (see `pending.ts`) are kept up too, but their entries and exits
 * are no crossings: rules that are new must not look like people who did something. Those that see
 * a computed trait whose past is not in yet are left out altogether: see `computed-stage.ts`.
 */

import type { Person, PersonTraits } from '../profile/person.ts'
import { viewPerson } from '../profile/view-person.ts'
import { Facts } from '../segment/facts.ts'
import { type Change, evaluateSegments, type SegmentAnswer } from '../segment/plan.ts'
import { timerKey } from './partition-view.ts'
import { isStale, pendingOf } from './pending.ts'
import type { FoldScope } from './scope.ts'

/** An entry to a segment, or an exit. */
export interface Crossing {
  readonly segment: string
  readonly isEntry: boolean
}

const none: readonly Crossing[] = []

/**
 * Updates memberships and their timers in place; returns the crossings that may be told. A person
 * whom new rules have not reached yet is brought up to them.
 */
export function updateMemberships(
  scope: FoldScope,
  person: Person,
  traits: PersonTraits,
  change: Change,
): readonly Crossing[] {
  const { evaluation } = scope.computed.plan
  if (isStale(scope, person.key)) {
    dropUnknown(scope, person)
    return evaluate(scope, person, traits, {
      ...change,
      due: [...(change.due ?? []), ...pendingOf(scope)],
    })
  }
  if (evaluation.touched(change).length === 0) return none
  return evaluate(scope, person, traits, change)
}

/** Brings all memberships up to the rules in force: of who is new, or another than before. */
export function updateAllMemberships(
  scope: FoldScope,
  person: Person,
  traits: PersonTraits,
): readonly Crossing[] {
  dropUnknown(scope, person)
  const due = scope.computed.plan.evaluation.segments.map(({ name }) => name)
  return evaluate(scope, person, traits, { due })
}

/** How far a person was brought up to rules. */
export interface Brought {
  readonly membershipCount: number
  readonly timerCount: number
}

/** Brings the pending memberships up to the rules in force. Answers how many it changed. */
export function updatePending(scope: FoldScope, person: Person, traits: PersonTraits): Brought {
  let { membershipCount, timerCount } = dropUnknown(scope, person)
  const { evaluation } = scope.computed.plan
  const due = pendingOf(scope)
  const facts = factsOf(scope, person, traits)
  for (const answer of evaluateSegments(evaluation, { due }, { facts, nowMs: scope.nowMs })) {
    if (answer.isMember !== answer.wasMember) membershipCount++
    if (applyAnswer(scope, person, answer)) timerCount++
  }
  return { membershipCount, timerCount }
}

/** Returns what rules see of the person, as far as the fold knows. */
export function factsOf(scope: FoldScope, person: Person, traits: PersonTraits): Facts {
  const view = viewPerson(person, traits, scope.computed.inForce)
  const isListed = (name: string): boolean => {
    const list = scope.lists.get(name)
    return list !== undefined && view.identities.some((key) => list.has(key))
  }
  return new Facts(view, isListed)
}

function evaluate(
  scope: FoldScope,
  person: Person,
  traits: PersonTraits,
  change: Change,
): readonly Crossing[] {
  const facts = factsOf(scope, person, traits)
  const { evaluation } = scope.computed.plan
  const answers = evaluateSegments(evaluation, change, { facts, nowMs: scope.nowMs })
  const pending = pendingOf(scope)
  const crossings: Crossing[] = []
  for (const answer of answers) {
    applyAnswer(scope, person, answer)
    const { name, isMember, wasMember } = answer
    if (isMember === wasMember || pending.includes(name)) continue
    crossings.push({ segment: name, isEntry: isMember })
  }
  return crossings
}

function dropUnknown(scope: FoldScope, person: Person): Brought {
  const { hasSegment } = scope.definitions
  const memberships = Object.keys(person.memberships).filter((name) => !hasSegment(name))
  const timers = Object.keys(person.segmentTimers).filter((name) => !hasSegment(name))
  for (const name of memberships) setMembership(scope, person, name, false)
  for (const name of timers) setTimer(scope, person, name, undefined)
  return { membershipCount: memberships.length, timerCount: timers.length }
}

/** Answers whether a timer changed. */
function applyAnswer(scope: FoldScope, person: Person, answer: SegmentAnswer): boolean {
  const { name, isMember, wasMember, changesAtMs } = answer
  if (isMember !== wasMember) setMembership(scope, person, name, isMember)
  return setTimer(scope, person, name, changesAtMs)
}

/** Ends all memberships and their timers: the person's events go elsewhere from now on. */
export function dropMemberships(scope: FoldScope, person: Person): void {
  for (const name of Object.keys(person.memberships)) setMembership(scope, person, name, false)
  for (const name of Object.keys(person.segmentTimers)) setTimer(scope, person, name, undefined)
  delete person.crossings
}

/** The membership turns; each partition counts its members exactly. */
function setMembership(scope: FoldScope, person: Person, name: string, isMember: boolean): void {
  if (isMember) person.memberships[name] = scope.nowMs
  else delete person.memberships[name]
  const members = scope.meta.members ?? {}
  const count = (Object.hasOwn(members, name) ? (members[name] ?? 0) : 0) + (isMember ? 1 : -1)
  if (count > 0) members[name] = count
  else delete members[name]
  scope.meta.members = members
}

/** Answers whether it is another than before. */
function setTimer(
  scope: FoldScope,
  person: Person,
  name: string,
  dueMs: number | undefined,
): boolean {
  const before = Object.hasOwn(person.segmentTimers, name) ? person.segmentTimers[name] : undefined
  // A change that is due already is seen in the next ms, never in this one: no endless cascade.
  const due = dueMs === undefined ? undefined : Math.max(Math.ceil(dueMs), scope.nowMs + 1)
  // A timer that is early finds nothing changed and is set again: far fewer writes than moving it
  // with each event, since most events move it to a later time.
  if (before === due || (before !== undefined && due !== undefined && before < due)) return false
  const what = `segment:${name}`
  if (before !== undefined) scope.view.removeTimer(timerKey(before, person.key, what))
  if (due === undefined) delete person.segmentTimers[name]
  else {
    person.segmentTimers[name] = due
    scope.view.addTimer(timerKey(due, person.key, what))
  }
  return true
}
