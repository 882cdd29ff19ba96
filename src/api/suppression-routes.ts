import type { FastifyInstance } from 'fastify'
import { type Static, Type } from 'typebox'
import { findSuppression } from '../delivery/read-state.ts'
import {
  addressKeyOf,
  type SuppressionReason,
  type SuppressSkeleton,
  suppressionReasons,
  topicToSuppress,
} from '../delivery/suppression.ts'
import { parseAddress } from '../event/address.ts'
import { emptyBody, type NewRecord, partitionOf } from '../log/record.ts'
import type { ApiDeps } from './api-deps.ts'
import type { ApiOptions } from './api-options.ts'
import { type ApiProblem, sendProblem } from './problem.ts'
import { sendJson } from './send-json.ts'

const SuppressionBody = Type.Object(
  {
    address: Type.String({ minLength: 3, maxLength: 254 }),
    /** Absent: all mail. */
    topic: Type.Optional(Type.String({ minLength: 1, maxLength: 100 })),
    reason: Type.Optional(
      Type.Unsafe<SuppressionReason>({ type: 'string', enum: [...suppressionReasons] }),
    ),
  },
  { additionalProperties: false },
)
type SuppressionBody = Static<typeof SuppressionBody>

/**
 * Sets and lifts suppressions. The address is in the body: a URL would put it into every log on the
 * way. The answer names what is suppressed now: `*` also where there was no room for the topic.
 */
export function addSuppressionRoutes(
  app: FastifyInstance,
  deps: ApiDeps,
  options: ApiOptions,
): void {
  for (const method of ['POST', 'DELETE'] as const) {
    app.route<{ Body: SuppressionBody }>({
      method,
      url: '/api/v1/suppressions',
      schema: { body: SuppressionBody },
      handler: async (request, reply) => {
        const { reason = 'manual' } = request.body
        const parsed = parseAddress(request.body.address)
        if (parsed.kind === 'refused') return sendProblem(reply, badAddress(parsed.reason))
        const isLifted = method === 'DELETE'
        const { address } = parsed
        const asked = request.body.topic ?? '*'
        const topic = isLifted ? asked : await topicWithin(deps, address, asked)
        const given = { address, topic, reason, isLifted }
        const places = await deps.log.append([suppressRecord(deps, given)])
        const isCommitted = await deps.waitCommitted(places, options.commitMsMax)
        if (!isCommitted) return sendProblem(reply, notCommitted)
        return sendJson(reply, { isSuppressed: !isLifted, topic })
      },
    })
  }
}

/** Returns the topic, or all mail where the address has no room for one more. */
export async function topicWithin(
  { place, addressSecret }: Pick<ApiDeps, 'place' | 'addressSecret'>,
  address: string,
  topic: string,
): Promise<string> {
  return topicToSuppress(await findSuppression(place, addressKeyOf(addressSecret, address)), topic)
}

/** Returns the record that sets or lifts the suppression of an address. */
export function suppressRecord(
  deps: Pick<ApiDeps, 'place' | 'addressSecret' | 'random' | 'clock'>,
  given: {
    readonly address: string
    readonly topic: string
    readonly reason: SuppressionReason
    readonly isLifted: boolean
  },
): NewRecord {
  const { topic, reason, isLifted } = given
  const key = addressKeyOf(deps.addressSecret, given.address)
  const nowMs = deps.clock.nowMs()
  const skeleton: SuppressSkeleton = { topic, reason, atMs: Math.floor(nowMs), isLifted }
  const { workspace, partitionCount } = deps.place
  return {
    partition: partitionOf(workspace, key, partitionCount),
    key,
    kind: 'suppress',
    id: deps.random.bytes(16),
    recordedAtMs: nowMs,
    isBackfill: false,
    keyId: 0,
    skeleton,
    body: emptyBody,
  }
}

/**
 * The record is durable and will be folded; only the promise that it already is cannot be given.
 */
export const notCommitted: ApiProblem = {
  status: 503,
  code: 'not-committed',
  detail: 'It is kept and will take effect, but did not within the time limit. Send it again.',
  retryAfterSeconds: 5,
}

function badAddress(reason: string): ApiProblem {
  const faults = [{ path: '/address', says: reason }]
  return { status: 400, code: 'invalid', detail: 'The address is not one of email.', faults }
}
