/**
 * Identity keys, their kinds, and the one total order of all of them.
 *
 * Of two keys of one person the lower one leads, so pointers only go downwards and never in a
 * circle, whichever way round a call names them. Users come first, then external ids (email,
 * phone, an id of the CRM), then devices; within a kind of these three, bytewise. The order knows
 * no definition: it would turn round under the pointers that were made before.
 */

export const userKind = 'user'
export const deviceKind = 'anonymous'

/** Kinds of keys that are no external id of a person. */
export const reservedKinds: ReadonlySet<string> = new Set([
  userKind,
  deviceKind,
  'item',
  'address',
  'control',
])

/** A key of an external id: its kind and a hash of the value, see `stated-key.ts`. */
export const externalKeyPattern = /^[a-z][a-z0-9_-]{0,31}:[A-Za-z0-9_-]{22}$/

/** Returns what stands before the first colon. */
export function kindOfKey(key: string): string {
  return key.slice(0, key.indexOf(':'))
}

export function isUserKey(key: string): boolean {
  return key.startsWith('user:')
}

export function isDeviceKey(key: string): boolean {
  return key.startsWith('anonymous:')
}

/** Tells whether `key` is that of an email, a phone or another id that people share by design. */
export function isExternalKey(key: string): boolean {
  return !isUserKey(key) && !isDeviceKey(key)
}

/** Returns below 0 where `left` leads `right`, 0 for the same key. */
export function compareKeys(left: string, right: string): number {
  const byRank = rankOf(left) - rankOf(right)
  if (byRank !== 0 || left === right) return byRank
  // Bytes of UTF-8: code units of UTF-16 would order some characters differently.
  return Buffer.compare(Buffer.from(left), Buffer.from(right))
}

function rankOf(key: string): number {
  if (isUserKey(key)) return 0
  return isDeviceKey(key) ? 2 : 1
}
