/** What a request to the collector is refused with. */

import { OperatingError } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'
import type { Problem } from './collect-answer.ts'
import type { Intake } from './exchange.ts'
import type { RequestReason } from './reject-reason.ts'

const tooLargeReasons: ReadonlySet<RequestReason> = new Set(['body-too-large', 'batch-too-long'])

export const keyProblem: Problem = {
  status: 401,
  code: 'source-unknown',
  title: 'Unauthorized',
  detail:
    'Give a known write key: Basic authorization, the header X-Write-Key, or writeKey in the body.',
}
export const originProblem: Problem = {
  status: 403,
  code: 'origin-not-allowed',
  title: 'Forbidden',
  detail: 'The source does not take events from pages of this origin.',
}
/** The definition names a secret that this process cannot read: the sender tries again later. */
export const secretProblem: Problem = {
  status: 503,
  code: 'secret-unreadable',
  title: 'Service Unavailable',
  detail: 'What is sent cannot be checked now. Send it again later.',
  retryAfterSeconds: 60,
}
export const mediaTypeProblem: Problem = {
  status: 415,
  code: 'media-type-unknown',
  title: 'Unsupported Media Type',
  detail: 'The Content-Type is none that this path takes.',
}
export const encodingProblem: Problem = {
  status: 415,
  code: 'encoding-unknown',
  title: 'Unsupported Media Type',
  detail: 'The Content-Encoding is none of gzip, deflate, br, identity.',
}
export const lagProblem: Problem = {
  status: 429,
  code: 'overloaded',
  title: 'Too Many Requests',
  detail: 'More is sent than can be kept. Send again later.',
  retryAfterSeconds: 1,
}
/** The source sends more than it may; nobody else is held up. */
export function rateProblem(waitMs: number): Problem {
  return {
    status: 429,
    code: 'rate-exceeded',
    title: 'Too Many Requests',
    detail: 'This source sends more events in a second than it may. Send again later.',
    retryAfterSeconds: Math.ceil(waitMs / 1000),
  }
}

export function methodProblem(method: string): Problem {
  const detail = `This path takes ${method} only.`
  const title = 'Method Not Allowed'
  return { status: 405, code: 'method-not-allowed', title, detail, allow: `${method}, OPTIONS` }
}

export function requestProblem(code: RequestReason, detail: string): Problem {
  if (tooLargeReasons.has(code)) return { status: 413, code, title: 'Content Too Large', detail }
  return { status: 400, code, title: 'Bad Request', detail }
}

export function intakeProblem(intake: Exclude<Intake, { kind: 'open' }>): Problem {
  const { reason, retryAfterSeconds } = intake
  if (reason === 'lag') return { ...lagProblem, retryAfterSeconds }
  const detail = 'No events are taken now. Send again later.'
  const title = 'Service Unavailable'
  return { status: 503, code: `intake-${reason}`, title, detail, retryAfterSeconds }
}

export function problemOfError(error: unknown, logger: Logger): Problem {
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
