/**
 * How what one identity key contributes gets from one partition to another, and back.
 *
 * A person who joins another sends all they have in one record; nothing stays but the pointer and
 * the ids seen. What was running goes on there with the same trigger, its wait counted from when
 * it began. Whoever is joined to a third meanwhile passes the part on.
 */

import type { LogRecord } from '../log/record.ts'
import { emptyPack } from '../profile/activity-pack.ts'
import { cutBought } from '../profile/bought-pack.ts'
import { decodeComputed } from '../profile/computed/computed-pack.ts'
import { settleHabits } from '../profile/habit/habit-pack.ts'
import { mergePart } from '../profile/merge-part.ts'
import {
  cutActivity,
  decodePerson,
  type Enrollment,
  encodePerson,
  findPart,
  newPart,
  type Person,
  type PersonTraits,
  type ProfilePart,
  setTraits,
  traitPrefix,
} from '../profile/person.ts'
import { mergeSeen } from '../profile/seen.ts'
import { bar, type Hold, isBarred, keysOf, leave, mergeClaimed } from '../profile/ties.ts'
import { noteArrival, noteLeaving, notePassing } from '../profile/trail.ts'
import { endExited, takeOverEnrollments } from './carry-enrollment.ts'
import { mergeComputed } from './computed-stage.ts'
import { dropMemberships, updateAllMemberships } from './evaluate-segments.ts'
import { topicLeft } from './fold-event.ts'
import { linkKeys, type MovedSkeleton } from './link-identity.ts'
import { decodeJson } from './meta.ts'
import {
  type FoldScope,
  keepPerson,
  keysOfPerson,
  partIdAt,
  readPerson,
  readTraits,
  send,
  writePerson,
  writeTraits,
} from './scope.ts'
import { endAllEnrollments } from './trigger.ts'

export interface PartSkeleton {
  readonly fromKey: string
  /** Keys whose parts it holds. */
  readonly keys: readonly string[]
  /** Where it was taken out of a person: who led them. */
  readonly takenFrom?: string
  /** Who led them before it was taken out, where it was passed on since. */
  readonly returnedFrom?: string
  /** It was passed on to the very one it had been taken out of. */
  readonly isAgain?: boolean
}

interface SentPart {
  /** Base 64 of the person as stored; absent where only `stated` is sent. */
  readonly person?: string
  readonly traits?: PersonTraits
  /** What was running, each with the partition of its trigger. */
  readonly running?: readonly Enrollment[]
  /** External ids that the one who gets this has by it. */
  readonly stated?: Readonly<Record<string, number>>
}

/** Gives a person over to the one who claims them. */
export function movePerson(scope: FoldScope, person: Person, hold: Hold): void {
  const leaderKey = hold.key
  const running = Object.values(person.enrollments).map((one) => withPlace(scope, person, one))
  endAllEnrollments(scope, person)
  dropMemberships(scope, person)
  const { stated, claimed } = person
  delete person.stated
  // Of a key that was never seen there is nothing to tell.
  if (person.version > 0 || stated !== undefined || Object.keys(claimed).length > 0) {
    const traits = readTraits(scope, person.key)
    for (const part of person.parts) noteLeaving(person, part, leaderKey, partIdAt(scope))
    sendPart(scope, leaderKey, person, { traits, running, ...(stated ? { stated } : {}) })
  }
  for (const key of Object.keys(claimed)) {
    const skeleton: MovedSkeleton = { fromKey: person.key, leaderKey }
    send(scope, { kind: 'identity-moved', key, skeleton })
  }
  person.pointer = leaderKey
  person.hold = hold
  person.parts = []
  person.claimed = {}
  if (person.version === 0) keepPerson(scope, person)
  else writePerson(scope, person)
  scope.view.remove(traitPrefix + person.key)
}

/** Tells who has a device which external ids they have by it, beside `joined`. */
export function sendStated(
  scope: FoldScope,
  device: Person,
  leaderKey: string,
  joined: Readonly<Record<string, number>>,
): void {
  const stated = { ...joined, ...device.stated }
  delete device.stated
  if (Object.keys(stated).length === 0) return
  const skeleton: PartSkeleton = { fromKey: device.key, keys: [] }
  const sent: SentPart = { stated }
  send(scope, { kind: 'identity-part', key: leaderKey, skeleton, body: encode(sent) })
}

/** At the one who leads: takes in what another sends. */
export async function foldIdentityPart(scope: FoldScope, record: LogRecord): Promise<void> {
  await scope.view.load(keysOfPerson(record.key))
  const person = readPerson(scope, record.key)
  const { takenFrom, isAgain = false, ...given } = record.skeleton as PartSkeleton
  const skeleton = takenFrom === undefined ? given : { ...given, returnedFrom: takenFrom }
  if (takenFrom !== undefined) {
    leave(person, takenFrom)
    // It came back to them before they let it go, or by way of another: it ends here.
    if (person.pointer === takenFrom || (isAgain && person.pointer !== undefined)) {
      detach(scope, person)
    }
  }
  if (person.pointer !== undefined) {
    for (const part of partsSentBy(record).parts) notePassing(person, part, person.pointer)
    keepPerson(scope, person)
    const body = Uint8Array.from(record.body)
    send(scope, { kind: 'identity-part', key: person.pointer, skeleton, body })
    return
  }
  const { stated = {}, running = [], ...sent } = decodeJson<SentPart>(record.body)
  if (sent.person !== undefined) {
    const joined = decodePerson(Buffer.from(sent.person, 'base64'))
    takeIn(scope, person, joined, sent.traits ?? {})
    for (const key of keysOf(person)) {
      // It was taken out of one of the two, and the other had it, or got it again.
      if (isBarred(person, key)) {
        returnPart(scope, person, key, { isAgain: skeleton.returnedFrom === person.key })
      }
    }
    endExited(scope, person)
    takeOverEnrollments(scope, person, running, skeleton.fromKey)
  }
  const keys = Object.keys(stated)
  for (const key of keys) {
    await linkKeys(scope, person, [key], { record, atMs: stated[key] ?? 0 })
  }
  if (person.version === 0) updateAllMemberships(scope, person, readTraits(scope, person.key))
  writePerson(scope, person)
}

/** Makes a key its own person again, of whom nothing is known yet. */
export function detach(scope: FoldScope, person: Person): void {
  delete person.pointer
  delete person.hold
  person.parts = [newPart(person, person.key, partIdAt(scope))]
  // Rules may also ask for what was not done.
  if (person.version > 0) updateAllMemberships(scope, person, {})
}

/** Takes a part out of a person and sends it back to its key; nothing is subtracted. */
export function returnPart(
  scope: FoldScope,
  person: Person,
  partKey: string,
  { isAgain }: { readonly isAgain: boolean } = { isAgain: false },
): void {
  const traits = readTraits(scope, person.key)
  const part = person.parts.find(({ key }) => key === partKey)
  const own = Object.values(person.enrollments).filter(({ fromKey }) => fromKey === partKey)
  const running = own.map((one) => withPlace(scope, person, one))
  endAllEnrollments(scope, person, ({ fromKey }) => fromKey === partKey)
  if (part !== undefined) noteLeaving(person, part, partKey, partIdAt(scope))
  person.parts = person.parts.filter((each) => each !== part)
  delete person.claimed[partKey]
  bar(person, [partKey])
  const returned: Person = {
    ...person,
    key: partKey,
    claimed: {},
    parts: part === undefined ? [] : [part],
    seen: emptyPack,
    memberships: {},
    segmentTimers: {},
    enrollments: {},
    openMessages: {},
  }
  delete returned.barred
  delete returned.crossings
  delete returned.left
  delete returned.refusals
  const partTraits = Object.hasOwn(traits, partKey) ? { [partKey]: traits[partKey] ?? {} } : {}
  const back = { takenFrom: person.key, ...(isAgain ? { isAgain } : {}) }
  sendPart(scope, partKey, returned, { traits: partTraits, running }, back)
  delete traits[partKey]
  writeTraits(scope, person.key, traits)
  updateAllMemberships(scope, person, traits)
  writePerson(scope, person)
}

function sendPart(
  scope: FoldScope,
  key: string,
  person: Person,
  more: Omit<SentPart, 'person'>,
  back: Pick<PartSkeleton, 'takenFrom' | 'isAgain'> = {},
): void {
  const sentPerson: Person = { ...person, steps: emptyPack }
  delete sentPerson.trail
  const sent: SentPart = {
    ...more,
    person: Buffer.from(encodePerson(sentPerson)).toString('base64'),
  }
  const skeleton: PartSkeleton = {
    fromKey: person.key,
    keys: person.parts.map((part) => part.key),
    ...back,
  }
  send(scope, { kind: 'identity-part', key, skeleton, body: encode(sent) })
}

function takeIn(scope: FoldScope, person: Person, joined: Person, given: PersonTraits): void {
  const traits = readTraits(scope, person.key)
  for (const part of joined.parts) {
    noteArrival(person, part, findPart(person, part.key))
    takeStates(scope, person, part)
    mergePart(person, part)
    const partTraits = given[part.key]
    if (partTraits === undefined) continue
    const { droppedCount } = setTraits(traits, part.key, partTraits)
    scope.meta.counts.traitsDropped += droppedCount
  }
  cutBought(person.parts)
  cutActivity(person)
  settleHabits(person.parts)
  const { seen, isCut } = mergeSeen(person.seen, joined.seen, scope.nowMs)
  person.seen = seen
  if (isCut) scope.meta.counts.horizonCut++
  mergeClaimed(person, joined.claimed)
  bar(
    person,
    (joined.barred ?? []).filter((key) => key !== person.key),
  )
  for (const [topic, atMs] of Object.entries(joined.withdrawn)) {
    if (!Object.hasOwn(person.withdrawn, topic)) person.withdrawn[topicLeft(person, topic)] = atMs
  }
  writeTraits(scope, person.key, traits)
  updateAllMemberships(scope, person, traits)
}

/** States for a part that is there already are merged into it; `mergePart` does not know how. */
function takeStates(scope: FoldScope, person: Person, part: ProfilePart): void {
  const known = findPart(person, part.key)
  if (known === undefined || part.computed === undefined) return
  mergeComputed(scope.computed.plan, person, known, decodeComputed(part.computed), scope.nowMs)
}

/** Returns the parts that a record takes from one key to another; none for most. */
export function partsSentBy({ kind, skeleton, body }: LogRecord): {
  readonly fromKey: string
  readonly parts: readonly ProfilePart[]
} {
  if (kind !== 'identity-part') return { fromKey: '', parts: [] }
  const { fromKey, takenFrom } = skeleton as PartSkeleton
  const { person } = decodeJson<SentPart>(body)
  const parts = person === undefined ? [] : decodePerson(Buffer.from(person, 'base64')).parts
  return { fromKey: takenFrom ?? fromKey, parts }
}

/**
 * Returns the record without the states of computed traits in it: who reads the past again finds
 * these where their events were folded.
 */
export function withoutStates(record: LogRecord): LogRecord {
  if (record.kind !== 'identity-part') return record
  const sent = decodeJson<SentPart>(record.body)
  if (sent.person === undefined) return record
  const person = decodePerson(Buffer.from(sent.person, 'base64'))
  for (const part of person.parts) delete part.computed
  const bytes = Buffer.from(encodePerson(person)).toString('base64')
  return { ...record, body: encode({ ...sent, person: bytes }) }
}

function withPlace(scope: FoldScope, person: Person, one: Enrollment): Enrollment {
  const partition = one.trigger.partition ?? scope.view.partition
  return { ...one, fromKey: one.fromKey ?? person.key, trigger: { ...one.trigger, partition } }
}

function encode(sent: SentPart): Uint8Array {
  return Buffer.from(JSON.stringify(sent))
}
