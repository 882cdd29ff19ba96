/**
 * What an event may hold at most, and the one walk over its values that checks it.
 *
 * JSON.parse makes own keys `__proto__`, takes a million levels of nesting, and reads 1e400 as
 * Infinity. None of these may get behind this walk: what passes can be copied, written as JSON
 * again and kept by every store.
 */

export interface EventLimits {
  readonly eventBytesMax: number
  readonly depthMax: number
  readonly keysPerObjectMax: number
  readonly keysTotalMax: number
  readonly arrayCountMax: number
  readonly productCountMax: number
  readonly stringBytesMax: number
  readonly keyLengthMax: number
  /** An event older than this is moved to the bound. */
  readonly pastMsMax: number
  /** An event further ahead of the time of receipt than this is moved to the bound. */
  readonly futureMsMax: number
}

export const defaultEventLimits: EventLimits = {
  eventBytesMax: 32 * 1024,
  depthMax: 20,
  keysPerObjectMax: 1_000,
  keysTotalMax: 5_000,
  arrayCountMax: 2_500,
  productCountMax: 200,
  stringBytesMax: 16 * 1024,
  keyLengthMax: 256,
  pastMsMax: 3_653 * 86_400_000,
  futureMsMax: 5 * 60_000,
}

export const limitReasons = [
  'key-forbidden',
  'key-invalid',
  'too-deep',
  'too-many-keys',
  'array-too-long',
  'products-too-many',
  'string-too-long',
  'text-invalid',
  'number-not-finite',
  'event-too-large',
] as const
export type LimitReason = (typeof limitReasons)[number]

export interface LimitFault {
  readonly reason: LimitReason
  /** From the outermost name to the place of the fault. */
  readonly path: readonly (string | number)[]
  readonly says: string
}

/**
 * Longest JSON text of one UTF-16 unit: `\u0000`. Six times the units is never less than the bytes.
 */
const bytesPerUnitMax = 6
/** Units counted for each value besides its text: a number of up to 25 digits with its comma. */
const unitsPerValue = 8

const textEncoder = new TextEncoder()

/**
 * Names found without fault, since the same few come in every event. Bounded, and never emptied:
 * whoever fills it with made-up names only takes the gain away.
 */
const soundNames = new Set<string>()
const soundNameCountMax = 2_000

/**
 * Returns what breaks a limit in `value` first, or nothing. `hasEscapes` is false of what was read
 * from JSON that has no backslash, out of whole UTF-8: JSON takes a control character, and UTF-8
 * half a character, in no other way, so no text in it is looked at for them.
 */
export function findLimitFault(
  value: unknown,
  limits: EventLimits,
  hasEscapes = true,
): LimitFault | undefined {
  const walk: Walk = { limits, hasEscapes, keyCount: 0, units: 0, path: [] }
  const fault = findFault(value, 1, walk)
  if (fault !== undefined) return { ...fault, path: walk.path.reverse() }
  if (walk.units * bytesPerUnitMax <= limits.eventBytesMax) return undefined
  const bytes = utf8Bytes(JSON.stringify(value))
  if (bytes <= limits.eventBytesMax) return undefined
  const says = `The event has ${bytes} bytes; at most ${limits.eventBytesMax} are taken.`
  return { reason: 'event-too-large', path: [], says }
}

/** Returns the length of `text` in UTF-8. */
export function utf8Bytes(text: string): number {
  return textEncoder.encode(text).length
}

/**
 * Tells whether `text` holds a control character other than tab, line feed, or carriage return and
 * their kin.
 */
export function hasControl(text: string): boolean {
  // A control (Cc) that is neither white space nor C1: old code pages leave C1 in honest names.
  return /[^\P{Cc}\t-\r\x7f-\x9f]/u.test(text)
}

interface Walk {
  readonly limits: EventLimits
  readonly hasEscapes: boolean
  keyCount: number
  units: number
  /** Filled from the fault outwards while the walk unwinds. */
  readonly path: (string | number)[]
}

type Fault = Omit<LimitFault, 'path'>

function findFault(value: unknown, depth: number, walk: Walk): Fault | undefined {
  walk.units += unitsPerValue
  if (typeof value === 'string') return findTextFault(value, walk)
  if (typeof value === 'number') {
    if (Number.isFinite(value)) return undefined
    return { reason: 'number-not-finite', says: 'A number is too large to keep.' }
  }
  if (typeof value !== 'object' || value === null) return undefined
  if (depth > walk.limits.depthMax) {
    return { reason: 'too-deep', says: `Nested more than ${walk.limits.depthMax} levels deep.` }
  }
  if (Array.isArray(value)) return findArrayFault(value, depth, walk)
  return findObjectFault(value as Readonly<Record<string, unknown>>, depth, walk)
}

function findTextFault(text: string, walk: Walk): Fault | undefined {
  const bytesMax = walk.limits.stringBytesMax
  walk.units += text.length
  if (text.length > bytesMax || (text.length * 3 > bytesMax && utf8Bytes(text) > bytesMax)) {
    return { reason: 'string-too-long', says: `A text has more than ${bytesMax} bytes.` }
  }
  if (walk.hasEscapes && (hasControl(text) || !text.isWellFormed())) {
    return { reason: 'text-invalid', says: 'A text has a control character or half a character.' }
  }
  return undefined
}

function findArrayFault(values: readonly unknown[], depth: number, walk: Walk): Fault | undefined {
  if (values.length > walk.limits.arrayCountMax) {
    const says = `An array has ${values.length} values; at most ${walk.limits.arrayCountMax}.`
    return { reason: 'array-too-long', says }
  }
  for (let index = 0; index < values.length; index++) {
    const fault = findFault(values[index], depth + 1, walk)
    if (fault === undefined) continue
    walk.path.push(index)
    return fault
  }
  return undefined
}

function findObjectFault(
  object: Readonly<Record<string, unknown>>,
  depth: number,
  walk: Walk,
): Fault | undefined {
  let count = 0
  for (const key of Object.keys(object)) {
    count += 1
    walk.keyCount += 1
    walk.units += key.length
    const value = object[key]
    const fault =
      findKeyFault(key, count, walk) ??
      (key === 'products' && Array.isArray(value) && value.length > walk.limits.productCountMax
        ? productFault(value.length, walk.limits.productCountMax)
        : findFault(value, depth + 1, walk))
    if (fault === undefined) continue
    walk.path.push(key.slice(0, walk.limits.keyLengthMax).toWellFormed())
    return fault
  }
  return undefined
}

function findKeyFault(key: string, count: number, walk: Walk): Fault | undefined {
  if (key === '__proto__' || key === 'constructor' || key === 'prototype') {
    return { reason: 'key-forbidden', says: `The name ${key} is not taken.` }
  }
  if (count > walk.limits.keysPerObjectMax) {
    const says = `An object has more than ${walk.limits.keysPerObjectMax} names.`
    return { reason: 'too-many-keys', says }
  }
  if (walk.keyCount > walk.limits.keysTotalMax) {
    const says = `The event has more than ${walk.limits.keysTotalMax} names.`
    return { reason: 'too-many-keys', says }
  }
  if (key.length > walk.limits.keyLengthMax || (walk.hasEscapes && !isSoundName(key))) {
    return { reason: 'key-invalid', says: 'A name is too long or has a control character.' }
  }
  return undefined
}

function isSoundName(key: string): boolean {
  if (soundNames.has(key)) return true
  if (hasControl(key) || !key.isWellFormed()) return false
  if (soundNames.size < soundNameCountMax) soundNames.add(key)
  return true
}

function productFault(count: number, countMax: number): Fault {
  return { reason: 'products-too-many', says: `${count} products; at most ${countMax} are taken.` }
}
