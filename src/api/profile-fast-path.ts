/**
 * `GET /api/v1/profiles/:id` on plain `node:http`, without a framework: it is asked for at the
 * moment an email is filled, thousands of times a second. Same answers as the route of
 * `profile-routes.ts`, made by the same functions.
 */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ApiDeps } from './api-deps.ts'
import { authorize, scopeOf } from './authorize.ts'
import { type ApiProblem, problemOfError } from './problem.ts'
import { type Answer, answerProblem, createProfileAnswers } from './profile-answer.ts'

const prefix = '/api/v1/profiles/'
const route = '/api/v1/profiles/:id'
const scope = scopeOf('GET', route)
/** What asks for the past is the route's. */
const pastPattern = /[?&](at|version)=/

export type ProfileFastPathDeps = Pick<
  ApiDeps,
  'place' | 'clock' | 'freshness' | 'changes' | 'apiKeys' | 'logger' | 'metrics'
>

/**
 * Returns a function that answers and returns true where the request is a GET of a profile. It
 * keeps what it made within `keptBytesMax`.
 */
export function createProfileFastPath(
  deps: ProfileFastPathDeps,
  keptBytesMax: number,
): (request: IncomingMessage, response: ServerResponse) => boolean {
  const { clock, logger } = deps
  const answerProfile = createProfileAnswers(deps, keptBytesMax)
  const observe = deps.metrics.histogram('attune_http_request_seconds')
  const answer = (request: IncomingMessage, id: string): Answer | Promise<Answer> => {
    const { authorization, 'if-none-match': ifNoneMatch } = request.headers
    const answerChecked = (problem: ApiProblem | undefined): Answer | Promise<Answer> =>
      problem === undefined ? answerProfile(id, ifNoneMatch) : answerProblem(problem)
    const checked = authorize(deps.apiKeys, { scope, authorization })
    return checked instanceof Promise ? checked.then(answerChecked) : answerChecked(checked)
  }
  return (request, response) => {
    const url = request.url ?? ''
    if (request.method !== 'GET' || !url.startsWith(prefix)) return false
    const id = idOf(url)
    if (id === undefined) return false
    const startedAt = clock.monotonicMs()
    const send = ({ status, headers, body, isAscii }: Answer): void => {
      const bytes = isAscii ? body.length : Buffer.byteLength(body)
      if (status !== 304) headers['content-length'] = String(bytes)
      response.writeHead(status, headers)
      // The same bytes where all is ASCII, and nobody counts or turns its characters.
      response.end(body, isAscii ? 'latin1' : 'utf8')
      observe({ route, status: String(status) }, (clock.monotonicMs() - startedAt) / 1000)
    }
    const fail = (error: unknown): void => send(answerProblem(problemOfError(error, logger)))
    try {
      const answered = answer(request, id)
      if (answered instanceof Promise) answered.then(send, fail)
      else send(answered)
    } catch (error) {
      fail(error)
    }
    return true
  }
}

/**
 * Returns the id of a profile's own URL; undefined for what lies below it or asks for the past, and
 * for bad escapes.
 */
function idOf(url: string): string | undefined {
  const query = url.indexOf('?', prefix.length)
  const text = query < 0 ? url.slice(prefix.length) : url.slice(prefix.length, query)
  if (text === '' || text.includes('/')) return undefined
  if (query >= 0 && pastPattern.test(url.slice(query))) return undefined
  if (!text.includes('%')) return text
  try {
    return decodeURIComponent(text)
  } catch {
    // The framework answers these as bad requests.
    return undefined
  }
}
