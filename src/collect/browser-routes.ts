/**
 * What browser clients ask for besides sending events: Segment's script with its chunks, a place
 * for its own metrics, and PostHog's questions for its configuration and for feature flags.
 *
 * The script changes with the package, so a browser asks again after five minutes and mostly hears
 * 304. A chunk has its hash in its name, so it never changes. Neither names the write key: it is
 * asked for so that a page with a wrong one finds out at once.
 *
 * Metrics are taken and dropped, since the client would log an error on anything but 2xx; no flag
 * is ever on. Neither reads the body nor asks who sends.
 */

import type { IncomingMessage, ServerResponse } from 'node:http'
import {
  type BrowserClient,
  type ClientFile,
  licenceName,
  packageName,
  packageVersion,
  scriptName,
} from './browser-client.ts'
import {
  addCorsHeaders,
  answerJson,
  answerPreflight,
  answerProblem,
  answerTakenAll,
  type Problem,
} from './collect-answer.ts'
import type { SourceDirectory } from './source-directory.ts'

export interface BrowserRoutesDeps {
  /** Undefined where the client is not installed. */
  readonly client: BrowserClient | undefined
  readonly sources: SourceDirectory
  readonly metrics: {
    /** Counts an answer other than 200 or 304, by status and code. */
    refused(status: number, code: string): void
  }
}

type Asked =
  | { readonly kind: 'file'; readonly name: string; readonly writeKey?: string }
  | { readonly kind: 'config'; readonly writeKey: string }
  | { readonly kind: 'metrics' }
  | { readonly kind: 'flags' }

const scriptPath = /^\/analytics\.js\/v1\/([^/]{1,200})\/analytics\.min\.js$/
const chunkPath = /^\/analytics-next\/bundles\/([\w.-]{1,100})$/
const configPath = /^\/array\/([^/]{1,200})\/config$/
const flagsPath = /^\/(?:flags|decide)\/?$/
const metricsPath = '/v1/m'
const licencePath = `/analytics-next/bundles/${licenceName}`

const scriptCaching = 'public, max-age=300'
const chunkCaching = 'public, max-age=31536000, immutable'

const noFlags = {
  flags: {},
  featureFlags: {},
  featureFlagPayloads: {},
  errorsWhileComputingFlags: false,
}
/** Everything but events is off, and no script of PostHog's is to be loaded. */
const posthogConfig = {
  supportedCompression: ['gzip', 'gzip-js'],
  hasFeatureFlags: false,
  sessionRecording: false,
  surveys: false,
  heatmaps: false,
  siteApps: [],
}

/** A longer body that nobody reads is not waited for. */
const unreadBytesMax = 64 * 1024

/** Returns what answers a request and tells whether the path was one of these. */
export function createBrowserRoutes(
  deps: BrowserRoutesDeps,
): (request: IncomingMessage, response: ServerResponse) => boolean {
  return (request, response) => {
    const asked = parsePath((request.url ?? '').replace(/\?.*$/s, ''))
    if (asked === undefined) return false
    addCorsHeaders(request, response)
    const refuse = (problem: Problem): void => {
      deps.metrics.refused(problem.status, problem.code)
      answerProblem(response, problem)
    }
    const isPost = asked.kind === 'metrics' || asked.kind === 'flags'
    const methods = isPost ? ['POST'] : ['GET', 'HEAD']
    if (request.method === 'OPTIONS') answerPreflight(response)
    else if (!methods.includes(request.method ?? '')) refuse(methodProblem(methods))
    else if (asked.kind === 'metrics' || asked.kind === 'flags') {
      leaveUnread(request, response)
      if (asked.kind === 'metrics') answerTakenAll(response)
      else answerJson(response, noFlags, 'no-store')
    } else if (!isKeyKnown(deps.sources, asked.writeKey)) refuse(keyProblem)
    else if (asked.kind === 'config') answerJson(response, posthogConfig, scriptCaching)
    else if (deps.client === undefined) refuse(installProblem)
    else {
      deps.client.load(asked.name).then(
        (file) => {
          if (file === undefined) refuse(fileProblem)
          else answerFile(request, response, { file, name: asked.name })
        },
        () => refuse(readProblem),
      )
    }
    return true
  }
}

function parsePath(path: string): Asked | undefined {
  const script = scriptPath.exec(path)?.[1]
  if (script !== undefined) return { kind: 'file', name: scriptName, writeKey: script }
  const name = chunkPath.exec(path)?.[1]
  if (name !== undefined) return { kind: 'file', name }
  const config = configPath.exec(path)?.[1]
  if (config !== undefined) return { kind: 'config', writeKey: config }
  if (path === metricsPath) return { kind: 'metrics' }
  return flagsPath.test(path) ? { kind: 'flags' } : undefined
}

/** A chunk has no key: what names it was loaded with one. */
function isKeyKnown(sources: SourceDirectory, written: string | undefined): boolean {
  if (written === undefined) return true
  return sources.byWriteKey(written.replaceAll(/%3a/gi, ':')) !== undefined
}

function leaveUnread(request: IncomingMessage, response: ServerResponse): void {
  const length = Number(request.headers['content-length'] ?? Number.POSITIVE_INFINITY)
  if (length > unreadBytesMax) response.setHeader('connection', 'close')
  request.resume()
}

function answerFile(
  request: IncomingMessage,
  response: ServerResponse,
  { file, name }: { readonly file: ClientFile; readonly name: string },
): void {
  const isGzipped = takesGzip(request.headers['accept-encoding'])
  const etag = isGzipped ? file.gzippedEtag : file.etag
  const bytes = isGzipped ? file.gzipped : file.bytes
  response.setHeader('etag', etag)
  response.setHeader('cache-control', name === scriptName ? scriptCaching : chunkCaching)
  response.setHeader('vary', 'accept-encoding')
  response.setHeader('link', `<${licencePath}>; rel="license"`)
  // Pages of any origin may load it, also those that embed nothing without being told so.
  response.setHeader('access-control-allow-origin', '*')
  response.setHeader('cross-origin-resource-policy', 'cross-origin')
  if (hasTag(request.headers['if-none-match'] ?? '', etag)) {
    response.writeHead(304).end()
    return
  }
  const kind = name === licenceName ? 'text/plain' : 'text/javascript'
  response.setHeader('content-type', `${kind}; charset=utf-8`)
  response.setHeader('content-length', bytes.length)
  response.setHeader('x-content-type-options', 'nosniff')
  if (isGzipped) response.setHeader('content-encoding', 'gzip')
  response.writeHead(200).end(bytes)
}

function takesGzip(header: string | string[] | undefined): boolean {
  return String(header ?? '')
    .split(',')
    .map((part) => part.replaceAll(' ', '').toLowerCase())
    .some((part) => /^(x-)?gzip(;q=(1|0\.\d*[1-9]).*)?$/.test(part))
}

/** Compares weakly, as RFC 9110 asks for If-None-Match. */
function hasTag(header: string, etag: string): boolean {
  return header.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag)
}

function methodProblem(methods: readonly string[]): Problem {
  const detail = `This path takes ${methods.join(' and ')} only.`
  const allow = [...methods, 'OPTIONS'].join(', ')
  return { status: 405, code: 'method-not-allowed', title: 'Method Not Allowed', detail, allow }
}

const keyProblem: Problem = {
  status: 404,
  code: 'source-unknown',
  title: 'Not found',
  detail: 'Unknown write key.',
}
const installProblem: Problem = {
  status: 404,
  code: 'browser-client-missing',
  title: 'Not found',
  detail:
    `The browser client is not installed. Run npm install ${packageName}@${packageVersion} ` +
    'beside the server, and start it again.',
}
const fileProblem: Problem = {
  status: 404,
  code: 'browser-file-unknown',
  title: 'Not found',
  detail: 'The browser client that is installed has no such file.',
}
const readProblem: Problem = {
  status: 503,
  code: 'browser-file-unreadable',
  title: 'Service Unavailable',
  detail: 'The file could not be read. Ask again later.',
  retryAfterSeconds: 5,
}
