import type { FastifyInstance, FastifyReply } from 'fastify'
import { type Static, Type } from 'typebox'
import { type FoundPerson, findPerson, type StatePlace } from '../delivery/read-state.ts'
import { timeText } from '../lib/time-text.ts'
import { viewPerson } from '../profile/view-person.ts'
import type { ApiDeps } from './api-deps.ts'
import { type ApiProblem, sendProblem } from './problem.ts'
import {
  ageOf,
  createProfileAnswers,
  parseProfileId,
  profileIdProblem,
  profileUnknown,
} from './profile-answer.ts'

const IdParams = Type.Object({ id: Type.String() })
type IdParams = Static<typeof IdParams>
const CountQuery = Type.Object({ count: Type.Optional(Type.String({ pattern: '^[0-9]{1,4}$' })) })
type CountQuery = Static<typeof CountQuery>

const activityCountDefault = 50
const activityCountMax = 1000

/** What is known of one person: profile and retained activity. */
export function addProfileRoutes(app: FastifyInstance, deps: ApiDeps): void {
  const answerProfile = createProfileAnswers(deps)
  app.get<{ Params: IdParams }>('/api/v1/profiles/:id', async (request, reply) => {
    const ifNoneMatch = request.headers['if-none-match']
    const { status, headers, body } = await answerProfile(request.params.id, ifNoneMatch)
    return reply
      .code(status)
      .headers(headers)
      .send(status === 304 ? undefined : body)
  })

  app.get<{ Params: IdParams; Querystring: CountQuery }>(
    '/api/v1/profiles/:id/events',
    { schema: { querystring: CountQuery } },
    async (request, reply) => {
      const found = await findProfile(deps.place, request.params.id)
      if ('code' in found) return sendProblem(reply, found)
      const countMax = Math.min(
        activityCountMax,
        Number(request.query.count ?? activityCountDefault),
      )
      const { activity } = viewPerson(found.person, found.traits)
      const newest = countMax === 0 ? [] : activity.slice(-countMax).reverse()
      const events = newest.map(({ name, occurredAtMs, itemId, quantity, value }) => ({
        name,
        at: timeText(occurredAtMs),
        itemId,
        quantity,
        value,
      }))
      return sendJson(reply, { id: found.person.key, events, ...ageOf(deps, found) })
    },
  )
}

/** Answers JSON about a person, which no shared cache may keep. */
export function sendJson(reply: FastifyReply, body: unknown): FastifyReply {
  return reply
    .header('cache-control', 'private, no-store')
    .type('application/json; charset=utf-8')
    .send(JSON.stringify(body))
}

/** Returns the person of an id as it stands in a URL or a body, or why there is none. */
export async function findProfile(
  place: StatePlace,
  id: string,
): Promise<FoundPerson | ApiProblem> {
  const key = parseProfileId(id)
  if (key === undefined) return profileIdProblem
  return (await findPerson(place, key)) ?? profileUnknown
}
