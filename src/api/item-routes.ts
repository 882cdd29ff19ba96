import type { FastifyInstance } from 'fastify'
import { itemRecord } from '../catalog/item-record.ts'
import { parseItem } from '../catalog/parse-item.ts'
import { findItems } from '../delivery/read-state.ts'
import { isJsonObject } from '../lib/json.ts'
import type { NewRecord } from '../log/record.ts'
import type { ApiDeps } from './api-deps.ts'
import type { ApiOptions } from './api-options.ts'
import { type ApiProblem, type FieldFault, sendProblem } from './problem.ts'
import { sendJson } from './send-json.ts'

const itemCountMax = 1000
const faultCountMax = 100

interface IdParams {
  readonly id: string
}

/**
 * The catalog: items come in by the append of records, and are read from the state of their
 * partition.
 */
export function addItemRoutes(app: FastifyInstance, deps: ApiDeps, options: ApiOptions): void {
  app.post('/api/v1/items', { bodyLimit: options.itemsBodyBytesMax }, async (request, reply) => {
    const given = listOf(request.body)
    if (given === undefined || given.length === 0) return sendProblem(reply, noItems)
    if (given.length > itemCountMax) return sendProblem(reply, tooMany)
    const nowMs = deps.clock.nowMs()
    const records: NewRecord[] = []
    const faults: FieldFault[] = []
    let rejectedCount = 0
    for (const [index, one] of given.entries()) {
      const parsed = parseItem(one, nowMs)
      if (parsed.kind === 'item') {
        records.push(itemRecord(deps.place, parsed, nowMs))
        continue
      }
      rejectedCount++
      for (const { path, says } of parsed.faults) {
        if (faults.length < faultCountMax) faults.push({ path: `/${index}${path}`, says })
      }
    }
    if (records.length === 0) return sendProblem(reply, { ...invalidItems, faults })
    await deps.log.append(records)
    return sendJson(reply, { accepted: records.length, rejected: rejectedCount, faults })
  })

  app.get<{ Params: IdParams }>('/api/v1/items/:id', async (request, reply) => {
    const { id } = request.params
    const item = (await findItems(deps.place, [id])).get(id)
    if (item === undefined) return sendProblem(reply, itemUnknown)
    // How long ago the shop last said something of it.
    const ageMs = Math.max(0, deps.clock.nowMs() - item.updatedAtMs)
    return sendJson(reply, { ...item, ageMs })
  })

  app.patch<{ Params: IdParams }>('/api/v1/items/:id', async (request, reply) => {
    const { body } = request
    if (!isJsonObject(body)) return sendProblem(reply, noItems)
    const nowMs = deps.clock.nowMs()
    const parsed = parseItem({ ...body, itemId: request.params.id, isPartial: true }, nowMs)
    if (parsed.kind === 'refused') {
      return sendProblem(reply, { ...invalidItems, faults: parsed.faults })
    }
    await deps.log.append([itemRecord(deps.place, parsed, nowMs)])
    return sendJson(reply, { accepted: 1 })
  })

  app.delete<{ Params: IdParams }>('/api/v1/items/:id', async (request, reply) => {
    const nowMs = deps.clock.nowMs()
    const parsed = parseItem({ itemId: request.params.id, isRemoved: true }, nowMs)
    if (parsed.kind === 'refused') {
      return sendProblem(reply, { ...invalidItems, faults: parsed.faults })
    }
    await deps.log.append([itemRecord(deps.place, parsed, nowMs)])
    return sendJson(reply, { accepted: 1 })
  })
}

/** Takes one item, an array of them, or `{items: [...]}`. */
function listOf(body: unknown): readonly unknown[] | undefined {
  if (Array.isArray(body)) return body
  if (!isJsonObject(body)) return undefined
  if (Array.isArray(body['items'])) return body['items']
  return [body]
}

const noItems: ApiProblem = {
  status: 400,
  code: 'items-missing',
  detail: 'The body is an item, an array of items, or {"items": [...]}.',
}
const tooMany: ApiProblem = {
  status: 413,
  code: 'items-too-many',
  detail: `One request brings at most ${itemCountMax} items.`,
}
const invalidItems: ApiProblem = {
  status: 400,
  code: 'invalid',
  detail: 'No item was taken. A path begins with the index of its item.',
}
const itemUnknown: ApiProblem = {
  status: 404,
  code: 'item-unknown',
  detail: 'There is no item of this id.',
}
