/**
 * What the links in an email lead to: `/e/o/` open, `/e/c/` click, `/e/u/` unsubscribe.
 *
 * Guarantee: a redirect goes only to a destination that was in the message when it was rendered;
 * the token names the message and the link's index, and nothing of the query or the path is ever a
 * destination. GET and HEAD never unsubscribe, HEAD records nothing. An unsubscribe is answered
 * after the suppression of the address and the withdrawal of the person are both committed (RFC
 * 8058).
 *
 * Order of a click: MAC, message, evidence, destination, append without waiting, redirect. A
 * recipient does not wait for our disk.
 */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import {
  type Message,
  type OutcomeKind,
  type OutcomeSkeleton,
  partitionOfMessage,
} from '../campaign/message.ts'
import type { Evidence } from '../delivery/evidence.ts'
import { findEvidence } from '../delivery/explain.ts'
import { findMessage, findPerson } from '../delivery/read-state.ts'
import { parseAddress } from '../event/address.ts'
import { emptyBody, type NewRecord } from '../log/record.ts'
import { textTrait, viewPerson } from '../profile/view-person.ts'
import { type LinkPurpose, parseToken } from '../template/links.ts'
import type { ApiDeps } from './api-deps.ts'
import type { ApiOptions } from './api-options.ts'
import { suppressRecord, topicWithin } from './suppression-routes.ts'
import {
  confirmPage,
  laterPage,
  notFoundPage,
  pageType,
  pixelGif,
  trackingHeaders,
  unsubscribedPage,
} from './tracking-pages.ts'

const retrySeconds = 5
/** A one-click body is some thirty bytes. */
const bodyBytesMax = 4 * 1024

interface TokenParams {
  readonly token: string
}
type TokenRequest = FastifyRequest<{ Params: TokenParams }>

interface Linked {
  readonly message: Message
  readonly index: number
}

/**
 * Adds the routes to a scope of their own: its bodies may be of any type, and are not looked at.
 */
export function addTrackingRoutes(app: FastifyInstance, deps: ApiDeps, options: ApiOptions): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(
    '*',
    { parseAs: 'buffer', bodyLimit: bodyBytesMax },
    (_request, _body, done) => done(null, undefined),
  )
  app.addHook('onRequest', async (_request, reply) => {
    reply.headers(trackingHeaders)
  })
  const record = createOutcomeRecorder(deps, options)
  const method = ['GET', 'HEAD']

  app.route<{ Params: TokenParams }>({
    method,
    url: '/e/o/:token',
    handler: async (request, reply) => {
      const linked = await findLinked(deps, 'open', request)
      if (linked !== undefined && request.method === 'GET') record(linked.message, 'opened')
      const status = linked === undefined ? 404 : 200
      return reply.code(status).type('image/gif').send(pixelGif)
    },
  })
  app.route<{ Params: TokenParams }>({
    method,
    url: '/e/c/:token',
    handler: async (request, reply) => {
      const linked = await findLinked(deps, 'click', request)
      if (linked === undefined) return sendPage(reply, 404, notFoundPage)
      const evidence = await evidenceOf(deps, linked.message)
      // A scanner may be here before the result of the hand-over is folded.
      if (evidence === undefined && isUnderWay(linked.message)) return sendLater(reply)
      const destination = destinationOf(evidence, linked.index)
      if (destination === undefined) return sendPage(reply, 404, notFoundPage)
      if (request.method === 'GET') record(linked.message, 'clicked', linked.index)
      return reply.code(302).header('location', destination).send()
    },
  })
  app.route<{ Params: TokenParams }>({
    method,
    url: '/e/u/:token',
    handler: async (request, reply) => {
      const linked = await findLinked(deps, 'unsubscribe', request)
      if (linked === undefined) return sendPage(reply, 404, notFoundPage)
      return sendPage(reply, 200, confirmPage(linked.message))
    },
  })
  app.post<{ Params: TokenParams }>('/e/u/:token', async (request, reply) => {
    const linked = await findLinked(deps, 'unsubscribe', request)
    if (linked === undefined) return sendPage(reply, 404, notFoundPage)
    const { records, topic } = await unsubscribeRecords(deps, linked.message)
    const places = await deps.log.append(records)
    const isCommitted = await deps.waitCommitted(places, options.commitMsMax)
    return isCommitted ? sendPage(reply, 200, unsubscribedPage({ topic })) : sendLater(reply)
  })
}

/** Returns the message of a token that we signed for this purpose. */
async function findLinked(
  deps: ApiDeps,
  purpose: LinkPurpose,
  request: TokenRequest,
): Promise<Linked | undefined> {
  const parsed = parseToken(deps.signingKeys, purpose, request.params.token)
  if (parsed === undefined) return undefined
  const message = await findMessage(deps.place, parsed.messageId)
  return message === undefined ? undefined : { message, index: parsed.index }
}

async function evidenceOf(deps: ApiDeps, message: Message): Promise<Evidence | undefined> {
  const { evidenceHash } = message
  return evidenceHash === undefined ? undefined : await findEvidence(deps.blobs, evidenceHash)
}

function isUnderWay(message: Message): boolean {
  return message.evidenceHash === undefined && message.state.kind === 'granted'
}

function destinationOf(evidence: Evidence | undefined, index: number): string | undefined {
  const link = evidence?.links[index]
  const url = link === undefined ? null : URL.parse(link)
  return url?.protocol === 'https:' || url?.protocol === 'http:' ? url.href : undefined
}

type RecordOutcome = (message: Message, outcome: OutcomeKind, link?: number) => void

/**
 * Appends without waiting. Only the first of each kind counts, so what the state has already is not
 * appended again: nobody can fill the log by opening one email for ever.
 */
function createOutcomeRecorder(deps: ApiDeps, options: ApiOptions): RecordOutcome {
  let underWayCount = 0
  return (message, outcome, link) => {
    if (message.outcomes[outcome] !== undefined) return
    if (underWayCount >= options.outcomeCountMax) {
      deps.logger.warn({ outcome }, 'too many outcomes wait for the log; this one is dropped')
      return
    }
    underWayCount++
    deps.log
      .append([outcomeRecord(deps, message, outcome, link)])
      .catch((error: unknown) => {
        deps.logger.warn({ outcome, error: String(error) }, 'an outcome could not be kept')
      })
      .finally(() => {
        underWayCount--
      })
  }
}

function outcomeRecord(
  deps: ApiDeps,
  message: Message,
  outcome: OutcomeKind,
  link?: number,
): NewRecord {
  const nowMs = deps.clock.nowMs()
  const { messageId } = message
  const skeleton: OutcomeSkeleton = {
    messageId,
    outcome,
    atMs: Math.floor(nowMs),
    ...(link === undefined ? {} : { link }),
  }
  return {
    partition: partitionOfMessage(messageId) ?? 0,
    key: message.personKey,
    kind: 'outcome',
    id: deps.random.bytes(16),
    recordedAtMs: nowMs,
    isBackfill: false,
    keyId: 0,
    skeleton,
    body: emptyBody,
  }
}

/** Who leaves more topics than are kept has left all mail. */
async function unsubscribeRecords(
  deps: ApiDeps,
  message: Message,
): Promise<{ readonly records: readonly NewRecord[]; readonly topic: string }> {
  const outcome = outcomeRecord(deps, message, 'unsubscribed')
  const address = await recipientOf(deps, message)
  if (address === undefined) return { records: [outcome], topic: message.topic }
  const topic = await topicWithin(deps, address, message.topic)
  const given = { address, topic, reason: 'unsubscribed', isLifted: false } as const
  return { records: [suppressRecord(deps, given), outcome], topic }
}

/**
 * The address that was written to. Where its evidence is lost, the person's own: leaving must
 * always be possible.
 */
async function recipientOf(deps: ApiDeps, message: Message): Promise<string | undefined> {
  const evidence = await evidenceOf(deps, message)
  if (evidence !== undefined) return evidence.input.message.to
  const found = await findPerson(deps.place, message.personKey)
  if (found === undefined) return undefined
  const { traits } = viewPerson(found.person, found.traits, found.inForce)
  const parsed = parseAddress(textTrait(traits, 'email'))
  return parsed.kind === 'address' ? parsed.address : undefined
}

function sendPage(reply: FastifyReply, status: number, html: string): FastifyReply {
  return reply.code(status).type(pageType).send(html)
}

function sendLater(reply: FastifyReply): FastifyReply {
  return sendPage(reply.header('retry-after', String(retrySeconds)), 503, laterPage)
}
