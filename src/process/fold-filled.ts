/**
 * Filling the past of new computed traits, and of properties of events (fill-property.ts), as the
 * fold sees it: `filled` records.
 *
 * - `people`: the owner has read the log up to where they came into force; this is what it found
 *   of some people. It is merged with what has come since. Each begins where the last one that was
 *   folded ended, so a repeat has no effect, nor has one of an older owner.
 * - `forward`: what belongs to a person of another partition, because their key was claimed.
 * - `report` and `ready`: see fill-state.ts.
 *
 * A definition that goes while it is being filled ends its job where it stands.
 */

import { assert } from '../lib/assert.ts'
import { type LogRecord, partitionOf } from '../log/record.ts'
import { emptyPack } from '../profile/activity-pack.ts'
import {
  decodeComputed,
  encodeComputed,
  type PackedState,
} from '../profile/computed/computed-pack.ts'
import {
  computedKey,
  type PropertyInForce,
  type TraitInForce,
} from '../profile/computed/computed-trait.ts'
import { type ProfilePart, partOf, personPrefix } from '../profile/person.ts'
import { followTrail } from '../profile/trail.ts'
import { shapeOf } from '../segment/computed-trait.ts'
import { mergeComputed, planComputed } from './computed-stage.ts'
import { evaluateChanged } from './evaluate-people.ts'
import { bringProperties, findFilling, isSame, takeValues } from './fill-property.ts'
import {
  controlPartition,
  type FillJob,
  type FillReport,
  fillKey,
  isSettled,
  laterOf,
  trafficOf,
} from './fill-state.ts'
import { hopCountMax } from './fold-event.ts'
import { decodeJson } from './meta.ts'
import {
  computedCodec,
  type FoldScope,
  fillCodec,
  keepPerson,
  keysOfPerson,
  partIdAt,
  personCodec,
  send,
} from './scope.ts'

/** People read in one pass: bounds the memory of the pass. */
export const slicePeopleMax = 20_000

export type FilledSkeleton =
  | {
      readonly step: 'people'
      readonly version: number
      readonly slice: number
      readonly sliceCount: number
      /** Place behind which it begins, and the last one in it; both '' at an end of the slice. */
      readonly after: string
      readonly through: string
      readonly isSliceEnd: boolean
      /** No event is missing from here on; absent where all of the past was read. */
      readonly fromMs?: number
      readonly epoch: number
      readonly nonce: string
    }
  | { readonly step: 'forward'; readonly version: number; readonly hopCount: number }
  | { readonly step: 'report'; readonly version: number; readonly traffic: FillReport }
  | { readonly step: 'ready'; readonly version: number; readonly fromMs?: number }

/** What was found of one part, at the person that had it. */
export interface FilledEntry {
  readonly key: string
  readonly partKey: string
  /** Base 64 of a pack of states of computed traits; '' for none. */
  readonly states: string
  /** Base 64 of values of properties, see profile/activity-values.ts; absent for none. */
  readonly values?: string
  /** Of the part, as it was there; absent where it began there: see profile/trail.ts. */
  readonly id?: string
}

/** Puts what newly applied definitions count and keep in force, and asks for its past. */
export function bringComputed(scope: FoldScope, version: number): void {
  const { computed, definitions, fills } = scope
  const before = new Map(computed.inForce.traits.map((trait) => [trait.id, trait]))
  const traits = definitions.computed.map((trait): TraitInForce => {
    const { sinceVersion = version, readyAtMs } = before.get(trait.id) ?? {}
    // A ratio is ready as its terms are.
    const readyMs = trait.kind === 'ratio' ? (readyAtMs ?? scope.nowMs) : readyAtMs
    const shape = { ...shapeOf(trait), sinceVersion }
    return readyMs === undefined ? shape : { ...shape, readyAtMs: readyMs }
  })
  const priorities = Object.fromEntries(definitions.traitPriorities)
  const hasPriorities = definitions.traitPriorities.size > 0
  const properties = bringProperties(definitions, computed.inForce, version)
  const hasProperties = properties.length > 0
  const inForce = {
    ...{ version, traits },
    ...(hasProperties ? { properties } : {}),
    ...(hasPriorities ? { priorities } : {}),
  }
  const isAny = traits.length > 0 || hasProperties || hasPriorities
  const isNothing = !isAny && computed.inForce.version === 0
  // Where nothing is stored, a fold that goes on must not know more than one that is opened anew.
  putInForce(scope, isNothing ? computed.inForce : inForce, !isNothing)
  const pendingIds = traits
    .filter(({ readyAtMs, sinceVersion }) => readyAtMs === undefined && sinceVersion === version)
    .map(({ id }) => id)
  const alive = new Set(traits.map(({ id }) => id))
  for (const job of fills.jobs) {
    job.ids = job.ids.filter((id) => alive.has(id))
    const left = job.properties?.filter((each) => properties.some((known) => isSame(known, each)))
    if (left !== undefined) job.properties = left
    const isEmpty = job.ids.length === 0 && (left ?? []).length === 0
    if (isEmpty && !job.isRead) finishReading(scope, job)
  }
  const pending = findFilling({ properties }, version)
  if (pendingIds.length > 0 || pending.length > 0) {
    const { counts } = scope.meta
    const job: FillJob = {
      version,
      untilOffset: scope.offset,
      ids: [...new Set(pendingIds)],
      ...(pending.length > 0 ? { properties: pending } : {}),
      sliceCount: Math.max(1, Math.ceil(counts.people / slicePeopleMax)),
      slice: 0,
      after: '',
      isRead: false,
    }
    fills.jobs.push(job)
    // Where nobody is known there is no past.
    if (counts.people === 0 && counts.applied === 0) finishReading(scope, job)
  }
  if (fills.jobs.length > 0) writeFills(scope)
}

export async function foldFilled(scope: FoldScope, record: LogRecord): Promise<void> {
  const skeleton = record.skeleton as FilledSkeleton
  switch (skeleton.step) {
    case 'people':
      return await foldPeople(scope, record, skeleton)
    case 'forward': {
      assert(record.outbox !== undefined, 'it came from another partition')
      const { received } = trafficOf(scope.fills, skeleton.version)
      const source = String(record.outbox.source)
      received[source] = (received[source] ?? 0) + 1
      await deliver(scope, skeleton.version, entriesOf(record), skeleton.hopCount)
      const job = scope.fills.jobs.find(({ version }) => version === skeleton.version)
      if (job?.isRead === true) report(scope, skeleton.version)
      return writeFills(scope)
    }
    case 'report': {
      assert(record.outbox !== undefined, 'it came from another partition')
      return foldReport(scope, record.outbox.source, skeleton.version, skeleton.traffic)
    }
    case 'ready':
      return foldReady(scope, skeleton)
  }
}

async function foldPeople(
  scope: FoldScope,
  record: LogRecord,
  skeleton: Extract<FilledSkeleton, { step: 'people' }>,
): Promise<void> {
  const { version, slice, sliceCount, after, through, isSliceEnd, epoch, nonce } = skeleton
  if (epoch !== scope.meta.epoch || nonce !== scope.meta.nonce) return
  const job = scope.fills.jobs.find((each) => each.version === version)
  // A fold that reads some of the people again has counted fewer of them.
  if (job !== undefined && scope.extraTraits !== undefined) job.sliceCount = sliceCount
  if (job === undefined || job.isRead || job.slice !== slice || job.after !== after) return
  await deliver(scope, version, entriesOf(record), 0)
  const fromMs = laterOf(job.fromMs, skeleton.fromMs)
  if (fromMs !== undefined) job.fromMs = fromMs
  job.after = isSliceEnd ? '' : through
  if (isSliceEnd) job.slice++
  if (job.slice === job.sliceCount) finishReading(scope, job)
  writeFills(scope)
}

/** Merges what was found into the parts it belongs to; that of other partitions is sent on. */
async function deliver(
  scope: FoldScope,
  version: number,
  entries: readonly FilledEntry[],
  hopCount: number,
): Promise<void> {
  const { view, workspace, partitionCount } = scope
  const targetOf = (key: string): number => partitionOf(workspace, key, partitionCount)
  const isOwn = ({ key }: FilledEntry): boolean => targetOf(key) === view.partition
  await view.load(entries.filter(isOwn).flatMap(keysOfEntry))
  const elsewhere: FilledEntry[] = []
  for (const entry of entries) {
    const onward = isOwn(entry) ? deliverHere(scope, entry, hopCount === hopCountMax) : entry
    if (onward !== undefined) elsewhere.push(onward)
  }
  for (const [target, some] of Map.groupBy(elsewhere, ({ key }) => targetOf(key))) {
    const { sent } = trafficOf(scope.fills, version)
    sent[target] = (sent[target] ?? 0) + 1
    const skeleton: FilledSkeleton = { step: 'forward', version, hopCount: hopCount + 1 }
    const body = Buffer.from(JSON.stringify(some))
    send(scope, { kind: 'filled', key: `control:${target}`, target, skeleton, body })
  }
}

/** Merges an entry, or returns it for whoever the part went to. */
function deliverHere(
  scope: FoldScope,
  entry: FilledEntry,
  isLastHop: boolean,
): FilledEntry | undefined {
  const { partKey, states, values } = entry
  const person = scope.view.read(personPrefix + entry.key, personCodec)
  if (person === undefined) return undefined
  const place = followTrail(person, partKey, entry.id ?? '')
  if (!isLastHop) {
    if (place.kind === 'elsewhere') return { ...entry, key: place.key, id: place.id }
    // Where its note was forgotten, the pointer is the best guess.
    const { pointer } = person
    if (place.kind === 'unknown' && pointer !== undefined) return { ...entry, key: pointer }
  }
  if (states !== '') {
    const part = place.kind === 'here' ? place.part : partOf(person, partKey, partIdAt(scope))
    const packed = decodeComputed(Buffer.from(states, 'base64'))
    mergeComputed(scope.computed.plan, person, part, packed, scope.nowMs)
    keepPerson(scope, person)
  }
  if (values !== undefined) takeValues(scope, person, Buffer.from(values, 'base64'))
  return undefined
}

/** Traits are looked at where values make room for themselves: see fill-property.ts. */
function keysOfEntry({ key, values }: FilledEntry): readonly string[] {
  return values === undefined ? [personPrefix + key] : keysOfPerson(key)
}

/** Takes the values in a record that are of one person, as the fold did; states are left out. */
export function takeValuesOf(scope: FoldScope, record: LogRecord, personKey: string): void {
  const skeleton = record.skeleton as FilledSkeleton
  const isLastHop = skeleton.step === 'forward' && skeleton.hopCount === hopCountMax
  for (const entry of entriesOf(record)) {
    if (entry.key === personKey) deliverHere(scope, { ...entry, states: '' }, isLastHop)
  }
}

function finishReading(scope: FoldScope, job: FillJob): void {
  job.isRead = true
  job.slice = job.sliceCount
  job.after = ''
  report(scope, job.version)
}

function report(scope: FoldScope, version: number): void {
  const { fromMs } = scope.fills.jobs.find((job) => job.version === version) ?? {}
  const traffic = {
    ...trafficOf(scope.fills, version),
    ...(fromMs === undefined ? {} : { fromMs }),
  }
  const skeleton: FilledSkeleton = { step: 'report', version, traffic }
  const target = controlPartition
  send(scope, { kind: 'filled', key: `control:${target}`, target, skeleton })
}

function foldReport(scope: FoldScope, source: number, version: number, traffic: FillReport): void {
  const reports = scope.fills.reports[version] ?? {}
  scope.fills.reports[version] = reports
  reports[source] = traffic
  if (isSettled(reports, scope.partitionCount)) {
    delete scope.fills.reports[version]
    // A device's past may lie in any of them.
    const fromMs = Object.values(reports).reduce<number | undefined>(
      (latest, each) => laterOf(latest, each.fromMs),
      undefined,
    )
    const skeleton: FilledSkeleton = {
      ...{ step: 'ready', version },
      ...(fromMs === undefined ? {} : { fromMs }),
    }
    for (let target = 0; target < scope.partitionCount; target++) {
      send(scope, { kind: 'filled', key: `control:${target}`, target, skeleton })
    }
  }
  writeFills(scope)
}

/**
 * The past of what this version brought is in, all or what the log still had: everybody is
 * evaluated by the segments that see it.
 */
function foldReady(
  scope: FoldScope,
  { version, fromMs }: Extract<FilledSkeleton, { step: 'ready' }>,
): void {
  const { definitions, computed } = scope
  const { inForce } = computed
  scope.fills.jobs = scope.fills.jobs.filter((job) => job.version !== version)
  delete scope.fills.traffic[version]
  const toReady = <Filled extends TraitInForce | PropertyInForce>(each: Filled): Filled =>
    each.sinceVersion === version && each.readyAtMs === undefined
      ? { ...each, readyAtMs: scope.nowMs, ...(fromMs === undefined ? {} : { fromMs }) }
      : each
  const traits = inForce.traits.map(toReady)
  const properties = inForce.properties?.map(toReady)
  putInForce(scope, { ...inForce, traits, ...(properties ? { properties } : {}) }, true)
  writeFills(scope)
  evaluateChanged(scope, { definitions, computed })
}

function putInForce(
  scope: FoldScope,
  inForce: FoldScope['computed']['inForce'],
  isWritten: boolean,
): void {
  const plan = planComputed(scope.definitions, inForce, scope.extraTraits)
  scope.computed = { inForce, plan }
  if (plan.waiting.length > 0) scope.meta.waiting = plan.waiting
  else delete scope.meta.waiting
  if (isWritten) scope.view.write(computedKey, inForce, computedCodec)
}

function writeFills(scope: FoldScope): void {
  scope.view.write(fillKey, scope.fills, fillCodec)
}

function entriesOf(record: LogRecord): readonly FilledEntry[] {
  return decodeJson<readonly FilledEntry[]>(record.body)
}

/** Returns an entry of a part that is, or was, at `key`. */
export function filledEntry(
  key: string,
  { key: partKey, id }: Pick<ProfilePart, 'key' | 'id'>,
  found: { readonly states: readonly PackedState[]; readonly values?: Uint8Array },
): FilledEntry {
  const states = Buffer.from(encodeComputed(found.states)).toString('base64')
  const values = Buffer.from(found.values ?? emptyPack).toString('base64')
  return {
    ...{ key, partKey, states },
    ...(id === undefined ? {} : { id }),
    ...(values === '' ? {} : { values }),
  }
}
