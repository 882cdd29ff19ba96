/**
 * What a request in an access log means: a page view, a named event by a rule, or nothing.
 *
 * By default only what a person may have seen counts: GET, answered with 200 to 299 or 304, no file
 * that belongs to a page, no robot by its own word. The visitor is a keyed hash of address and user
 * agent, so the log holds neither address nor anything it could be found from without the key. Many
 * people behind one address with the same browser are one visitor by this; a cookie tells better.
 */

import { hmacBase64Url } from '../lib/hash.ts'
import type { Json } from '../lib/json.ts'
import type { AccessRequest } from './access-log.ts'
import type { DropReason } from './import-row.ts'

export interface AccessRule {
  readonly method: string
  /** Segments of the path: a text, `:name`, `*`, and `**` for the rest at the end. */
  readonly path: readonly string[]
  /** Undefined for a page view. */
  readonly event: string | undefined
  readonly shouldDrop: boolean
  /** `:name` takes a segment, `?name` a parameter of the query; all else is the value itself. */
  readonly properties: readonly (readonly [string, Json])[]
}

export interface AccessMapping {
  readonly rules: readonly AccessRule[]
  /** Names of fields that hold the ids. */
  readonly anonymousId: string | undefined
  readonly userId: string | undefined
  /** Scheme and host before the paths, such as `https://shop.example`. */
  readonly site: string | undefined
  readonly keepsRobots: boolean
  readonly keepsStatic: boolean
}

export const plainAccess: AccessMapping = {
  rules: [],
  anonymousId: undefined,
  userId: undefined,
  site: undefined,
  keepsRobots: false,
  keepsStatic: false,
}

export type AccessEvent =
  | { readonly kind: 'event'; readonly item: Readonly<Record<string, Json>> }
  | { readonly kind: 'dropped'; readonly reason: DropReason }

const staticEndings = [
  ...['css', 'js', 'mjs', 'map', 'png', 'jpe?g', 'gif', 'webp', 'avif', 'svg', 'ico', 'bmp'],
  ...['woff2?', 'ttf', 'otf', 'eot', 'mp4', 'webm', 'mp3', 'wasm', 'txt', 'xml', 'json'],
  ...['webmanifest'],
]
const staticFile = new RegExp(`\\.(?:${staticEndings.join('|')})$`, 'i')
/** Words by which robots, monitors and libraries name themselves. */
const robotWords = [
  ...['bot\\b', 'bot[/;_-]', 'crawl', 'spider', 'slurp', 'scan', 'monitor', 'probe', 'preview'],
  ...['fetch', 'headless', 'lighthouse', 'pingdom', 'curl', 'wget', 'libwww', 'http-?client'],
  ...['python', 'java/', 'okhttp', 'go-http', 'axios', 'undici', 'facebookexternalhit', 'feed'],
  ...['validator'],
]
const robot = new RegExp(robotWords.join('|'), 'i')
const visitorBytes = 16
const visitorCountMax = 50_000
const robotCountMax = 10_000

/** Returns what turns requests into events; `visitorKey` is the secret of the visitors' hash. */
export function createAccessReader(
  mapping: AccessMapping,
  visitorKey: Uint8Array,
): (request: AccessRequest, eventId: string) => AccessEvent {
  /** The same few come all the time. Emptied when full. */
  const visitors = new Map<string, string>()
  const robots = new Map<string, boolean>()
  const visitorOf = (request: AccessRequest): string => {
    const known = `${request.ip}\0${request.userAgent ?? ''}`
    let visitor = visitors.get(known)
    if (visitor === undefined) {
      if (visitors.size >= visitorCountMax) visitors.clear()
      visitor = `visitor_${hmacBase64Url(visitorKey, known, visitorBytes)}`
      visitors.set(known, visitor)
    }
    return visitor
  }
  const isRobot = (userAgent: string | undefined): boolean => {
    if (userAgent === undefined) return true
    let found = robots.get(userAgent)
    if (found === undefined) {
      if (robots.size >= robotCountMax) robots.clear()
      found = robot.test(userAgent)
      robots.set(userAgent, found)
    }
    return found
  }
  return (request, eventId) => {
    const at = placeOf(request.target)
    const { status, method } = request
    const segments = at.path.split('/').filter((segment) => segment !== '')
    const found = mapping.rules.find(
      (rule) => rule.method === method && isMatch(rule.path, segments),
    )
    if (found?.shouldDrop === true) return dropped('rule')
    if (found === undefined) {
      if (method !== 'GET') return dropped('method')
      if (!mapping.keepsStatic && staticFile.test(at.path)) return dropped('static-file')
    }
    // A shop answers the form that fills the cart with a redirect.
    const isAnswered = (status >= 200 && status < 300) || status === 304
    const isSent = found?.event !== undefined && status >= 300 && status < 400
    if (!isAnswered && !isSent) return dropped('status')
    if (!mapping.keepsRobots && isRobot(request.userAgent)) return dropped('robot')
    const anonymousId =
      mapping.anonymousId === undefined ? undefined : request.fields[mapping.anonymousId]
    const userId = mapping.userId === undefined ? undefined : request.fields[mapping.userId]
    const item: Record<string, Json> = {
      type: found?.event === undefined ? 'page' : 'track',
      messageId: eventId,
      anonymousId: anonymousId ?? visitorOf(request),
      timestamp: request.atMs,
      properties: propertiesOf(request, { at, found, segments, site: mapping.site }),
    }
    if (found?.event !== undefined) item['event'] = found.event
    if (userId !== undefined) item['userId'] = userId
    if (request.userAgent !== undefined) item['context'] = { userAgent: request.userAgent }
    return { kind: 'event', item }
  }
}

function dropped(reason: DropReason): AccessEvent {
  return { kind: 'dropped', reason }
}

interface TargetPlace {
  readonly path: string
  readonly query: string
}

function placeOf(target: string): TargetPlace {
  let local = target
  if (!target.startsWith('/')) {
    const scheme = target.indexOf('://')
    const slash = scheme < 0 ? -1 : target.indexOf('/', scheme + 3)
    local = slash < 0 ? '/' : target.slice(slash)
  }
  const query = local.indexOf('?')
  if (query < 0) return { path: local, query: '' }
  return { path: local.slice(0, query), query: local.slice(query + 1) }
}

function isMatch(pattern: readonly string[], segments: readonly string[]): boolean {
  for (const [index, part] of pattern.entries()) {
    if (part === '**') return true
    const segment = segments[index]
    if (segment === undefined) return false
    if (part !== '*' && !part.startsWith(':') && part !== segment) return false
  }
  return pattern.length === segments.length
}

function propertiesOf(
  request: AccessRequest,
  given: {
    readonly at: TargetPlace
    readonly found: AccessRule | undefined
    readonly segments: readonly string[]
    readonly site: string | undefined
  },
): Readonly<Record<string, Json>> {
  const { at, found, segments, site } = given
  const properties: Record<string, Json> = { path: at.path }
  if (at.query !== '') properties['search'] = `?${at.query}`
  if (site !== undefined) properties['url'] = `${site}${at.path}${at.query ? `?${at.query}` : ''}`
  if (request.referrer !== undefined) properties['referrer'] = request.referrer
  if (found === undefined) return properties
  const query = new URLSearchParams(at.query)
  for (const [name, value] of found.properties) {
    let filled: Json | undefined = value
    if (typeof value === 'string' && value.startsWith(':')) {
      filled = decodeSegment(segments[found.path.indexOf(value)])
    } else if (typeof value === 'string' && value.startsWith('?')) {
      filled = query.get(value.slice(1)) ?? undefined
    }
    if (filled !== undefined) properties[name] = filled
  }
  return properties
}

function decodeSegment(segment: string | undefined): string | undefined {
  if (segment === undefined) return undefined
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}
