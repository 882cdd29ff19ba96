/**
 * The collector over HTTP, on plain `node:http` requests: the routes of Segment's tracking API,
 * those of its browser client, and Jitsu's.
 *
 * Order of one request: write key in a header, intake open, body within its limit, inflate, JSON,
 * write key in the body, origin, collect, answer. The answer 200 goes out only when every event is
 * durable. A request that cannot be read is kept in the `rejected` log if its source is known;
 * strangers fill no disk.
 *
 * Single invalid events are answered 200, as Segment does: clients would drop or repeat them on
 * anything else. `Prefer: return=representation` or `?verbose=1` shows what became of each event.
 */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { type EventType, eventTypes } from '../event/event.ts'
import { OperatingError } from '../lib/errors.ts'
import { isJsonObject } from '../lib/json.ts'
import type { Logger } from '../lib/logger.ts'
import {
  addCorsHeaders,
  answerJson,
  answerPreflight,
  answerProblem,
  answerTakenAll,
  isOriginAllowed,
  type Problem,
  settingsOf,
} from './collect-answer.ts'
import type { CollectAnswer, CollectCall, Collector, RequestReason } from './collect-batch.ts'
import type { CollectHttpOptions } from './collect-options.ts'
import { type BodyBudget, encodingOf, parseBody, readBody } from './parse-body.ts'
import type { CollectSource, SourceDirectory } from './source-directory.ts'

/** Whether events are taken now. Lag answers 429, the rest 503. */
export type Intake =
  | { readonly kind: 'open' }
  | {
      readonly kind: 'closed'
      readonly reason: 'lag' | 'clock' | 'stopping' | 'disk'
      readonly retryAfterSeconds: number
    }

export interface CollectHttpDeps {
  readonly collector: Collector
  readonly sources: SourceDirectory
  readonly intake: () => Intake
  readonly logger: Logger
  readonly metrics: {
    /** Counts an answer other than 200, by status and code. */
    refused(status: number, code: string): void
  }
}

/** Answers the request and returns true where the path is the collector's. */
export type CollectRoutes = (request: IncomingMessage, response: ServerResponse) => boolean

type Route = { readonly isBackfill: boolean } & (
  | { readonly kind: 'single'; readonly type: EventType }
  | { readonly kind: 'batch' }
)

const routes: ReadonlyMap<string, Route> = new Map<string, Route>([
  ...eventTypes.flatMap((type): [string, Route][] => {
    const route: Route = { kind: 'single', type, isBackfill: false }
    const paths = [`/v1/${type}`, `/api/s/${type}`, `/api/s/s2s/${type}`]
    return [...paths, `/v1/${type.charAt(0)}`].map((path) => [path, route])
  }),
  ['/v1/batch', { kind: 'batch', isBackfill: false }],
  ['/v1/b', { kind: 'batch', isBackfill: false }],
  ['/v1/import', { kind: 'batch', isBackfill: true }],
])

/** One request with all that answers it. */
interface Exchange {
  readonly deps: CollectHttpDeps
  readonly options: CollectHttpOptions
  readonly budget: BodyBudget
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly query: string
  readonly basicKeys: BasicKeys
  readonly refuse: (problem: Problem) => void
}

/** What the headers of Basic authorization say, as they came: the same few come all the time. */
type BasicKeys = Map<string, string | undefined>
const basicKeyCountMax = 1_000

const settingsPath = /^\/v1\/projects\/([^/]{1,200})\/settings$/

const tooLargeReasons: ReadonlySet<RequestReason> = new Set(['body-too-large', 'batch-too-long'])

export function createCollectRoutes(
  deps: CollectHttpDeps,
  options: CollectHttpOptions,
): CollectRoutes {
  const budget: BodyBudget = { bytesMax: options.bodyBytesInFlightMax, bytesInFlight: 0 }
  const basicKeys: BasicKeys = new Map()
  return (request, response) => {
    const url = request.url ?? ''
    const queryAt = url.indexOf('?')
    const path = queryAt < 0 ? url : url.slice(0, queryAt)
    const query = queryAt < 0 ? '' : url.slice(queryAt + 1)
    const route = routes.get(path)
    const settings = route === undefined ? settingsPath.exec(path) : null
    if (route === undefined && settings === null) return false
    const refuse = (problem: Problem): void => {
      deps.metrics.refused(problem.status, problem.code)
      const shouldClose = problem.shouldClose ?? isBodyLong(request, options)
      answerProblem(response, { ...problem, shouldClose })
    }
    const method = route === undefined ? 'GET' : 'POST'
    addCorsHeaders(request, response)
    const given = { deps, options, budget, basicKeys }
    const exchange: Exchange = { ...given, request, response, query, refuse }
    if (request.method === 'OPTIONS') answerPreflight(response)
    else if (request.method !== method) refuse(methodProblem(method))
    else if (route === undefined) answerSettings(exchange, settings?.[1] ?? '')
    else {
      takeEvents(exchange, route).catch((error: unknown) =>
        refuse(problemOfError(error, deps.logger)),
      )
    }
    return true
  }
}

/** Tells whether reading the rest of the body away would cost more than a new connection. */
function isBodyLong(request: IncomingMessage, options: CollectHttpOptions): boolean {
  if (request.complete) return false
  const { 'transfer-encoding': encoding, 'content-length': length } = request.headers
  return encoding !== undefined || Number(length ?? 0) > options.batchBytesMax
}

function answerSettings(exchange: Exchange, writtenKey: string): void {
  const { deps, options, response, refuse } = exchange
  const writeKey = writtenKey.replaceAll(/%3a/gi, ':')
  if (deps.sources.byWriteKey(writeKey) === undefined) {
    refuse({
      status: 404,
      code: 'source-unknown',
      title: 'Not found',
      detail: 'Unknown write key.',
    })
  } else {
    answerJson(response, settingsOf(writeKey, options.publicUrl), 'public, max-age=300')
  }
}

async function takeEvents(exchange: Exchange, route: Route): Promise<void> {
  const { deps, options, budget, request, refuse } = exchange
  const writeKey = writeKeyOfHeaders(request, exchange.basicKeys)
  const found = writeKey === undefined ? undefined : deps.sources.byWriteKey(writeKey)
  if (writeKey !== undefined && found === undefined) return refuse(keyProblem)
  if (found !== undefined && !isOriginAllowed(request, found.source)) return refuse(originProblem)
  const intake = deps.intake()
  if (intake.kind === 'closed') return refuse(intakeProblem(intake))
  const bytesMax = route.kind === 'single' ? options.singleBytesMax : options.batchBytesMax
  const read = await readBody(request, bytesMax, budget)
  if (read.kind === 'gone') return
  if (read.kind === 'overloaded') return refuse(overloadProblem)
  try {
    if (read.kind === 'bytes') {
      await takeBody(exchange, route, { found, bytes: read.bytes })
      return
    }
    const says = `The body has more than ${bytesMax} bytes.`
    const problem = requestProblem('body-too-large', says)
    if (found !== undefined) {
      const refusal = { reason: 'body-too-large', says, bytes: read.bytes } as const
      await deps.collector.rejectRequest(found.source.sourceId, refusal)
    }
    refuse({ ...problem, shouldClose: !read.isEnded })
  } finally {
    budget.bytesInFlight -= read.bytes.length
  }
}

async function takeBody(
  exchange: Exchange,
  route: Route,
  known: { readonly found: CollectSource | undefined; readonly bytes: Uint8Array },
): Promise<void> {
  const { deps, options, request, refuse } = exchange
  const { bytes } = known
  const encoding = encodingOf(request.headers['content-encoding'])
  if (encoding === undefined) return refuse(encodingProblem)
  const parsing = parseBody(bytes, encoding, options.inflatedBytesMax)
  const parsed = parsing instanceof Promise ? await parsing : parsing
  if (parsed.kind === 'refused') {
    const { reason, says } = parsed
    if (known.found !== undefined) {
      await deps.collector.rejectRequest(known.found.source.sourceId, { reason, says, bytes })
    }
    return refuse(requestProblem(reason, says))
  }
  const found = known.found ?? sourceOfBody(deps.sources, parsed.body)
  if (found === undefined) return refuse(keyProblem)
  if (!isOriginAllowed(request, found.source)) return refuse(originProblem)
  const call: CollectCall = { ...route, body: parsed.body, bytes: parsed.bytes }
  const answer = await deps.collector.collect(found.source.sourceId, call)
  answerTaken(exchange, answer)
}

function sourceOfBody(sources: SourceDirectory, body: unknown): CollectSource | undefined {
  const writeKey = isJsonObject(body) ? body.writeKey : undefined
  return typeof writeKey === 'string' ? sources.byWriteKey(writeKey) : undefined
}

function answerTaken(exchange: Exchange, answer: CollectAnswer): void {
  if (answer.kind === 'refused') {
    exchange.refuse(requestProblem(answer.reason, answer.says))
    return
  }
  if (!isVerbose(exchange)) {
    answerTakenAll(exchange.response)
    return
  }
  const { acceptedCount: accepted, rejectedCount: rejected, results } = answer
  answerJson(exchange.response, { success: true, accepted, rejected, results }, 'no-store')
}

function writeKeyOfHeaders({ headers }: IncomingMessage, basicKeys: BasicKeys): string | undefined {
  const { authorization } = headers
  if (authorization !== undefined) {
    if (!basicKeys.has(authorization)) {
      if (basicKeys.size >= basicKeyCountMax) basicKeys.clear()
      basicKeys.set(authorization, writeKeyOfBasic(authorization))
    }
    const basic = basicKeys.get(authorization)
    if (basic !== undefined) return basic
  }
  const header = headers['x-write-key']
  return typeof header === 'string' && header !== '' ? header.replace(/:$/, '') : undefined
}

function writeKeyOfBasic(authorization: string): string | undefined {
  const basic = /^basic +([\w+/=-]+) *$/i.exec(authorization)?.[1]
  if (basic === undefined) return undefined
  const pair = Buffer.from(basic, 'base64').toString('utf8')
  // A write key may hold a colon itself (Jitsu's do), so only the last one, before no password,
  // is cut.
  return pair.endsWith(':') ? pair.slice(0, -1) : pair
}

const keyProblem: Problem = {
  status: 401,
  code: 'source-unknown',
  title: 'Unauthorized',
  detail:
    'Give a known write key: Basic authorization, the header X-Write-Key, or writeKey in the body.',
}
const originProblem: Problem = {
  status: 403,
  code: 'origin-not-allowed',
  title: 'Forbidden',
  detail: 'The source does not take events from pages of this origin.',
}
const encodingProblem: Problem = {
  status: 415,
  code: 'encoding-unknown',
  title: 'Unsupported Media Type',
  detail: 'The Content-Encoding is none of gzip, deflate, br, identity.',
}
const lagProblem: Problem = {
  status: 429,
  code: 'overloaded',
  title: 'Too Many Requests',
  detail: 'More is sent than can be kept. Send again later.',
  retryAfterSeconds: 1,
}
/** The body is still being written. */
const overloadProblem: Problem = { ...lagProblem, shouldClose: true }

function methodProblem(method: string): Problem {
  const detail = `This path takes ${method} only.`
  const title = 'Method Not Allowed'
  return { status: 405, code: 'method-not-allowed', title, detail, allow: `${method}, OPTIONS` }
}

function requestProblem(code: RequestReason, detail: string): Problem {
  if (tooLargeReasons.has(code)) return { status: 413, code, title: 'Content Too Large', detail }
  return { status: 400, code, title: 'Bad Request', detail }
}

function intakeProblem(intake: Exclude<Intake, { kind: 'open' }>): Problem {
  const { reason, retryAfterSeconds } = intake
  if (reason === 'lag') return { ...lagProblem, retryAfterSeconds }
  const detail = 'No events are taken now. Send again later.'
  const title = 'Service Unavailable'
  return { status: 503, code: `intake-${reason}`, title, detail, retryAfterSeconds }
}

function problemOfError(error: unknown, logger: Logger): Problem {
  if (!(error instanceof OperatingError)) {
    logger.error({ err: error }, 'collect request broken')
    const detail = 'The fault is here, not in the request.'
    return { status: 500, code: 'internal', title: 'Internal Server Error', detail }
  }
  if (error.code === 'LOG_OVERLOADED') return lagProblem
  logger.warn({ code: error.code }, 'collect append failed')
  const detail = 'The events could not be kept. Send them again.'
  const title = 'Service Unavailable'
  const retryAfterSeconds = error.code === 'DISK_FULL' ? 10 : 5
  return { status: 503, code: error.code, title, detail, retryAfterSeconds }
}

function isVerbose(exchange: Exchange): boolean {
  const { prefer } = exchange.request.headers
  if (typeof prefer === 'string' && /\breturn=representation\b/.test(prefer)) return true
  return /(?:^|&)verbose=1(?:&|$)/.test(exchange.query)
}
