/**
 * Imports through a running server, one request after the other, so that the records of a person
 * keep their order. A request is repeated, with the same event ids, until it is answered: after 429
 * and 503 when `Retry-After` says, after a broken connection with growing delays; within bounds.
 * What the server takes twice has the same ids, and counts once.
 */

import type { EventResult } from '../collect/collect-batch.ts'
import { refusedItem } from '../collect/import-row.ts'
import type { RejectReason } from '../collect/reject-reason.ts'
import { defaultEventLimits, findLimitFault } from '../event/event-limits.ts'
import { pointerOf } from '../event/parse-event.ts'
import { type Backoff, backoffMs } from '../lib/backoff.ts'
import type { Clock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import { isJsonObject, type JsonObject } from '../lib/json.ts'
import type { Random } from '../lib/random.ts'
import type { ImportTarget } from './import-target.ts'

/** How a server is asked to take items, and what its answer says of them. */
export interface Wire {
  readonly path: string
  readonly authorization: string
  bodyOf(items: readonly JsonObject[]): string
  /** Returns what became of each; nothing where the answer does not say. */
  resultsOf(
    answered: { readonly status: number; readonly fields: JsonObject },
    items: readonly JsonObject[],
  ): readonly EventResult[] | undefined
}

export interface HttpTargetOptions {
  readonly url: string
  /** What tells this target from others of the same server. */
  readonly sourceId: string
  readonly wire: Wire
  /** Tells of a wait. */
  readonly say: (text: string) => void
  readonly signal: AbortSignal
}

interface HttpDeps {
  readonly clock: Clock
  readonly random: Random
}

const batchCountMax = 1_000
/** Under the server's own limit of 512 KiB. */
const batchBytesMax = 400 * 1024
const attemptCountMax = 12
const backoff: Backoff = { delayMs: 500, delayMsMax: 30_000 }
const retryAfterSecondsMax = 120
const requestMsMax = 60_000

export function createHttpTarget(deps: HttpDeps, options: HttpTargetOptions): ImportTarget {
  const base = options.url.replace(/\/+$/, '')
  const send = { ...options, url: `${base}${options.wire.path}` }
  return {
    id: base,
    sourceId: options.sourceId,
    batchCountMax,
    batchBytesMax,
    windowCountMax: 1,
    write: (items) => writeAll(deps, send, items.map(withoutFault)),
    ends: async () => [],
    knownBehind: async () => new Map(),
    close: async () => {},
  }
}

/** Takes events, with the write key of their source. */
export function createEventWire(writeKey: string, isBackfill: boolean): Wire {
  return {
    path: `${isBackfill ? '/v1/import' : '/v1/batch'}?verbose=1`,
    authorization: `Basic ${Buffer.from(`${writeKey}:`).toString('base64')}`,
    bodyOf: (items) => JSON.stringify({ batch: items }),
    resultsOf({ status, fields: { results } }, items) {
      if (status !== 200 || !Array.isArray(results) || results.length !== items.length) return
      return results as unknown as readonly EventResult[]
    },
  }
}

/**
 * JSON text cannot say every value that a file can (1e400, a million levels): such an item is
 * refused here, in a form that the server keeps.
 */
function withoutFault(item: JsonObject): JsonObject {
  const fault = findLimitFault(item, defaultEventLimits)
  if (fault === undefined) return item
  if (fault.reason !== 'number-not-finite' && canBeWritten(item)) return item
  const refused = { path: pointerOf(fault.path), says: fault.says, text: '' }
  const { messageId } = item
  const shown = refusedItem(refused, { file: '', line: 0 })
  return { ...shown, ...(typeof messageId === 'string' ? { messageId } : {}) }
}

function canBeWritten(item: JsonObject): boolean {
  try {
    return JSON.stringify(item) !== undefined
  } catch {
    return false
  }
}

async function writeAll(
  deps: HttpDeps,
  options: HttpTargetOptions,
  items: readonly JsonObject[],
): Promise<readonly EventResult[]> {
  const answer = await request(deps, options, items)
  if (answer.kind === 'results') return answer.results
  // A server with smaller limits: half as much at a time, down to one event.
  if (items.length === 1) {
    const { reason, says } = answer
    return [{ status: 'rejected', reason: reason as RejectReason, path: '', says }]
  }
  const half = Math.ceil(items.length / 2)
  const first = await writeAll(deps, options, items.slice(0, half))
  return [...first, ...(await writeAll(deps, options, items.slice(half)))]
}

type Answer =
  | { readonly kind: 'results'; readonly results: readonly EventResult[] }
  | { readonly kind: 'too-large'; readonly reason: string; readonly says: string }

async function request(
  deps: HttpDeps,
  options: HttpTargetOptions,
  items: readonly JsonObject[],
): Promise<Answer> {
  for (let failedCount = 1; ; failedCount++) {
    const failure = await attempt(options, items)
    if (failure.kind === 'results' || failure.kind === 'too-large') return failure
    const isOver = failedCount >= attemptCountMax || options.signal.aborted
    if (failure.kind === 'refused' || isOver) throw failure.error
    const delayMs = failure.retryAfterMs ?? backoffMs(deps.random, backoff, failedCount)
    options.say(`${failure.error.message}; trying again in ${Math.ceil(delayMs / 1000)} s`)
    await deps.clock.sleep(delayMs, options.signal)
    if (options.signal.aborted) throw failure.error
  }
}

type Attempt =
  | Answer
  | { readonly kind: 'refused'; readonly error: OperatingError }
  | {
      readonly kind: 'again'
      readonly error: OperatingError
      readonly retryAfterMs: number | undefined
    }

async function attempt(options: HttpTargetOptions, items: readonly JsonObject[]): Promise<Attempt> {
  const { url, wire } = options
  const { authorization } = wire
  let response: Response
  let answer: unknown
  try {
    response = await fetch(url, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json' },
      body: wire.bodyOf(items),
      signal: AbortSignal.timeout(requestMsMax),
    })
    answer = parseAnswer(await response.text())
  } catch (error) {
    const says = `send ${items.length} events to ${url}`
    const unreachable = new OperatingError('SERVER_UNREACHABLE', says, error)
    return { kind: 'again', error: unreachable, retryAfterMs: undefined }
  }
  const { status } = response
  const fields = isJsonObject(answer) ? answer : {}
  const results = wire.resultsOf({ status, fields }, items)
  if (results !== undefined) return { kind: 'results', results }
  const { code, detail } = fields
  const says = `${String(code ?? status)}: ${String(detail ?? 'no reason was given')}`
  if (status === 413) return { kind: 'too-large', reason: String(code), says }
  if (status === 429 || status >= 500) {
    const error = new OperatingError('SERVER_UNREACHABLE', `send events, answered ${says}`)
    return { kind: 'again', error, retryAfterMs: retryAfterMsOf(response) }
  }
  const error = new OperatingError('SERVER_REFUSED', `send events to ${url}, answered ${says}`)
  return { kind: 'refused', error }
}

function parseAnswer(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

function retryAfterMsOf({ headers }: Response): number | undefined {
  const header = headers.get('retry-after')
  if (header === null || !/^\d{1,6}$/.test(header)) return undefined
  return Math.min(Number(header), retryAfterSecondsMax) * 1000
}
