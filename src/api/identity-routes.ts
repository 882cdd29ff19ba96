import type { FastifyInstance } from 'fastify'
import { type Static, Type } from 'typebox'
import { findPerson } from '../delivery/read-state.ts'
import { planJoin, planSplit } from '../process/identity-order.ts'
import { parseExternalId } from '../profile/stated-key.ts'
import type { ApiDeps } from './api-deps.ts'
import type { ApiOptions } from './api-options.ts'
import { createDefinitionsInForce } from './definitions-in-force.ts'
import { type ApiProblem, type FieldFault, sendProblem } from './problem.ts'
import { profileUnknown } from './profile-answer.ts'
import { sendJson } from './send-json.ts'
import { notCommitted } from './suppression-routes.ts'

const keyCharactersMax = 300
const Key = Type.String({ minLength: 1, maxLength: keyCharactersMax })
const SplitBody = Type.Object(
  { key: Key, from: Type.Optional(Key) },
  { additionalProperties: false },
)
type SplitBody = Static<typeof SplitBody>
const JoinBody = Type.Object(
  { keys: Type.Array(Key, { minItems: 2, maxItems: 2 }) },
  {
    additionalProperties: false,
  },
)
type JoinBody = Static<typeof JoinBody>
const FindBody = Type.Object(
  { kind: Type.String({ minLength: 1, maxLength: 32 }), value: Key },
  { additionalProperties: false },
)
type FindBody = Static<typeof FindBody>

/**
 * Takes wrongly merged keys out, joins what is to be joined, and finds who has an external id. That
 * one is in the body: a URL would put addresses and numbers into every log on the way.
 */
export function addIdentityRoutes(app: FastifyInstance, deps: ApiDeps, options: ApiOptions): void {
  const { place } = deps
  const definitions = createDefinitionsInForce(place, deps.blobs)
  const orderDeps = { place, clock: deps.clock, random: deps.random }

  app.post<{ Body: SplitBody }>(
    '/api/v1/identity/split',
    { schema: { body: SplitBody } },
    async (request, reply) => {
      const planned = await planSplit(orderDeps, request.body.key, request.body.from)
      if (planned.kind === 'refused') return sendProblem(reply, problemOf(planned))
      const places = await deps.log.append([planned.record])
      const isCommitted = await deps.waitCommitted(places, options.commitMsMax)
      if (!isCommitted) return sendProblem(reply, notCommitted)
      return sendJson(reply, { key: planned.key, takenOutOf: planned.leaderKey })
    },
  )

  app.post<{ Body: JoinBody }>(
    '/api/v1/identity/join',
    { schema: { body: JoinBody } },
    async (request, reply) => {
      const [left = '', right = ''] = request.body.keys
      const planned = await planJoin(orderDeps, [left, right])
      if (planned.kind === 'refused') return sendProblem(reply, problemOf(planned))
      const places = await deps.log.append([planned.record])
      const isCommitted = await deps.waitCommitted(places, options.commitMsMax)
      if (!isCommitted) return sendProblem(reply, notCommitted)
      return sendJson(reply, { keys: [planned.leaderKey, planned.key] })
    },
  )

  app.post<{ Body: FindBody }>(
    '/api/v1/identity/find',
    { schema: { body: FindBody } },
    async (request, reply) => {
      const { kind, value } = request.body
      const { identity } = await definitions.of(0)
      if (!identity.kinds.some(({ name }) => name === kind)) {
        return sendProblem(reply, invalid({ path: '/kind', says: 'No kind of identity.yaml.' }))
      }
      const key = parseExternalId(identity, `${kind}:${value}`)
      if (key === undefined) {
        const says = 'Not a value of this kind, or one that says nothing about who somebody is.'
        return sendProblem(reply, invalid({ path: '/value', says }))
      }
      const found = await findPerson(place, key)
      if (found === undefined || found.person.version === 0) {
        return sendProblem(reply, profileUnknown)
      }
      return sendJson(reply, { key, id: found.person.key, version: found.person.version })
    },
  )
}

function problemOf(refused: {
  readonly code: 'invalid' | 'unknown' | 'conflict'
  readonly path: string
  readonly says: string
}): ApiProblem {
  const { code, path, says } = refused
  if (code === 'unknown') return profileUnknown
  if (code === 'invalid') return invalid({ path, says })
  return { status: 409, code: 'identity-conflict', detail: says, faults: [{ path, says }] }
}

function invalid(fault: FieldFault): ApiProblem {
  const detail = 'The body does not name identity keys.'
  return { status: 400, code: 'invalid', detail, faults: [fault] }
}
