/**
 * Takes a request of events from any transport, and answers when each of them is safe.
 *
 * Promise: every event of a request ends as an `event` record in the log or as a record in the
 * `rejected` log, with the reason; both are durable before the answer. When either log rejects,
 * `collect` rejects with its error, nothing is counted, and the producer sends again: the event id
 * makes what was already there a duplicate.
 *
 * Order of effects: judge all, append good and bad at once, count, answer.
 */

import type { Event } from '../event/event.ts'
import { type ParseEventDeps, parseEvent } from '../event/parse-event.ts'
import type { TrackingPlan } from '../event/tracking-plan.ts'
import { assert } from '../lib/assert.ts'
import type { Clock } from '../lib/clock.ts'
import type { Random } from '../lib/random.ts'
import type { EventLog } from '../log/event-log.ts'
import type { NewRecord } from '../log/record.ts'
import { eventRecord } from './event-record.ts'
import type { ItemStamps } from './item-stamp.ts'
import { judgeCatalogItem } from './judge-catalog-item.ts'
import {
  type CollectCall,
  type Item,
  type RequestLimits,
  readRequest,
  sentOf,
} from './read-request.ts'
import type { RejectReason, RequestReason } from './reject-reason.ts'
import { type BodyEncoding, nameOfSent, type Rejection, rejectedRecord } from './rejected-record.ts'
import type { SegmentRoute } from './segment-routes.ts'
import type { SourceDirectory } from './source-directory.ts'

export type EventResult =
  | { readonly status: 'accepted'; readonly eventId: string }
  | {
      readonly status: 'rejected'
      readonly reason: RejectReason
      readonly path: string
      readonly says: string
    }

export type CollectAnswer =
  | {
      readonly kind: 'taken'
      readonly acceptedCount: number
      readonly rejectedCount: number
      /** One for each event, in the order of the request; none where the call asks for none. */
      readonly results: readonly EventResult[]
    }
  | { readonly kind: 'refused'; readonly reason: RequestReason; readonly says: string }

export type TakenAnswer = Extract<CollectAnswer, { readonly kind: 'taken' }>

/** Counts of what is durable: accepted + rejected = received. */
export interface CollectMetrics {
  accepted(sourceId: string, count: number): void
  rejected(sourceId: string, reason: RejectReason, count: number): void
  /** Of the accepted: those that their schema refuses. Absent where nobody counts them. */
  marked?(sourceId: string, eventName: string): void
}

export interface CollectorDeps {
  readonly log: EventLog
  readonly rejected: EventLog
  readonly clock: Clock
  readonly random: Random
  readonly sources: SourceDirectory
  readonly metrics: CollectMetrics
  /** Absent where events are not stamped. */
  readonly stamps?: ItemStamps
}

export interface CollectorOptions extends RequestLimits {
  readonly workspace: string
  /** Most bytes kept of what is rejected. */
  readonly rejectedBytesMax: number
}

export interface Collector {
  /** Rejects with an `OperatingError` where a log does. */
  collect(sourceId: string, call: CollectCall): Promise<CollectAnswer>
  /** Keeps a request that could not be read, and counts it as one event. */
  rejectRequest(sourceId: string, refusal: RefusedRequest): Promise<void>
}

export interface RefusedRequest {
  readonly reason: RequestReason
  readonly says: string
  /** As they came: compressed bytes stay so. */
  readonly bytes: Uint8Array
  readonly encoding?: BodyEncoding
  /** Absent where the bytes are not whole, or in another format. */
  readonly route?: SegmentRoute
  /** Events in the request where they could be counted. */
  readonly count?: number
  readonly format?: string
}

const idBytes = 16
const noneTaken = { acceptedCount: 0, rejectedCount: 0, results: [] } as const

export interface Judged {
  readonly events: NewRecord[]
  readonly rejected: NewRecord[]
  readonly reasons: RejectReason[]
  /** Names of the events that are taken and marked by the plan. */
  readonly marked: string[]
  readonly results: EventResult[]
}

/** What one request, or a replay of it, is judged by. */
export interface Judge {
  readonly deps: CollectorDeps
  readonly options: CollectorOptions
  readonly requestBytes: Uint8Array
  readonly format: string | undefined
  readonly isBackfill: boolean
  readonly plan: TrackingPlan | undefined
  readonly parseDeps: ParseEventDeps
  /** Whether `results` are asked for. */
  readonly tellsEach: boolean
}

export function createCollector(deps: CollectorDeps, options: CollectorOptions): Collector {
  assert(options.batchCountMax > 0, 'a batch holds at least one event')
  const { metrics } = deps

  const rejectRequest = async (sourceId: string, refusal: RefusedRequest): Promise<void> => {
    const rejection = rejectionOfRequest(sourceId, refusal, deps.clock.nowMs())
    await deps.rejected.append([rejectedRecord(rejection, deps, options)])
    metrics.rejected(sourceId, refusal.reason, refusal.count ?? 1)
  }

  const collect = async (sourceId: string, call: CollectCall): Promise<CollectAnswer> => {
    const request = readRequest(call, options)
    if (request.kind === 'refused') {
      const { reason, says, count } = request
      const refusal = { reason, says, count, bytes: call.bytes }
      const of = call.kind === 'adapted' ? { format: call.format } : { route: call }
      await rejectRequest(sourceId, { ...refusal, ...of })
      return { kind: 'refused', reason, says }
    }
    const parseDeps: ParseEventDeps = {
      sourceId,
      receivedAtMs: deps.clock.nowMs(),
      makeEventId: () => Buffer.from(deps.random.bytes(idBytes)).toString('hex'),
      limits: options.limits,
      type: call.kind === 'single' ? call.type : undefined,
      sentAtMs: request.sentAtMs,
      batchContext: request.context,
      clientIp: call.clientIp,
      hasEscapes: call.hasEscapes !== false,
    }
    const stamping = deps.stamps?.load(request.items.map(sentOf))
    if (stamping !== undefined) await stamping
    const outcome = appendJudged(request.items, {
      deps,
      options,
      requestBytes: call.bytes,
      format: call.kind === 'adapted' ? call.format : undefined,
      isBackfill: call.isBackfill || request.isBackfill,
      plan: deps.sources.byId(sourceId)?.plan,
      parseDeps,
      tellsEach: call.tellsEach !== false,
    })
    // A request in another format may hold nothing that is kept.
    if (outcome === undefined) return { kind: 'taken', ...noneTaken }
    const { acceptedCount, rejectedCount, results } = outcome
    await outcome.appending
    if (acceptedCount > 0) metrics.accepted(sourceId, acceptedCount)
    for (const reason of outcome.reasons) metrics.rejected(sourceId, reason, 1)
    for (const name of outcome.marked) metrics.marked?.(sourceId, name)
    return { kind: 'taken', acceptedCount, rejectedCount, results }
  }
  return { collect, rejectRequest }
}

interface Outcome extends Pick<Judged, 'reasons' | 'marked' | 'results'> {
  readonly acceptedCount: number
  readonly rejectedCount: number
  readonly appending: Promise<unknown>
}

/**
 * Judges all and appends them, where there are any. The records are the logs' alone from then on:
 * held by the request while a log writes, they would be copied at each collection of garbage.
 */
function appendJudged(items: readonly Item[], judge: Judge): Outcome | undefined {
  const { events, rejected, reasons, marked, results } = judgeAll(items, judge)
  if (events.length + rejected.length === 0) return undefined
  const { log, rejected: rejectedLog } = judge.deps
  const accepting = events.length === 0 ? undefined : log.append(events)
  const rejecting = rejected.length === 0 ? undefined : rejectedLog.append(rejected)
  const appending = rejecting === undefined ? accepting : Promise.all([accepting, rejecting])
  assert(appending, 'what is judged is kept')
  const [acceptedCount, rejectedCount] = [events.length, rejected.length]
  return { reasons, marked, results, acceptedCount, rejectedCount, appending }
}

/** Makes a record of each event, good or bad. Appends nothing. */
export function judgeAll(items: readonly Item[], judge: Judge): Judged {
  const judged: Judged = { events: [], rejected: [], reasons: [], marked: [], results: [] }
  const { deps, options, isBackfill, tellsEach } = judge
  const { workspace } = options
  const { partitionCount } = deps.log.identity
  const place = { workspace, partitionCount, isBackfill, stamps: deps.stamps }
  for (const item of items) {
    const judgement = judgeItem(item, judge)
    if (judgement.kind === 'event') {
      const { event } = judgement
      judged.events.push(eventRecord(event, place))
      if (event.planFault !== undefined) judged.marked.push(event.name)
      if (tellsEach) judged.results.push({ status: 'accepted', eventId: event.eventId })
    } else if (judgement.kind === 'item') {
      judged.events.push(judgement.record)
      if (tellsEach) judged.results.push({ status: 'accepted', eventId: judgement.itemId })
    } else {
      const { reason, path, says } = judgement
      const rejection = rejectionOf(item, { reason, path }, judge)
      judged.rejected.push(rejectedRecord(rejection, deps, options))
      judged.reasons.push(reason)
      if (tellsEach) judged.results.push({ status: 'rejected', reason, path, says })
    }
  }
  return judged
}

type Judgement =
  | { readonly kind: 'event'; readonly event: Event }
  | { readonly kind: 'item'; readonly itemId: string; readonly record: NewRecord }
  | {
      readonly kind: 'refused'
      readonly reason: RejectReason
      readonly path: string
      readonly says: string
    }

function judgeItem(item: Item, judge: Judge): Judgement {
  if ('refusal' in item) return { kind: 'refused', ...item.refusal }
  if ('catalogItem' in item) return judgeCatalogItem(item.catalogItem, judge)
  const parsed = parseEvent(item.event, judge.parseDeps)
  if (parsed.kind === 'refused') return parsed
  const fault = judge.plan?.validate(parsed.event)
  if (fault === undefined) return parsed
  const { kind, reason, path, says } = fault
  if (kind === 'refused') return { kind, reason, path, says }
  return { kind: 'event', event: { ...parsed.event, planFault: { path, says } } }
}

function rejectionOfRequest(
  sourceId: string,
  { reason, bytes, encoding, route, format }: RefusedRequest,
  receivedAtMs: number,
): Rejection {
  const type = route?.kind === 'single' ? route.type : route?.kind
  return {
    skeleton: {
      ...{ sourceId, reason, path: '', receivedAtMs, form: 'request' },
      ...(type === undefined ? {} : { type }),
      ...(encoding === undefined || encoding === 'identity' ? {} : { encoding }),
      ...(format === undefined ? {} : { format }),
    },
    bytes,
    isBackfill: route?.isBackfill === true,
  }
}

/** One nested too deep to be written again is kept as the whole request. */
function rejectionOf(
  item: Item,
  { reason, path }: { readonly reason: RejectReason; readonly path: string },
  judge: Judge,
): Rejection {
  const { sourceId, receivedAtMs, type, sentAtMs, batchContext, clientIp } = judge.parseDeps
  const { format } = judge
  const event = 'event' in item ? item.event : undefined
  const name = nameOfSent(event, type)
  const bytes = bytesOf(item.original)
  const context = clientIp === undefined ? batchContext : { ip: clientIp, ...batchContext }
  return {
    skeleton: {
      ...{ sourceId, reason, path, receivedAtMs, form: bytes === undefined ? 'around' : 'event' },
      ...(name === undefined ? {} : { name }),
      ...(type === undefined ? {} : { type }),
      ...(sentAtMs === undefined ? {} : { sentAtMs }),
      ...(format === undefined ? {} : { format }),
    },
    bytes: bytes ?? judge.requestBytes,
    translated: format === undefined || event === undefined ? undefined : bytesOf(event),
    context: context === undefined ? undefined : Buffer.from(JSON.stringify(context)),
    isBackfill: judge.isBackfill,
  }
}

/** Returns JSON text; nothing where it is nested deeper than can be written. */
function bytesOf(item: unknown): Uint8Array | undefined {
  if (item instanceof Uint8Array) return item
  try {
    return Buffer.from(JSON.stringify(item, keepNumber))
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

/** JSON text would say null for 1e400, which is read as Infinity: written as it came, it stays. */
function keepNumber(_name: string, value: unknown): unknown {
  if (typeof value !== 'number' || Number.isFinite(value)) return value
  return JSON.rawJSON(value > 0 ? '1e400' : '-1e400')
}
