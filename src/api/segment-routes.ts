import type { FastifyInstance } from 'fastify'
import { type Static, Type } from 'typebox'
import { listFileBytesMax, type ParsedList, parseListFile } from '../collect/list-file.ts'
import { isJsonObject } from '../lib/json.ts'
import { timeText } from '../lib/time-text.ts'
import { listKeyCountMax } from '../process/key-list.ts'
import { listsFullText, replaceList } from '../process/list-record.ts'
import { isListName } from '../segment/parse-rule.ts'
import type { ApiDeps } from './api-deps.ts'
import type { ApiOptions } from './api-options.ts'
import { createDefinitionsInForce, readMetas } from './definitions-in-force.ts'
import { previewSegment, sampleCountDefault, sampleCountMax } from './preview-segment.ts'
import { type ApiProblem, sendProblem } from './problem.ts'
import { parseProfileId, profileIdProblem, profileUnknown } from './profile-answer.ts'
import { explainSegment, findSegment, listSegments, type SegmentDeps } from './segment-answer.ts'
import { sendJson } from './send-json.ts'

const PreviewBody = Type.Object(
  {
    rule: Type.Unknown(),
    sampleCountMin: Type.Optional(Type.Integer({ minimum: 1, maximum: sampleCountMax })),
  },
  { additionalProperties: false },
)
type PreviewBody = Static<typeof PreviewBody>

interface NameParams {
  readonly name: string
}

/** Segments as they are in force, why somebody is in one, how many a rule would take, and lists. */
export function addSegmentRoutes(app: FastifyInstance, deps: ApiDeps, options: ApiOptions): void {
  const inForce = createDefinitionsInForce(deps.place, deps.blobs)
  const segmentDeps: SegmentDeps = { ...deps, inForce }

  app.get('/api/v1/segments', async (_request, reply) => {
    return sendJson(reply, await listSegments(segmentDeps))
  })

  app.get<{ Params: NameParams }>('/api/v1/segments/:name', async (request, reply) => {
    const found = await findSegment(segmentDeps, request.params.name)
    return found === undefined ? sendProblem(reply, segmentUnknown) : sendJson(reply, found)
  })

  app.get<{ Params: NameParams & { readonly id: string } }>(
    '/api/v1/segments/:name/explain/:id',
    async (request, reply) => {
      const { name, id } = request.params
      const key = parseProfileId(id)
      if (key === undefined) return sendProblem(reply, profileIdProblem)
      const answer = await explainSegment(segmentDeps, name, key)
      if (answer === 'segment-unknown') return sendProblem(reply, segmentUnknown)
      if (answer === 'profile-unknown') return sendProblem(reply, profileUnknown)
      return sendJson(reply, answer)
    },
  )

  app.post<{ Body: PreviewBody }>(
    '/api/v1/segments/preview',
    { schema: { body: PreviewBody } },
    async (request, reply) => {
      const { rule, sampleCountMin = sampleCountDefault } = request.body
      const answer = await previewSegment(segmentDeps, rule, sampleCountMin)
      if (answer.kind === 'preview') return sendJson(reply, answer.preview)
      return sendProblem(reply, { ...ruleInvalid, faults: answer.faults })
    },
  )

  addListRoutes(app, deps, options)
}

function addListRoutes(app: FastifyInstance, deps: ApiDeps, options: ApiOptions): void {
  app.addContentTypeParser('text/csv', { parseAs: 'buffer' }, (_request, body, done) =>
    done(null, body),
  )

  app.get('/api/v1/lists', async (_request, reply) => {
    const metas = await readMetas(deps.place)
    const lists = Object.entries(metas[0]?.lists ?? {}).map(([name, { hash, keyCount, atMs }]) => ({
      name,
      keyCount,
      at: timeText(atMs),
      isEverywhere: metas.every((meta) => meta?.lists?.[name]?.hash === hash),
    }))
    return sendJson(reply, { lists })
  })

  app.put<{ Params: NameParams }>(
    '/api/v1/lists/:name',
    { bodyLimit: listFileBytesMax },
    async (request, reply) => {
      const { name } = request.params
      if (!isListName(name)) return sendProblem(reply, listNameInvalid)
      const { body } = request
      const parsed: ParsedList | undefined = Buffer.isBuffer(body)
        ? parseListFile(body, listKeyCountMax)
        : parseListBody(body)
      if (parsed === undefined) return sendProblem(reply, listMissing)
      if (parsed.kind === 'refused') {
        return sendProblem(reply, { ...listInvalid, faults: parsed.faults })
      }
      const replaced = await replaceList({ ...deps, state: deps.place.state }, name, parsed.keys)
      if (replaced === 'lists-too-many') return sendProblem(reply, listsFull)
      const { list, places } = replaced
      const isCommitted = await deps.waitCommitted(places, options.commitMsMax)
      return sendJson(reply, { ...list, isCommitted })
    },
  )
}

/** `{"keys": ["user:ada"]}`, read as a CSV file of one column would be. */
function parseListBody(body: unknown): ParsedList | undefined {
  const keys = isJsonObject(body) ? body['keys'] : undefined
  if (!Array.isArray(keys) || !keys.every((key) => typeof key === 'string')) return undefined
  const quoted = keys.map((key) => `"${key.replaceAll('"', '""')}"`)
  return parseListFile(Buffer.from(['key', ...quoted, ''].join('\n')), listKeyCountMax)
}

const segmentUnknown: ApiProblem = {
  status: 404,
  code: 'segment-unknown',
  detail: 'No segment of this name is in force.',
}
const ruleInvalid: ApiProblem = {
  status: 400,
  code: 'invalid',
  detail: 'The rule was refused. A path is a JSON pointer into it.',
}
const listNameInvalid: ApiProblem = {
  status: 400,
  code: 'list-name-invalid',
  detail: 'A list has a name of a-z, 0-9 and -, of at most 64 characters.',
}
const listMissing: ApiProblem = {
  status: 400,
  code: 'list-missing',
  detail: 'Send CSV as text/csv, or {"keys": ["user:ID", "anonymous:ID"]}.',
}
const listInvalid: ApiProblem = {
  status: 400,
  code: 'invalid',
  detail: 'The list was refused as a whole, and the one before stays in force.',
}
const listsFull: ApiProblem = {
  status: 409,
  code: 'lists-too-many',
  detail: listsFullText,
}
