/**
 * What the API and the command line show of segments: which there are, how far new rules are, and
 * why a person is in one.
 *
 * Each partition has its own place at which a change comes into force, so a segment is `pending`
 * until the last partition has evaluated all its people.
 */

import { findPerson, type StatePlace } from '../delivery/read-state.ts'
import type { Clock } from '../lib/clock.ts'
import type { Json } from '../lib/json.ts'
import { timeText } from '../lib/time-text.ts'
import type { CompiledDefinitions, DefinitionsDocument } from '../process/definitions.ts'
import { readList } from '../process/definitions-cache.ts'
import { readLists } from '../process/fold.ts'
import type { KeyList } from '../process/key-list.ts'
import { decodeJson, type PartitionMeta, readMeta } from '../process/meta.ts'
import { missesBefore } from '../process/missed-events.ts'
import {
  type ComputedInForce,
  computedKey,
  decodeInForce,
} from '../profile/computed/computed-trait.ts'
import { viewPerson } from '../profile/view-person.ts'
import { explainRule, type RuleExplanation } from '../segment/explain.ts'
import { Facts } from '../segment/facts.ts'
import type { Rule } from '../segment/rule.ts'
import type { Segment } from '../segment/segment.ts'
import { namesOf } from '../segment/segment.ts'
import type { BlobStore } from '../state/blob-store.ts'
import { type DefinitionsInForce, readMetas } from './definitions-in-force.ts'

export interface SegmentDeps {
  readonly place: StatePlace
  readonly blobs: Pick<BlobStore, 'get'>
  readonly clock: Clock
  readonly inForce: DefinitionsInForce
}

export interface ShownSegment {
  readonly name: string
  readonly description?: string
  /**
   * `pending`: new or changed rules have not reached everybody, or the past of a computed trait
   * that they see is not in. It triggers nothing yet.
   */
  readonly state: 'in-force' | 'pending'
  /** People in it, as far as evaluated. */
  readonly memberCount: number
  /** Of the partitions where it is pending; absent where it is in force in all. */
  readonly progress?: Progress
  /**
   * Events before this instant may be missing, since the log had been trimmed when the rule came,
   * and a window of it still reaches back to there. Absent where none is missing.
   */
  readonly eventsFrom?: string
}

export interface Progress {
  readonly partitionsPending: number
  readonly partitionCount: number
  readonly doneCount: number
  /** Identity keys in all partitions, those evaluated among them. */
  readonly peopleCount: number
}

export interface SegmentDetail extends ShownSegment {
  /** As it was written. */
  readonly rule: Json
  /** What a change of makes it be evaluated. */
  readonly names: {
    readonly events: readonly string[]
    readonly traits: readonly string[]
    readonly segments: readonly string[]
    readonly lists: readonly string[]
    readonly consents: readonly string[]
  }
  /** Segments that name it. */
  readonly namedBy: readonly string[]
}

export interface SegmentsAnswer {
  readonly segments: readonly ShownSegment[]
  /** Of all that is pending; absent where nothing is. */
  readonly progress?: Progress
}

export interface SegmentExplanation {
  readonly segment: string
  /** The identity key that leads. */
  readonly person: string
  /** As the state has it. */
  readonly isMember: boolean
  readonly since?: string
  /** True where the rule has not reached this person's partition as a whole. */
  readonly isPending: boolean
  /** As of the segment. */
  readonly eventsFrom?: string
  /** The instant for which the conditions are judged. */
  readonly at: string
  readonly rule: RuleExplanation
}

interface InForce {
  /** By partition; absent before its first commit. */
  readonly metas: readonly (PartitionMeta | undefined)[]
  readonly definitions: CompiledDefinitions
}

/** Returns the segments in force in the control partition, by name. */
export async function listSegments(deps: SegmentDeps): Promise<SegmentsAnswer> {
  const known = await readInForce(deps)
  const { definitions, metas } = known
  const inForce = await readComputed(deps)
  const segments = [...definitions.plan.segments]
    .sort((left, right) => (left.name < right.name ? -1 : 1))
    .map((segment) => showSegment(deps, { ...known, inForce }, segment))
  const progress = progressOf(
    deps,
    metas,
    ({ evaluation, waiting }) => evaluation !== undefined || waiting !== undefined,
  )
  return { segments, ...(progress === undefined ? {} : { progress }) }
}

export async function findSegment(
  deps: SegmentDeps,
  name: string,
): Promise<SegmentDetail | undefined> {
  const known = await readInForce(deps)
  const { definitions } = known
  const segment = definitions.plan.segments.find((each) => each.name === name)
  if (segment === undefined) return undefined
  const bytes = await deps.blobs.get(definitions.hash)
  const document = bytes && decodeJson<DefinitionsDocument>(bytes)
  const content = document?.segments.find((each) => each.name === name)?.content ?? null
  const { events, traits, segments, lists, consents } = namesOf(segment.rule)
  const { plan } = definitions
  return {
    ...showSegment(deps, { ...known, inForce: await readComputed(deps) }, segment),
    rule: content,
    names: { events, traits, segments, lists, consents },
    namedBy: plan.dependents(name).map((place) => plan.segments[place]?.name ?? ''),
  }
}

/** Explains why a person is in a segment, or says which of the two is not known. */
export async function explainSegment(
  deps: SegmentDeps,
  name: string,
  personKey: string,
): Promise<SegmentExplanation | 'segment-unknown' | 'profile-unknown'> {
  const found = await findPerson(deps.place, personKey)
  if (found === undefined) return 'profile-unknown'
  const { person, traits, partition, inForce } = found
  const meta = await readMeta(deps.place.state, partition)
  const definitions = await deps.inForce.named(meta)
  const segment = definitions.plan.segments.find((each) => each.name === name)
  if (segment === undefined || meta === undefined) return 'segment-unknown'
  const view = viewPerson(person, traits, inForce)
  const isListed = await readListed(deps, meta, namesOf(segment.rule).lists)
  const facts = new Facts(view, (list) => isListed(list, view.identities))
  const nowMs = Math.max(meta.foldMs, deps.clock.nowMs())
  const sinceMs = Object.hasOwn(person.memberships, name) ? person.memberships[name] : undefined
  return {
    segment: name,
    person: person.key,
    isMember: sinceMs !== undefined,
    ...(sinceMs === undefined ? {} : { since: timeText(sinceMs) }),
    isPending: isPendingIn(meta, name),
    ...eventsFrom(definitions, inForce, { rule: segment.rule, nowMs }),
    at: timeText(nowMs),
    rule: explainRule(segment.rule, facts, nowMs),
  }
}

export type IsListed = (list: string, keys: readonly string[]) => boolean

/** Returns what tells whether one of some keys is on a list in force, of those of these names. */
export async function readListed(
  { blobs }: Pick<SegmentDeps, 'blobs'>,
  meta: PartitionMeta,
  names: readonly string[],
): Promise<IsListed> {
  const listOf = async (hash: string): Promise<KeyList> => await readList(blobs, hash)
  const lists = await readLists(new Set(names), meta.lists, { listOf })
  return (list, keys) => keys.some((key) => lists.get(list)?.has(key) ?? false)
}

/** Returns what is in force in the control partition, and what each partition knows of itself. */
export async function readInForce({ place, inForce }: SegmentDeps): Promise<InForce> {
  const metas = await readMetas(place)
  return { metas, definitions: await inForce.named(metas[0]) }
}

/** Returns what the control partition counts and keeps: how far back it goes is the same in all. */
async function readComputed({ place }: SegmentDeps): Promise<ComputedInForce> {
  const [bytes] = await place.state.get(0, [computedKey])
  return decodeInForce(bytes)
}

function showSegment(
  deps: SegmentDeps,
  { metas, definitions, inForce }: InForce & { readonly inForce: ComputedInForce },
  { name, description, rule }: Segment,
): ShownSegment {
  const nowMs = Math.max(metas[0]?.foldMs ?? 0, deps.clock.nowMs())
  const progress = progressOf(deps, metas, (meta) => isPendingIn(meta, name))
  const memberCount = metas.reduce((sum, meta) => {
    const members = meta?.members ?? {}
    return sum + (Object.hasOwn(members, name) ? (members[name] ?? 0) : 0)
  }, 0)
  return {
    name,
    ...(description === undefined ? {} : { description }),
    state: progress === undefined ? 'in-force' : 'pending',
    memberCount,
    ...(progress === undefined ? {} : { progress }),
    ...eventsFrom(definitions, inForce, { rule, nowMs }),
  }
}

/** Returns what is shown of a rule that may miss events; nothing for one that does not. */
export function eventsFrom(
  { plan }: CompiledDefinitions,
  inForce: ComputedInForce,
  looked: { readonly rule: Rule; readonly nowMs: number },
): { readonly eventsFrom?: string } {
  const fromMs = missesBefore(plan.segments, inForce, looked)
  return fromMs === undefined ? {} : { eventsFrom: timeText(fromMs) }
}

/** New rules have not reached everybody, or the past of a trait that they see is not in. */
function isPendingIn({ evaluation, waiting = [] }: PartitionMeta, name: string): boolean {
  return waiting.includes(name) || (evaluation?.pending.includes(name) ?? false)
}

/** Partitions where nothing is pending have evaluated all their people. */
export function progressOf(
  { place }: Pick<SegmentDeps, 'place'>,
  metas: InForce['metas'],
  isPending: (meta: PartitionMeta) => boolean,
): Progress | undefined {
  const known = metas.filter((meta) => meta !== undefined)
  const pending = known.filter(isPending)
  if (pending.length === 0) return undefined
  const peopleOf = ({ counts }: PartitionMeta): number => counts.people
  const doneOf = (meta: PartitionMeta): number =>
    isPending(meta) ? Math.min(meta.evaluation?.doneCount ?? 0, peopleOf(meta)) : peopleOf(meta)
  return {
    partitionsPending: pending.length,
    partitionCount: place.partitionCount,
    doneCount: known.reduce((sum, meta) => sum + doneOf(meta), 0),
    peopleCount: known.reduce((sum, meta) => sum + peopleOf(meta), 0),
  }
}
