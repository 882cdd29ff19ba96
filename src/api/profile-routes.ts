import type { FastifyInstance } from 'fastify'
import { type Static, Type } from 'typebox'
import { type FoundPerson, findPerson, type StatePlace } from '../delivery/read-state.ts'
import { timeText } from '../lib/time-text.ts'
import { viewPerson } from '../profile/view-person.ts'
import type { ApiDeps } from './api-deps.ts'
import { createPastProfiles } from './past-profile.ts'
import { answerPastProfile, PastQuery } from './past-routes.ts'
import { type ApiProblem, sendProblem } from './problem.ts'
import {
  ageOf,
  createProfileAnswers,
  parseProfileId,
  profileIdProblem,
  profileUnknown,
} from './profile-answer.ts'
import { sendJson } from './send-json.ts'

const IdParams = Type.Object({ id: Type.String() })
type IdParams = Static<typeof IdParams>
const CountQuery = Type.Object({ count: Type.Optional(Type.String({ pattern: '^[0-9]{1,4}$' })) })
type CountQuery = Static<typeof CountQuery>

const activityCountDefault = 50
const activityCountMax = 1000

/** What is known of one person: profile and retained activity. */
export function addProfileRoutes(app: FastifyInstance, deps: ApiDeps): void {
  // The server answers nearly all of these before its router, and keeps what it made there.
  const answerProfile = createProfileAnswers(deps, 0)
  const past = createPastProfiles(deps)
  app.get<{ Params: IdParams; Querystring: PastQuery }>(
    '/api/v1/profiles/:id',
    { schema: { querystring: PastQuery } },
    async (request, reply) => {
      const { query } = request
      const { id } = request.params
      if (query.at !== undefined || query.version !== undefined) {
        return await answerPastProfile(reply, past, { id, query, nowMs: deps.clock.nowMs() })
      }
      const ifNoneMatch = request.headers['if-none-match']
      const { status, headers, body } = await answerProfile(id, ifNoneMatch)
      return reply
        .code(status)
        .headers(headers)
        .send(status === 304 ? undefined : body)
    },
  )

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

/** Returns the person of an id as it stands in a URL or a body, or why there is none. */
export async function findProfile(
  place: StatePlace,
  id: string,
): Promise<FoundPerson | ApiProblem> {
  const key = parseProfileId(id)
  if (key === undefined) return profileIdProblem
  return (await findPerson(place, key)) ?? profileUnknown
}
