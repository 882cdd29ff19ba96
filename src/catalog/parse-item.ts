/**
 * Reads an item as a shop describes it, whichever way it comes: API, file or webhook. All that is
 * wrong with it is named, with the path of the field.
 */

import { Ajv } from 'ajv'
import { type Static, Type } from 'typebox'
import type { Item } from './item.ts'

const Text = (maxLength: number) => Type.String({ minLength: 1, maxLength })
/** A link of the shop: absolute, or a path of its own host. Never `javascript:`. */
const Link = Type.String({ maxLength: 2000, pattern: '^(https?://|/)' })
const Money = Type.Number({ minimum: 0, maximum: 1e9 })
const Instant = Type.Integer({ minimum: 0, maximum: 8.64e15 })
const ItemId = Text(200)
const ItemInput = Type.Object(
  {
    itemId: ItemId,
    name: Text(500),
    price: Money,
    salePrice: Type.Optional(Money),
    currency: Type.Optional(Type.String({ pattern: '^[A-Z]{3}$' })),
    stockCount: Type.Optional(Type.Integer({ minimum: 0 })),
    category: Type.Optional(Text(200)),
    categoryPath: Type.Optional(Type.Array(Text(200), { minItems: 1, maxItems: 10 })),
    brand: Type.Optional(Text(200)),
    imageUrl: Type.Optional(Link),
    url: Type.Optional(Link),
    tags: Type.Optional(Type.Array(Text(100), { maxItems: 50 })),
    locale: Type.Optional(Type.String({ pattern: '^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$' })),
    availableFromMs: Type.Optional(Instant),
    availableUntilMs: Type.Optional(Instant),
    version: Type.Optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })),
    /** Absent: now. */
    updatedAtMs: Type.Optional(Instant),
    extra: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  },
  { additionalProperties: false },
)
const RemovalInput = Type.Object(
  {
    itemId: ItemId,
    isRemoved: Type.Literal(true),
    version: ItemInput.properties.version,
    updatedAtMs: ItemInput.properties.updatedAtMs,
  },
  { additionalProperties: false },
)

/** Of one item as JSON; well within a value of the state. */
export const itemBytesMax = 32 * 1024
/**
 * How far in the future a shop's clock may be: an item of next year would refuse every update until
 * then.
 */
const aheadMsMax = 24 * 3_600_000

export interface ItemFault {
  /** JSON pointer into the item. */
  readonly path: string
  readonly says: string
}

export type ParsedItem =
  | { readonly kind: 'item'; readonly item: Item; readonly body: Uint8Array }
  | { readonly kind: 'refused'; readonly faults: readonly ItemFault[] }

const ajv = new Ajv({ allErrors: true, strict: true })
const isItemInput = ajv.compile<Static<typeof ItemInput>>(ItemInput)
const isRemovalInput = ajv.compile<Static<typeof RemovalInput>>(RemovalInput)

/**
 * Reads an item, or `{itemId, isRemoved: true}`, which takes one away. `body` is how it is stored.
 */
export function parseItem(input: unknown, nowMs: number): ParsedItem {
  const isRemoval = typeof input === 'object' && input !== null && 'isRemoved' in input
  const validate = isRemoval ? isRemovalInput : isItemInput
  if (!validate(input)) {
    const faults = (validate.errors ?? []).map(({ instancePath, message, params }) => {
      const extra = (params as { additionalProperty?: unknown }).additionalProperty
      const says = message ?? 'is wrong'
      return { path: instancePath, says: typeof extra === 'string' ? `${says}: ${extra}` : says }
    })
    return { kind: 'refused', faults }
  }
  const updatedAtMs = input.updatedAtMs ?? nowMs
  // The schema has been held; absent fields are absent, `extra` came from JSON.
  const item = (isRemoval
    ? { name: '', price: 0, ...input, updatedAtMs }
    : { ...input, updatedAtMs }) as unknown as Item
  if (updatedAtMs > nowMs + aheadMsMax) {
    return refuse('/updatedAtMs', 'must not be more than a day ahead')
  }
  const { availableFromMs = 0, availableUntilMs = Number.POSITIVE_INFINITY } = item
  if (availableUntilMs <= availableFromMs) {
    return refuse('/availableUntilMs', 'must be later than availableFromMs')
  }
  const body = Buffer.from(JSON.stringify(item))
  if (body.length > itemBytesMax) {
    return refuse('', `must not have more than ${itemBytesMax} bytes`)
  }
  return { kind: 'item', item, body }
}

function refuse(path: string, says: string): ParsedItem {
  return { kind: 'refused', faults: [{ path, says }] }
}
