import type { FastifyInstance, FastifyReply } from 'fastify'
import { type Static, Type } from 'typebox'
import type { ApiDeps } from './api-deps.ts'
import { createPastProfiles, isProblem, type PastProfiles } from './past-profile.ts'
import { type ApiProblem, sendProblem } from './problem.ts'
import { parseProfileId, profileIdProblem } from './profile-answer.ts'
import { sendJson } from './send-json.ts'

const IdParams = Type.Object({ id: Type.String() })
type IdParams = Static<typeof IdParams>
const version = Type.String({ pattern: '^[0-9]{1,15}$' })
const ChangesQuery = Type.Object({
  since: Type.Optional(version),
  count: Type.Optional(Type.String({ pattern: '^[0-9]{1,3}$' })),
})
type ChangesQuery = Static<typeof ChangesQuery>
const DiffQuery = Type.Object({ from: version, to: version })
type DiffQuery = Static<typeof DiffQuery>

const FeedQuery = Type.Object({
  since: Type.Optional(Type.String({ maxLength: 12_000 })),
  count: Type.Optional(Type.String({ pattern: '^[0-9]{1,3}$' })),
})
type FeedQuery = Static<typeof FeedQuery>

/** What `GET /profiles/:id` takes for the past; a time in UTC or with its offset. */
export const PastQuery = Type.Object({
  at: Type.Optional(Type.String({ maxLength: 40 })),
  version: Type.Optional(version),
})
export type PastQuery = Static<typeof PastQuery>

const changeCountDefault = 50
const changeCountMax = 100
const feedCountDefault = 100
const feedCountMax = 500
const timePattern = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d))?$/

/** Changes of one person and of all, and the difference of two versions. */
export function addPastRoutes(app: FastifyInstance, deps: ApiDeps): void {
  const past = createPastProfiles(deps)
  app.get<{ Params: IdParams; Querystring: ChangesQuery }>(
    '/api/v1/profiles/:id/changes',
    { schema: { querystring: ChangesQuery } },
    async (request, reply) => {
      const { since, count } = request.query
      const countMax = Math.min(changeCountMax, Math.max(1, Number(count ?? changeCountDefault)))
      const after = since === undefined ? undefined : Number(since)
      return await answerPast(reply, request.params.id, (key) => past.changes(key, after, countMax))
    },
  )

  app.get<{ Params: IdParams; Querystring: DiffQuery }>(
    '/api/v1/profiles/:id/diff',
    { schema: { querystring: DiffQuery } },
    async (request, reply) => {
      const { from, to } = request.query
      const find = (key: string) => past.diff(key, Number(from), Number(to))
      return await answerPast(reply, request.params.id, find)
    },
  )

  app.get<{ Querystring: FeedQuery }>(
    '/api/v1/changes',
    { schema: { querystring: FeedQuery } },
    async (request, reply) => {
      const { since, count } = request.query
      const countMax = Math.min(feedCountMax, Math.max(1, Number(count ?? feedCountDefault)))
      const found = await past.feed(since, countMax)
      return isProblem(found) ? sendProblem(reply, found) : sendJson(reply, found)
    },
  )
}

/** Answers a GET of a profile that asks for the past. */
export async function answerPastProfile(
  reply: FastifyReply,
  past: PastProfiles,
  given: { readonly id: string; readonly query: PastQuery; readonly nowMs: number },
): Promise<FastifyReply> {
  const { at, version } = given.query
  if (at !== undefined && version !== undefined) return sendProblem(reply, bothGiven)
  if (version !== undefined) {
    return await answerPast(reply, given.id, (key) => past.version(key, Number(version)))
  }
  const atMs = parsePastTime(at ?? '', given.nowMs)
  if (atMs === undefined) return sendProblem(reply, timeInvalid)
  return await answerPast(reply, given.id, (key) => past.at(key, atMs))
}

/** Returns the instant of a day, or of a time with its zone; undefined for none or a future one. */
export function parsePastTime(text: string, nowMs: number): number | undefined {
  const atMs = timePattern.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(atMs) || atMs > nowMs ? undefined : atMs
}

async function answerPast(
  reply: FastifyReply,
  id: string,
  find: (key: string) => ReturnType<PastProfiles['at']>,
): Promise<FastifyReply> {
  const key = parseProfileId(id)
  if (key === undefined) return sendProblem(reply, profileIdProblem)
  const found = await find(key)
  return isProblem(found) ? sendProblem(reply, found) : sendJson(reply, found)
}

const bothGiven: ApiProblem = {
  status: 400,
  code: 'past-ambiguous',
  detail: 'Give `at` or `version`, not both.',
}
const timeInvalid: ApiProblem = {
  status: 400,
  code: 'time-invalid',
  detail: '`at` is a day or an instant with its zone, such as 2026-11-01T10:00:00Z, and past.',
}
