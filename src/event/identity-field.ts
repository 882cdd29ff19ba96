/**
 * The ids a person comes with. A value that many people share by accident (`null`, `guest`) would
 * join all of them into one profile, so it is refused.
 */

import { utf8Bytes } from './event-limits.ts'

/** Longest id of a person or device; identity keys must fit every store. */
export const idBytesMax = 200

const sharedByAccident = new Set([
  'null',
  '(null)',
  'nil',
  'none',
  'undefined',
  'unknown',
  'guest',
  'anonymous',
  'nan',
  'infinity',
  '-infinity',
  'true',
  'false',
  '0',
  '-1',
  '[object object]',
  '{}',
  '[]',
  '""',
  "''",
  'n/a',
  'id',
  'userid',
  'user_id',
  'anonymousid',
  'anonymous_id',
  'distinctid',
  'distinct_id',
  'not_authenticated',
  'email',
  '00000000-0000-0000-0000-000000000000',
])

export type IdReading =
  | { readonly kind: 'absent' }
  | { readonly kind: 'id'; readonly id: string }
  | { readonly kind: 'refused'; readonly says: string }

const absent: IdReading = { kind: 'absent' }

/**
 * Returns the id in a field. Null and '' are no id: some clients write `"userId": ""` before
 * anybody logs in. A whole number is taken as its digits where `takesNumber`.
 */
export function readId(value: unknown, takesNumber: boolean): IdReading {
  if (value === undefined || value === null || value === '') return absent
  if (typeof value === 'number' && takesNumber) {
    if (!Number.isSafeInteger(value)) return refuse('The id is a number that JSON does not keep.')
    return readId(String(value), false)
  }
  if (typeof value !== 'string') return refuse('The id is not a text.')
  if (
    value.length > idBytesMax ||
    (value.length * 3 > idBytesMax && utf8Bytes(value) > idBytesMax)
  ) {
    return refuse(`The id has more than ${idBytesMax} bytes.`)
  }
  if (hasControlOrBreak(value) || !value.isWellFormed()) {
    return refuse('The id has a control character or half a character.')
  }
  if (isPlaceholder(value)) return refuse('The id is a placeholder that many people share.')
  if (value.trim() === '') return refuse('The id is blank.')
  return { kind: 'id', id: value }
}

/**
 * Tells whether a value says nothing about who somebody is: a word such as `null` or `guest`, or
 * nothing but zeros and what may stand between them.
 */
export function isPlaceholder(value: string): boolean {
  if (value.length > 36) return false
  const word = value.trim().toLowerCase()
  return sharedByAccident.has(word) || /^[0:.{}-]*0[0:.{}-]*$/.test(word)
}

/** Tells whether `text` holds any C0 or C1 control character, line breaks included. */
export function hasControlOrBreak(text: string): boolean {
  return /\p{Cc}/u.test(text)
}

function refuse(says: string): IdReading {
  return { kind: 'refused', says }
}
