/**
 * The stage that ties what an event names to the person it lands at.
 *
 * The lower key leads. So a person claims a higher key, and asks a lower one to be claimed by it;
 * both are records to the other key's partition (see `fold-identity.ts`). A claim reserves a place
 * first: nothing moves before it is known that there is room for it.
 */

import type { Event } from '../event/event.ts'
import type { LogRecord } from '../log/record.ts'
import {
  compareKeys,
  isDeviceKey,
  isExternalKey,
  isUserKey,
  kindOfKey,
} from '../profile/identity-key.ts'
import { keyCountMaxOf } from '../profile/identity-rules.ts'
import { type Person, partCountMax } from '../profile/person.ts'
import { statedKeys } from '../profile/stated-key.ts'
import {
  countOfKind,
  findRefusal,
  isApart,
  keysOf,
  type MergeRefusalReason,
  noteRefusal,
  statedCountMax,
} from '../profile/ties.ts'
import { noteFindings } from './finding.ts'
import { type FoldScope, send } from './scope.ts'

/** Asks the one who has a lower key to claim all keys of a person; its skeleton. */
export interface AskSkeleton {
  readonly byKey: string
  readonly keys: readonly string[]
  readonly atMs: number
  /** The external id by which a device asks: a user's own word about the device counts more. */
  readonly via?: string
  /** The key whose two claimants are one person, if the reason is not `byKey` itself. */
  readonly forKey?: string
}

/** Claims a key for a person led by a lower one; its skeleton. */
export interface ClaimSkeleton {
  readonly leaderKey: string
  readonly atMs: number
  /** Keys for which there is room. */
  readonly keyCount: number
  readonly via?: string
  readonly forKey?: string
  /** Set where the key may be of another kind: one that was never seen takes no place. */
  readonly isGuess?: boolean
}

/** Tells a key that joined `fromKey` where that one went; its skeleton. */
export interface MovedSkeleton {
  readonly fromKey: string
  readonly leaderKey: string
}

/** Ties a person to all that an event names; mostly nothing more, so nothing to wait for. */
export function linkStated(
  scope: FoldScope,
  person: Person,
  event: Event,
  from: { readonly record: LogRecord; readonly partKey: string },
): Promise<void> | undefined {
  const stated = statedKeys(scope.definitions.identity, event, from.partKey)
  const keys = person.version === 0 ? [...stated, ...takeClaimants(person)] : stated
  if (keys.length === 0) return undefined
  const { previousId, anonymousId } = event
  const isGuess = event.type === 'alias' && previousId !== anonymousId
  const guesses = isGuess ? [`user:${previousId}`, `anonymous:${previousId}`] : []
  return linkKeys(scope, person, keys, { ...from, atMs: event.receivedAtMs, guesses })
}

/** Returns whoever named a user before the user was seen, and forgets them: they join now. */
function takeClaimants(person: Person): readonly string[] {
  const { claimants = [], isShared } = person
  if (!isUserKey(person.key) || isShared === true) return []
  delete person.claimants
  return claimants
}

export async function linkKeys(
  scope: FoldScope,
  person: Person,
  keys: readonly string[],
  from: {
    readonly record: LogRecord
    readonly atMs: number
    readonly guesses?: readonly string[]
  },
): Promise<void> {
  for (const key of keys) {
    const isGuess = from.guesses?.includes(key) === true
    const reason = linkKey(scope, person, key, { atMs: from.atMs, isGuess })
    if (reason !== undefined) await noteMergeRefusal(scope, person, { key, reason }, from.record)
  }
  if (isDeviceKey(person.key)) askByStated(scope, person)
}

/** Keeps that a merge was refused: at the person, and among what was found, once. */
export async function noteMergeRefusal(
  scope: FoldScope,
  person: Person,
  refusal: { readonly key: string; readonly reason: MergeRefusalReason },
  record: LogRecord,
): Promise<void> {
  if (!noteRefusal(person, { ...refusal, atMs: scope.nowMs })) return
  scope.meta.counts.mergesRefused++
  await noteFindings(scope, ['merge-refused'], { record, name: refusal.reason })
}

/** Returns why a key cannot join, or undefined where it does, has, or is asked. */
function linkKey(
  scope: FoldScope,
  person: Person,
  key: string,
  { atMs, isGuess }: { readonly atMs: number; readonly isGuess: boolean },
): MergeRefusalReason | undefined {
  if (key === person.key || isApart(person, key)) return undefined
  // Time 0: a place is reserved for who brings the key, and nobody has claimed it in this name.
  const claimedAtMs = Object.hasOwn(person.claimed, key) ? (person.claimed[key] ?? 0) : 0
  if (claimedAtMs > 0) {
    person.claimed[key] = Math.max(claimedAtMs, atMs)
    return undefined
  }
  if (findRefusal(person, key)?.reason === 'shared') return undefined
  if (compareKeys(key, person.key) > 0) {
    const reason = limitReached(scope, person, [key])
    if (reason !== undefined) return reason
    person.claimed[key] = atMs
    const claim: ClaimSkeleton = { leaderKey: person.key, atMs, keyCount: 1 }
    sendClaim(scope, key, isGuess ? { ...claim, isGuess } : claim)
  } else if (isDeviceKey(person.key)) {
    const stated = person.stated ?? {}
    const hasRoom = Object.keys(stated).length < statedCountMax
    if (hasRoom || Object.hasOwn(stated, key)) {
      person.stated = { ...stated, [key]: Math.max(stated[key] ?? 0, atMs) }
    }
  } else {
    sendAsk(scope, key, { byKey: person.key, keys: keysOf(person), atMs })
  }
  return undefined
}

/** Asks by the strongest external id that a device has stated; who takes it in gets the others. */
export function askByStated(scope: FoldScope, device: Person): void {
  const { stated } = device
  if (stated === undefined || device.pointer !== undefined) return
  const { kinds } = scope.definitions.identity
  const rankOf = (key: string): number =>
    kinds.findIndex(({ name }) => name === kindOfKey(key)) >>> 0
  const [key] = Object.keys(stated)
    .filter((each) => findRefusal(device, each) === undefined)
    .sort((left, right) => rankOf(left) - rankOf(right) || compareKeys(left, right))
  if (key === undefined) return
  sendAsk(scope, key, { byKey: device.key, keys: keysOf(device), atMs: stated[key] ?? 0, via: key })
}

/** Returns why keys have no room at a person, or undefined where they do. */
export function limitReached(
  scope: FoldScope,
  person: Person,
  keys: readonly string[],
): MergeRefusalReason | undefined {
  const known = new Set(keysOf(person))
  const added = keys.filter((key) => !known.has(key))
  if (known.size + added.length > partCountMax) return 'person-full'
  const isFull = added.some((key) => {
    if (!isDeviceKey(key) && !isExternalKey(key)) return false
    const kind = kindOfKey(key)
    const addedCount = added.filter((each) => kindOfKey(each) === kind).length
    const countMax = keyCountMaxOf(scope.definitions.identity, kind)
    return countOfKind(person, kind) + addedCount > countMax
  })
  return isFull ? 'kind-full' : undefined
}

export function sendAsk(scope: FoldScope, key: string, skeleton: AskSkeleton): void {
  send(scope, { kind: 'identity-ask', key, skeleton })
}

export function sendClaim(scope: FoldScope, key: string, skeleton: ClaimSkeleton): void {
  send(scope, { kind: 'identity-claim', key, skeleton })
}
