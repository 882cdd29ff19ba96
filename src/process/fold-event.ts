/**
 * The stages of an event: deduplicate, resolve identity, apply, evaluate, trigger, feed.
 *
 * A late event, one of a backfill and one forwarded from a merged device change the profile and may
 * end an enrollment, but start none.
 */

import { activityOf, linesOf } from '../event/activity.ts'
import type { Event, EventSkeleton } from '../event/event.ts'
import { assert } from '../lib/assert.ts'
import type { Json } from '../lib/json.ts'
import type { LogRecord } from '../log/record.ts'
import type { PackedActivity } from '../profile/activity-pack.ts'
import { addBought } from '../profile/bought-pack.ts'
import { orderName } from '../profile/cart.ts'
import {
  addActivity,
  addToTotals,
  findPart,
  type Person,
  type PersonTraits,
  type ProfilePart,
  partCountMax,
  partOf,
  personPrefix,
  setTraits,
  traitPrefix,
  withdrawnCountMax,
} from '../profile/person.ts'
import { type Acquaintance, addSeen, lookUpSeen, type SeenEvent } from '../profile/seen.ts'
import { isBarred } from '../profile/ties.ts'
import type { StoredTrait } from '../profile/trait-statement.ts'
import type { Change } from '../segment/plan.ts'
import { applyComputed, namesChangedBy } from './computed-stage.ts'
import { type Crossing, updateAllMemberships, updateMemberships } from './evaluate-segments.ts'
import { feedInteractions } from './feed.ts'
import { findOddities, noteFindings } from './finding.ts'
import { applyHabits } from './habit-stage.ts'
import { beginsHistory } from './history.ts'
import { linkStated } from './link-identity.ts'
import { decodeJson } from './meta.ts'
import { isStale } from './pending.ts'
import {
  type FoldScope,
  keepPerson,
  keysOfEvent,
  keysOfPerson,
  partIdAt,
  personCodec,
  readPerson,
  readTraits,
  send,
  writePerson,
  writeTraits,
} from './scope.ts'
import { crossSegments, exitCampaigns, startByEvent } from './trigger.ts'

/** How far behind fold time an event may have occurred and still trigger. */
export const graceMs = 3_600_000
/** A path goes down over at most the keys of one person, and up again where one was taken out. */
export const hopCountMax = 8 * partCountMax
/** Longer than any topic of a campaign. */
const topicLengthMax = 100

export interface ForwardedSkeleton {
  /** Identity key at which the event first landed: its part. */
  readonly partKey: string
  readonly hopCount: number
  /** Id of its record there, base 64; absent for what no client sent. */
  readonly recordId?: string
  readonly contentHash?: number
  readonly name?: string
}

/** Calls that say who somebody is; they are no activity. */
const identityTypes: ReadonlySet<string> = new Set(['identify', 'alias', 'group'])

/**
 * Names what an event will read beyond its person, who is loaded; as far as its name tells, which
 * is nearly always. What is missing is read when it is asked for, by a call of its own.
 */
export function moreKeysOfEvent(scope: FoldScope, { key, skeleton }: LogRecord): readonly string[] {
  const person = scope.view.read(personPrefix + key, personCodec)
  // Who has no profile yet has no traits, and a device that joined somebody is not looked at.
  if (person === undefined || person.version === 0 || person.pointer !== undefined) return []
  const { name } = skeleton as EventSkeleton
  const isAsked =
    identityTypes.has(name) ||
    beginsHistory(scope, person) ||
    seesTraits(scope, key, { name, events: [name], consents: [] })
  return isAsked ? [traitPrefix + key] : []
}

/** Folds an event that a collector appended. */
export async function foldEvent(scope: FoldScope, record: LogRecord): Promise<void> {
  const loading = scope.view.load(keysOfEvent(record.key))
  if (loading !== undefined) await loading
  const person = readPerson(scope, record.key)
  const { contentHash = 0, name } = record.skeleton as EventSkeleton
  const acquaintance = meet(scope, person, { id: record.id, contentHash })
  if (acquaintance === 'conflict') await noteFindings(scope, ['id-conflict'], { record, name })
  if (acquaintance !== 'unseen') {
    scope.meta.counts.duplicates++
    return
  }
  scope.meta.counts.applied++
  const event = decodeJson<Event>(record.body)
  if (person.pointer !== undefined) {
    keepPerson(scope, person)
    const recordId = Buffer.from(record.id).toString('base64')
    const known = { recordId, contentHash, name }
    forward(scope, person.pointer, record, { partKey: record.key, hopCount: 1, ...known })
    return
  }
  const linking = linkStated(scope, person, event, { record, partKey: record.key })
  if (linking !== undefined) await linking
  await applyEvent(scope, person, record, event, record.key, true)
}

/** Folds an event of a device that belongs to this person now. */
export async function foldForwarded(scope: FoldScope, record: LogRecord): Promise<void> {
  const skeleton = record.skeleton as ForwardedSkeleton
  await scope.view.load(keysOfPerson(record.key))
  const person = readPerson(scope, record.key)
  const { partKey, hopCount } = skeleton
  assert(hopCount < hopCountMax, 'pointers go down, so a forwarded event comes to its end')
  if (person.pointer !== undefined) {
    forward(scope, person.pointer, record, { ...skeleton, hopCount: hopCount + 1 })
    return
  }
  if (isBarred(person, partKey)) {
    // Its key was taken out meanwhile. There it was counted before, so it goes without its id.
    forward(scope, partKey, record, { partKey, hopCount: hopCount + 1 })
    return
  }
  if (!(await isNewForwarded(scope, person, record))) return
  const event = decodeJson<Event>(record.body)
  await linkStated(scope, person, event, { record, partKey })
  await applyEvent(scope, person, record, event, partKey, false)
}

function statesTraits({ traits, traitsOnce }: Event): boolean {
  return traits !== undefined || traitsOnce !== undefined
}

/** Short where there is nothing more to say, as there mostly is. */
function statement(stated: StoredTrait, version: number | null, isOnce: boolean): StoredTrait {
  const [value, atMs, sourceId] = stated
  if (isOnce) return [value, atMs, sourceId, version, true]
  return version === null ? stated : [value, atMs, sourceId, version]
}

function versionOf(stated: Json | undefined): number | null {
  const isVersion = typeof stated === 'number' && Number.isSafeInteger(stated) && stated >= 0
  return isVersion ? stated : null
}

/** Traits are cold: most events neither change them nor touch a rule that could see them. */
function needsTraits(
  scope: FoldScope,
  person: Person,
  event: Event,
  events: readonly string[],
): boolean {
  const { name } = event
  const touching = { name, events, consents: leftBy(person, event) }
  return statesTraits(event) || seesTraits(scope, person.key, touching)
}

interface Touching {
  /** Of the event itself. */
  readonly name: string
  /** Names of all that rules see otherwise. */
  readonly events: readonly string[]
  readonly consents: readonly string[]
}

/** Tells whether a rule that an event touches could see what somebody stated. */
function seesTraits(scope: FoldScope, personKey: string, { name, ...touching }: Touching): boolean {
  if (isStale(scope, personKey)) return true
  const { plan } = scope.computed
  const { evaluation, seesStated } = plan
  if (seesStated.size === 0) return false
  const change = { ...touching, traits: namesChangedBy(plan, name) }
  return evaluation.touched(change).some((place) => seesStated.has(place))
}

/** Adds an event to those seen, unless it is among them. */
function meet(scope: FoldScope, person: Person, event: SeenEvent): Acquaintance {
  const acquaintance = lookUpSeen(person.seen, event, scope.nowMs)
  if (acquaintance !== 'unseen') return acquaintance
  const { seen, isCut } = addSeen(person.seen, event, scope.nowMs)
  if (isCut) scope.meta.counts.horizonCut++
  person.seen = seen
  return acquaintance
}

/** The device that it came by has counted it; a client may have sent it again as the user's. */
async function isNewForwarded(
  scope: FoldScope,
  person: Person,
  record: LogRecord,
): Promise<boolean> {
  const { recordId, contentHash = 0, name = '' } = record.skeleton as ForwardedSkeleton
  if (recordId === undefined) return true
  const event = { id: Buffer.from(recordId, 'base64'), contentHash }
  const acquaintance = meet(scope, person, event)
  if (acquaintance === 'conflict') await noteFindings(scope, ['id-conflict'], { record, name })
  return acquaintance === 'unseen'
}

function forward(
  scope: FoldScope,
  pointer: string,
  record: LogRecord,
  skeleton: ForwardedSkeleton,
): void {
  const { body, isBackfill } = record
  send(scope, {
    kind: 'forwarded',
    key: pointer,
    skeleton,
    body: Uint8Array.from(body),
    isBackfill,
  })
}

async function applyEvent(
  scope: FoldScope,
  person: Person,
  record: LogRecord,
  event: Event,
  partKey: string,
  mayTrigger: boolean,
): Promise<void> {
  const isFirst = person.version === 0
  const { length } = person.parts
  const part = findPart(person, partKey) ?? partOf(person, partKey, partIdAt(scope))
  // A key that is new to them may be on a list.
  const isNew = isFirst || person.parts.length > length
  const { activity, events } = applyActivity(scope, person, part, { record, event })
  // Traits are written with a profile alone: who has none yet has no traits.
  if (isFirst) scope.view.loadAbsent(traitPrefix + person.key)
  const isAsked = isNew || needsTraits(scope, person, event, events)
  if (isAsked && !isFirst) await scope.view.load([traitPrefix + person.key])
  const traits = isAsked ? readTraits(scope, person.key) : {}
  const changedTraits = applyTraits(scope, traits, part.key, event)
  if (changedTraits.length > 0) writeTraits(scope, person.key, traits)
  const changedComputed = countEvent(scope, person, part, { record, event, lines: activity })
  const consents = leftBy(person, event)
  for (const topic of consents) person.withdrawn[topic] = scope.nowMs
  const change: Change = {
    events,
    traits: changedTraits.length > 0 ? [...changedTraits, ...changedComputed] : changedComputed,
    consents,
  }
  const crossings: readonly Crossing[] = isNew
    ? updateAllMemberships(scope, person, traits)
    : updateMemberships(scope, person, traits, change)
  exitCampaigns(scope, person, event.name)
  const isLate = scope.nowMs - event.occurredAtMs > graceMs
  const oddities = findOddities(person, event, { late: isLate && !record.isBackfill })
  if (oddities.length > 0) await noteFindings(scope, oddities, { record, name: event.name })
  if (mayTrigger && !record.isBackfill && !isLate) {
    const { offset } = record
    startByEvent(scope, person, { kind: 'event', name: event.name, offset, atMs: scope.nowMs })
    crossSegments(scope, person, crossings)
  }
  writePerson(scope, person)
  feedInteractions(scope, person.key, event, activity)
}

function applyTraits(
  scope: FoldScope,
  traits: PersonTraits,
  partKey: string,
  event: Event,
): readonly string[] {
  if (!statesTraits(event)) return []
  const { occurredAtMs, sourceId, context } = event
  const version = versionOf(context?.['traitsVersion'])
  const changed: string[] = []
  for (const isOnce of [false, true]) {
    const given = isOnce ? event.traitsOnce : event.traits
    if (given === undefined) continue
    const stated = Object.entries(given).map(([name, value]): [string, StoredTrait] => [
      name,
      statement([value, occurredAtMs, sourceId], version, isOnce),
    ])
    const set = setTraits(traits, partKey, Object.fromEntries(stated))
    scope.meta.counts.traitsDropped += set.droppedCount
    changed.push(...set.changed)
  }
  return changed
}

/** An event has one place in the order of all, however it came here. */
function eventRefOf({ kind, id, skeleton }: LogRecord): number {
  const { recordId } = kind === 'forwarded' ? (skeleton as ForwardedSkeleton) : {}
  const first = recordId === undefined ? id : Buffer.from(recordId, 'base64')
  return new DataView(first.buffer, first.byteOffset).getUint32(0)
}

/** Properties kept with the activity; where the past is read again, also those it is read for. */
function propertiesOf({ definitions, extraTraits }: FoldScope, event: string): readonly string[] {
  const named = definitions.plan.propertiesOf(event)
  const more = extraTraits?.properties.get(event)
  return more === undefined ? named : [...new Set([...named, ...more])]
}

/** Adds to the activity; `events` are the names of all that rules see otherwise now. */
function applyActivity(
  scope: FoldScope,
  person: Person,
  part: ProfilePart,
  { record, event }: { readonly record: LogRecord; readonly event: Event },
): { readonly activity: readonly PackedActivity[]; readonly events: readonly string[] } {
  const eventRef = eventRefOf(record)
  const keep = propertiesOf(scope, event.name)
  const lines = identityTypes.has(event.type) ? [] : linesOf(event)
  const activity = activityOf(event, keep, lines).map((entry) => ({ ...entry, eventRef }))
  const value = activity.reduce((sum, entry) => sum + (entry.value ?? 0), 0)
  addToTotals(person, part, { name: event.name, occurredAtMs: event.occurredAtMs, value })
  if (activity.length === 0) return { activity, events: [event.name] }
  if (event.name === orderName) addBought(person.parts, part, activity)
  const dropped = addActivity(person, part, activity)
  applyHabits(scope.definitions, person, part, { event, order: eventRef, lines })
  return { activity, events: [event.name, ...dropped] }
}

/** Topics that an event takes back permission for. */
function leftBy(person: Person, { name, properties }: Event): readonly string[] {
  return name === 'Unsubscribed' ? [topicLeft(person, properties?.['topic'])] : []
}

/** Adds to the computed traits; returns the names of those that may have changed. */
function countEvent(
  { computed: { plan }, definitions, nowMs }: FoldScope,
  person: Person,
  part: ProfilePart,
  {
    record,
    event,
    lines,
  }: {
    readonly record: LogRecord
    readonly event: Event
    readonly lines: readonly PackedActivity[]
  },
): readonly string[] {
  if (plan.counters.length === 0) return []
  // What became of an email is no visit.
  const isActivity = !identityTypes.has(event.type) && event.sourceId !== 'delivery'
  const sessionIdleMs = isActivity ? definitions.sessionIdleMsOf(event.sourceId) : 0
  const counted = { event, eventRef: eventRefOf(record), isActivity, sessionIdleMs, lines }
  return applyComputed(plan, person, part, counted, nowMs)
}

/**
 * Returns what somebody leaves: one topic, or all (`*`) where none is named, or none we could have,
 * or one more than are kept.
 */
export function topicLeft({ withdrawn }: Person, topic: Json | undefined): string {
  const isOne = typeof topic === 'string' && topic.length <= topicLengthMax
  if (!isOne) return '*'
  const hasRoom = Object.keys(withdrawn).length < withdrawnCountMax
  return hasRoom || Object.hasOwn(withdrawn, topic) ? topic : '*'
}
