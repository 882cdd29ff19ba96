/**
 * New and changed rules reach everybody, in the background.
 *
 * Where definitions or a list change, the segments that this touches become pending in the
 * partition: they trigger nothing. The owner then appends `continue` records, each of which
 * evaluates the next people in the order of their keys; behind the last one the segments are in
 * force. The log alone decides how far it is, so a crash or another owner goes on at the same
 * person, and a rebuild makes the same state.
 *
 * Whoever does something before it is their turn is brought up to the rules at once: a person is
 * stale while their key lies behind the last one evaluated. One evaluation runs at a time; a change
 * on the way begins again with what is pending of both.
 */

import type { LogRecord } from '../log/record.ts'
import { type Person, personPrefix, traitPrefix } from '../profile/person.ts'
import type { CompiledDefinitions } from './definitions.ts'
import { updatePending } from './evaluate-segments.ts'
import { pendingOf } from './pending.ts'
import { type FoldScope, keepPerson, personCodec, readTraits, writePerson } from './scope.ts'

export interface ContinueSkeleton {
  readonly task: 'segments'
  readonly epoch: number
  readonly number: number
  readonly after: string
  readonly peopleCountMax: number
}

/** Memberships and timers changed by one record, after which it stops before its count. */
const changeCountHigh = 2_000

/** What people were evaluated by before a change. */
export interface RulesBefore {
  readonly definitions: CompiledDefinitions
  readonly computed: FoldScope['computed']
}

/**
 * Begins to evaluate everybody where the rules in force, or the computed traits that they see,
 * differ from those before. A segment that sees one whose past has come in is among them.
 */
export function evaluateChanged(scope: FoldScope, before: RulesBefore): void {
  const { ruleHashes: hashes } = scope.computed.plan
  const { ruleHashes: hashesBefore } = before.computed.plan
  const changed = [...hashes].filter(([name, hash]) => hashesBefore.get(name) !== hash)
  const { hasSegment } = scope.definitions
  const isRemoved = [...before.definitions.segmentHashes.keys()].some((name) => !hasSegment(name))
  if (changed.length === 0 && !isRemoved) return
  beginEvaluation(
    scope,
    changed.map(([name]) => name),
  )
}

/** Begins to evaluate everybody by the rules that name a list. */
export function evaluateList(scope: FoldScope, list: string): void {
  const naming = scope.computed.plan.evaluation.namingList(list)
  if (naming.length > 0) beginEvaluation(scope, naming)
}

function beginEvaluation(scope: FoldScope, changed: readonly string[]): void {
  const { meta, computed, nowMs } = scope
  const due = [...changed, ...pendingOf(scope)]
  const pending = computed.plan.evaluation.affected({ due }).map(({ name }) => name)
  delete meta.evaluation
  // Nobody is here yet: whoever comes is evaluated by what is in force then.
  if (meta.counts.people === 0) return
  const startedAtMs = nowMs
  meta.evaluation = { number: scope.offset, pending, after: '', doneCount: 0, startedAtMs }
}

/** Evaluates the next people. One that comes late or twice has no effect. */
export async function foldContinue(scope: FoldScope, record: LogRecord): Promise<void> {
  const skeleton = record.skeleton as ContinueSkeleton
  const { meta, view } = scope
  const { evaluation } = meta
  if (skeleton.task !== 'segments') {
    throw new Error(`task ${String(skeleton.task)} is not known to this version`)
  }
  const { epoch, number, after, peopleCountMax } = skeleton
  // With fewer people it is ahead, which nobody sees before it is over: see `in-force.ts`.
  const hasSome = scope.extraTraits?.pendingBehind !== undefined
  const isNext = evaluation?.number === number && (hasSome || evaluation.after === after)
  if (epoch !== meta.epoch || !isNext) return
  const from = evaluation.after === '' ? '' : personPrefix + evaluation.after
  const keys = await view.listAfter(personPrefix, from, peopleCountMax)
  const people = keys.map((key) => key.slice(personPrefix.length))
  await view.load(people.map((key) => traitPrefix + key))
  let changeCount = 0
  let doneCount = 0
  for (const key of people) {
    const person = view.read(personPrefix + key, personCodec)
    if (person !== undefined) changeCount += evaluateOne(scope, person)
    evaluation.after = key
    evaluation.doneCount++
    doneCount++
    if (changeCount >= changeCountHigh) break
  }
  const isDone = doneCount === keys.length && keys.length < peopleCountMax
  if (isDone && !(hasSome && evaluation.pending.length > 0)) delete meta.evaluation
}

/** Brings one person up to the rules. Answers how many memberships and timers it changed. */
export function evaluateOne(scope: FoldScope, person: Person): number {
  if (person.pointer !== undefined || person.version === 0) return 0
  const traits = readTraits(scope, person.key)
  const { membershipCount, timerCount } = updatePending(scope, person, traits)
  if (membershipCount > 0) writePerson(scope, person)
  else if (timerCount > 0) keepPerson(scope, person)
  return membershipCount + timerCount
}
