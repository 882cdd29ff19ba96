/**
 * Proposes a JSON Schema from values that were seen: types, what is always there, the few values a
 * text has, formats, ranges. Pure and bounded, whatever it is shown.
 *
 * What it proposes takes every value it was made from. Beyond them it is generous: a range ends a
 * power of ten above the greatest number, a length at twice the longest text. What was really seen
 * stands in the `$comment` of each property, for the person who edits it.
 */

import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'

export interface SchemaInference {
  add(values: JsonObject): void
  readonly count: number
  /** Returns the schema; it has a title, and no `$id`. */
  propose(title: string): JsonObject
}

export interface InferenceOptions {
  /** False for what describes people: their values must not get into a file. */
  readonly hasEnums: boolean
  /** Names that no schema may ask for. */
  readonly ignored: ReadonlyMap<string, string>
}

/** Below this many values nothing is called required, or one of a few. */
const seenCountMin = 10
const enumCountMax = 10
/** An enum is proposed where each of its values was seen so often, on average. */
const seenPerValueMin = 10
const enumLengthMax = 60
/** Names of one object, and places in all: names that are data would else fill the memory. */
const nameCountMax = 300
const shapeCountMax = 3_000
const depthMax = 6
const lengthMaxLeast = 64
const dialect = 'https://json-schema.org/draft/2020-12/schema'

/** Narrower than the formats of the validator, so that what matches here matches there. */
const day = /\d{4}-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])/.source
const time = /([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?/.source
const host = /[a-z0-9]([a-z0-9.-]{0,200}[a-z0-9])?(:\d{1,5})?/.source
const path = /(\/[\w.~!$&'()*+,;=:@/-]{0,500})?/.source
const mailbox = /[a-z0-9_+-]{1,40}(\.[a-z0-9_+-]{1,40}){0,4}/.source
const domain = /([a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?\.){1,5}[a-z]{2,20}/.source
const formats: readonly (readonly [name: string, pattern: RegExp])[] = [
  ['date-time', new RegExp(`^${day}T${time}Z$`)],
  ['uri', new RegExp(`^https?://${host}${path}$`, 'i')],
  ['email', new RegExp(`^${mailbox}@${domain}$`, 'i')],
]

interface Shape {
  count: number
  readonly types: Map<string, number>
  min: number
  max: number
  lengthMin: number
  lengthMax: number
  /** Undefined once there are too many. */
  texts: Map<string, number> | undefined
  /** Formats that all texts have. */
  formats: readonly string[]
  readonly properties: Map<string, Shape>
  items: Shape | undefined
  itemCountMin: number
}

interface Work extends InferenceOptions {
  shapeCount: number
}

export function createSchemaInference(options: InferenceOptions): SchemaInference {
  const work: Work = { ...options, shapeCount: 0 }
  const root = createShape(work)
  return {
    add: (values) => addValue(root, values, work, 1),
    get count() {
      return root.count
    },
    propose: (title) => ({ $schema: dialect, title, ...schemaOf(root, root.count) }),
  }
}

function createShape(work: Work): Shape {
  work.shapeCount++
  return {
    count: 0,
    types: new Map(),
    min: Number.POSITIVE_INFINITY,
    max: Number.NEGATIVE_INFINITY,
    lengthMin: Number.POSITIVE_INFINITY,
    lengthMax: 0,
    texts: work.hasEnums ? new Map() : undefined,
    formats: formats.map(([name]) => name),
    properties: new Map(),
    items: undefined,
    itemCountMin: Number.POSITIVE_INFINITY,
  }
}

function addValue(shape: Shape, value: Json, work: Work, depth: number): void {
  const type = typeOf(value)
  shape.count++
  shape.types.set(type, (shape.types.get(type) ?? 0) + 1)
  if (typeof value === 'number') {
    shape.min = Math.min(shape.min, value)
    shape.max = Math.max(shape.max, value)
  } else if (typeof value === 'string') addText(shape, value)
  else if (depth >= depthMax) return
  else if (Array.isArray(value)) {
    const items = value as readonly Json[]
    shape.itemCountMin = Math.min(shape.itemCountMin, items.length)
    shape.items ??= createShape(work)
    for (const item of items) addValue(shape.items, item, work, depth + 1)
  } else if (isJsonObject(value)) addProperties(shape, value, work, depth)
}

function addProperties(shape: Shape, values: JsonObject, work: Work, depth: number): void {
  for (const [name, value] of Object.entries(values)) {
    if (work.ignored.has(name)) continue
    const known = shape.properties.get(name)
    const hasRoom = shape.properties.size < nameCountMax && work.shapeCount < shapeCountMax
    if (known === undefined && !hasRoom) continue
    const property = known ?? createShape(work)
    shape.properties.set(name, property)
    addValue(property, value, work, depth + 1)
  }
}

function addText(shape: Shape, text: string): void {
  shape.lengthMin = Math.min(shape.lengthMin, text.length)
  shape.lengthMax = Math.max(shape.lengthMax, text.length)
  if (shape.formats.length > 0) {
    shape.formats = shape.formats.filter(
      (name) => formats.find(([each]) => each === name)?.[1].test(text) === true,
    )
  }
  if (shape.texts === undefined) return
  if (text.length > enumLengthMax) shape.texts = undefined
  else {
    shape.texts.set(text, (shape.texts.get(text) ?? 0) + 1)
    if (shape.texts.size > enumCountMax) shape.texts = undefined
  }
}

function typeOf(value: Json): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  return Number.isInteger(value) ? 'integer' : typeof value
}

function schemaOf(shape: Shape, holderCount: number): JsonObject {
  const { types } = shape
  const names = [...types.keys()].filter((name) => name !== 'integer' || !types.has('number'))
  return {
    ...(names.length === 0 ? {} : { type: names.length === 1 ? (names[0] ?? '') : names.sort() }),
    ...(types.has('integer') || types.has('number') ? numbersOf(shape) : {}),
    ...(types.has('string') ? textsOf(shape) : {}),
    ...(types.has('array') ? itemsOf(shape) : {}),
    ...(types.has('object') ? propertiesOf(shape) : {}),
    $comment: commentOf(shape, holderCount),
  }
}

function numbersOf({ min, max }: Shape): JsonObject {
  const maximum = 10 ** (Math.ceil(Math.log10(Math.max(1, max))) + 1)
  return {
    ...(min >= 0 ? { minimum: 0 } : {}),
    ...(Number.isFinite(maximum) && maximum <= 1e15 ? { maximum } : {}),
  }
}

function textsOf(shape: Shape): JsonObject {
  const { texts, types, lengthMin, lengthMax } = shape
  const textCount = types.get('string') ?? 0
  const [format] = shape.formats
  const isOfFew = texts !== undefined && textCount >= texts.size * seenPerValueMin
  // An enum would refuse the values of other types.
  if (format === undefined && isOfFew && types.size === 1 && textCount >= seenCountMin) {
    return { enum: [...texts.keys()].sort() }
  }
  const length = 2 ** Math.ceil(Math.log2(Math.max(lengthMaxLeast, lengthMax * 2)))
  return {
    ...(lengthMin > 0 ? { minLength: 1 } : {}),
    maxLength: length,
    ...(format === undefined ? {} : { format }),
  }
}

function itemsOf({ items, itemCountMin }: Shape): JsonObject {
  return {
    ...(itemCountMin > 0 ? { minItems: 1 } : {}),
    ...(items === undefined || items.count === 0 ? {} : { items: schemaOf(items, items.count) }),
  }
}

function propertiesOf(shape: Shape): JsonObject {
  const holderCount = shape.types.get('object') ?? 0
  const all = [...shape.properties].sort(([left], [right]) => (left < right ? -1 : 1))
  const required = all.flatMap(([name, { count }]) =>
    count === holderCount && count >= seenCountMin ? [name] : [],
  )
  return {
    ...(required.length === 0 ? {} : { required }),
    properties: Object.fromEntries(
      all.map(([name, property]) => [name, schemaOf(property, holderCount)]),
    ),
  }
}

function commentOf(shape: Shape, holderCount: number): string {
  const { count, min, max, lengthMin, lengthMax } = shape
  const share = holderCount === 0 ? 0 : Math.floor((count / holderCount) * 1000) / 10
  const numbers = max >= min ? `; numbers from ${min} to ${max}` : ''
  const texts = lengthMax > 0 ? `; texts of ${lengthMin} to ${lengthMax} characters` : ''
  return `Seen ${count} times, in ${share} % of ${holderCount}${numbers}${texts}.`
}
