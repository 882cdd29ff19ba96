/**
 * The stage that keeps memberships exact.
 *
 * Only rules that name what changed are evaluated. Each answer comes with the next instant at which
 * time alone could change it; that becomes a timer, so nobody is ever scanned.
 */

import type { Person, PersonTraits } from '../profile/person.ts'
import { viewPerson } from '../profile/view-person.ts'
import { type Change, evaluateSegments, type SegmentAnswer } from '../segment/plan.ts'
import { timerKey } from './partition-view.ts'
import type { FoldScope } from './scope.ts'

/** Updates memberships and their timers in place; returns the names of segments entered. */
export function updateMemberships(
  scope: FoldScope,
  person: Person,
  traits: PersonTraits,
  change: Change,
): readonly string[] {
  const { plan } = scope.definitions
  if (plan.touched(change).size === 0) return []
  const view = viewPerson(person, traits)
  const answers = evaluateSegments(plan, change, { view, nowMs: scope.nowMs })
  return answers.filter((answer) => applyAnswer(scope, person, answer)).map(({ name }) => name)
}

/** Brings all memberships up to the rules in force; of a person seen under other rules. */
export function updateAllMemberships(
  scope: FoldScope,
  person: Person,
  traits: PersonTraits,
): readonly string[] {
  const names = scope.definitions.plan.segments.map(({ name }) => name)
  const known = new Set(names)
  for (const name of Object.keys(person.memberships)) {
    if (!known.has(name)) delete person.memberships[name]
  }
  for (const name of Object.keys(person.segmentTimers)) {
    if (!known.has(name)) setTimer(scope, person, name, undefined)
  }
  return updateMemberships(scope, person, traits, { due: names })
}

/** Answers whether the person entered the segment. */
function applyAnswer(scope: FoldScope, person: Person, answer: SegmentAnswer): boolean {
  const { name, isMember, wasMember, changesAtMs } = answer
  setTimer(scope, person, name, changesAtMs)
  if (isMember === wasMember) return false
  if (isMember) person.memberships[name] = scope.nowMs
  else delete person.memberships[name]
  return isMember
}

function setTimer(scope: FoldScope, person: Person, name: string, dueMs: number | undefined): void {
  const before = Object.hasOwn(person.segmentTimers, name) ? person.segmentTimers[name] : undefined
  // A change that is due already is seen in the next ms, never in this one: no endless cascade.
  const due = dueMs === undefined ? undefined : Math.max(Math.ceil(dueMs), scope.nowMs + 1)
  if (before === due) return
  const what = `segment:${name}`
  if (before !== undefined) scope.view.removeTimer(timerKey(before, person.key, what))
  if (due === undefined) delete person.segmentTimers[name]
  else {
    person.segmentTimers[name] = due
    scope.view.addTimer(timerKey(due, person.key, what))
  }
}
