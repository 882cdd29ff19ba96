import type { FastifyInstance } from 'fastify'
import { type Static, type TSchema, Type } from 'typebox'
import { isCursor, type Selection } from '../collect/read-open.ts'
import { byName, type RejectedGroup } from '../collect/rejected-index.ts'
import type { GroupName } from '../collect/rejected-record.ts'
import { type ParsedRepair, parseRepair } from '../event/parse-repair.ts'
import type { Repair } from '../event/repair.ts'
import type { ApiDeps } from './api-deps.ts'
import { type ApiProblem, sendProblem } from './problem.ts'
import { sendJson } from './send-json.ts'

const listCountDefault = 100
const listCountMax = 1_000
const pageCountDefault = 100
/** Records of one answer: each may have 64 KiB. */
const pageCountMax = 200
const exampleCountDefault = 3
const exampleCountMax = 20
const idCountMax = 200

const names = {
  source: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
  reason: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
  /** With `*` in place of the index of an array. */
  path: Type.Optional(Type.String({ maxLength: 300 })),
  event: Type.Optional(Type.String({ maxLength: 200 })),
}
const ListQuery = Type.Object({
  ...names,
  count: Type.Optional(Type.String({ pattern: '^[1-9][0-9]{0,3}$' })),
  cursor: Type.Optional(Type.String({ maxLength: 2_000 })),
})
type ListQuery = Static<typeof ListQuery>

const Id = Type.String({ minLength: 1, maxLength: 40 })
const IdParams = Type.Object({ id: Type.String() })
type IdParams = Static<typeof IdParams>

/** Something must be named: nobody replays or dismisses all by leaving a field out. */
const SelectionBody = Type.Object(
  { ...names, ids: Type.Optional(Type.Array(Id, { minItems: 1, maxItems: idCountMax })) },
  { additionalProperties: false, minProperties: 1 },
)
const CountOf = (maximum: number) => Type.Optional(Type.Integer({ minimum: 1, maximum }))
const closed = <Fields extends Record<string, TSchema>>(fields: Fields) =>
  Type.Object(fields, { additionalProperties: false })

const TrialBody = closed({
  selection: SelectionBody,
  /** Read by `parseRepair`; absent: as they are. */
  repair: Type.Optional(Type.Unknown()),
  sampleCount: CountOf(pageCountMax),
  exampleCount: CountOf(exampleCountMax),
})
const paging = {
  countMax: CountOf(pageCountMax),
  cursor: Type.Optional(Type.String({ maxLength: 40 })),
}
const ReplayBody = closed({
  selection: SelectionBody,
  repair: Type.Optional(Type.Unknown()),
  /** Absent: as events of the past, which trigger nothing. */
  isLive: Type.Optional(Type.Boolean()),
  ...paging,
})
const DismissBody = closed({
  selection: SelectionBody,
  says: Type.String({ minLength: 3, maxLength: 500, pattern: '^[^\\u0000-\\u001f\\u007f]*$' }),
  ...paging,
})

/**
 * Rejected events as a list of work. What writes takes a page at a time: its answer has a cursor
 * until all is done, and a repeat of any page is harmless.
 */
export function addRejectedRoutes(app: FastifyInstance, deps: ApiDeps): void {
  const { workList } = deps
  addReads(app, deps)

  app.post<{ Body: Static<typeof TrialBody> }>(
    '/api/v1/rejected/repair',
    { schema: { body: TrialBody } },
    async (request, reply) => {
      const { selection, repair: written, sampleCount, exampleCount } = request.body
      const repair = readRepair(written)
      if (repair.kind === 'refused') return sendProblem(reply, repairProblem(repair))
      const limits = {
        sampleCount: sampleCount ?? pageCountDefault,
        exampleCount: exampleCount ?? exampleCountDefault,
      }
      return sendJson(
        reply,
        await workList.tryRepair(selectionOf(selection), repair.repair, limits),
      )
    },
  )

  app.post<{ Body: Static<typeof ReplayBody> }>(
    '/api/v1/rejected/replay',
    { schema: { body: ReplayBody } },
    async (request, reply) => {
      const { selection, repair: written, isLive = false, cursor, countMax } = request.body
      const repair = readRepair(written)
      if (repair.kind === 'refused') return sendProblem(reply, repairProblem(repair))
      if (cursor !== undefined && !isCursor(cursor)) return sendProblem(reply, badCursor)
      const options = { isLive, cursor, countMax: countMax ?? pageCountDefault }
      return sendJson(reply, await workList.replay(selectionOf(selection), repair.repair, options))
    },
  )

  app.post<{ Body: Static<typeof DismissBody> }>(
    '/api/v1/rejected/dismiss',
    { schema: { body: DismissBody } },
    async (request, reply) => {
      const { selection, says, cursor, countMax } = request.body
      if (cursor !== undefined && !isCursor(cursor)) return sendProblem(reply, badCursor)
      const options = { says, cursor, countMax: countMax ?? pageCountDefault }
      return sendJson(reply, await workList.dismiss(selectionOf(selection), options))
    },
  )
}

function addReads(app: FastifyInstance, { workList }: ApiDeps): void {
  app.get<{ Querystring: ListQuery }>(
    '/api/v1/rejected',
    { schema: { querystring: ListQuery } },
    async (request, reply) => {
      const { cursor, count, ...wanted } = request.query
      const after = cursor === undefined ? undefined : parseListCursor(cursor)
      if (cursor !== undefined && after === undefined) return sendProblem(reply, badCursor)
      const { groups, ...counts } = await workList.list()
      const countMax = Math.min(listCountMax, Number(count ?? listCountDefault))
      const meant = groups.filter((group) => isMeant(group, wanted))
      const rest = after === undefined ? meant : meant.filter((group) => byName(group, after) > 0)
      const page = rest.slice(0, countMax)
      const last = rest.length > page.length ? page.at(-1) : undefined
      const next = last === undefined ? {} : { cursor: encodeListCursor(last) }
      return sendJson(reply, { ...counts, groups: page, ...next })
    },
  )

  app.get<{ Params: IdParams }>('/api/v1/rejected/:id', async (request, reply) => {
    const found = await workList.find(request.params.id)
    return found === undefined ? sendProblem(reply, unknownId) : sendJson(reply, found)
  })
}

function isMeant(group: RejectedGroup, wanted: Partial<GroupName>): boolean {
  return (['source', 'reason', 'path', 'event'] as const).every(
    (name) => wanted[name] === undefined || wanted[name] === group[name],
  )
}

/** Without the fields that are absent, as the types of the work list want it. */
function selectionOf(given: Static<typeof SelectionBody>): Selection {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}

function readRepair(
  written: unknown,
):
  | { readonly kind: 'repair'; readonly repair: Repair | undefined }
  | Extract<ParsedRepair, { kind: 'refused' }> {
  return written === undefined ? { kind: 'repair', repair: undefined } : parseRepair(written)
}

function encodeListCursor({ source, reason, path, event }: GroupName): string {
  return Buffer.from(JSON.stringify([source, reason, path, event])).toString('base64url')
}

function parseListCursor(cursor: string): GroupName | undefined {
  try {
    const parts: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString())
    if (!Array.isArray(parts) || parts.some((part) => typeof part !== 'string')) return undefined
    const [source = '', reason = '', path = '', event = ''] = parts as readonly string[]
    return { source, reason, path, event }
  } catch {
    return undefined
  }
}

function repairProblem({ faults }: Extract<ParsedRepair, { kind: 'refused' }>): ApiProblem {
  return {
    status: 400,
    code: 'repair-invalid',
    detail: 'The repair cannot be read.',
    faults: faults.map(({ path, says }) => ({ path: `/repair${path}`, says })),
  }
}

const badCursor: ApiProblem = {
  status: 400,
  code: 'cursor-invalid',
  detail: 'The cursor is none that was answered here.',
}
const unknownId: ApiProblem = {
  status: 404,
  code: 'rejected-unknown',
  detail: 'There is no rejected event with this id.',
}
