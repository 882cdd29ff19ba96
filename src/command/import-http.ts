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

export interface HttpTargetOptions {
  readonly url: string
  readonly writeKey: string
  readonly isBackfill: boolean
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
  const path = options.isBackfill ? '/v1/import' : '/v1/batch'
  const send = { ...options, url: `${base}${path}?verbose=1` }
  return {
    id: base,
    sourceId: options.writeKey,
    batchCountMax,
    batchBytesMax,
    windowCountMax: 1,
    write: (items) => writeAll(deps, send, items.map(withoutFault)),
    ends: async () => [],
    knownBehind: async () => new Map(),
    close: async () => {},
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
  const body = JSON.stringify({ batch: items })
  for (let failedCount = 1; ; failedCount++) {
    const failure = await attempt(options, body, items.length)
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

async function attempt(
  options: HttpTargetOptions,
  body: string,
  itemCount: number,
): Promise<Attempt> {
  const { url, writeKey } = options
  const authorization = `Basic ${Buffer.from(`${writeKey}:`).toString('base64')}`
  let response: Response
  let answer: unknown
  try {
    response = await fetch(url, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json' },
      body,
      signal: AbortSignal.timeout(requestMsMax),
    })
    answer = parseAnswer(await response.text())
  } catch (error) {
    const says = `send ${itemCount} events to ${url}`
    const unreachable = new OperatingError('SERVER_UNREACHABLE', says, error)
    return { kind: 'again', error: unreachable, retryAfterMs: undefined }
  }
  const { status } = response
  const fields = isJsonObject(answer) ? answer : {}
  const { results, code, detail } = fields
  if (status === 200 && Array.isArray(results) && results.length === itemCount) {
    return { kind: 'results', results: results as unknown as readonly EventResult[] }
  }
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
