/** Webhooks of any other system, read by the pointers of their source's definition. */

import type {
  FieldRule,
  Pointer,
  WebhookDefinition,
  WebhookMapping,
} from '../event/webhook-definition.ts'
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'
import type { AdaptedItem } from './adapted-item.ts'
import type { Adapted, AskBytes } from './adapter.ts'
import { present } from './hook-fields.ts'
import type { Proof } from './hook-format.ts'
import { isSignedBy, parseDigest, singleHeader } from './signature.ts'

type GenericWebhook = Extract<WebhookDefinition, { readonly kind: 'generic' }>

export function proveGeneric(
  webhook: GenericWebhook,
  ask: AskBytes,
  secrets: readonly string[],
): Proof {
  const { signature } = webhook
  const text = signature === undefined ? undefined : singleHeader(ask.headers[signature.header])
  const says = 'The body is not signed as the definition of the source says.'
  if (signature === undefined || text?.startsWith(signature.prefix) !== true) {
    return { kind: 'wrong', says }
  }
  const digest = parseDigest(text.slice(signature.prefix.length), signature.encoding)
  return isSignedBy(secrets, [ask.bytes], digest) ? { kind: 'signed' } : { kind: 'wrong', says }
}

/** Returns the events of a body; items that break a filter are dropped. */
export function adaptGeneric(body: unknown, mapping: WebhookMapping): Adapted {
  const items = mapping.items === undefined ? body : valueAt(body, mapping.items)
  const originals = mapping.items === undefined ? [items] : items
  if (!Array.isArray(originals)) {
    const says = 'The body has no list where the definition of the source says.'
    return { kind: 'refused', reason: 'batch-missing', says }
  }
  // A delivery has an outcome, also one with nothing in it.
  if (originals.length === 0) return { kind: 'events', items: [], droppedCount: 1 }
  const wanted = originals.filter((original) =>
    mapping.filters.every(({ pointer, equals }) => valueAt(original, pointer) === equals),
  )
  return {
    kind: 'events',
    items: wanted.map((original) => adaptItem(original, mapping)),
    droppedCount: originals.length - wanted.length,
  }
}

function adaptItem(original: unknown, mapping: WebhookMapping): AdaptedItem {
  const event: Record<string, Json | undefined> = {}
  for (const [field, rule] of Object.entries(mapping.fields)) {
    const value = readRule(original, rule)
    const isId = field === 'anonymousId' || field === 'messageId'
    event[field] = isId && Number.isSafeInteger(value) ? String(value) : value
  }
  return { original, event: present(event) }
}

function readRule(item: unknown, rule: FieldRule): Json | undefined {
  if (rule.kind === 'value') return rule.value
  if (rule.kind === 'pointer') return valueAt(item, rule.pointer)
  const fields: (readonly [string, Json | undefined])[] = Object.entries(rule.fields).map(
    ([name, inner]) => [name, readRule(item, inner)],
  )
  return present(Object.fromEntries(fields)) satisfies JsonObject
}

/** Returns the value at a JSON pointer (RFC 6901); undefined where there is none. */
function valueAt(item: unknown, pointer: Pointer): Json | undefined {
  let value = item
  for (const part of pointer) {
    if (Array.isArray(value)) {
      if (!/^(?:0|[1-9]\d{0,5})$/.test(part)) return undefined
      value = (value as readonly unknown[])[Number(part)]
    } else if (isJsonObject(value) && Object.hasOwn(value, part)) value = value[part]
    else return undefined
  }
  return value as Json | undefined
}
