/**
 * Which identity keys an event names beside the one it lands at. Pure.
 *
 * The key of an external id holds a hash of its value: the clear part of records stays without
 * addresses and numbers of phones, and a key has the same length whatever is sent.
 */

import { normalizeAddress, parseAddress } from '../event/address.ts'
import type { Event } from '../event/event.ts'
import { hasControlOrBreak, idBytesMax, isPlaceholder } from '../event/identity-field.ts'
import { hashId } from '../lib/hash.ts'
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'
import {
  findKind,
  type IdentityKind,
  type IdentityRules,
  normalizeValue,
} from './identity-rules.ts'

/** E.164: at most 15 digits; the shortest numbers in use have 7 with their country. */
const phonePattern = /^[1-9]\d{6,14}$/
const externalIdCountMax = 20

/**
 * Returns the keys that an event names, those of users and devices first, then external ids by
 * priority. `partKey` is the one at which it landed.
 */
export function statedKeys(rules: IdentityRules, event: Event, partKey: string): readonly string[] {
  const keys: string[] = []
  const { userId, anonymousId, previousId } = event
  // The place of an event that was forwarded tells its device; it says nothing new.
  if (userId !== undefined && anonymousId !== undefined) keys.push(`anonymous:${anonymousId}`)
  if (event.type === 'alias' && previousId !== undefined) {
    // The call does not say which kind of id it had before, and either may come to be seen.
    if (previousId !== anonymousId) keys.push(`user:${previousId}`)
    keys.push(`anonymous:${previousId}`)
  }
  for (const kind of rules.kinds) {
    for (const path of kind.from) {
      const key = keyOfValue(rules, kind, valueAt(event, path))
      if (key !== undefined) keys.push(key)
    }
  }
  return keys.length === 0 ? keys : [...new Set(keys)].filter((key) => key !== partKey)
}

/** Returns the key of an external id, or undefined where the value says nothing about anybody. */
export function keyOfValue(
  rules: IdentityRules,
  kind: IdentityKind,
  value: Json | undefined,
): string | undefined {
  const text = typeof value === 'number' && Number.isSafeInteger(value) ? String(value) : value
  if (typeof text !== 'string' || text.length > idBytesMax * 2) return undefined
  if (hasControlOrBreak(text) || !text.isWellFormed()) return undefined
  if (isPlaceholder(text) || rules.never.has(normalizeValue(text))) return undefined
  const normal = normalForms[kind.form](text.trim(), kind)
  if (normal === undefined || normal === '' || rules.never.has(normalizeValue(normal))) {
    return undefined
  }
  return `${kind.name}:${hashId(kind.name, normal)}`
}

/** Returns the key of an id such as `email:ada@example.com`, where its kind is declared. */
export function parseExternalId(rules: IdentityRules, id: string): string | undefined {
  const colon = id.indexOf(':')
  const kind = colon < 0 ? undefined : findKind(rules, id.slice(0, colon))
  if (kind === undefined) return undefined
  const value = id.slice(colon + 1)
  return keyOfValue(rules, kind, value)
}

const normalForms = {
  email: (text: string): string | undefined => {
    const parsed = parseAddress(text)
    return parsed.kind === 'address' ? normalizeAddress(parsed.address) : undefined
  },
  phone: (text: string, { countryCode }: IdentityKind): string | undefined => {
    // As in +49 (0)170: dialled at home only.
    const written = /^(?:\+|00)/.test(text) ? text.replace('(0)', '') : text
    const digits = written.replace(/[\s()./\u00a0-]/g, '')
    const international = /^(?:\+|00)(\d+)$/.exec(digits)?.[1]
    const national = countryCode === undefined ? undefined : /^0?(\d+)$/.exec(digits)?.[1]
    const number = international ?? (national === undefined ? '' : `${countryCode}${national}`)
    return phonePattern.test(number) && !/^(\d)\1*$/.test(number) ? `+${number}` : undefined
  },
  text: (text: string): string | undefined =>
    Buffer.byteLength(text) <= idBytesMax ? text : undefined,
} as const

function valueAt(event: Event, path: readonly string[]): Json | undefined {
  const [holder, ...names] = path
  if (holder === 'externalIds') return externalIdOf(event.context, names[0] ?? '')
  let value: Json | undefined =
    holder === 'traits' || holder === 'properties' || holder === 'context'
      ? event[holder]
      : undefined
  for (const name of names) {
    value = isJsonObject(value) && Object.hasOwn(value, name) ? value[name] : undefined
  }
  return value
}

/** As Segment sends them: `context.externalIds: [{id, type, collection, encoding}]`. */
function externalIdOf(context: JsonObject | undefined, type: string): Json | undefined {
  const list: Json | undefined = context?.['externalIds']
  if (!Array.isArray(list)) return undefined
  const known: readonly Json[] = list
  const found = known
    .slice(0, externalIdCountMax)
    .find((each) => isJsonObject(each) && each['type'] === type)
  return isJsonObject(found) ? found['id'] : undefined
}
