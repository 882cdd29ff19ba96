/**
 * What a source's definition says of its webhooks: whose they are, where their secret is, and, for
 * the generic kind, what its fields mean.
 *
 * A webhook proves itself by a signature. A generic one without a signature needs a write key, so
 * that strangers cannot write to a source whose name they guess.
 */

import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'
import { type DefinitionFault, refuseUnknown } from './definition-fault.ts'
import { eventTypes } from './event.ts'
import { parseSecretRef, type SecretRef, secretNames } from './secret-ref.ts'

export const webhookKinds = ['shopify', 'woocommerce', 'stripe', 'generic'] as const
export type WebhookKind = (typeof webhookKinds)[number]

export const signatureEncodings = ['hex', 'base64'] as const

/** HMAC-SHA256 over the raw body, in a header. */
export interface SignatureScheme {
  /** In small letters. */
  readonly header: string
  readonly encoding: (typeof signatureEncodings)[number]
  /** What stands before the digits, such as `sha256=`. */
  readonly prefix: string
}

/** Where the value of a field comes from. */
export type FieldRule =
  | { readonly kind: 'pointer'; readonly pointer: Pointer }
  | { readonly kind: 'value'; readonly value: string }
  /** Of properties and traits: names with a rule each. */
  | { readonly kind: 'object'; readonly fields: Readonly<Record<string, FieldRule>> }

/** The parts of a JSON pointer (RFC 6901), unescaped. */
export type Pointer = readonly string[]

export interface WebhookFilter {
  readonly pointer: Pointer
  readonly equals: string | number | boolean | null
}

export const mappedFields = [
  ...['type', 'event', 'userId', 'anonymousId', 'messageId', 'timestamp'],
  ...['properties', 'traits'],
] as const

export interface WebhookMapping {
  /** The array of items in the body; absent means the body is one item. */
  readonly items?: Pointer
  /** An item that breaks one of these is dropped. */
  readonly filters: readonly WebhookFilter[]
  readonly fields: Readonly<Record<string, FieldRule>>
}

export type WebhookDefinition =
  | { readonly kind: 'shopify' | 'woocommerce'; readonly secret: SecretRef }
  | { readonly kind: 'stripe'; readonly secret: SecretRef; readonly toleranceSeconds: number }
  | {
      readonly kind: 'generic'
      readonly mapping: WebhookMapping
      readonly signature?: SignatureScheme & { readonly secret: SecretRef }
    }

export const toleranceSecondsDefault = 300
const toleranceSecondsMax = 3_600
const filterCountMax = 20
const fieldCountMax = 100
const pointerLengthMax = 200
const valueLengthMax = 200
const prefixPattern = /^[\x21-\x7e]{0,40}$/
const headerPattern = /^[a-z0-9][a-z0-9-]{0,63}$/

interface At {
  readonly path: string
  readonly faults: DefinitionFault[]
}

/** Reads `webhook` of a source; adds all that is wrong with it to `faults`. */
export function parseWebhook(
  input: Json | undefined,
  faults: DefinitionFault[],
): WebhookDefinition | undefined {
  if (input === undefined || input === null) return undefined
  const at: At = { path: '/webhook', faults }
  if (!isJsonObject(input)) return refuse(at, '', 'Must be a mapping with kind.')
  const kind = webhookKinds.find((each) => each === input.kind)
  if (kind === undefined) return refuse(at, '/kind', `Must be ${webhookKinds.join(', ')}.`)
  const more = { stripe: ['toleranceSeconds'], generic: ['signature', 'mapping'] }
  const own = kind === 'stripe' || kind === 'generic' ? more[kind] : []
  const known = ['kind', ...secretNames, ...own]
  refuseUnknown(input, input.secret === undefined ? known : [...known, 'secret'], at)
  const secret = parseSecretRef(input, at.path, faults)
  if (kind === 'generic') return parseGeneric(input, secret, at)
  if (secret === undefined) return refuse(at, '', 'Needs secretFile or secretVariable.')
  if (kind !== 'stripe') return { kind, secret }
  const toleranceSeconds = input.toleranceSeconds ?? toleranceSecondsDefault
  const isNumber = typeof toleranceSeconds === 'number' && Number.isInteger(toleranceSeconds)
  if (!isNumber || toleranceSeconds < 1 || toleranceSeconds > toleranceSecondsMax) {
    return refuse(at, '/toleranceSeconds', `Must be 1 to ${toleranceSecondsMax}, whole.`)
  }
  return { kind, secret, toleranceSeconds }
}

function parseGeneric(
  input: JsonObject,
  secret: SecretRef | undefined,
  at: At,
): WebhookDefinition | undefined {
  const mapping = parseMapping(input.mapping, { ...at, path: `${at.path}/mapping` })
  if (input.signature === undefined) {
    if (secret !== undefined) refuse(at, '/signature', 'Must say where the signature is.')
    return mapping === undefined ? undefined : { kind: 'generic', mapping }
  }
  const scheme = parseScheme(input.signature, { ...at, path: `${at.path}/signature` })
  if (secret === undefined) return refuse(at, '', 'Needs secretFile or secretVariable.')
  if (scheme === undefined || mapping === undefined) return undefined
  return { kind: 'generic', mapping, signature: { ...scheme, secret } }
}

function parseScheme(input: Json | undefined, at: At): SignatureScheme | undefined {
  if (!isJsonObject(input)) return refuse(at, '', 'Must be a mapping with header and encoding.')
  refuseUnknown(input, ['header', 'encoding', 'prefix'], at)
  const { prefix = '' } = input
  const header = typeof input.header === 'string' ? input.header.toLowerCase() : ''
  if (!headerPattern.test(header)) refuse(at, '/header', 'Must be the name of a header.')
  const encoding = signatureEncodings.find((each) => each === input.encoding)
  if (encoding === undefined) {
    return refuse(at, '/encoding', `Must be ${signatureEncodings.join(' or ')}.`)
  }
  if (typeof prefix !== 'string' || !prefixPattern.test(prefix)) {
    return refuse(at, '/prefix', 'Must be a text such as sha256=, without blanks.')
  }
  return { header, encoding, prefix }
}

function parseMapping(input: Json | undefined, at: At): WebhookMapping | undefined {
  if (!isJsonObject(input)) return refuse(at, '', 'Must be a mapping of fields.')
  refuseUnknown(input, ['items', 'filters', ...mappedFields], at)
  const items =
    input.items === undefined
      ? undefined
      : parsePointer(input.items, { ...at, path: `${at.path}/items` })
  const filters = parseFilters(input.filters, { ...at, path: `${at.path}/filters` })
  const fields: Record<string, FieldRule> = {}
  for (const field of mappedFields) {
    const rule = input[field]
    if (rule === undefined) continue
    const isObject = field === 'properties' || field === 'traits'
    const parsed = parseRule(rule, { ...at, path: `${at.path}/${field}` }, isObject)
    if (parsed !== undefined) fields[field] = parsed
  }
  checkType(fields, input, at)
  return { filters, fields, ...(items === undefined ? {} : { items }) }
}

function checkType(fields: Readonly<Record<string, FieldRule>>, input: JsonObject, at: At): void {
  const { type } = fields
  if (input.type === undefined) refuse(at, '/type', 'Must say the type of the events.')
  if (type?.kind === 'value' && !eventTypes.some((each) => each === type.value)) {
    refuse(at, '/type/value', `Must be ${eventTypes.join(', ')}.`)
  }
  if (input.userId === undefined && input.anonymousId === undefined) {
    refuse(at, '', 'Needs userId or anonymousId: an event is about somebody.')
  }
}

function parseRule(input: Json, at: At, takesObject: boolean): FieldRule | undefined {
  if (typeof input === 'string') {
    const pointer = parsePointer(input, at)
    return pointer === undefined ? undefined : { kind: 'pointer', pointer }
  }
  if (isJsonObject(input) && takesObject) return parseObject(input, at)
  if (isJsonObject(input) && Object.keys(input).length === 1) {
    const { value } = input
    if (typeof value === 'string' && value !== '' && value.length <= valueLengthMax) {
      return { kind: 'value', value }
    }
  }
  const says = 'Must be a JSON pointer such as /data/id, or {value: a text}.'
  return refuse(at, '', takesObject ? 'Must be a JSON pointer, or names with one each.' : says)
}

function parseObject(input: JsonObject, at: At): FieldRule | undefined {
  const entries = Object.entries(input)
  if (entries.length > fieldCountMax) return refuse(at, '', `Has over ${fieldCountMax} names.`)
  const fields = entries.flatMap(([name, rule]): readonly (readonly [string, FieldRule])[] => {
    const inner: At = { ...at, path: `${at.path}/${name}` }
    if (name === '__proto__') {
      refuse(inner, '', 'Is a name that is not taken.')
      return []
    }
    const parsed = parseRule(rule as Json, inner, false)
    return parsed === undefined ? [] : [[name, parsed]]
  })
  return { kind: 'object', fields: Object.fromEntries(fields) }
}

function parseFilters(input: Json | undefined, at: At): readonly WebhookFilter[] {
  if (input === undefined) return []
  if (!Array.isArray(input) || input.length > filterCountMax) {
    refuse(at, '', `Must be a list of at most ${filterCountMax}.`)
    return []
  }
  return (input as readonly Json[]).flatMap((filter, index): readonly WebhookFilter[] => {
    const inner: At = { ...at, path: `${at.path}/${index}` }
    if (!isJsonObject(filter)) {
      refuse(inner, '', 'Must be a mapping with pointer and equals.')
      return []
    }
    refuseUnknown(filter, ['pointer', 'equals'], inner)
    const pointer = parsePointer(filter.pointer, { ...inner, path: `${inner.path}/pointer` })
    const { equals } = filter
    if (equals === undefined || (typeof equals === 'object' && equals !== null)) {
      refuse(inner, '/equals', 'Must be a text, a number, true, false or null.')
      return []
    }
    return pointer === undefined ? [] : [{ pointer, equals: equals as WebhookFilter['equals'] }]
  })
}

function parsePointer(input: Json | undefined, at: At): Pointer | undefined {
  const isPointer =
    typeof input === 'string' &&
    input.length <= pointerLengthMax &&
    (input === '' || /^(?:\/(?:[^~/]|~[01])*)+$/.test(input))
  if (!isPointer) return refuse(at, '', 'Must be a JSON pointer (RFC 6901), such as /data/id.')
  const parts = input.split('/').slice(1)
  return parts.map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
}

function refuse(at: At, below: string, says: string): undefined {
  at.faults.push({ path: `${at.path}${below}`, says })
}
