import type { FastifyInstance, FastifyReply } from 'fastify'
import { type Static, Type } from 'typebox'
import { type Message, messagePrefix, partitionOfMessage } from '../campaign/message.ts'
import type { Evidence } from '../delivery/evidence.ts'
import {
  type ExplainRefusal,
  explainMessage,
  findEvidence,
  type InputChange,
} from '../delivery/explain.ts'
import { findMessage, findPerson } from '../delivery/read-state.ts'
import type { Json } from '../lib/json.ts'
import { personPrefix } from '../profile/person.ts'
import type { ApiDeps } from './api-deps.ts'
import { type ApiProblem, sendProblem } from './problem.ts'
import { sendJson } from './send-json.ts'

const IdParams = Type.Object({ id: Type.String() })
type IdParams = Static<typeof IdParams>
const ExplainQuery = Type.Object({
  /** Where to change the stored input before it is rendered, and the JSON to put there. */
  path: Type.Optional(Type.String({ maxLength: 300 })),
  value: Type.Optional(Type.String({ maxLength: 10_000 })),
})
type ExplainQuery = Static<typeof ExplainQuery>

/**
 * What is known of one message: its state, its evidence, and the proof that it can be rendered
 * again.
 */
export function addMessageRoutes(app: FastifyInstance, deps: ApiDeps): void {
  app.get<{ Params: IdParams }>('/api/v1/messages/:id', async (request, reply) => {
    const message = await findMessage(deps.place, request.params.id)
    return message === undefined ? sendProblem(reply, messageUnknown) : sendJson(reply, message)
  })

  app.get<{ Params: IdParams }>('/api/v1/messages/:id/evidence', async (request, reply) => {
    const message = await findMessage(deps.place, request.params.id)
    if (message === undefined) return sendProblem(reply, messageUnknown)
    const { evidenceHash } = message
    const evidence =
      evidenceHash === undefined ? undefined : await findEvidence(deps.blobs, evidenceHash)
    const stored = await placesOf(deps, message, evidence)
    return sendJson(reply, { message, evidence: evidence ?? null, stored })
  })

  app.get<{ Params: IdParams; Querystring: ExplainQuery }>(
    '/api/v1/messages/:id/explain',
    { schema: { querystring: ExplainQuery } },
    async (request, reply) => {
      const change = readChange(request.query)
      if (change === 'refused') return sendProblem(reply, badChange)
      return await sendExplained(reply, deps, request.params.id, change)
    },
  )
}

async function sendExplained(
  reply: FastifyReply,
  deps: ApiDeps,
  messageId: string,
  change: InputChange | undefined,
): Promise<FastifyReply> {
  const answer = await explainMessage(deps, messageId, change)
  if (answer.kind === 'explained') {
    return sendJson(reply, { messageId, ...answer, ...(change === undefined ? {} : { change }) })
  }
  const { reason, says } = answer
  return sendProblem(reply, { status: refusalStatus[reason], code: reason, detail: says })
}

const refusalStatus: Readonly<Record<ExplainRefusal, number>> = {
  'message-unknown': 404,
  'not-rendered': 409,
  'body-missing': 409,
  'bad-change': 400,
  'render-refused': 409,
}

export const messageUnknown: ApiProblem = {
  status: 404,
  code: 'message-unknown',
  detail: 'There is no message of this id.',
}
const badChange: ApiProblem = {
  status: 400,
  code: 'bad-change',
  detail: 'Give path and value together, the value as JSON.',
}

function readChange({ path, value }: ExplainQuery): InputChange | undefined | 'refused' {
  if (path === undefined && value === undefined) return undefined
  if (path === undefined || value === undefined) return 'refused'
  try {
    return { path, value: JSON.parse(value) as Json }
  } catch {
    return 'refused'
  }
}

/**
 * Names where each thing that made the message lies, so that it can be looked at without this API.
 */
async function placesOf(
  deps: ApiDeps,
  message: Message,
  evidence: Evidence | undefined,
): Promise<Record<string, unknown>> {
  const partition = partitionOfMessage(message.messageId)
  const { trigger } = message
  const found = await findPerson(deps.place, message.personKey)
  return {
    message: { partition, key: messagePrefix + message.messageId },
    person: { partition: found?.partition, key: personPrefix + (found?.person.key ?? '') },
    trigger: { log: 'events', partition: trigger.partition ?? partition, offset: trigger.offset },
    definitions: { blob: message.definitionsHash },
    evidence: { blob: message.evidenceHash },
    template: { blob: evidence?.templateHash },
    raw: { blob: evidence?.rawHash },
  }
}
