/** Where a column goes in an event, as `userId`, `properties.price:number` or `traits.email`. */

import { parseTimeMs } from '../event/event-time.ts'
import type { Json } from '../lib/json.ts'

export const placeRoots = [
  'type',
  'event',
  'userId',
  'anonymousId',
  'groupId',
  'previousId',
  'messageId',
  'timestamp',
  'name',
  'category',
] as const
export type PlaceRoot = (typeof placeRoots)[number]

export const placeObjects = ['properties', 'traits', 'context'] as const
export type PlaceObject = (typeof placeObjects)[number]

export const placeTypes = ['text', 'number', 'boolean', 'json', 'time'] as const
export type PlaceType = (typeof placeTypes)[number]

export type Place =
  | { readonly kind: 'root'; readonly name: PlaceRoot }
  | {
      readonly kind: 'object'
      readonly root: PlaceObject
      readonly path: readonly string[]
      readonly type: PlaceType
    }

export type ParsedPlace =
  | { readonly kind: 'place'; readonly place: Place }
  | { readonly kind: 'refused'; readonly says: string }

export type Converted =
  | { readonly kind: 'value'; readonly value: Json }
  | { readonly kind: 'refused'; readonly says: string }

/** What the ecommerce names of Segment's specification hold is a number; all else is text. */
const numberNames: ReadonlySet<string> = new Set([
  ...['price', 'quantity', 'value', 'revenue', 'total', 'subtotal', 'tax', 'shipping', 'discount'],
  ...['position', 'cart_value', 'age'],
])
const forbidden: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])
const depthMax = 8

/** How days and months stand in texts such as `12/1/2010 8:26`, which alone says neither. */
export const timeForms = ['iso', 'day-first', 'month-first'] as const
export type TimeForm = (typeof timeForms)[number]

const slashTime =
  /^(\d{1,2})[/.](\d{1,2})[/.](\d{4})(?:[ ,T]+(\d{1,2}):(\d\d)(?::(\d\d))?)?\s*([AaPp][Mm])?$/

export function parsePlace(text: string): ParsedPlace {
  const [written = '', type, ...more] = text.trim().split(':')
  if (more.length > 0) return refuse(`${text} has more than one type.`)
  const known = placeTypes.find((each) => each === type)
  if (type !== undefined && known === undefined) {
    return refuse(`The type ${type} is none of ${placeTypes.join(', ')}.`)
  }
  const root = placeRoots.find((each) => each === written)
  if (root !== undefined) {
    if (known !== undefined) return refuse(`${root} takes no type.`)
    return { kind: 'place', place: { kind: 'root', name: root } }
  }
  const [head, ...path] = written.split('.')
  const object = placeObjects.find((each) => each === head)
  if (object === undefined || path.length === 0 || path.length > depthMax) {
    return refuse(
      `${written} is no place of an event; there are ${placeRoots.join(', ')}, ` +
        'properties.NAME, traits.NAME and context.NAME.',
    )
  }
  if (path.some((name) => name === '' || forbidden.has(name))) {
    return refuse(`${written} has a name that is not taken.`)
  }
  return { kind: 'place', place: objectPlace(object, path, known) }
}

export function objectPlace(
  root: PlaceObject,
  path: readonly string[],
  type?: PlaceType,
): Extract<Place, { readonly kind: 'object' }> {
  const isNumber = path.length === 1 && root !== 'context' && numberNames.has(path[0] ?? '')
  return { kind: 'object', root, path, type: type ?? (isNumber ? 'number' : 'text') }
}

/** Reads the text of a cell as what its place wants. */
export function convertText(text: string, type: PlaceType): Converted {
  switch (type) {
    case 'text':
      return { kind: 'value', value: text }
    case 'number':
      return parseNumber(text)
    case 'boolean':
      return parseBoolean(text)
    case 'json':
      return parseJsonCell(text)
    case 'time': {
      const atMs = parseTimeMs(text)
      if (atMs === undefined) return refuse('The text is no time.')
      return { kind: 'value', value: new Date(atMs).toISOString() }
    }
  }
}

/** Returns the instant of a text, where `form` says what stands first in it. */
export function readTime(value: unknown, form: TimeForm): number | undefined {
  const parts = form === 'iso' || typeof value !== 'string' ? null : slashTime.exec(value.trim())
  if (parts === null) return parseTimeMs(typeof value === 'string' ? value.trim() : value)
  const [, first = '', second = '', year, hour = '0', minute = '00', seconds = '00', half] = parts
  const [day, month] = form === 'day-first' ? [first, second] : [second, first]
  const two = (text: string | number): string => String(text).padStart(2, '0')
  const isHalf = half !== undefined
  if (isHalf && (Number(hour) < 1 || Number(hour) > 12)) return undefined
  const isAfternoon = half?.toLowerCase() === 'pm'
  const hours = isHalf ? (Number(hour) % 12) + (isAfternoon ? 12 : 0) : hour
  return parseTimeMs(`${year}-${two(month)}-${two(day)}T${two(hours)}:${minute}:${seconds}Z`)
}

function parseNumber(text: string): Converted {
  const trimmed = text.trim()
  const value = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$/.test(trimmed)
    ? Number(trimmed)
    : Number.NaN
  return Number.isFinite(value) ? { kind: 'value', value } : refuse('The text is no number.')
}

function parseBoolean(text: string): Converted {
  const word = text.trim().toLowerCase()
  if (['true', 'yes', '1'].includes(word)) return { kind: 'value', value: true }
  if (['false', 'no', '0'].includes(word)) return { kind: 'value', value: false }
  return refuse('The text is neither true nor false.')
}

function parseJsonCell(text: string): Converted {
  try {
    return { kind: 'value', value: JSON.parse(text) as Json }
  } catch {
    return refuse('The text is no JSON.')
  }
}

function refuse(says: string): { readonly kind: 'refused'; readonly says: string } {
  return { kind: 'refused', says }
}
