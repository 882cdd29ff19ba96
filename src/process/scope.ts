/**
 * What the stages of the fold share while one record, or one timer, is applied; and how they reach
 * the state.
 */

import type { Message } from '../campaign/message.ts'
import { messagePrefix } from '../campaign/message.ts'
import type { Item } from '../catalog/item.ts'
import { assert } from '../lib/assert.ts'
import { sha256Bytes } from '../lib/hash.ts'
import { emptyBody, encodeRecord, partitionOf, type RecordKind } from '../log/record.ts'
import { emptyPack } from '../profile/activity-pack.ts'
import type { ComputedInForce } from '../profile/computed/computed-trait.ts'
import {
  createPerson,
  decodePerson,
  encodePerson,
  type Person,
  type PersonTraits,
  personPrefix,
  traitPrefix,
} from '../profile/person.ts'
import { appendStep, type Step } from '../profile/step-pack.ts'
import type { Interaction } from '../recommend/recommender.ts'
import type { ComputedPlan, ExtraTraits } from './computed-stage.ts'
import type { CompiledDefinitions } from './definitions.ts'
import type { FillState } from './fill-state.ts'
import type { KeyList } from './key-list.ts'
import { decodeJson, decodeMeta, encodeJson, type PartitionMeta } from './meta.ts'
import { type Codec, type PartitionView, timerKey } from './partition-view.ts'

/**
 * What happened that somebody outside the fold waits for. Published after the commit, never before.
 */
export type Effect =
  | { readonly kind: 'message-due'; readonly messageId: string; readonly personKey: string }
  | {
      readonly kind: 'claim-answered'
      readonly messageId: string
      readonly attempt: number
      readonly isGranted: boolean
    }
  | {
      readonly kind: 'learned'
      /** Of the entry of the feed. */
      readonly number: number
      readonly interactions: readonly Interaction[]
    }
  | {
      readonly kind: 'erased'
      /** Of the entry of the feed. */
      readonly number: number
      readonly profileIds: readonly string[]
    }
  | { readonly kind: 'item-changed'; readonly item: Item }
  | { readonly kind: 'found'; readonly finding: string }
  | { readonly kind: 'definitions-changed'; readonly hash: string; readonly version: number }

export interface FoldScope {
  readonly workspace: string
  readonly partitionCount: number
  readonly view: PartitionView
  readonly meta: PartitionMeta
  definitions: CompiledDefinitions
  /** Those in force that a rule names, by name. */
  lists: ReadonlyMap<string, KeyList>
  /** Computed traits: what the state says of them, and what follows with the definitions. */
  computed: { readonly inForce: ComputedInForce; readonly plan: ComputedPlan }
  readonly fills: FillState
  /** Counted beside the definitions in force; only where the past is read again. */
  readonly extraTraits?: ExtraTraits | undefined
  /** Offset of the record being folded; timers before it count as its own. */
  offset: number
  /** Fold time: the due time of the timer that fires, else that of the record. */
  nowMs: number
  effects: Effect[]
  /** Name of the timer that fires; absent while a record is applied. */
  timer?: string | undefined
  /** People written by this record or timer, and whether a checkpoint lies before. */
  noted: Map<Person, boolean>
}

export function jsonCodec<Value>(): Codec<Value> {
  return { encode: encodeJson, decode: (bytes) => decodeJson<Value>(bytes) }
}

export const personCodec: Codec<Person> = { encode: encodePerson, decode: decodePerson }
export const traitsCodec: Codec<PersonTraits> = jsonCodec<PersonTraits>()
export const messageCodec: Codec<Message> = jsonCodec<Message>()
export const itemCodec: Codec<Item> = jsonCodec<Item>()
export const metaCodec: Codec<PartitionMeta> = { encode: encodeJson, decode: decodeMeta }
export const computedCodec: Codec<ComputedInForce> = jsonCodec<ComputedInForce>()
export const fillCodec: Codec<FillState> = jsonCodec<FillState>()
export const bytesCodec: Codec<Uint8Array> = { encode: (value) => value, decode: (bytes) => bytes }
const presentCodec: Codec<1> = { encode: () => emptyBody, decode: () => 1 }

export const itemPrefix = 'item/'
export const outboxPrefix = 'outbox/'
export const feedPrefix = 'feed/'
export const historyPrefix = 'history/'
export const firedPrefix = 'fired/'

/** Returns the id of a part that begins, or leaves where it began, by the record in hand. */
export function partIdAt({ view, offset }: FoldScope): string {
  return `${view.partition}:${offset}`
}

/** Returns the keys that every event of this person touches. */
export function keysOfEvent(key: string): readonly string[] {
  return [personPrefix + key]
}

/** Returns the keys that any record of this person may touch. */
export function keysOfPerson(key: string): readonly string[] {
  return [personPrefix + key, traitPrefix + key]
}

/** Returns the person of a loaded key, made anew where nothing is known. */
export function readPerson(scope: FoldScope, key: string): Person {
  const known = scope.view.read(personPrefix + key, personCodec)
  return known ?? createPerson(key, scope.nowMs)
}

export function readTraits(scope: FoldScope, key: string): PersonTraits {
  // Where they were not loaded nothing asks for them: see `needsTraits`.
  if (!scope.view.hasLoaded(traitPrefix + key)) return {}
  return scope.view.read(traitPrefix + key, traitsCodec) ?? {}
}

/** Writes a person whose profile changed: the version rises with every change. */
export function writePerson(scope: FoldScope, person: Person): void {
  if (person.version === 0) scope.meta.counts.people++
  noteStep(scope, person)
  person.version++
  person.updatedAtMs = scope.nowMs
  scope.view.write(personPrefix + person.key, person, personCodec)
}

/** Notes what makes the next version; `keepHistory` follows when record or timer is done. */
function noteStep(scope: FoldScope, person: Person): void {
  const { meta, offset, nowMs: atMs, timer, noted } = scope
  if ((meta.historyMs ?? 0) === 0) {
    if (person.steps.length > 0) dropSteps(scope, person)
    return
  }
  const known = noted.get(person)
  const place = { offset, atMs }
  const step: Step =
    timer === undefined ? { kind: 'record', ...place } : { kind: 'timer', what: timer, ...place }
  noted.set(person, known ?? (person.steps.length > 0 || person.version === 0))
  const { definitionsVersion } = meta
  const added: Step = known === undefined ? step : { kind: 'again' }
  person.steps = appendStep(person.steps, added, definitionsVersion)
}

/** History was switched off: from here on versions are not known. */
function dropSteps(scope: FoldScope, person: Person): void {
  const what = `history:${person.version + 1}`
  scope.view.addTimer(timerKey(scope.nowMs + 1, person.key, what))
  person.steps = emptyPack
}

/** Returns the key of what was put aside at a version; keys of one person order by version. */
export function historyKey(personKey: string, version: number): string {
  return `${historyPrefix}${personKey}\0${hex(version, 12)}`
}

/** Returns the key of an entry of what timers changed; keys order by number. */
export function firedKey(number: number): string {
  return firedPrefix + hex(number, 12)
}

/** Returns the key of what tells the hash of a version of the definitions. */
export function definitionsKey(version: number): string {
  return `definitions/${hex(version, 8)}`
}

/** Writes what the fold keeps of a person beside the profile; the version stays. */
export function keepPerson(scope: FoldScope, person: Person): void {
  scope.view.write(personPrefix + person.key, person, personCodec)
}

export function writeTraits(scope: FoldScope, key: string, traits: PersonTraits): void {
  scope.view.write(traitPrefix + key, traits, traitsCodec)
}

export async function loadMessage(
  scope: FoldScope,
  messageId: string,
): Promise<Message | undefined> {
  await scope.view.load([messagePrefix + messageId])
  return scope.view.read(messagePrefix + messageId, messageCodec)
}

export function writeMessage(scope: FoldScope, message: Message): void {
  scope.view.write(messagePrefix + message.messageId, message, messageCodec)
}

/** Sets or clears a key that only exists or not. */
export function setPresent(scope: FoldScope, key: string, isPresent: boolean): void {
  if (isPresent) scope.view.write(key, 1, presentCodec)
  else scope.view.remove(key)
}

export interface Sending {
  readonly kind: RecordKind
  readonly key: string
  readonly skeleton: unknown
  readonly body?: Uint8Array
  readonly isBackfill?: boolean
  /** Where `key` does not choose it. */
  readonly target?: number
}

/**
 * Puts a record for another partition, or this one, into the outbox; it is forwarded after the
 * commit.
 */
export function send(scope: FoldScope, sending: Sending): void {
  const { meta, view, offset } = scope
  const target = sending.target ?? partitionOf(scope.workspace, sending.key, scope.partitionCount)
  assert(offset > 0, 'what is sent comes from a record')
  if (meta.sending[0] !== offset) meta.sending = [offset, 0]
  const index = meta.sending[1]++
  const [previousOffset, previousIndex] = meta.sent[target] ?? [0, 0]
  meta.sent[target] = [offset, index]
  const bytes = encodeRecord({
    partition: target,
    key: sending.key,
    kind: sending.kind,
    id: sha256Bytes(`outbox:${view.partition}:${offset}:${index}`, 16),
    recordedAtMs: scope.nowMs,
    isBackfill: sending.isBackfill ?? false,
    keyId: 0,
    outbox: { source: view.partition, offset, index, previousOffset, previousIndex },
    skeleton: sending.skeleton,
    body: sending.body ?? emptyBody,
  })
  view.write(outboxKey(target, offset, index), bytes, bytesCodec)
}

export function outboxKey(target: number, offset: number, index: number): string {
  return `${outboxPrefix}${hex(target, 4)}/${hex(offset, 13)}/${hex(index, 8)}`
}

export function parseOutboxKey(key: string): {
  readonly target: number
  readonly offset: number
  readonly index: number
} {
  const [target = '', offset = '', index = ''] = key.slice(outboxPrefix.length).split('/')
  return {
    target: Number.parseInt(target, 16),
    offset: Number.parseInt(offset, 16),
    index: Number.parseInt(index, 16),
  }
}

export function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0')
}
