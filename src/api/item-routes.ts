import { Ajv } from 'ajv'
import type { FastifyInstance } from 'fastify'
import { type Static, Type } from 'typebox'
import type { Item } from '../catalog/item.ts'
import { findItems } from '../delivery/read-state.ts'
import { sha256Bytes } from '../lib/hash.ts'
import { isJsonObject } from '../lib/json.ts'
import { type NewRecord, partitionOf } from '../log/record.ts'
import type { ApiDeps } from './api-deps.ts'
import type { ApiOptions } from './api-options.ts'
import { type ApiProblem, type FieldFault, sendProblem } from './problem.ts'
import { sendJson } from './profile-routes.ts'

const Text = (maxLength: number) => Type.String({ minLength: 1, maxLength })
/** A link of the shop: absolute, or a path of its own host. Never `javascript:`. */
const Link = Type.String({ maxLength: 2000, pattern: '^(https?://|/)' })
const ItemBody = Type.Object(
  {
    itemId: Text(200),
    name: Text(500),
    price: Type.Number({ minimum: 0, maximum: 1e9 }),
    stockCount: Type.Optional(Type.Integer({ minimum: 0 })),
    category: Type.Optional(Text(200)),
    brand: Type.Optional(Text(200)),
    imageUrl: Type.Optional(Link),
    url: Type.Optional(Link),
    /** Absent: now. */
    updatedAtMs: Type.Optional(Type.Integer({ minimum: 0, maximum: 8.64e15 })),
    extra: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  },
  { additionalProperties: false },
)
type ItemBody = Static<typeof ItemBody>

const itemCountMax = 1000
/** Of one item as JSON; well within a value of the state. */
const itemBytesMax = 32 * 1024
/**
 * How far in the future a shop's clock may be: an item of next year would refuse every update until
 * then.
 */
const aheadMsMax = 24 * 3_600_000
const faultCountMax = 100
const idBytes = 16

interface IdParams {
  readonly id: string
}

/**
 * The catalog: items come in by the append of records, and are read from the state of their
 * partition.
 */
export function addItemRoutes(app: FastifyInstance, deps: ApiDeps, options: ApiOptions): void {
  const judge = createJudge(deps)

  app.post('/api/v1/items', { bodyLimit: options.itemsBodyBytesMax }, async (request, reply) => {
    const given = listOf(request.body)
    if (given === undefined || given.length === 0) return sendProblem(reply, noItems)
    if (given.length > itemCountMax) return sendProblem(reply, tooMany)
    const records: NewRecord[] = []
    const faults: FieldFault[] = []
    let rejectedCount = 0
    for (const [index, one] of given.entries()) {
      const judged = judge(one)
      if (judged.kind === 'record') {
        records.push(judged.record)
        continue
      }
      rejectedCount++
      for (const { path, says } of judged.faults) {
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
    return item === undefined ? sendProblem(reply, itemUnknown) : sendJson(reply, item)
  })
}

/** Takes one item, an array of them, or `{items: [...]}`. */
function listOf(body: unknown): readonly unknown[] | undefined {
  if (Array.isArray(body)) return body
  if (!isJsonObject(body)) return undefined
  if (Array.isArray(body['items'])) return body['items']
  return [body]
}

type Judged =
  | { readonly kind: 'record'; readonly record: NewRecord }
  | { readonly kind: 'refused'; readonly faults: readonly FieldFault[] }

/** Returns a function that makes the record of an item, or says all that is wrong with it. */
function createJudge(deps: ApiDeps): (input: unknown) => Judged {
  const validate = new Ajv({ allErrors: true, strict: true }).compile<ItemBody>(ItemBody)
  return (input) => {
    if (!validate(input)) {
      const faults = (validate.errors ?? []).map(({ instancePath, message, params }) => {
        const extra = (params as { additionalProperty?: unknown }).additionalProperty
        const says = message ?? 'is wrong'
        return { path: instancePath, says: typeof extra === 'string' ? `${says}: ${extra}` : says }
      })
      return { kind: 'refused', faults }
    }
    const nowMs = deps.clock.nowMs()
    const item = { ...input, updatedAtMs: input.updatedAtMs ?? nowMs } as Item
    if (item.updatedAtMs > nowMs + aheadMsMax) {
      return refuse('/updatedAtMs', 'must not be more than a day ahead')
    }
    const body = Buffer.from(JSON.stringify(item))
    if (body.length > itemBytesMax) {
      return refuse('', `must not have more than ${itemBytesMax} bytes`)
    }
    return { kind: 'record', record: recordOf(deps, item, body, nowMs) }
  }
}

function refuse(path: string, says: string): Judged {
  return { kind: 'refused', faults: [{ path, says }] }
}

function recordOf(deps: ApiDeps, item: Item, body: Uint8Array, nowMs: number): NewRecord {
  const { workspace, partitionCount } = deps.place
  const key = `item:${item.itemId}`
  return {
    partition: partitionOf(workspace, key, partitionCount),
    key,
    kind: 'item',
    id: sha256Bytes(`${item.itemId}\0${item.updatedAtMs}`, idBytes),
    recordedAtMs: nowMs,
    isBackfill: false,
    keyId: 0,
    skeleton: { itemId: item.itemId },
    body,
  }
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
