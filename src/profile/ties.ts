/**
 * What ties identity keys to each other: the fields of a person that say who joined whom, who may
 * not, and what was refused. Pure; `process/fold-identity.ts` moves them by records.
 */

import { deviceKind, kindOfKey, userKind } from './identity-key.ts'

/** Newest refusals shown, and keys that were taken out and stay out. */
export const refusalCountMax = 10
export const barredCountMax = 32
/** External ids that one device has stated before anybody was known on it. */
export const statedCountMax = 8

export const mergeRefusalReasons = [
  /** The person has as many keys as one may have. */
  'person-full',
  /** The person has as many keys of this kind as its definition allows. */
  'kind-full',
  /** More people than allowed have this value: it says nothing about who somebody is. */
  'shared',
  /** It was taken out of this person, and nobody asked to join them again. */
  'taken-out',
] as const
export type MergeRefusalReason = (typeof mergeRefusalReasons)[number]

export interface MergeRefusal {
  readonly key: string
  readonly reason: MergeRefusalReason
  readonly atMs: number
}

/** Who has a device or an external id, since when; `isDirect` where a user's own event says so. */
export interface Hold {
  readonly key: string
  readonly atMs: number
  readonly isDirect: boolean
}

export interface Ties {
  /** Set on a key that belongs to a person who is led by another, lower key. */
  pointer?: string
  /** Whose word made the pointer of a device or an external id. */
  hold?: Hold
  /**
   * Keys that joined this person, or have a place reserved, each with the time of the newest event
   * that named both; 0 where none did.
   */
  claimed: Record<string, number>
  /**
   * Of a device or an external id: users who have claimed it, oldest first. Of a user who was not
   * seen yet: whoever named them.
   */
  claimants?: string[]
  /** Of a device or an external id that too many people have: it joins nobody any more. */
  isShared?: boolean
  /** External ids that this device has stated, with the time, until a person takes them over. */
  stated?: Record<string, number>
  /** Keys taken out of this person: they do not join again unless somebody asks. */
  barred?: string[]
  /** Who led those whom this key was taken out of: it does not go back by itself. */
  left?: string[]
  /** Newest first. */
  refusals?: MergeRefusal[]
}

interface Holder extends Ties {
  readonly key: string
  readonly parts: readonly { readonly key: string }[]
}

/** Returns all keys of a person: its own, those of its parts and those claimed. */
export function keysOf({ key, parts, claimed }: Holder): readonly string[] {
  return [...new Set([key, ...parts.map((part) => part.key), ...Object.keys(claimed)])]
}

export function countOfKind(person: Holder, kind: string): number {
  return keysOf(person).filter((key) => kindOfKey(key) === kind).length
}

/** Returns the keys that are shown: those with a part, and external ids, which have none. */
export function shownKeys({ parts, claimed }: Holder): readonly string[] {
  const partKeys = parts.map((part) => part.key)
  const external = Object.keys(claimed).filter((key) => {
    const kind = kindOfKey(key)
    return kind !== userKind && kind !== deviceKind
  })
  return [...new Set([...partKeys, ...external])]
}

/** Tells whether two were taken apart. */
export function isApart({ barred = [], left = [] }: Ties, key: string): boolean {
  return barred.includes(key) || left.includes(key)
}

export function isBarred({ barred = [] }: Ties, key: string): boolean {
  return barred.includes(key)
}

/** Keeps keys out from now on; beyond the limit the oldest may join again. */
export function bar(person: Ties, keys: readonly string[]): void {
  if (keys.length > 0) person.barred = append(person.barred, keys)
}

/** Keeps a key from going back to whoever it was taken out of. */
export function leave(person: Ties, leaderKey: string): void {
  person.left = append(person.left, [leaderKey])
}

function append(list: readonly string[] = [], keys: readonly string[]): string[] {
  return [...list.filter((key) => !keys.includes(key)), ...keys].slice(-barredCountMax)
}

/** Forgets that two were taken apart, and that they were refused since. */
export function liftBar(person: Ties, key: string): void {
  for (const name of ['barred', 'left'] as const) {
    const rest = (person[name] ?? []).filter((each) => each !== key)
    if (rest.length === 0) delete person[name]
    else person[name] = rest
  }
  const refusals = (person.refusals ?? []).filter((refusal) => refusal.key !== key)
  if (refusals.length === 0) delete person.refusals
  else person.refusals = refusals
}

export function findRefusal({ refusals = [] }: Ties, key: string): MergeRefusal | undefined {
  return refusals.find((refusal) => refusal.key === key)
}

/** Keeps that a merge was refused; answers whether that was not known. */
export function noteRefusal(person: Ties, refusal: MergeRefusal): boolean {
  const before = findRefusal(person, refusal.key)
  if (before?.reason === refusal.reason) return false
  const others = (person.refusals ?? []).filter(({ key }) => key !== refusal.key)
  person.refusals = [refusal, ...others].slice(0, refusalCountMax)
  return true
}

/** Tells whether a claim beats the one that holds: a user's word, then the newer, then the key. */
export function beats(claim: Hold, hold: Hold): boolean {
  if (claim.isDirect !== hold.isDirect) return claim.isDirect
  return claim.atMs === hold.atMs ? claim.key > hold.key : claim.atMs > hold.atMs
}

/** Keeps the newest time of each key; of two persons who turn out to be one. */
export function mergeClaimed(person: Holder, claimed: Readonly<Record<string, number>>): void {
  for (const [key, atMs] of Object.entries(claimed)) {
    if (key === person.key) continue
    const before = Object.hasOwn(person.claimed, key) ? person.claimed[key] : undefined
    person.claimed[key] = Math.max(before ?? 0, atMs)
  }
}

/** Before there were times, keys were a list. */
export function upgradeClaimed(
  claimed: Record<string, number> | readonly string[],
): Record<string, number> {
  return Array.isArray(claimed)
    ? Object.fromEntries((claimed as readonly string[]).map((key) => [key, 0]))
    : (claimed as Record<string, number>)
}
