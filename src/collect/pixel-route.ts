/**
 * Pixels: `GET /v1/pixel/page` and `/v1/pixel/track` for places where only an image can be put.
 *
 * The answer is always the same GIF. Its status is 200, also for what is refused: a page can do
 * nothing about it, and the reason is counted and kept. Only where the event could have been taken
 * and was not (429, 503) does the status say so, since a server that asks can ask again.
 *
 * A source whose definition names a `pixel` secret takes signed pixels only. The signature is the
 * HMAC-SHA256, in hex, over path, `?` and query, and stands behind them as `&sig=`.
 */

import type { ServerResponse } from 'node:http'
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'
import type { Adapted, AdaptedRoute, Ask, AskBytes, Verdict } from './adapter.ts'
import type { Problem } from './collect-answer.ts'
import { keyProblem, secretProblem } from './collect-problem.ts'
import type { SecretReader } from './secret-reader.ts'
import { isSignedBy, parseDigest, singleHeader } from './signature.ts'
import type { CollectSource } from './source-directory.ts'

/** Transparent, one pixel. */
export const gif = Buffer.from(
  'R0lGODlhAQABAIAAAP///wAAACH5BAEAAAAALAAAAAABAAEAAAICRAEAOw==',
  'base64',
)
const gifHead = {
  'content-type': 'image/gif',
  'content-length': gif.length,
  'cache-control': 'no-store',
  // Lets pages that isolate themselves show it.
  'cross-origin-resource-policy': 'cross-origin',
} as const

/** Names of a query and what each becomes; the guide prints this table. Others have no meaning. */
export const pixelNames = {
  writeKey: 'names the source',
  userId: '`userId`',
  anonymousId: '`anonymousId`',
  messageId: '`messageId`',
  timestamp: '`timestamp`',
  event: 'name of a track event',
  name: 'name of a page, in its properties',
  category: 'category of a page, in its properties',
  'p.<name>': 'property `<name>`, a text',
  properties: 'properties of any type: a JSON object',
  url: '`context.page.url` and `path`; without it the header Referer',
  referrer: '`context.page.referrer`',
  title: '`context.page.title`',
  sig: 'the signature, last of all',
} as const
type PixelName = Exclude<keyof typeof pixelNames, 'p.<name>'>

const nameCountMax = 100
const namePattern = /^[\w.~ -]{1,128}$/
const urlLengthMax = 2_048
const userAgentLengthMax = 512
const signatureName = '&sig='

export function createPixelRoute(
  deps: { readonly secrets: SecretReader },
  type: 'page' | 'track',
): AdaptedRoute {
  const path = `/v1/pixel/${type}`
  return {
    format: `pixel-${type}`,
    paths: [path],
    method: 'GET',
    size: 'single',
    findSource({ query, writeKey }, sources) {
      const keys = query.getAll('writeKey')
      const key = keys.length === 1 ? keys[0] : writeKey
      return (key === undefined ? undefined : sources.byWriteKey(key)) ?? keyProblem
    },
    verify: (ask, found) => verify(deps.secrets, path, { ask, found }),
    adapt: (ask) => adapt(ask, type),
    answer: (response) => answerGif(response, 200),
    refuse: refuseGif,
  }
}

async function verify(
  secrets: SecretReader,
  path: string,
  given: { readonly ask: AskBytes; readonly found: CollectSource },
): Promise<Verdict> {
  const { pixelSecret } = given.found.source
  if (pixelSecret === undefined) return { kind: 'go' }
  const known = await secrets.read(pixelSecret)
  if (known.length === 0) return { kind: 'refused', problem: secretProblem }
  const query = Buffer.from(given.ask.bytes).toString()
  const at = query.lastIndexOf(signatureName)
  const digest = at < 0 ? undefined : parseDigest(query.slice(at + signatureName.length), 'hex')
  if (isSignedBy(known, [`${path}?${query.slice(0, Math.max(at, 0))}`], digest)) {
    return { kind: 'go' }
  }
  const says = 'The query does not end in the signature that the source asks for.'
  return { kind: 'rejected', reason: 'signature-wrong', says }
}

function adapt(ask: Ask, type: 'page' | 'track'): Adapted {
  const query = readQuery(Buffer.from(ask.bytes).toString())
  if (query.kind === 'refused') return query
  const { named, properties } = query
  const page = pageOf(ask, named)
  const { userId, anonymousId, messageId, timestamp, event, name, category } = named
  const userAgent = singleHeader(ask.headers['user-agent'])?.slice(0, userAgentLengthMax)
  const item = withoutAbsent({
    type,
    ...(type === 'track' ? { event } : { name, category }),
    ...{ userId, anonymousId, messageId, timestamp },
    properties: type === 'page' ? { ...page, ...properties } : properties,
    context: withoutAbsent({
      page: Object.keys(page).length === 0 ? undefined : page,
      userAgent,
    }),
  })
  return { kind: 'events', items: [{ original: ask.bytes, event: item }] }
}

type ReadQuery =
  | {
      readonly kind: 'query'
      readonly named: Readonly<Partial<Record<PixelName, string>>>
      readonly properties: JsonObject
    }
  | Extract<Adapted, { readonly kind: 'refused' }>

/**
 * Reads a query. A name that comes twice, or that is no plain word, refuses the whole: what reads
 * it differently (the last, the first, a list) is a way around whatever checked it before.
 */
function readQuery(text: string): ReadQuery {
  const pairs = text.split('&', nameCountMax + 1)
  if (pairs.length > nameCountMax) return refuse(`The query has over ${nameCountMax} names.`)
  const known: ReadonlySet<string> = new Set(Object.keys(pixelNames))
  const names = new Set<string>()
  const named = new Map<string, string>()
  const properties = new Map<string, Json>()
  for (const pair of pairs) {
    if (pair === '') continue
    const at = pair.indexOf('=')
    const name = decode(at < 0 ? pair : pair.slice(0, at))
    const value = decode(at < 0 ? '' : pair.slice(at + 1))
    if (name === undefined || value === undefined) {
      return refuse('The query is not percent-encoded UTF-8.')
    }
    if (!namePattern.test(name)) return refuse('The query has a name that is no plain word.')
    if (names.has(name)) return refuse('The query has a name twice.')
    names.add(name)
    if (name.startsWith('p.')) properties.set(name.slice(2), value)
    else if (known.has(name)) named.set(name, value)
  }
  const written = named.get('properties')
  const more = written === undefined || written === '' ? {} : parseProperties(written)
  if (more === undefined) return refuse('The properties are not a JSON object.')
  for (const [name, value] of Object.entries(more)) {
    if (properties.has(name)) return refuse('A property is given twice.')
    properties.set(name, value)
  }
  return {
    kind: 'query',
    named: Object.fromEntries(named),
    properties: Object.fromEntries(properties),
  }
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return undefined
  }
}

function parseProperties(text: string): Readonly<Record<string, Json>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isJsonObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

function refuse(says: string): Extract<Adapted, { readonly kind: 'refused' }> {
  return { kind: 'refused', reason: 'query-invalid', says }
}

/** The page that shows the pixel: as the query says, else as the browser does. */
function pageOf(ask: Ask, named: Readonly<Partial<Record<PixelName, string>>>): JsonObject {
  const { title } = named
  const url = webUrl(named.url ?? singleHeader(ask.headers.referer))
  const referrer = webUrl(named.referrer)
  const path = url === undefined ? undefined : new URL(url).pathname
  return withoutAbsent({ url, path, referrer, title })
}

/** Returns the address of a page without user and password; undefined for any other text. */
function webUrl(text: string | undefined): string | undefined {
  if (text === undefined || text.length > urlLengthMax) return undefined
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol)) return undefined
  url.username = ''
  url.password = ''
  return url.href.length > urlLengthMax ? undefined : url.href
}

function withoutAbsent(fields: Readonly<Record<string, Json | undefined>>): JsonObject {
  const present = Object.entries(fields).filter(([, value]) => value !== undefined)
  return Object.fromEntries(present) as JsonObject
}

function answerGif(response: ServerResponse, status: number): void {
  response.writeHead(status, gifHead).end(gif)
}

function refuseGif(response: ServerResponse, problem: Problem): void {
  const { status, retryAfterSeconds } = problem
  if (retryAfterSeconds !== undefined) response.setHeader('retry-after', String(retryAfterSeconds))
  if (problem.allow !== undefined) response.setHeader('allow', problem.allow)
  answerGif(response, status >= 500 || status === 429 || status === 405 ? status : 200)
}
