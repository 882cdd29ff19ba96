/**
 * Identity, as messages between partitions.
 *
 *   who leads                              the key that joins
 *      <------------- ask -------------------      where it is the other that heard of both
 *   reserves places
 *      ------------- claim ------------------>     stores the pointer, from then on forwards
 *      <------------- part ------------------      its past, its own claims, what was running
 *   takes it in                                    tells those it had claimed: moved
 *
 * A claim with too little room is answered by another ask, so nothing moves without a place for it.
 * Whoever was joined meanwhile passes each of these on to where it points. Pointers only go
 * downwards in the order of keys, so this ends, and the lowest key of all that were joined leads,
 * in whatever order the records come.
 *
 * Users are joined for good. A device or an external id is held by the user who named it last: a
 * second user takes it over from that place on, the past stays with the first, and the one who
 * loses it is told. With too many users it is shared, and joins nobody any more.
 */

import type { LogRecord } from '../log/record.ts'
import { compareKeys, isExternalKey, isUserKey, kindOfKey } from '../profile/identity-key.ts'
import { findKind, peopleCountMaxOf } from '../profile/identity-rules.ts'
import type { Person } from '../profile/person.ts'
import {
  beats,
  type Hold,
  isApart,
  keysOf,
  type MergeRefusalReason,
  mergeRefusalReasons,
} from '../profile/ties.ts'
import { noteFindings } from './finding.ts'
import {
  type AskSkeleton,
  askByStated,
  type ClaimSkeleton,
  limitReached,
  type MovedSkeleton,
  noteMergeRefusal,
  sendAsk,
  sendClaim,
} from './link-identity.ts'
import { type FoldScope, keepPerson, keysOfPerson, readPerson, send, writePerson } from './scope.ts'
import { detach, movePerson, sendStated } from './send-part.ts'

interface RefusedSkeleton {
  /** That did not join, or went to somebody else. */
  readonly keys: readonly string[]
  /**
   * `moved`: to who named it later. `taken`: to whom a user's own word gave it. `unseen`: it has
   * joined, and takes no place before it is seen.
   */
  readonly reason: MergeRefusalReason | 'moved' | 'taken' | 'unseen'
  /** Who has it now, since when; of what was not seen, the claim that is answered. */
  readonly hold?: Hold
  /** Absent where it is the first of `keys`. */
  readonly byKey?: string
}

/** At a lower key: reserves places for a person and claims them, or passes it on, or refuses. */
export async function foldIdentityAsk(scope: FoldScope, record: LogRecord): Promise<void> {
  const ask = record.skeleton as AskSkeleton
  const { byKey, atMs } = ask
  await scope.view.load(keysOfPerson(record.key))
  const person = readPerson(scope, record.key)
  if (byKey === person.key || byKey === person.pointer) return
  const refuse = (reason: MergeRefusalReason): void => {
    const keys = ask.forKey === undefined ? [] : [ask.forKey]
    // A device that asked by an external id goes on to its next one.
    sendRefused(scope, byKey, { keys, reason, byKey: ask.via ?? person.key })
  }
  if (isApart(person, byKey)) return refuse('taken-out')
  if (person.isShared === true) return refuse('shared')
  if (isUnseenUser(person)) {
    return void (await admitClaimant(scope, person, { leaderKey: byKey }, record))
  }
  if (person.pointer !== undefined) return sendAsk(scope, person.pointer, ask)
  const keys = [...new Set([byKey, ...ask.keys])].filter((key) => key !== person.key)
  const reason = limitReached(scope, person, keys)
  if (reason !== undefined) {
    await noteMergeRefusal(scope, person, { key: byKey, reason }, record)
    keep(scope, person)
    return refuse(reason)
  }
  for (const key of keys) {
    // A time is of the person's own word: what a device says of an external id is none.
    const isNamed = key === byKey && ask.via === undefined
    person.claimed[key] = Math.max(person.claimed[key] ?? 0, isNamed ? atMs : 0)
  }
  keep(scope, person)
  const { via, forKey } = ask
  const given = { leaderKey: person.key, atMs, keyCount: keys.length }
  sendClaim(scope, byKey, {
    ...given,
    ...(via === undefined ? {} : { via }),
    ...(forKey === undefined ? {} : { forKey }),
  })
}

/** At the key that is to join: moves, asks for more room, passes the claim on, or refuses. */
export async function foldIdentityClaim(scope: FoldScope, record: LogRecord): Promise<void> {
  const claim = record.skeleton as ClaimSkeleton
  const { leaderKey } = claim
  await scope.view.load(keysOfPerson(record.key))
  const person = readPerson(scope, record.key)
  const isJoining = isUserKey(person.key) || joinsUsers(scope, person)
  const hold = holdOf(claim)
  if (isApart(person, leaderKey)) {
    return refuseClaim(scope, person, claim, 'taken-out')
  }
  if (person.pointer === leaderKey) {
    if (person.hold === undefined || beats(hold, person.hold)) {
      person.hold = hold
      keep(scope, person)
    }
    return
  }
  if (claim.isGuess === true && person.version === 0) {
    sendRefused(scope, leaderKey, { keys: [person.key], reason: 'unseen', hold })
  }
  const isUnseen = isUnseenUser(person)
  if (isUnseen || (!isUserKey(person.key) && isUserKey(leaderKey))) {
    if (person.isShared === true) return refuseClaim(scope, person, claim, 'shared')
    if (!(await admitClaimant(scope, person, claim, record)) || isUnseen) return
  }
  if (person.pointer === undefined) {
    const keys = keysOf(person)
    if (keys.length > claim.keyCount) {
      const { atMs, via, forKey } = claim
      sendAsk(scope, leaderKey, {
        byKey: person.key,
        keys,
        atMs,
        ...(via === undefined ? {} : { via }),
        ...(forKey === undefined ? {} : { forKey }),
      })
      return keep(scope, person)
    }
    movePerson(scope, person, hold)
  } else if (isUserKey(person.key) || (isJoining && isUserKey(person.pointer) && hold.isDirect)) {
    unite(scope, [leaderKey, person.pointer], { atMs: claim.atMs, forKey: person.key })
    return keep(scope, person)
  } else {
    await contest(scope, person, hold, record)
  }
}

/** Tells a key that joined `fromKey` where that one went: paths stay short. */
export async function foldIdentityMoved(scope: FoldScope, record: LogRecord): Promise<void> {
  const { fromKey, leaderKey } = record.skeleton as MovedSkeleton
  await scope.view.load(keysOfPerson(record.key))
  const person = readPerson(scope, record.key)
  if (person.pointer !== fromKey) return
  if (isApart(person, leaderKey)) {
    // It was taken out of those whom it would come back to by way of another; its part follows.
    detach(scope, person)
    return keep(scope, person)
  }
  person.pointer = leaderKey
  if (person.hold?.key === fromKey) person.hold = { ...person.hold, key: leaderKey }
  const claimants = person.claimants?.map((key) => (key === fromKey ? leaderKey : key))
  if (claimants !== undefined) person.claimants = [...new Set(claimants)]
  keep(scope, person)
}

/** At the one who does not have a key, or not any more; who named it later claims it again. */
export async function foldIdentityRefused(scope: FoldScope, record: LogRecord): Promise<void> {
  const { keys, reason, hold, byKey } = record.skeleton as RefusedSkeleton
  await scope.view.load(keysOfPerson(record.key))
  const person = readPerson(scope, record.key)
  if (person.pointer !== undefined) {
    sendRefused(scope, person.pointer, record.skeleton as RefusedSkeleton)
    return
  }
  // Who has it by now has joined this person meanwhile, so that nothing was lost.
  const isOwn = reason === 'moved' && hold !== undefined && keysOf(person).includes(hold.key)
  for (const key of keys) {
    const namedAtMs = person.claimed[key]
    if (namedAtMs === undefined || isOwn) continue
    // It answers a claim by way of an external id; a claim in the person's own name has its own.
    if (reason === 'taken' && namedAtMs > 0) continue
    const own: Hold = { key: person.key, atMs: namedAtMs, isDirect: true }
    const isLater = hold !== undefined && beats(own, hold)
    const claim = { leaderKey: person.key, atMs: namedAtMs, keyCount: 1 }
    if (reason === 'unseen' && isLater) sendClaim(scope, key, { ...claim, isGuess: true })
    if (reason === 'moved' && isLater) sendClaim(scope, key, claim)
    else delete person.claimed[key]
  }
  const isRefused = mergeRefusalReasons.find((known) => known === reason)
  if (isRefused !== undefined) {
    const key = byKey ?? keys[0] ?? ''
    await noteMergeRefusal(scope, person, { key, reason: isRefused }, record)
    askByStated(scope, person)
  }
  keep(scope, person)
}

/**
 * A user of whom no event has come: the id before of an alias call may be that of a device. They
 * join nobody, and lead nobody, until they are seen.
 */
function isUnseenUser({ key, version, pointer }: Person): boolean {
  return isUserKey(key) && version === 0 && pointer === undefined
}

/** Counts a user among those who claim this key; with too many of them it is nobody's. */
async function admitClaimant(
  scope: FoldScope,
  person: Person,
  claim: Pick<ClaimSkeleton, 'leaderKey' | 'forKey'>,
  record: LogRecord,
): Promise<boolean> {
  const claimants = person.claimants ?? []
  if (claimants.includes(claim.leaderKey)) return true
  person.claimants = [...claimants, claim.leaderKey]
  keepPerson(scope, person)
  const countMax = peopleCountMaxOf(scope.definitions.identity, kindOfKey(person.key))
  if (person.claimants.length <= countMax) return true
  person.isShared = true
  delete person.claimants
  const before = person.pointer
  if (before !== undefined) detach(scope, person)
  await noteFindings(scope, ['identity-shared'], { record, name: kindOfKey(person.key) })
  keep(scope, person)
  refuseClaim(scope, person, claim, 'shared')
  if (before !== undefined) sendRefused(scope, before, { keys: [person.key], reason: 'shared' })
  return false
}

/** Settles who has a device or an external id that two have claimed. */
async function contest(
  scope: FoldScope,
  person: Person,
  claim: Hold,
  record: LogRecord,
): Promise<void> {
  const { pointer = '', hold = { key: pointer, atMs: 0, isDirect: false } } = person
  const isWon = (claim.isDirect || hold.isDirect) && beats(claim, hold)
  const [winner, loser] = isWon ? [claim, hold] : [hold, claim]
  const loserKey = isWon ? pointer : claim.key
  const winnerKey = isWon ? claim.key : pointer
  const keys = [person.key]
  if (winner.isDirect && loser.isDirect) {
    await noteFindings(scope, ['identity-contested'], { record, name: kindOfKey(person.key) })
    sendRefused(scope, loserKey, { keys, reason: 'moved', hold: { ...winner, key: winnerKey } })
  } else {
    sendRefused(scope, loserKey, { keys, reason: 'taken' })
    // No user says that the two are not one person: the external id goes where its device is.
    const joined = isExternalKey(loserKey) ? { [loserKey]: loser.atMs } : {}
    sendStated(scope, person, winnerKey, joined)
  }
  if (isWon) {
    person.pointer = claim.key
    person.hold = claim
  }
  keep(scope, person)
}

/** Joins two persons who were found to have the same key. */
function unite(
  scope: FoldScope,
  [left, right]: readonly [string, string],
  given: { readonly atMs: number; readonly forKey: string },
): void {
  if (left === right) return
  const isLeftLower = compareKeys(left, right) < 0
  const [leaderKey, byKey] = isLeftLower ? [left, right] : [right, left]
  if (isLeftLower) sendClaim(scope, byKey, { ...given, leaderKey, keyCount: 1 })
  else sendAsk(scope, leaderKey, { ...given, byKey, keys: [byKey] })
}

function refuseClaim(
  scope: FoldScope,
  person: Person,
  claim: Pick<ClaimSkeleton, 'leaderKey' | 'forKey'>,
  reason: MergeRefusalReason,
): void {
  const keys = [...keysOf(person), ...(claim.forKey === undefined ? [] : [claim.forKey])]
  sendRefused(scope, claim.leaderKey, { keys, reason, byKey: person.key })
}

function sendRefused(scope: FoldScope, key: string, skeleton: RefusedSkeleton): void {
  send(scope, { kind: 'identity-refused', key, skeleton })
}

function holdOf({ leaderKey, atMs, via }: ClaimSkeleton): Hold {
  return { key: leaderKey, atMs, isDirect: via === undefined && isUserKey(leaderKey) }
}

function joinsUsers(scope: FoldScope, { key }: Person): boolean {
  return findKind(scope.definitions.identity, kindOfKey(key))?.joinsUsers === true
}

/** A key of which nothing is known but who has it is no person yet. */
function keep(scope: FoldScope, person: Person): void {
  if (person.version === 0) keepPerson(scope, person)
  else writePerson(scope, person)
}
