/**
 * Says what the collector would make of a rejected record now, as it is or repaired.
 *
 * It is judged as it was then: by the same time of receipt, the context and `sentAt` of its batch,
 * and the type that its path named; and by what holds now: limits, plan of the source. A request of
 * several events is taken whole or not at all, since no event of it has a record of its own.
 *
 * The id of an event without one is made from the id of the rejected record, so that a second
 * replay makes the same event.
 */

import type { EventType } from '../event/event.ts'
import { applyRepair, type Repair, repairText } from '../event/repair.ts'
import { isJsonObject } from '../lib/json.ts'
import type { NewRecord } from '../log/record.ts'
import { type CollectorDeps, type CollectorOptions, type Judge, judgeAll } from './collect-batch.ts'
import { inflateBody, parseBody } from './parse-body.ts'
import { type CollectCall, readRequest } from './read-request.ts'
import { type RejectedRecord, whyNotRepairable } from './rejected-record.ts'

export type Judgement =
  | { readonly kind: 'accepted'; readonly events: readonly NewRecord[] }
  | {
      readonly kind: 'refused'
      readonly reason: string
      readonly path: string
      readonly says: string
    }
  | { readonly kind: 'dropped' }
  | { readonly kind: 'not-repairable'; readonly says: string }

/** With the document before and after the repair, where there is one. */
export interface JudgedRejected {
  readonly judgement: Judgement
  readonly before?: unknown
  readonly after?: unknown
}

export interface JudgeRejectedDeps {
  readonly collector: CollectorDeps
  readonly options: CollectorOptions
  readonly inflatedBytesMax: number
}

export interface JudgeRejectedOptions {
  readonly repair?: Repair | undefined
  /** Whether what was sent live may trigger. */
  readonly isLive: boolean
}

const textDecoder = new TextDecoder('utf-8', { fatal: true })

export async function judgeRejected(
  record: RejectedRecord,
  deps: JudgeRejectedDeps,
  given: JudgeRejectedOptions,
): Promise<JudgedRejected> {
  const { sourceId } = record.skeleton
  const says =
    whyNotRepairable(record.skeleton) ??
    (deps.collector.sources.byId(sourceId) === undefined ? 'The source is not defined.' : undefined)
  if (says !== undefined) return { judgement: { kind: 'not-repairable', says } }
  const { repair } = given
  const read = await readDocument(record, deps, repair)
  if (read.kind === 'refused') return { judgement: { ...read, path: '' } }
  const before = read.document
  const repaired = repair === undefined ? read : applyRepair(before, repair)
  if (repaired.kind === 'dropped') return { judgement: repaired, before }
  if (repaired.kind === 'refused') {
    const refusal = { kind: 'refused', reason: 'repair-too-large', path: '' } as const
    return { judgement: { ...refusal, says: repaired.says }, before }
  }
  const after = repaired.document
  return { judgement: judgeDocument(after, record, deps, given.isLive), before, after }
}

/** Returns the text of the bytes; nothing where they are none. */
export async function textOfRejected(
  { bytes, skeleton }: RejectedRecord,
  inflatedBytesMax: number,
): Promise<string | undefined> {
  try {
    const { encoding = 'identity' } = skeleton
    const inflated =
      encoding === 'identity' ? bytes : await inflateBody(bytes, encoding, inflatedBytesMax)
    return textDecoder.decode(inflated)
  } catch {
    return undefined
  }
}

type ReadDocument =
  | { readonly kind: 'document'; readonly document: unknown }
  | { readonly kind: 'refused'; readonly reason: string; readonly says: string }

async function readDocument(
  record: RejectedRecord,
  { inflatedBytesMax }: JudgeRejectedDeps,
  repair: Repair | undefined,
): Promise<ReadDocument> {
  const { translated } = record
  const { encoding = 'identity' } = translated.length > 0 ? {} : record.skeleton
  const bytes = translated.length > 0 ? translated : record.bytes
  const parsed = await parseBody(bytes, encoding, inflatedBytesMax)
  if (parsed.kind === 'json') return { kind: 'document', document: parsed.body }
  const text =
    repair === undefined || parsed.reason !== 'body-not-json'
      ? undefined
      : await textOfRejected(record, inflatedBytesMax)
  const mended = text === undefined || repair === undefined ? undefined : repairText(text, repair)
  if (mended === undefined) return parsed
  const again = await parseBody(Buffer.from(mended), 'identity', inflatedBytesMax)
  return again.kind === 'json' ? { kind: 'document', document: again.body } : again
}

function judgeDocument(
  document: unknown,
  record: RejectedRecord,
  deps: JudgeRejectedDeps,
  isLive: boolean,
): Judgement {
  const { skeleton, isBackfill } = record
  const { type } = skeleton
  const own = type === undefined || type === 'batch' ? undefined : type
  const request =
    skeleton.form === 'event'
      ? ({ kind: 'request', items: [itemOf(document)], isBackfill: false } as const)
      : readRequest(callOf(document, own, record), deps.options)
  if (request.kind === 'refused') return { ...request, path: '' }
  const judge = judgeOf(record, deps, {
    type: own,
    sentAtMs: request.sentAtMs ?? skeleton.sentAtMs,
    batchContext: request.context ?? readContext(record),
    isBackfill: !isLive || isBackfill || request.isBackfill,
  })
  const { events, results } = judgeAll(request.items, judge)
  for (const [index, result] of results.entries()) {
    if (result.status === 'accepted') continue
    const { reason, path, says } = result
    const isAlone = skeleton.form === 'event' || skeleton.type !== 'batch'
    return { kind: 'refused', reason, says, path: isAlone ? path : `/batch/${index}${path}` }
  }
  // The time at which a record is appended is its own; the event keeps that of its receipt.
  const recordedAtMs = deps.collector.clock.nowMs()
  return { kind: 'accepted', events: events.map((event) => ({ ...event, recordedAtMs })) }
}

function itemOf(event: unknown) {
  return { original: event, event }
}

function callOf(body: unknown, type: EventType | undefined, record: RejectedRecord): CollectCall {
  const { bytes, isBackfill } = record
  if (type === undefined) return { kind: 'batch', body, bytes, isBackfill }
  return { kind: 'single', type, body, bytes, isBackfill }
}

function judgeOf(
  record: RejectedRecord,
  { collector, options }: JudgeRejectedDeps,
  given: {
    readonly type: EventType | undefined
    readonly sentAtMs: number | undefined
    readonly batchContext: Judge['parseDeps']['batchContext'] | undefined
    readonly isBackfill: boolean
  },
): Judge {
  const { skeleton, recordId } = record
  const { type, sentAtMs, batchContext, isBackfill } = given
  const hex = Buffer.from(recordId).toString('hex')
  let madeCount = 0
  return {
    deps: collector,
    options,
    requestBytes: record.bytes,
    format: undefined,
    isBackfill,
    plan: collector.sources.byId(skeleton.sourceId)?.plan,
    tellsEach: true,
    parseDeps: {
      sourceId: skeleton.sourceId,
      receivedAtMs: skeleton.receivedAtMs,
      makeEventId: () => `rejected-${hex}-${madeCount++}`,
      limits: options.limits,
      ...(type === undefined ? {} : { type }),
      ...(sentAtMs === undefined ? {} : { sentAtMs }),
      ...(batchContext === undefined ? {} : { batchContext }),
    },
  }
}

/** It passed the limits when it was taken. */
function readContext({ context }: RejectedRecord): Judge['parseDeps']['batchContext'] | undefined {
  if (context.length === 0) return undefined
  const value: unknown = JSON.parse(Buffer.from(context).toString())
  return isJsonObject(value) ? value : undefined
}
