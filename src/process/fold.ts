/**
 * The fold: what a record does to a partition's state. Deterministic: the log alone decides.
 *
 * Order for each record: fold time moves; timers due up to it fire, in order, each seeing its due
 * time as now; then the record is applied. A timer may set another that is due too: cascades are
 * included.
 *
 * Fold time = max(previous, min(recordedAt, the owner's word + 60 s)): of the last word, or of the
 * next one where the record lies further ahead (see `owner-word.ts`). Nothing here reads a clock.
 */

import { applyItemUpdate, type ItemUpdate } from '../catalog/item.ts'
import { assert } from '../lib/assert.ts'
import { OperatingError } from '../lib/errors.ts'
import type { LogRecord } from '../log/record.ts'
import type { CompiledDefinitions } from './definitions.ts'
import { evaluateChanged, evaluateList, foldContinue } from './evaluate-people.ts'
import { updateMemberships } from './evaluate-segments.ts'
import { feedItem } from './feed.ts'
import { foldEvent, foldForwarded } from './fold-event.ts'
import { bringComputed, foldFilled } from './fold-filled.ts'
import {
  foldIdentityAsk,
  foldIdentityClaim,
  foldIdentityMoved,
  foldIdentityRefused,
} from './fold-identity.ts'
import { foldClaim, foldOutcome, foldResult, retryMessage, settleGrants } from './fold-message.ts'
import { foldRules } from './fold-rules.ts'
import { foldIdentityJoin, foldIdentitySplit, foldIdentityTakenOut } from './fold-split.ts'
import { foldSuppress } from './fold-suppression.ts'
import { dropHistory, keepHistory } from './history.ts'
import { type InForce, noteInForce } from './in-force.ts'
import type { KeyList } from './key-list.ts'
import { aheadMsMax, metaKey, type PartitionMeta } from './meta.ts'
import { dueMsOf, parseTimerKey, type TimerParts } from './partition-view.ts'
import {
  definitionsKey,
  type FoldScope,
  itemCodec,
  itemPrefix,
  jsonCodec,
  keepPerson,
  keysOfPerson,
  metaCodec,
  readPerson,
  readTraits,
  send,
  writePerson,
} from './scope.ts'
import { foldIdentityPart } from './send-part.ts'
import { continueEnrollment, crossSegments } from './trigger.ts'

/** Of timers that touch no person. */
const historyTimer = 'history:'

export interface OwnerSkeleton {
  readonly epoch: number
  readonly nonce: string
  /** How long versions of people are kept; absent or 0 for not at all. Not in a tick. */
  readonly historyMs?: number
}

/** A folder of definitions, or one list of people. */
export type DefinitionsSkeleton =
  | { readonly version: number; readonly hash: string }
  | { readonly list: ListSkeleton }

export interface ListSkeleton {
  readonly name: string
  /** Of the bytes of `encodeKeyList` in the side store. */
  readonly hash: string
  readonly keyCount: number
}

/** Answers with the definitions of a hash; the fold asks when a record puts them in force. */
export type DefinitionsOf = (hash: string) => Promise<CompiledDefinitions>
/** Answers with the list of a hash. */
export type ListOf = (hash: string) => Promise<KeyList>

export interface FoldSources {
  readonly definitionsOf: DefinitionsOf
  /** Absent where no list can be in force. */
  readonly listOf?: ListOf
}

/** How much of what is due at once fires before a commit. */
export interface TimerLimits {
  readonly timerCountMax: number
  /** Changes that wait for the commit, after which no further timer fires. */
  readonly changeCountMax: number
}

/**
 * Moves fold time to that of `record` and fires due timers, within the limits. Answers false where
 * more are due: commit with the offset unchanged and call again. The record itself is not applied.
 * `wordMs` is the time of the owner's next word, where the record is bounded by it, else 0. At once
 * where no timer is due, as mostly.
 */
export function foldTimers(
  scope: FoldScope,
  record: LogRecord,
  wordMs: number,
  limits: TimerLimits,
): boolean | Promise<boolean> {
  const { meta, view } = scope
  const targetMs = foldTimeOf(meta, record, wordMs)
  scope.offset = record.offset
  const mayBeDue = !view.knowsFirstTimer() || isDue(view.earliestTimer(), targetMs)
  if (mayBeDue) return fireTimers(scope, targetMs, limits)
  moveTime(scope, targetMs)
  return true
}

async function fireTimers(
  scope: FoldScope,
  targetMs: number,
  { timerCountMax, changeCountMax }: TimerLimits,
): Promise<boolean> {
  const { meta, view } = scope
  for (let fired = 0; ; fired++) {
    const key = view.knowsFirstTimer() ? view.earliestTimer() : await view.firstTimer()
    if (!isDue(key, targetMs)) break
    const isFull = fired > 0 && view.changeCount >= changeCountMax
    if (fired >= timerCountMax || isFull) return false
    if (fired === 0) await loadPeopleOf(scope, view.timersUntil(targetMs, timerCountMax))
    view.removeTimer(key)
    const timer = parseTimerKey(key)
    meta.foldMs = Math.max(meta.foldMs, timer.dueMs)
    scope.nowMs = timer.dueMs
    await fireTimer(scope, timer.personKey, timer.what)
    writeMeta(scope)
  }
  moveTime(scope, targetMs)
  return true
}

function isDue(key: string | undefined, atMs: number): key is string {
  return key !== undefined && dueMsOf(key) <= atMs
}

function moveTime(scope: FoldScope, targetMs: number): void {
  scope.meta.foldMs = targetMs
  scope.nowMs = targetMs
}

async function loadPeopleOf(scope: FoldScope, timers: readonly TimerParts[]): Promise<void> {
  const touching = timers.filter(({ what }) => !what.startsWith(historyTimer))
  await scope.view.load(touching.flatMap(({ personKey }) => keysOfPerson(personKey)))
}

/** Applies one record whose timers have fired. */
export async function foldRecord(
  scope: FoldScope,
  record: LogRecord,
  sources: FoldSources,
): Promise<void> {
  assert(scope.offset === record.offset, 'timers before a record fire first')
  writeMeta(scope)
  if (!isNextOfSource(scope, record)) return
  // Most of this is done at once, and a wait for nothing costs each event a turn of the microtasks.
  const applying = applyRecord(scope, record, sources)
  if (applying !== undefined) await applying
  const keeping = keepHistory(scope, isOfMany(record) ? record.kind : undefined)
  if (keeping !== undefined) await keeping
}

/** Its key says nothing of whom it reaches. */
function isOfMany({ kind }: LogRecord): boolean {
  return kind === 'continue' || kind === 'filled'
}

function applyRecord(
  scope: FoldScope,
  record: LogRecord,
  sources: FoldSources,
): Promise<void> | undefined {
  switch (record.kind) {
    case 'event':
      return foldEvent(scope, record)
    case 'forwarded':
      return foldForwarded(scope, record)
    case 'identity-claim':
      return foldIdentityClaim(scope, record)
    case 'identity-part':
      return foldIdentityPart(scope, record)
    case 'identity-refused':
      return foldIdentityRefused(scope, record)
    case 'identity-ask':
      return foldIdentityAsk(scope, record)
    case 'identity-moved':
      return foldIdentityMoved(scope, record)
    case 'identity-split':
      return foldIdentitySplit(scope, record)
    case 'identity-taken-out':
      return foldIdentityTakenOut(scope, record)
    case 'identity-join':
      return foldIdentityJoin(scope, record)
    case 'claim':
      return foldClaim(scope, record)
    case 'result':
      return foldResult(scope, record)
    case 'outcome':
      return foldOutcome(scope, record)
    case 'item':
      return foldItem(scope, record)
    case 'suppress':
      return foldSuppress(scope, record)
    case 'owner':
      return foldOwner(scope, record)
    case 'apply':
      foldApply(scope, record)
      return undefined
    case 'definitions':
      return noteInForce(scope, () => foldDefinitions(scope, record, sources))
    case 'continue':
      return noteInForce(scope, () => foldContinue(scope, record))
    case 'tick':
    case 'skip':
    case 'membership':
      return undefined
    case 'rules':
      foldRules(scope.meta, record)
      return undefined
    case 'filled':
      return noteInForce(scope, () => foldFilled(scope, record))
    case 'resolution':
      throw new Error(`records of kind ${record.kind} are not folded by this version`)
  }
}

function foldTimeOf(meta: PartitionMeta, record: LogRecord, wordMs: number): number {
  const isOwners = record.kind === 'owner' || record.kind === 'tick'
  if (isOwners) {
    const { epoch } = record.skeleton as OwnerSkeleton
    const counts = record.kind === 'owner' ? epoch > meta.epoch : epoch === meta.epoch
    if (!counts) return meta.foldMs
    meta.ownerMs = Math.max(meta.ownerMs, Math.floor(record.recordedAtMs))
  }
  const recordedAtMs = Math.floor(record.recordedAtMs)
  // Before the first owner there is no word to bound by.
  const spokenMs = Math.max(meta.ownerMs, wordMs)
  const boundMs = spokenMs === 0 ? recordedAtMs : spokenMs + aheadMsMax
  return Math.max(meta.foldMs, Math.min(recordedAtMs, boundMs))
}

/** Refuses repeats from other partitions, and stops where one is missing. */
function isNextOfSource(scope: FoldScope, record: LogRecord): boolean {
  const { outbox } = record
  if (outbox === undefined) return true
  const [lastOffset, lastIndex] = scope.meta.received[outbox.source] ?? [0, 0]
  const isRepeat =
    outbox.offset < lastOffset || (outbox.offset === lastOffset && outbox.index <= lastIndex)
  if (isRepeat && lastOffset > 0) return false
  if (outbox.previousOffset !== lastOffset || outbox.previousIndex !== lastIndex) {
    throw new OperatingError(
      'OUTBOX_GAP',
      `fold partition ${record.partition} at offset ${record.offset}: a record of partition ` +
        `${outbox.source} before (${outbox.offset}, ${outbox.index}) is missing`,
    )
  }
  scope.meta.received[outbox.source] = [outbox.offset, outbox.index]
  return true
}

/** Fires a timer that was taken out of the view. */
export async function fireTimer(scope: FoldScope, personKey: string, what: string): Promise<void> {
  scope.timer = what
  await applyTimer(scope, personKey, what)
  await keepHistory(scope, what)
  scope.timer = undefined
}

async function applyTimer(scope: FoldScope, personKey: string, what: string): Promise<void> {
  const colon = what.indexOf(':')
  const kind = what.slice(0, colon)
  const name = what.slice(colon + 1)
  if (what.startsWith(historyTimer)) return await dropHistory(scope, personKey, name)
  await scope.view.load(keysOfPerson(personKey))
  if (kind === 'retry') return await retryMessage(scope, name)
  const person = readPerson(scope, personKey)
  const traits = readTraits(scope, personKey)
  if (kind === 'segment') {
    delete person.segmentTimers[name]
    const before = JSON.stringify(person.memberships)
    crossSegments(scope, person, updateMemberships(scope, person, traits, { due: [name] }))
    // The version is that of the profile: a timer that came early changed nothing in it.
    if (JSON.stringify(person.memberships) === before) keepPerson(scope, person)
    else writePerson(scope, person)
  } else {
    assert(kind === 'enrollment', 'a timer is of a known kind')
    if (continueEnrollment(scope, person, name)) writePerson(scope, person)
  }
}

/**
 * The first owner record of an epoch wins; later ones of the same or an older epoch have no effect.
 */
async function foldOwner(scope: FoldScope, record: LogRecord): Promise<void> {
  const { epoch, nonce, historyMs = 0 } = record.skeleton as OwnerSkeleton
  const { meta } = scope
  if (epoch <= meta.epoch) return
  meta.epoch = epoch
  meta.nonce = nonce
  meta.historyMs = historyMs
  if (meta.definitionsHash !== '') noteDefinitions(scope)
  await settleGrants(scope)
}

/**
 * In the control partition: tells every partition which definitions, or which list, are in force
 * from its place on.
 */
function foldApply(scope: FoldScope, record: LogRecord): void {
  const applied = record.skeleton as DefinitionsSkeleton
  const version = scope.meta.definitionsVersion + 1
  const skeleton = 'list' in applied ? applied : { version, hash: applied.hash }
  for (let target = 0; target < scope.partitionCount; target++) {
    send(scope, { kind: 'definitions', key: `control:${target}`, target, skeleton })
  }
}

async function foldDefinitions(
  scope: FoldScope,
  record: LogRecord,
  sources: FoldSources,
): Promise<void> {
  const skeleton = record.skeleton as DefinitionsSkeleton
  if ('list' in skeleton) return await foldList(scope, skeleton.list, sources)
  const { hash, version } = skeleton
  const before = { definitions: scope.definitions, computed: scope.computed }
  scope.definitions = await sources.definitionsOf(hash)
  scope.lists = await readLists(scope.definitions.plan.lists, scope.meta.lists, sources)
  scope.meta.definitionsHash = hash
  scope.meta.definitionsVersion = version
  bringComputed(scope, version)
  noteDefinitions(scope)
  evaluateChanged(scope, before)
  scope.effects.push({ kind: 'definitions-changed', hash, version })
}

/** So that what was folded under a version can be folded again. */
function noteDefinitions({ view, meta }: FoldScope): void {
  view.write(definitionsKey(meta.definitionsVersion), meta.definitionsHash, jsonCodec<string>())
}

async function foldList(
  scope: FoldScope,
  { name, hash, keyCount }: ListSkeleton,
  sources: FoldSources,
): Promise<void> {
  const lists = scope.meta.lists ?? {}
  const isSame = Object.hasOwn(lists, name) && lists[name]?.hash === hash
  scope.meta.lists = { ...lists, [name]: { hash, keyCount, atMs: scope.nowMs } }
  if (isSame) return
  scope.lists = await readLists(scope.definitions.plan.lists, scope.meta.lists, sources)
  evaluateList(scope, name)
}

/** Returns those of the lists in force that are of these names. */
export async function readLists(
  names: ReadonlySet<string>,
  inForce: InForce['lists'] = {},
  { listOf }: Pick<FoldSources, 'listOf'>,
): Promise<FoldScope['lists']> {
  const lists = new Map<string, KeyList>()
  for (const [name, { hash }] of Object.entries(inForce)) {
    if (!names.has(name)) continue
    assert(listOf !== undefined, 'a list in force can be read')
    lists.set(name, await listOf(hash))
  }
  return lists
}

async function foldItem(scope: FoldScope, record: LogRecord): Promise<void> {
  const update = updateCodec.decode(record.body)
  const { itemId } = update
  const key = itemPrefix + itemId
  await scope.view.load([key])
  const item = applyItemUpdate(update, scope.view.read(key, itemCodec))
  if (item === undefined) return
  scope.view.write(key, item, itemCodec)
  feedItem(scope, itemId)
  scope.effects.push({ kind: 'item-changed', item })
}

const updateCodec = jsonCodec<ItemUpdate>()

function writeMeta(scope: FoldScope): void {
  scope.view.write(metaKey, scope.meta, metaCodec)
}
