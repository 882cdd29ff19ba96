/** Reads the events of a request that is JSON already, or says why it has none. */

import type { EventType } from '../event/event.ts'
import { type EventLimits, findLimitFault } from '../event/event-limits.ts'
import { parseTimeMs } from '../event/event-time.ts'
import { pointerOf } from '../event/parse-event.ts'
import { isJsonObject, type JsonObject } from '../lib/json.ts'
import type { AdaptedItem } from './adapted-item.ts'
import type { RequestReason } from './reject-reason.ts'

export type CollectCall = {
  /** The bytes of the request: kept where a value cannot be written again. */
  readonly bytes: Uint8Array
  /** True for events of the past that must not trigger anything. */
  readonly isBackfill: boolean
  /** The client's address, where the source keeps it. */
  readonly clientIp?: string
  /** False where the JSON was written without a backslash, see `findLimitFault`. */
  readonly hasEscapes?: boolean
  /** False where nobody asks what became of each event: then the answer does not tell. */
  readonly tellsEach?: boolean
} & (
  | {
      readonly kind: 'single'
      readonly type: EventType
      /** Read as JSON. */
      readonly body: unknown
    }
  | { readonly kind: 'batch'; readonly body: unknown }
  | {
      readonly kind: 'adapted'
      readonly format: string
      readonly items: readonly AdaptedItem[]
      readonly sentAt?: unknown
    }
)

export interface RequestLimits {
  /** Of each event. */
  readonly limits: EventLimits
  readonly batchCountMax: number
  /** The context of a batch is copied into each of its events. */
  readonly batchContextBytesMax: number
}

type ReadRequest =
  | {
      readonly kind: 'request'
      readonly items: readonly Item[]
      readonly context?: JsonObject
      readonly sentAtMs?: number
      readonly isBackfill: boolean
    }
  | {
      readonly kind: 'refused'
      readonly reason: RequestReason
      readonly says: string
      readonly count: number
    }

/** What is judged, and what is kept of it where it is rejected. */
export type Item = AdaptedItem | { readonly original: unknown; readonly event: unknown }

export function sentOf(item: Item): unknown {
  return 'event' in item ? item.event : undefined
}

/** Returns the events of a request, or why it has none. */
export function readRequest(call: CollectCall, options: RequestLimits): ReadRequest {
  if (call.kind === 'adapted') {
    const { items, sentAt } = call
    const sentAtMs = parseTimeMs(sentAt)
    if (items.length > options.batchCountMax) return refuseLong(items.length, options)
    const request = { kind: 'request', items, isBackfill: false } as const
    return sentAtMs === undefined ? request : { ...request, sentAtMs }
  }
  const { body } = call
  if (!isJsonObject(body)) {
    return refuse('body-not-an-object', 'The body is a JSON object.')
  }
  if (call.kind === 'single') {
    return { kind: 'request', items: [{ original: body, event: body }], isBackfill: false }
  }
  const { batch } = body
  if (!Array.isArray(batch))
    return refuse('batch-missing', 'The field batch is an array of events.')
  if (batch.length === 0) return refuse('batch-empty', 'The batch has no events.')
  if (batch.length > options.batchCountMax) return refuseLong(batch.length, options)
  const context = body.context ?? undefined
  if (context !== undefined) {
    const says = contextFault(context, options)
    if (says !== undefined) return refuse('context-invalid', says, batch.length)
  }
  const sentAtMs = parseTimeMs(body.sentAt)
  return {
    kind: 'request',
    items: batch.map((event: unknown) => ({ original: event, event })),
    isBackfill: body.historical_migration === true || body.backfill === true,
    ...(isJsonObject(context) ? { context } : {}),
    ...(sentAtMs === undefined ? {} : { sentAtMs }),
  }
}

function contextFault(context: unknown, options: RequestLimits): string | undefined {
  if (!isJsonObject(context)) return 'The context of the batch is not an object.'
  const limits = { ...options.limits, eventBytesMax: options.batchContextBytesMax }
  const fault = findLimitFault(context, limits)
  if (fault === undefined) return undefined
  return `The context of the batch is refused at ${pointerOf(['context', ...fault.path])}.`
}

function refuseLong(count: number, options: RequestLimits): ReadRequest {
  const says = `The batch has ${count} events; at most ${options.batchCountMax}.`
  return refuse('batch-too-long', says, count)
}

function refuse(reason: RequestReason, says: string, count = 1): ReadRequest {
  return { kind: 'refused', reason, says, count }
}
