/**
 * Messages of a Singer tap (specification 0.3.0), and what a record of a stream means.
 *
 * Types are read in any case, as the specification asks. SCHEMA, RECORD and STATE are used;
 * ACTIVATE_VERSION and BATCH (of Meltano's SDK) and unknown types are passed over, and counted.
 * Without a definition, a stream that has an email is who people are, and any other is what they
 * did, under the name of the stream.
 */

import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'
import { parseJsonLine } from './access-json.ts'
import { singerEventId } from './import-id.ts'
import { decodeBytes } from './import-row.ts'
import { createRowMapper, type Mapped, type RowMapper, type RowMapping } from './row-mapping.ts'
import { objectPlace, type Place } from './row-place.ts'

export type SingerMessage =
  | {
      readonly kind: 'schema'
      readonly stream: string
      readonly columns: readonly string[]
      readonly key: readonly string[]
    }
  | { readonly kind: 'record'; readonly stream: string; readonly record: JsonObject }
  | { readonly kind: 'state'; readonly value: Json }
  | { readonly kind: 'other'; readonly type: string }
  | { readonly kind: 'refused'; readonly says: string }

/** What a definition says of one stream; a stream without one is read by `defaultMapping`. */
export interface SingerStream {
  readonly isDropped: boolean
  readonly mapping: RowMapping
}

export interface StreamReader {
  readonly isDropped: boolean
  read(record: JsonObject): Mapped
}

const columnCountMax = 1_000
const userNames = ['user_id', 'userId', 'customer_id', 'customerId'] as const
const timeNames = [
  ...(['timestamp', 'occurred_at', 'event_time', 'created_at', 'createdAt', 'date'] as const),
  ...(['updated_at', 'updatedAt'] as const),
] as const

/** Parses one line of a tap; `line` has one character a byte. */
export function parseSingerLine(line: string): SingerMessage {
  const text = decodeBytes(line)
  if (text === undefined) return refuse('The line is not UTF-8.')
  const message = parseJsonLine(text)
  if (!isJsonObject(message)) return refuse('The line is no JSON object.')
  const type = typeof message['type'] === 'string' ? message['type'].toUpperCase() : ''
  if (type === 'STATE') return { kind: 'state', value: message['value'] ?? null }
  if (type !== 'SCHEMA' && type !== 'RECORD') return { kind: 'other', type: type.slice(0, 40) }
  const stream = message['stream']
  if (typeof stream !== 'string' || stream === '') return refuse('The message names no stream.')
  if (type === 'RECORD') {
    const record = message['record']
    if (!isJsonObject(record)) return refuse('The record is no JSON object.')
    return { kind: 'record', stream, record }
  }
  return parseSchema(stream, message)
}

function parseSchema(stream: string, message: JsonObject): SingerMessage {
  const schema = message['schema']
  const properties = isJsonObject(schema) ? schema['properties'] : undefined
  const columns = isJsonObject(properties) ? Object.keys(properties) : []
  if (columns.length > columnCountMax) {
    return refuse(`The schema has more than ${columnCountMax} properties.`)
  }
  const keys: unknown = message['key_properties'] ?? []
  if (!Array.isArray(keys) || !keys.every((key): key is string => typeof key === 'string')) {
    return refuse('The key_properties are no list of texts.')
  }
  return { kind: 'schema', stream, columns, key: keys }
}

/** Returns what reads the records of a stream, or the columns that have no place. */
export function createStreamReader(
  schema: Extract<SingerMessage, { readonly kind: 'schema' }>,
  given: SingerStream | undefined,
):
  | { readonly kind: 'reader'; readonly reader: StreamReader }
  | { readonly kind: 'refused'; readonly faults: readonly string[] } {
  const { stream, columns, key } = schema
  const mapping = given?.mapping ?? defaultMapping(schema)
  const created = createRowMapper(columns, mapping)
  if (created.kind === 'refused') return created
  const { mapper } = created
  const timeColumn = columns.find((name) =>
    mapping.columns.get(name)?.some((place) => place.kind === 'root' && place.name === 'timestamp'),
  )
  const read = (record: JsonObject): Mapped =>
    readRecord({ stream, columns, key, mapper, timeColumn }, record)
  return { kind: 'reader', reader: { isDropped: given?.isDropped ?? false, read } }
}

/**
 * Who somebody is changes, so such a record has the id of its values; a record of what was done is
 * one event for its key and time, however often the tap brings it with other values.
 */
function readRecord(
  given: {
    readonly stream: string
    readonly columns: readonly string[]
    readonly key: readonly string[]
    readonly mapper: RowMapper
    readonly timeColumn: string | undefined
  },
  record: JsonObject,
): Mapped {
  const { stream, columns, key, mapper, timeColumn } = given
  const values = columns.map((name) => record[name])
  const time = timeColumn === undefined ? undefined : record[timeColumn]
  const keys = key.map((name) => record[name] ?? null)
  const mapped = mapper.map(values, singerEventId(stream, keys, `time:${String(time ?? '')}`))
  const isWhole = mapped.kind === 'events' && mapped.items[0]?.['type'] !== 'identify'
  if (isWhole && key.length > 0) return mapped
  // What the event says, not what the row holds: taps add columns such as the time of a file.
  return mapper.map(values, singerEventId(stream, keys, JSON.stringify(mapper.map(values, ''))))
}

/** Returns how a stream is read that no definition names. */
export function defaultMapping(schema: {
  readonly stream: string
  readonly columns: readonly string[]
  readonly key: readonly string[]
}): RowMapping {
  const { stream, columns, key } = schema
  const has = (name: string): boolean => columns.includes(name)
  const isAboutPeople = has('email')
  const places = new Map<string, readonly Place[]>()
  const root = isAboutPeople ? 'traits' : 'properties'
  const userColumn =
    userNames.find(has) ??
    (isAboutPeople ? (key.length === 1 && key[0] !== undefined ? key[0] : 'email') : undefined)
  const timeColumn = (isAboutPeople ? [...timeNames].reverse() : timeNames).find(has)
  const own = (name: string): Place => objectPlace(root, [name], 'text')
  if (userColumn !== undefined) {
    const user: Place = { kind: 'root', name: 'userId' }
    // An email that is also the id of the person stays a trait.
    places.set(userColumn, userColumn === 'email' ? [user, own('email')] : [user])
  }
  if (has('anonymous_id')) places.set('anonymous_id', [{ kind: 'root', name: 'anonymousId' }])
  if (timeColumn !== undefined) places.set(timeColumn, [{ kind: 'root', name: 'timestamp' }])
  // Columns that taps add about themselves.
  const others = columns.filter((name) => !places.has(name) && !name.startsWith('_sdc_'))
  for (const name of others) places.set(name, [own(name)])
  return {
    columns: places,
    dropped: new Set(),
    others: 'drop',
    fixed: isAboutPeople ? [] : [[{ kind: 'root', name: 'event' }, eventNameOf(stream)]],
    timeForm: 'iso',
  }
}

/** Returns `order_items` and `shop-order_items` as `Order Items` and `Shop Order Items`. */
export function eventNameOf(stream: string): string {
  const words = stream.split(/[^\p{L}\p{N}]+/u).filter((word) => word !== '')
  return words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join(' ')
}

function refuse(says: string): SingerMessage {
  return { kind: 'refused', says }
}
