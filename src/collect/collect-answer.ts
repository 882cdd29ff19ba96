/**
 * Answers of the collector over HTTP: problems (RFC 9457), CORS headers, and the settings that
 * browsers load.
 */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Source } from '../event/source.ts'
import type { TakenAnswer } from './collect-batch.ts'

export interface Problem {
  readonly status: number
  readonly code: string
  readonly title: string
  readonly detail: string
  readonly retryAfterSeconds?: number
  readonly allow?: string
  /** True where the client is still writing a body that nobody will read. */
  readonly shouldClose?: boolean
}

const allowedHeaders =
  'authorization, content-type, content-encoding, prefer, x-retry-count, x-write-key, ' +
  'x-enable-debug, x-ip-policy'

/** Tells whether a page of the request's origin may use the source. Servers send no origin. */
export function isOriginAllowed(request: IncomingMessage, source: Source): boolean {
  const { origin } = request.headers
  if (source.allowedOrigins === undefined || origin === undefined) return true
  return source.allowedOrigins.includes(origin)
}

/**
 * Lets the page that sent the request read the answer; the origin's own check is `isOriginAllowed`.
 */
export function addCorsHeaders(request: IncomingMessage, response: ServerResponse): void {
  if (request.headers.origin === undefined) return
  response.setHeader('access-control-allow-origin', '*')
  response.setHeader('access-control-expose-headers', 'retry-after, x-ratelimit-reset')
}

/**
 * Answers a preflight. It carries no write key, so the source's own origins are checked by what
 * follows it.
 */
export function answerPreflight(response: ServerResponse): void {
  response.setHeader('access-control-allow-origin', '*')
  response.setHeader('access-control-allow-methods', 'GET, POST, OPTIONS')
  response.setHeader('access-control-allow-headers', allowedHeaders)
  response.setHeader('access-control-max-age', '86400')
  response.writeHead(204).end()
}

export function answerJson(response: ServerResponse, body: unknown, cacheControl: string): void {
  writeJson(response, 200, 'application/json', body, cacheControl)
}

const takenBody = JSON.stringify({ success: true })
const takenHead = {
  'content-type': 'application/json',
  'content-length': takenBody.length,
  'cache-control': 'no-store',
}

/**
 * Answers that every event of the request is safe; what became of each only where the request asks
 * for it, by `Prefer: return=representation` or `verbose=1` in its query.
 */
export function answerTaken(
  response: ServerResponse,
  taken: TakenAnswer,
  asked: AskedAnswer,
): void {
  if (asksForEach(asked)) answerEach(response, taken)
  else answerTakenAll(response)
}

/** Answers that every event of the request is safe: the one answer that is given all the time. */
export function answerTakenAll(response: ServerResponse): void {
  response.writeHead(200, takenHead).end(takenBody)
}

/** Answers what became of each event. */
export function answerEach(response: ServerResponse, taken: TakenAnswer): void {
  const { acceptedCount: accepted, rejectedCount: rejected, results } = taken
  answerJson(response, { success: true, accepted, rejected, results }, 'no-store')
}

export interface AskedAnswer {
  /** The header `Prefer`. */
  readonly prefer: unknown
  /** Of the address, without its question mark. */
  readonly query: string
}

/** Tells whether a request asks what became of each of its events. */
export function asksForEach({ prefer, query }: AskedAnswer): boolean {
  if (typeof prefer === 'string' && /\breturn=representation\b/.test(prefer)) return true
  return /(?:^|&)verbose=1(?:&|$)/.test(query)
}

export function answerProblem(response: ServerResponse, problem: Problem): void {
  if (response.headersSent) return
  const { status, code, title, detail, retryAfterSeconds } = problem
  if (retryAfterSeconds !== undefined) {
    response.setHeader('retry-after', String(retryAfterSeconds))
    if (status === 429) response.setHeader('x-ratelimit-reset', String(retryAfterSeconds))
  }
  // Not Basic: a browser would ask the visitor of the page for a password.
  if (status === 401) response.setHeader('www-authenticate', 'WriteKey realm="attune"')
  if (problem.allow !== undefined) response.setHeader('allow', problem.allow)
  if (problem.shouldClose === true) response.setHeader('connection', 'close')
  const body = { type: `urn:attune:problem:${code}`, title, status, detail, code }
  writeJson(response, status, 'application/problem+json', body, 'no-store')
}

/**
 * What Segment's browser client loads first. `metrics` is off: nobody here reads the client's own
 * figures.
 */
export function settingsOf(writeKey: string, publicUrl: string | undefined): unknown {
  const url = publicUrl === undefined ? null : URL.parse(publicUrl)
  const host =
    url === null ? {} : { apiHost: `${url.host}/v1`, protocol: url.protocol.replace(':', '') }
  return {
    integrations: {
      'Segment.io': {
        apiKey: writeKey,
        unbundledIntegrations: [],
        addBundledMetadata: true,
        maybeBundledConfigIds: {},
        versionSettings: { version: '4.4.7', componentTypes: ['browser'] },
        ...host,
      },
    },
    plan: {
      track: { __default: { enabled: true, integrations: {} } },
      identify: { __default: { enabled: true } },
      group: { __default: { enabled: true } },
    },
    edgeFunction: {},
    analyticsNextEnabled: true,
    middlewareSettings: {},
    enabledMiddleware: {},
    metrics: { sampleRate: 0 },
    legacyVideoPluginsEnabled: false,
    remotePlugins: [],
  }
}

function writeJson(
  response: ServerResponse,
  status: number,
  contentType: string,
  body: unknown,
  cacheControl: string,
): void {
  const text = JSON.stringify(body)
  response.writeHead(status, {
    'content-type': contentType,
    'content-length': Buffer.byteLength(text),
    'cache-control': cacheControl,
  })
  response.end(text)
}
