/**
 * Which segments are evaluated, and by what: those that look at something whose past is still being
 * read from the log, a computed trait or a property of events, are left out until it is in.
 */

import { sha256Hex } from '../lib/hash.ts'
import type { Json } from '../lib/json.ts'
import type { PropertyNames } from '../profile/activity-values.ts'
import type {
  ComputedInForce,
  PropertyInForce,
  TraitInForce,
} from '../profile/computed/computed-trait.ts'
import { type EvaluationPlan, planEvaluation } from '../segment/plan.ts'
import { namesOf } from '../segment/segment.ts'
import type { CompiledDefinitions } from './definitions.ts'

export interface SegmentPlan {
  /** The segments that see nothing whose past is not in. */
  readonly evaluation: EvaluationPlan
  /** Places in it of those that see a stated trait, also by way of others that name them. */
  readonly seesStated: ReadonlySet<number>
  /** By name of those, of the rule and of what it sees: evaluated again when it changes. */
  readonly ruleHashes: ReadonlyMap<string, string>
  /** Names of the segments that are left out. */
  readonly waiting: readonly string[]
}

/** Tells whether a segment sees a computed trait: its members depend on what was counted. */
export function seesComputed({ plan, computed }: CompiledDefinitions): boolean {
  const known = new Set(computed.map(({ name }) => name))
  return plan.segments.some(({ rule }) => namesOf(rule).traits.some((name) => known.has(name)))
}

/** Leaves out the segments that see what is still being filled, also by way of others. */
export function planSegments(
  { plan, segmentHashes }: CompiledDefinitions,
  { traits, properties = none, priorities = {} }: ComputedInForce,
): SegmentPlan {
  const byName = new Map(traits.map((trait) => [trait.name, trait]))
  const left = new Set<string>()
  const ruleHashes = new Map<string, string>()
  for (const { name, rule } of plan.segments) {
    const names = namesOf(rule)
    const seen = [...new Set(names.traits.flatMap((trait) => withTerms(byName, trait)))]
    const kept = properties.filter((each) => isNamed(names.properties, each))
    const isPending = [...seen, ...kept].some(({ readyAtMs }) => readyAtMs === undefined)
    if (isPending || names.segments.some((each) => left.has(each))) {
      left.add(name)
      continue
    }
    const facts: readonly Json[] = [
      ...seen.map(({ name: trait, id, sinceVersion }) => [trait, id, sinceVersion]),
      ...Object.entries(priorities)
        .filter(([stated]) => names.traits.some((trait) => isOf(trait, stated)))
        .map(([stated, sources]) => [stated, ...sources]),
      ...kept.map(({ event, property, sinceVersion }) => [event, property, sinceVersion]),
    ]
    const hash = segmentHashes.get(name) ?? ''
    const isPlain = facts.length === 0
    ruleHashes.set(name, isPlain ? hash : sha256Hex(hash + JSON.stringify(facts)).slice(0, 16))
  }
  const isWhole = left.size === 0
  const kept = isWhole ? plan.segments : plan.segments.filter(({ name }) => !left.has(name))
  const evaluation = isWhole ? plan : planEvaluation(kept)
  const seesStated = findSeeing(evaluation, (trait) => !byName.has(trait))
  return { evaluation, seesStated, ruleHashes, waiting: [...left] }
}

/** A dependent lies behind what it names, so one look from the end finds all. */
function findSeeing(plan: EvaluationPlan, isMeant: (trait: string) => boolean): Set<number> {
  const places = new Set<number>()
  for (let place = plan.segments.length - 1; place >= 0; place--) {
    const segment = plan.segments[place]
    if (segment === undefined) continue
    const sees = namesOf(segment.rule).traits.some(isMeant)
    if (sees || plan.dependents(segment.name).some((other) => places.has(other))) places.add(place)
  }
  return places
}

/** Tells whether a rule's path names the trait, or lies in it. */
function isOf(path: string, trait: string): boolean {
  return path === trait || path.startsWith(`${trait}.`)
}

/** Returns the computed trait of this name, and the terms of a ratio; none where it is stated. */
function withTerms(
  byName: ReadonlyMap<string, TraitInForce>,
  name: string,
): readonly TraitInForce[] {
  const trait = byName.get(name)
  if (trait === undefined) return none
  const terms = [trait.over, trait.by].flatMap((term) => byName.get(term ?? '') ?? [])
  return [trait, ...terms]
}

/** Returns the properties of events that rules name. */
export function propertiesNamed({ plan }: CompiledDefinitions): PropertyNames {
  const events = new Set(plan.segments.flatMap(({ rule }) => [...namesOf(rule).properties.keys()]))
  return new Map([...events].map((event) => [event, plan.propertiesOf(event)]))
}

function isNamed(
  names: ReadonlyMap<string, ReadonlySet<string>>,
  { event, property }: PropertyInForce,
): boolean {
  return names.get(event)?.has(property) === true
}

const none: readonly never[] = []
