/**
 * Taking a wrongly merged key out again, and joining two that somebody asks to join.
 *
 * Split: the key drops its pointer, and asks for its part, which comes back from whoever leads;
 * events on their way come after it. Both keep that the other is barred, so the same pair does not
 * join by itself again. Join lifts the bar on both sides, and joins.
 */

import type { LogRecord } from '../log/record.ts'
import { leave, liftBar } from '../profile/ties.ts'
import { linkKeys } from './link-identity.ts'
import { type FoldScope, keepPerson, keysOfPerson, readPerson, send, writePerson } from './scope.ts'
import { detach, returnPart } from './send-part.ts'

export interface TakenOutSkeleton {
  readonly partKey: string
}

/**
 * First at the higher of two keys, so that it comes behind a split of it; then at the lower one, or
 * whoever leads it; then back, before the claim.
 */
export interface JoinSkeleton {
  readonly otherKey: string
  readonly stage?: 'lower' | 'back'
}

/** At a key that is to be taken out of the person it joined. */
export async function foldIdentitySplit(scope: FoldScope, record: LogRecord): Promise<void> {
  await scope.view.load(keysOfPerson(record.key))
  const person = readPerson(scope, record.key)
  const { pointer } = person
  if (pointer === undefined) return
  leave(person, pointer)
  detach(scope, person)
  const skeleton: TakenOutSkeleton = { partKey: person.key }
  send(scope, { kind: 'identity-taken-out', key: pointer, skeleton })
  writePerson(scope, person)
}

/** At the one who leads: gives the part back. */
export async function foldIdentityTakenOut(scope: FoldScope, record: LogRecord): Promise<void> {
  const skeleton = record.skeleton as TakenOutSkeleton
  await scope.view.load(keysOfPerson(record.key))
  const person = readPerson(scope, record.key)
  if (person.pointer === undefined) returnPart(scope, person, skeleton.partKey)
  else send(scope, { kind: 'identity-taken-out', key: person.pointer, skeleton })
}

/** Lets two keys join that somebody asks to join: whatever kept them apart no longer does. */
export async function foldIdentityJoin(scope: FoldScope, record: LogRecord): Promise<void> {
  const { otherKey, stage } = record.skeleton as JoinSkeleton
  const sendOn = (key: string, skeleton: JoinSkeleton): void =>
    send(scope, { kind: 'identity-join', key, skeleton })
  await scope.view.load(keysOfPerson(record.key))
  const person = readPerson(scope, record.key)
  const { key, pointer } = person
  if (stage === 'lower' && pointer !== undefined) return sendOn(pointer, { otherKey, stage })
  liftBar(person, otherKey)
  if (stage === undefined) sendOn(otherKey, { otherKey: key, stage: 'lower' })
  // What kept them apart may lie with the one whom this key has joined since.
  if (stage === 'back' && pointer !== undefined) sendOn(pointer, { otherKey, stage })
  if (stage === 'lower' && otherKey !== key) {
    sendOn(otherKey, { otherKey: key, stage: 'back' })
    // Where it was claimed already, by an event that came too early, it is claimed again.
    delete person.claimed[otherKey]
    await linkKeys(scope, person, [otherKey], { record, atMs: scope.nowMs })
  }
  if (person.version === 0) keepPerson(scope, person)
  else writePerson(scope, person)
}
