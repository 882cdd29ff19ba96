/**
 * Records of the log `rejected`: what was refused, with all that decided it, and what became of it.
 *
 * Both kinds of one source lie in one partition, so a resolution comes behind what it names. The
 * body is the bytes as they came; behind them what they were translated to, where they are in
 * another format, and the context that was added, since both are the producer's too.
 */

import { type EventType, eventTypes } from '../event/event.ts'
import { isJsonObject } from '../lib/json.ts'
import type { Random } from '../lib/random.ts'
import type { EventLog } from '../log/event-log.ts'
import { emptyBody, type LogRecord, type NewRecord, partitionOf } from '../log/record.ts'
import type { RejectReason, RequestReason } from './reject-reason.ts'

/** How the bytes of a body were compressed. */
export const bodyEncodings = ['identity', 'gzip', 'deflate', 'br'] as const
export type BodyEncoding = (typeof bodyEncodings)[number]

/**
 * What the bytes are: one event; a body that could not be read as events; or the body around an
 * event that cannot be written by itself.
 */
export type RejectedForm = 'event' | 'request' | 'around'

/** The clear part of a record in the `rejected` log. */
export interface RejectedSkeleton {
  readonly sourceId: string
  readonly reason: RejectReason
  /** JSON pointer to the fault; '' is the whole. */
  readonly path: string
  readonly receivedAtMs: number
  readonly form: RejectedForm
  /** Of an event: its name as it was sent, at most `nameLengthMax` of it. */
  readonly name?: string
  /** The type that the path of the request named, or that the path was one for batches. */
  readonly type?: EventType | 'batch'
  readonly sentAtMs?: number
  /** Of a request; absent: not compressed. */
  readonly encoding?: BodyEncoding
  /** What the bytes are written in, where it is not the form of Segment's API. */
  readonly format?: string
  /** Bytes behind those that came: the event they were translated to, where they were. */
  readonly translatedBytes?: number
  /** Bytes at the end of the body: the context that was added to that of the event. */
  readonly contextBytes?: number
  /** True where more came than is kept. */
  readonly isCut?: boolean
}

export const resolutionOutcomes = ['replayed', 'dismissed', 'failed'] as const
/** `failed` leaves what it names open. */
export type ResolutionOutcome = (typeof resolutionOutcomes)[number]

/** Says what became of rejected events of one source. */
export interface ResolutionSkeleton {
  readonly sourceId: string
  readonly outcome: ResolutionOutcome
  /** Why it was dismissed, by whoever did. */
  readonly says?: string
  /** Offsets in the same partition, by group. */
  readonly groups: readonly ResolvedGroup[]
}

export interface ResolvedGroup extends GroupName {
  readonly offsets: readonly number[]
}

/** What events of one fault share. */
export interface GroupName {
  readonly source: string
  readonly reason: string
  /** With `*` in place of the index of an array. */
  readonly path: string
  /** Name of the event; '' where it has none. */
  readonly event: string
}

/** A rejected record as it was read. */
export interface RejectedRecord {
  readonly id: string
  readonly partition: number
  readonly offset: number
  readonly recordId: Uint8Array
  readonly group: GroupName
  readonly skeleton: RejectedSkeleton
  readonly isBackfill: boolean
  readonly bytes: Uint8Array
  /** The event as it was judged, where the bytes are in another format. */
  readonly translated: Uint8Array
  readonly context: Uint8Array
}

const idBytes = 16
const nameLengthMax = 200
const groupPathLengthMax = 300

export interface RejectedPlace {
  readonly workspace: string
  /** Most bytes kept of what is rejected. */
  readonly rejectedBytesMax: number
}

export interface Rejection {
  readonly skeleton: Omit<RejectedSkeleton, 'translatedBytes' | 'contextBytes' | 'isCut'>
  readonly bytes: Uint8Array
  readonly translated?: Uint8Array | undefined
  readonly context?: Uint8Array | undefined
  readonly isBackfill: boolean
}

/** Returns the record that keeps what was refused. */
export function rejectedRecord(
  { skeleton, bytes, translated = emptyBody, context = emptyBody, isBackfill }: Rejection,
  deps: { readonly rejected: EventLog; readonly random: Random },
  options: RejectedPlace,
): NewRecord {
  const { rejectedBytesMax: bytesMax } = options
  const kept = bytes.subarray(0, bytesMax)
  const readable = translated.length > bytesMax ? emptyBody : translated
  const full: RejectedSkeleton = {
    ...skeleton,
    ...(readable.length === 0 ? {} : { translatedBytes: readable.length }),
    ...(context.length === 0 ? {} : { contextBytes: context.length }),
    ...(kept.length < bytes.length ? { isCut: true } : {}),
  }
  return {
    ...placeOf(skeleton.sourceId, deps.rejected, options.workspace),
    kind: 'event',
    id: deps.random.bytes(idBytes),
    recordedAtMs: skeleton.receivedAtMs,
    isBackfill,
    keyId: 0,
    skeleton: full,
    body: Buffer.concat([kept, readable, context]),
  }
}

export function resolutionRecord(
  skeleton: ResolutionSkeleton,
  deps: { readonly rejected: EventLog; readonly random: Random; readonly nowMs: number },
  workspace: string,
): NewRecord {
  return {
    ...placeOf(skeleton.sourceId, deps.rejected, workspace),
    kind: 'resolution',
    id: deps.random.bytes(idBytes),
    recordedAtMs: deps.nowMs,
    isBackfill: false,
    keyId: 0,
    skeleton,
    body: emptyBody,
  }
}

/** The partition in which all that concerns a source lies. */
export function placeOf(
  sourceId: string,
  rejected: EventLog,
  workspace: string,
): { readonly key: string; readonly partition: number } {
  const key = `source:${sourceId}`
  return { key, partition: partitionOf(workspace, key, rejected.identity.partitionCount) }
}

/** Returns the name an event was sent with, for the list; nothing where it has none. */
export function nameOfSent(item: unknown, type: EventType | undefined): string | undefined {
  if (!isJsonObject(item)) return undefined
  const { event, type: own } = item
  if (typeof event === 'string' && event !== '') return event.slice(0, nameLengthMax).toWellFormed()
  return type ?? eventTypes.find((each) => each === own)
}

export function decodeRejected(record: LogRecord): RejectedRecord {
  const { partition, offset, body, isBackfill, id: recordId } = record
  const skeleton = record.skeleton as RejectedSkeleton
  const contextAt = body.length - (skeleton.contextBytes ?? 0)
  const translatedAt = contextAt - (skeleton.translatedBytes ?? 0)
  return {
    id: rejectedIdOf(record),
    partition,
    offset,
    recordId,
    group: groupOf(skeleton),
    skeleton,
    isBackfill,
    bytes: body.subarray(0, translatedAt),
    translated: body.subarray(translatedAt, contextAt),
    context: body.subarray(contextAt),
  }
}

/** Returns the public id: the place, and enough of the record's own id to tell another log by. */
export function rejectedIdOf({ partition, offset, id }: LogRecord): string {
  return `${partition}-${offset}-${Buffer.from(id).toString('hex', 0, 4)}`
}

export interface ParsedRejectedId {
  readonly partition: number
  readonly offset: number
}

export function parseRejectedId(id: string, partitionCount: number): ParsedRejectedId | undefined {
  const parts = /^(\d{1,5})-([1-9]\d{0,14})-[0-9a-f]{8}$/.exec(id)
  const partition = Number(parts?.[1] ?? partitionCount)
  return partition < partitionCount ? { partition, offset: Number(parts?.[2]) } : undefined
}

export function groupOf({ sourceId, reason, path, name }: RejectedSkeleton): GroupName {
  const everyItem = path.replaceAll(/\/\d+(?=\/|$)/g, '/*')
  const bounded = everyItem.slice(0, groupPathLengthMax).toWellFormed()
  return { source: sourceId, reason, path: bounded, event: name ?? '' }
}

/** Reasons whose bytes were never whole. */
const cutReasons: ReadonlySet<RejectReason> = new Set<RequestReason>(['body-too-large'])

/** Returns why a record can only be shown, or nothing. */
export function whyNotRepairable(skeleton: RejectedSkeleton): string | undefined {
  const { form, isCut, reason, type, format, translatedBytes } = skeleton
  if (format !== undefined) {
    return translatedBytes === undefined ? `It could not be read as ${format}.` : undefined
  }
  if (isCut === true || cutReasons.has(reason)) return 'More came than is kept.'
  if (form === 'around') return 'The event cannot be written by itself.'
  if (form === 'request' && type === undefined) return 'It is not known what the request was for.'
  return undefined
}
