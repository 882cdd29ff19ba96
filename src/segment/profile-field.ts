/**
 * Fields of a profile that a rule can look at: sessions, where the person came from, the cart, and
 * what they like. Each says what it is at an instant and when time alone changes it, so that the
 * next turn of a condition is exact.
 */

import type { Json } from '../lib/json.ts'
import { timeText } from '../lib/time-text.ts'
import { abandonedAtMsOf, cartEventNames, cartStateAt } from '../profile/cart.ts'
import {
  type AffinityKind,
  actionWeights,
  affinityHalfLifeMs,
  affinityKinds,
} from '../profile/habit/affinity-pack.ts'
import { agedWeight, type ShownTouch } from '../profile/habit/view-habits.ts'
import { judgeTest, type Verdict } from './condition.ts'
import type { Facts } from './facts.ts'
import type { ProfileRule, TraitTest } from './rule.ts'

/** What a field is, over time. */
interface TimedField {
  at(nowMs: number): Json | undefined
  /** When it becomes another by time alone. */
  readonly turnsAtMs?: number
  /** Of one that only falls: when it has come down to `value`. */
  fallsToAt?(value: number): number
}

type ReadField = (facts: Facts) => TimedField

const touchFields = [
  ...(['channel', 'referrer', 'source', 'medium', 'campaign', 'term', 'content'] as const),
  'landingPage',
] as const

const fields: ReadonlyMap<string, ReadField> = new Map<string, ReadField>([
  ['session.count', ({ habits }) => always(habits.sessionCount)],
  ['session.eventCount', ({ habits }) => always(habits.session?.eventCount)],
  ['session.startedAt', ({ habits }) => instant(habits.session?.startedAtMs)],
  ['session.lastEventAt', ({ habits }) => instant(habits.session?.lastEventAtMs)],
  ['session.isActive', isSessionActive],
  ...touchFields.flatMap((name): (readonly [string, ReadField])[] => [
    [`session.${name}`, ({ habits }) => ofTouch(habits.session?.entry, name)],
    [`firstTouch.${name}`, ({ habits }) => ofTouch(habits.firstTouch, name)],
    [`lastTouch.${name}`, ({ habits }) => ofTouch(habits.lastTouch, name)],
  ]),
  ['firstTouch.at', ({ habits }) => instant(habits.firstTouch?.atMs)],
  ['lastTouch.at', ({ habits }) => instant(habits.lastTouch?.atMs)],
  ['cart.state', readCartState],
  ['cart.value', ({ cart }) => always(cart.value)],
  ['cart.itemCount', ({ cart }) => always(cart.lines.length)],
  ['cart.changedAt', ({ cart }) => instant(cart.changedAtMs)],
  ['cart.orderedAt', ({ cart }) => instant(cart.orderedAtMs)],
  ...affinityKinds.map((kind): readonly [string, ReadField] => [
    `affinity.${kind}`,
    ({ habits }) => always(habits.affinities[kind][0]?.name),
  ]),
])

const namedForm = new RegExp(
  `^(affinity|interest)\\.(${affinityKinds.join('|')})\\.(.{1,100})$`,
  's',
)

/** Names as a message tells them. */
export const profileFieldNames: readonly string[] = [
  ...fields.keys(),
  ...affinityKinds.flatMap((kind) => [`affinity.${kind}.NAME`, `interest.${kind}.NAME`]),
]

export function isProfileField(name: string): boolean {
  return fields.has(name) || namedForm.test(name)
}

/** Returns the names of events that may change a field; undefined where any may. */
export function eventsOfField(field: string): readonly string[] | undefined {
  if (field.startsWith('cart.')) return [...cartEventNames]
  if (field.startsWith('affinity.') || field.startsWith('interest.')) {
    return Object.keys(actionWeights)
  }
  return undefined
}

/** Returns the verdict on a field with the value that it saw. */
export function judgeProfile(
  { field, tests }: ProfileRule,
  facts: Facts,
  nowMs: number,
): Verdict & { readonly saw: Json | undefined } {
  const timed = readField(field)(facts)
  const isMetAt = (atMs: number): boolean => {
    const value = timed.at(atMs)
    return tests.every((test) => judgeTest(test, value, atMs).isTrue)
  }
  const saw = timed.at(nowMs)
  const isTrue = isMetAt(nowMs)
  const edges = [
    timed.turnsAtMs ?? Infinity,
    ...tests.map((test) => judgeTest(test, saw, nowMs).untilMs),
    ...fallingEdges(timed, tests),
  ]
  edges.sort((left, right) => left - right)
  const untilMs = edges.find((atMs) => atMs > nowMs && atMs < Infinity && isMetAt(atMs) !== isTrue)
  return { isTrue, untilMs: untilMs ?? Infinity, saw }
}

function readField(name: string): ReadField {
  const known = fields.get(name)
  if (known !== undefined) return known
  const [, form, kind, item = ''] = namedForm.exec(name) ?? []
  return form === 'interest'
    ? (facts) => interestIn(facts, kind as AffinityKind, item)
    : (facts) => always(findAffinity(facts, kind as AffinityKind, item)?.share ?? 0)
}

function findAffinity({ habits }: Facts, kind: AffinityKind, name: string) {
  return habits.affinities[kind].find((each) => each.name === name)
}

/** How much they like it by now: it halves with each half-life. */
function interestIn(facts: Facts, kind: AffinityKind, name: string): TimedField {
  const weight = findAffinity(facts, kind, name)?.weight ?? 0
  if (weight === 0) return always(0)
  const fromMs = facts.habits.affinitiesAtMs
  return {
    at: (nowMs) => agedWeight(weight, nowMs - fromMs),
    fallsToAt: (value) => fromMs + affinityHalfLifeMs * Math.log2(weight / value),
  }
}

/** Whole ms around the instants at which a falling value meets a number of a test. */
function fallingEdges({ fallsToAt }: TimedField, tests: readonly TraitTest[]): readonly number[] {
  if (fallsToAt === undefined) return []
  return tests.flatMap(({ value }) => {
    if (typeof value !== 'number' || value <= 0) return []
    const atMs = Math.floor(fallsToAt(value))
    return [atMs - 1, atMs, atMs + 1, atMs + 2]
  })
}

function isSessionActive({ habits }: Facts): TimedField {
  const { session } = habits
  if (session === undefined) return always(false)
  const { endsAtMs } = session
  return { at: (nowMs) => nowMs < endsAtMs, turnsAtMs: endsAtMs }
}

function readCartState({ cart }: Facts): TimedField {
  return {
    at: (nowMs) => cartStateAt(cart, nowMs),
    turnsAtMs: abandonedAtMsOf(cart) ?? Infinity,
  }
}

function ofTouch(touch: ShownTouch | undefined, name: (typeof touchFields)[number]): TimedField {
  return always(touch?.[name])
}

function instant(atMs: number | undefined): TimedField {
  return always(atMs === undefined ? undefined : timeText(atMs))
}

function always(value: Json | undefined): TimedField {
  return { at: () => value }
}
