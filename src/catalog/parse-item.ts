/**
 * Reads an item as a shop describes it, whichever way it comes: API, file or webhook. All that is
 * wrong with it is named, with the path of the field.
 */

import { Ajv } from 'ajv'
import { type Static, type TString, Type } from 'typebox'
import type { ItemUpdate } from './item.ts'

const Text = (maxLength: number, more = {}) => Type.String({ minLength: 1, maxLength, ...more })
const Money = (more = {}) => Type.Number({ minimum: 0, maximum: 1e9, ...more })
const Instant = (more = {}) => Type.Integer({ minimum: 0, maximum: 8.64e15, ...more })
/** A link of the shop: absolute, or a path of its own host. Never `javascript:`. */
const Link = (more = {}) => Type.String({ maxLength: 2000, pattern: '^(https?://|/)', ...more })
const localePattern = '^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$'
const textsOf = (text: TString, more: Record<string, unknown>) =>
  Type.Optional(Type.Array(text, more))

/** What an item may have; `more` is put into each of them. */
const optionalFields = (more = {}) => ({
  salePrice: Type.Optional(Money(more)),
  currency: Type.Optional(Type.String({ pattern: '^[A-Z]{3}$', ...more })),
  stockCount: Type.Optional(Type.Integer({ minimum: 0, ...more })),
  category: Type.Optional(Text(200, more)),
  categoryPath: textsOf(Text(200), { minItems: 1, maxItems: 10, ...more }),
  brand: Type.Optional(Text(200, more)),
  imageUrl: Type.Optional(Link(more)),
  url: Type.Optional(Link(more)),
  tags: textsOf(Text(100), { maxItems: 50, ...more }),
  locale: Type.Optional(Type.String({ pattern: localePattern, ...more })),
  availableFromMs: Type.Optional(Instant(more)),
  availableUntilMs: Type.Optional(Instant(more)),
  extra: Type.Optional(Type.Record(Type.String(), Type.Unknown(), more)),
})
const identity = {
  itemId: Text(200),
  version: Type.Optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })),
  /** Absent: now. */
  updatedAtMs: Type.Optional(Instant()),
}
const strict = { additionalProperties: false }
const WholeInput = Type.Object(
  { ...identity, name: Text(500), price: Money(), ...optionalFields() },
  strict,
)
const PartialInput = Type.Object(
  {
    ...identity,
    isPartial: Type.Literal(true),
    name: Type.Optional(Text(500)),
    price: Type.Optional(Money()),
    ...optionalFields({ nullable: true }),
  },
  strict,
)
const RemovalInput = Type.Object({ ...identity, isRemoved: Type.Literal(true) }, strict)

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
  | { readonly kind: 'item'; readonly item: ItemUpdate; readonly body: Uint8Array }
  | { readonly kind: 'refused'; readonly faults: readonly ItemFault[] }

const ajv = new Ajv({ allErrors: true, strict: true })
const isWhole = ajv.compile<Static<typeof WholeInput>>(WholeInput)
const isPartial = ajv.compile<Static<typeof PartialInput>>(PartialInput)
const isRemoval = ajv.compile<Static<typeof RemovalInput>>(RemovalInput)

/**
 * Reads an item; or `{itemId, isPartial: true, ...}`, which says what changed of one that is known,
 * with null for what it no longer has; or `{itemId, isRemoved: true}`, which takes one away. `body`
 * is how it is stored.
 */
export function parseItem(input: unknown, nowMs: number): ParsedItem {
  const validate = validatorOf(input)
  if (!validate(input)) {
    const faults = (validate.errors ?? []).map(({ instancePath, message, params }) => {
      const extra = (params as { additionalProperty?: unknown }).additionalProperty
      const says = message ?? 'is wrong'
      return { path: instancePath, says: typeof extra === 'string' ? `${says}: ${extra}` : says }
    })
    return { kind: 'refused', faults }
  }
  const { updatedAtMs = nowMs } = input
  const rest = 'isRemoved' in input ? { name: '', price: 0 } : narrowestOf(input)
  // The schema has been held; absent fields are absent, `extra` came from JSON.
  const item = { ...rest, ...input, updatedAtMs } as unknown as ItemUpdate
  if (updatedAtMs > nowMs + aheadMsMax) {
    return refuse('/updatedAtMs', 'must not be more than a day ahead')
  }
  if ((item.availableUntilMs ?? Number.POSITIVE_INFINITY) <= (item.availableFromMs ?? 0)) {
    return refuse('/availableUntilMs', 'must be later than availableFromMs')
  }
  const body = Buffer.from(JSON.stringify(item))
  if (body.length > itemBytesMax) {
    return refuse('', `must not have more than ${itemBytesMax} bytes`)
  }
  return { kind: 'item', item, body }
}

/** Whoever knows no paths finds the narrowest category of one by itself. */
function narrowestOf({
  category,
  categoryPath,
}: {
  readonly category?: string
  readonly categoryPath?: readonly string[]
}): { readonly category?: string } {
  const narrowest = category === undefined ? categoryPath?.at(-1) : undefined
  return narrowest === undefined ? {} : { category: narrowest }
}

function validatorOf(input: unknown): typeof isWhole | typeof isPartial | typeof isRemoval {
  if (typeof input !== 'object' || input === null) return isWhole
  if ('isRemoved' in input) return isRemoval
  return 'isPartial' in input ? isPartial : isWhole
}

function refuse(path: string, says: string): ParsedItem {
  return { kind: 'refused', faults: [{ path, says }] }
}
