/**
 * Who may do what: one table of every route and the scope it asks for. A route that is not in it is
 * refused to everybody, so forgetting one fails closed; a test compares the table with the routes
 * that are served.
 */

import type { ApiKeys, Scope } from './api-keys.ts'
import type { ApiProblem } from './problem.ts'

/** `public` takes no key: health, and links in emails, which carry a signature of their own. */
export const routeScopes: Readonly<Record<string, RouteScope>> = {
  'GET /healthz': 'public',
  'GET /readyz': 'public',
  'GET /metrics': 'public',
  'GET /e/o/:token': 'public',
  'HEAD /e/o/:token': 'public',
  'GET /e/c/:token': 'public',
  'HEAD /e/c/:token': 'public',
  'GET /e/u/:token': 'public',
  'HEAD /e/u/:token': 'public',
  'POST /e/u/:token': 'public',
  'GET /api/v1/changes': 'read',
  'GET /api/v1/profiles/:id': 'read',
  'GET /api/v1/profiles/:id/changes': 'read',
  'GET /api/v1/profiles/:id/diff': 'read',
  'GET /api/v1/profiles/:id/events': 'read',
  'GET /api/v1/profiles/:id/recommendations': 'read',
  'GET /api/v1/messages/:id': 'read',
  'GET /api/v1/messages/:id/evidence': 'read',
  'GET /api/v1/messages/:id/explain': 'read',
  'GET /api/v1/items/:id': 'read',
  'GET /api/v1/items/:id/similar': 'read',
  'GET /api/v1/recommendations/trending': 'read',
  'POST /api/v1/recommendations': 'read',
  'GET /api/v1/campaigns': 'read',
  'GET /api/v1/segments': 'read',
  'GET /api/v1/segments/:name': 'read',
  'GET /api/v1/segments/:name/explain/:id': 'read',
  'POST /api/v1/segments/preview': 'read',
  'GET /api/v1/lists': 'read',
  'PUT /api/v1/lists/:name': 'write',
  'GET /api/v1/status': 'read',
  'GET /api/v1/events/stream': 'read',
  'GET /api/v1/rejected': 'read',
  'GET /api/v1/rejected/:id': 'read',
  'POST /api/v1/rejected/repair': 'repair',
  'POST /api/v1/rejected/replay': 'repair',
  'POST /api/v1/rejected/dismiss': 'repair',
  'POST /api/v1/render': 'render',
  'POST /api/v1/items': 'write',
  'PATCH /api/v1/items/:id': 'write',
  'DELETE /api/v1/items/:id': 'write',
  'POST /api/v1/identity/find': 'read',
  'POST /api/v1/identity/join': 'write',
  'POST /api/v1/identity/split': 'write',
  'POST /api/v1/suppressions': 'write',
  'DELETE /api/v1/suppressions': 'write',
}

export type RouteScope = Scope | 'public'

/** Returns what a route asks for, by the pattern with which it was declared. */
export function scopeOf(method: string, route: string): RouteScope | undefined {
  const name = `${method} ${route}`
  return Object.hasOwn(routeScopes, name) ? routeScopes[name] : undefined
}

export interface Access {
  readonly scope: RouteScope | undefined
  readonly authorization: string | undefined
}

/**
 * Returns why a request is refused, or undefined. Answers at once for keys that were seen before.
 */
export function authorize(
  apiKeys: ApiKeys,
  { scope, authorization }: Access,
): ApiProblem | undefined | Promise<ApiProblem | undefined> {
  if (scope === 'public') return undefined
  if (scope === undefined) return undeclared
  const key = tokenOf(authorization, bearer) ?? passwordOf(authorization, scope)
  if (key === undefined) return scope === 'read' ? missingToRead : missing
  const found = apiKeys.find(key)
  if (found instanceof Promise) return found.then((late) => check(late?.scopes, scope))
  return check(found?.scopes, scope)
}

function check(given: readonly Scope[] | undefined, scope: Scope): ApiProblem | undefined {
  if (given === undefined) return scope === 'read' ? unknownToRead : unknown
  if (given.includes(scope) || given.includes('admin')) return undefined
  return {
    status: 403,
    code: 'scope-missing',
    detail: `The API key lacks the scope ${scope}.`,
    challenge: `Bearer realm="attune", error="insufficient_scope", scope="${scope}"`,
  }
}

const bearer = 'bearer '
const basic = 'basic '

/** Returns what stands behind a scheme, or undefined where it is another one or nothing. */
function tokenOf(header: string | undefined, scheme: string): string | undefined {
  if (header === undefined || header.length <= scheme.length) return undefined
  if (header.slice(0, scheme.length).toLowerCase() !== scheme) return undefined
  return header.slice(scheme.length).trim()
}

/**
 * Returns the password of Basic authentication (RFC 7617); the user may be any. To read alone: a
 * browser sends it by itself where it was given once, also from pages of others.
 */
function passwordOf(header: string | undefined, scope: Scope): string | undefined {
  const token = scope === 'read' ? tokenOf(header, basic) : undefined
  if (token === undefined) return undefined
  const pair = Buffer.from(token, 'base64').toString()
  const at = pair.indexOf(':')
  return at < 0 ? undefined : pair.slice(at + 1)
}

const missing: ApiProblem = {
  status: 401,
  code: 'key-missing',
  detail: 'Give an API key: Authorization: Bearer atk_...',
  challenge: 'Bearer realm="attune"',
}
const basicChallenge = 'Basic realm="attune", charset="UTF-8"'
const missingToRead: ApiProblem = {
  ...missing,
  detail: 'Give an API key: Authorization: Bearer atk_..., or as the password of Basic.',
  challenge: `${missing.challenge}, ${basicChallenge}`,
}
const unknown: ApiProblem = {
  status: 401,
  code: 'key-unknown',
  detail: 'The API key is not known.',
  challenge: 'Bearer realm="attune", error="invalid_token"',
}
const unknownToRead: ApiProblem = {
  ...unknown,
  challenge: `${unknown.challenge}, ${basicChallenge}`,
}
const undeclared: ApiProblem = {
  status: 403,
  code: 'route-closed',
  detail: 'The route has no scope, so nobody may use it.',
}
