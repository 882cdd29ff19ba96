/** Answers that refuse, as problem details (RFC 9457). They carry a code and never a stack. */

import type { FastifyReply } from 'fastify'
import { OperatingError } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'

/** What is wrong with one field of a body. */
export interface FieldFault {
  readonly path: string
  readonly says: string
}

export interface ApiProblem {
  readonly status: number
  readonly code: string
  readonly detail: string
  readonly retryAfterSeconds?: number
  readonly faults?: readonly FieldFault[]
  /** Value of WWW-Authenticate. */
  readonly challenge?: string
  /** Further members, as RFC 9457 allows. */
  readonly members?: Readonly<Record<string, unknown>>
}

/** The framework adds the charset to every type of JSON; here it is the same without it. */
export const problemType = 'application/problem+json; charset=utf-8'

const titles: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  409: 'Conflict',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
}

/** Returns the body of a problem as JSON text. */
export function encodeProblem(problem: ApiProblem): string {
  const { status, code, detail, faults, members } = problem
  return JSON.stringify({
    type: `urn:attune:problem:${code}`,
    title: titles[status] ?? 'Refused',
    status,
    detail,
    code,
    ...(faults === undefined ? {} : { faults }),
    ...members,
  })
}

/** Returns the headers that go with a problem. */
export function problemHeaders(problem: ApiProblem): Record<string, string> {
  const { retryAfterSeconds, challenge } = problem
  return {
    'content-type': problemType,
    'cache-control': 'no-store',
    ...(retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) }),
    ...(challenge === undefined ? {} : { 'www-authenticate': challenge }),
  }
}

export function sendProblem(reply: FastifyReply, problem: ApiProblem): FastifyReply {
  return reply.code(problem.status).headers(problemHeaders(problem)).send(encodeProblem(problem))
}

/**
 * Returns what a client is told of an error that was thrown; what only the operator needs is
 * logged.
 */
export function problemOfError(error: unknown, logger: Logger): ApiProblem {
  if (error instanceof OperatingError) {
    logger.warn({ code: error.code, error: error.message }, 'api request failed')
    const detail = 'The request could not be served now. Send it again later.'
    return { status: 503, code: error.code, detail, retryAfterSeconds: 5 }
  }
  const refused = refusalOf(error)
  if (refused !== undefined) return refused
  const says = error instanceof Error ? (error.stack ?? error.message) : String(error)
  logger.error({ error: says }, 'api request broken')
  return { status: 500, code: 'internal', detail: 'The fault is here, not in the request.' }
}

/** What fastify refuses itself: a body that is no JSON, is too long, or does not fit its schema. */
interface FrameworkError {
  readonly statusCode?: number
  readonly message: string
  readonly validationContext?: string
  readonly validation?: readonly {
    readonly instancePath?: string
    readonly message?: string
    readonly params?: { readonly additionalProperty?: unknown }
  }[]
}

function refusalOf(error: unknown): ApiProblem | undefined {
  if (!(error instanceof Error)) return undefined
  const { statusCode, message, validation, validationContext } = error as FrameworkError
  if (validation !== undefined) {
    const faults = validation.map(({ instancePath = '', message: says = 'is wrong', params }) => {
      const extra = params?.additionalProperty
      return { path: instancePath, says: typeof extra === 'string' ? `${says}: ${extra}` : says }
    })
    const detail = `The ${validationContext ?? 'request'} is not of the form that this path takes.`
    return { status: 400, code: 'invalid', detail, faults }
  }
  if (statusCode === undefined || statusCode < 400 || statusCode >= 500) return undefined
  const code = frameworkCodes[statusCode] ?? 'invalid'
  // The message of a JSON error quotes the body, which may be personal.
  const detail = statusCode === 400 ? 'The request cannot be read.' : message
  return { status: statusCode, code, detail }
}

const frameworkCodes: Readonly<Record<number, string>> = {
  404: 'not-found',
  413: 'body-too-large',
  415: 'content-type-unknown',
}
