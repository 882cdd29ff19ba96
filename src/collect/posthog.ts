/**
 * Translates what PostHog's clients send to `/batch/`, `/capture/` and `/e/` into events of
 * Segment's form. Pure; reads no limit and refuses nothing: what makes no event here makes none in
 * `parseEvent` either, which says why.
 *
 * Who: PostHog has one kind of id, and an event sent without a mark is one of an identified person
 * (https://posthog.com/docs/api/capture). So `distinct_id` is a user id, unless the client marks it
 * as its own: `$is_identified` false, the same as `$device_id`, or sent without a person
 * (`$process_person_profile` false). `$identify` joins `$anon_distinct_id` to the user.
 *
 * What a person is told to be by an event of another name (`$set`) becomes an identify call before
 * it. What is to be set once (`$set_once`) goes along as `traitsOnce`.
 */

import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'

export interface PosthogRequest {
  readonly sentAt?: Json
  readonly isBackfill: boolean
  /** As PostHog's client sent each, and the call it means: one or two for each. */
  readonly items: readonly { readonly original: unknown; readonly event: JsonObject }[]
}

/** Of a client without cookies: the server is to make an id from the address. We keep none. */
const sharedDistinctId = '$posthog_cookieless'

/** Where properties that PostHog's clients add stand in the context of Segment's spec. */
const contextPlaces: readonly (readonly [property: string, group: string, name: string])[] = [
  ['$lib', 'library', 'name'],
  ['$lib_version', 'library', 'version'],
  ['$current_url', 'page', 'url'],
  ['$pathname', 'page', 'path'],
  ['$referrer', 'page', 'referrer'],
  ['$screen_width', 'screen', 'width'],
  ['$screen_height', 'screen', 'height'],
  ['$os', 'os', 'name'],
  ['$os_version', 'os', 'version'],
  ['$device_type', 'device', 'type'],
  ['$device_manufacturer', 'device', 'manufacturer'],
  ['$device_model', 'device', 'model'],
  ['$app_name', 'app', 'name'],
  ['$app_version', 'app', 'version'],
  ['$app_build', 'app', 'build'],
  ['$app_namespace', 'app', 'namespace'],
  ['$ip', '', 'ip'],
  ['$raw_user_agent', '', 'userAgent'],
  ['$timezone', '', 'timezone'],
  ['$browser_language', '', 'locale'],
]

/** Said by the translation itself, or of no meaning behind it. */
const spentProperties: ReadonlySet<string> = new Set([
  ...contextPlaces.map(([property]) => property),
  ...['$set', '$set_once', '$unset', '$anon_distinct_id', '$device_id', '$is_identified'],
  ...['$process_person_profile', '$geoip_disable', '$insert_id', '$is_server'],
  ...['distinct_id', 'token', 'api_key'],
])

/** Returns undefined where the body has neither a batch nor an event. */
export function translatePosthog(body: unknown): PosthogRequest | undefined {
  const items = itemsOf(body)
  if (items === undefined) return undefined
  const head = isJsonObject(body) ? body : {}
  return {
    ...(head.sent_at === undefined ? {} : { sentAt: head.sent_at }),
    isBackfill: head.historical_migration === true,
    items: items.flatMap((original) => eventsOf(original).map((event) => ({ original, event }))),
  }
}

/** Returns the write key: of the body, else of its first event, where browsers put it. */
export function writeKeyOfPosthog(body: unknown): string | undefined {
  const [item] = itemsOf(body) ?? []
  const holders = [body, item, isJsonObject(item) ? item.properties : undefined]
  for (const holder of holders) {
    const key = isJsonObject(holder) ? (textOf(holder.api_key) ?? textOf(holder.token)) : undefined
    if (key !== undefined) return key
  }
  return undefined
}

function itemsOf(body: unknown): readonly unknown[] | undefined {
  if (Array.isArray(body)) return body as readonly unknown[]
  if (!isJsonObject(body)) return undefined
  if (Array.isArray(body.batch)) return body.batch as readonly unknown[]
  return body.batch === undefined && body.event !== undefined ? [body] : undefined
}

function eventsOf(item: unknown): readonly JsonObject[] {
  if (!isJsonObject(item)) return [{}]
  const properties = objectOf(item.properties)
  const who = idsOf(item, properties)
  const messageId = item.uuid ?? properties.$insert_id
  const head = {
    ...(messageId === undefined ? {} : { messageId }),
    ...(item.timestamp === undefined ? {} : { timestamp: item.timestamp }),
    context: contextOf(properties),
  }
  const event: JsonObject = { ...head, ...callOf(item, properties, who) }
  const set = objectOf(item.$set ?? properties.$set)
  const once = onceOf(item, properties)
  const isSaid = Object.keys(set).length > 0 || once.traitsOnce !== undefined
  if (event.type === 'identify' || !isSaid) return [event]
  const setId = typeof messageId === 'string' ? { messageId: `${messageId}:set` } : {}
  return [{ ...head, ...setId, ...who, type: 'identify', traits: set, ...once }, event]
}

/** Returns the fields that a kind of call has of its own. */
function callOf(item: JsonObject, properties: JsonObject, who: JsonObject): JsonObject {
  const { event } = item
  switch (event) {
    case '$identify':
    case '$set':
      return { ...identityOf(item, properties, who), type: 'identify' }
    case '$create_alias':
      return { ...aliasOf(properties, who), type: 'alias' }
    case '$groupidentify':
      return { ...groupOf(properties, who), type: 'group' }
    case '$pageview': {
      const page = objectOf(contextOf(properties).page ?? {})
      return { ...who, type: 'page', properties: { ...page, ...ownProperties(properties) } }
    }
    case '$screen': {
      const { $screen_name: name = null, ...own } = ownProperties(properties)
      return { ...who, type: 'screen', name, properties: own }
    }
    default:
      return { ...who, type: 'track', event: event ?? null, properties: ownProperties(properties) }
  }
}

function identityOf(item: JsonObject, properties: JsonObject, who: JsonObject): JsonObject {
  const traits = objectOf(item.$set ?? properties.$set)
  const unset = Array.isArray(properties.$unset) ? (properties.$unset as readonly Json[]) : []
  const names = unset.filter((name) => typeof name === 'string')
  const cleared = Object.fromEntries(names.map((name) => [name, null]))
  const said = { traits: { ...cleared, ...traits }, ...onceOf(item, properties) }
  if (item.event !== '$identify') return { ...who, ...said }
  // Whoever is identified is known, whatever the client was before.
  const userId = who.userId ?? who.anonymousId ?? null
  const before = textOf(properties.$anon_distinct_id)
  const device = before === undefined || before === userId ? {} : { anonymousId: before }
  return { ...said, userId, ...device }
}

/** Browsers say null once for each tag that the address of the first page did not have. */
function onceOf(item: JsonObject, properties: JsonObject): { readonly traitsOnce?: JsonObject } {
  const once = Object.entries(objectOf(item.$set_once ?? properties.$set_once))
  const said = once.filter(([, value]) => value !== null)
  return said.length === 0 ? {} : { traitsOnce: Object.fromEntries(said) }
}

/** The alias goes up in the distinct id, which in a browser may still be the device's own. */
function aliasOf(properties: JsonObject, who: JsonObject): JsonObject {
  const { alias = null } = properties
  if (who.anonymousId === undefined) return { ...who, previousId: alias }
  return { ...who, userId: alias, previousId: who.anonymousId }
}

/** A group is told of without a person under an id made from its own: that is no person's. */
function groupOf(properties: JsonObject, who: JsonObject): JsonObject {
  const { $group_type: type = '', $group_key: key = null, $group_set: traits = {} } = properties
  const isNobody = who.userId === `$${String(type)}_${String(key)}`
  return { ...(isNobody ? {} : who), groupId: key, traits: objectOf(traits) }
}

function idsOf(item: JsonObject, properties: JsonObject): JsonObject {
  const distinctId = item.distinct_id ?? item.$distinct_id ?? properties.distinct_id ?? null
  if (distinctId === null || distinctId === sharedDistinctId) return {}
  const { $is_identified: isIdentified } = properties
  const isDevice =
    typeof isIdentified === 'boolean'
      ? !isIdentified
      : properties.$device_id === distinctId || properties.$process_person_profile === false
  return isDevice ? { anonymousId: distinctId } : { userId: distinctId }
}

function contextOf(properties: JsonObject): JsonObject {
  const context: Record<string, Json> = {}
  for (const [property, group, name] of contextPlaces) {
    const value = Object.hasOwn(properties, property) ? properties[property] : undefined
    if (value === undefined || value === null) continue
    if (group === '') context[name] = value
    else context[group] = { ...objectOf(context[group] ?? {}), [name]: value }
  }
  return context
}

function ownProperties(properties: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(properties).filter(([name]) => !spentProperties.has(name)),
  )
}

function objectOf(value: Json | undefined): JsonObject {
  return isJsonObject(value) ? value : {}
}

function textOf(value: Json | undefined): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
