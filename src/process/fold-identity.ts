/**
 * Identity, as messages between partitions.
 *
 * A user's first event on a device claims the device's key. The device's partition stores the
 * pointer, sends what it knows as a part with the ids of its events, and forwards later events with
 * theirs: what the client sends again in the user's name is known. Pointers only go from a device
 * to a user, so there are no cycles. The first claim gets the past; a later one gets events from
 * that place on, and the losing user is told.
 */

import { isJsonObject } from '../lib/json.ts'
import type { LogRecord } from '../log/record.ts'
import { emptyPack } from '../profile/activity-pack.ts'
import {
  countNames,
  cutActivity,
  decodePerson,
  encodePerson,
  findPart,
  type Person,
  type PersonTraits,
  partCountMax,
  profileNameCountMax,
  setTraits,
  traitPrefix,
} from '../profile/person.ts'
import { mergeSeen } from '../profile/seen.ts'
import { updateAllMemberships } from './evaluate-segments.ts'
import { withdraw } from './fold-event.ts'
import { decodeJson } from './meta.ts'
import { timerKey } from './partition-view.ts'
import {
  type FoldScope,
  keysOfPerson,
  readPerson,
  readTraits,
  send,
  writePerson,
  writeTraits,
} from './scope.ts'
import { endAllEnrollments } from './trigger.ts'

interface SentPart {
  /** Base 64 of the person as stored. */
  readonly person: string
  readonly traits: PersonTraits
}

/** At the device: stores the pointer and sends the past to the first user who claims it. */
export async function foldIdentityClaim(scope: FoldScope, record: LogRecord): Promise<void> {
  const userKey = textOf(record.skeleton, 'userKey')
  await scope.view.load(keysOfPerson(record.key))
  const person = readPerson(scope, record.key)
  if (person.pointer === userKey) return
  if (person.pointer !== undefined) {
    const skeleton = { deviceKey: record.key, winnerKey: userKey }
    send(scope, { kind: 'identity-refused', key: person.pointer, skeleton })
    person.pointer = userKey
    writePerson(scope, person)
    return
  }
  endAllEnrollments(scope, person)
  dropSegmentState(scope, person)
  const sent: SentPart = {
    person: Buffer.from(encodePerson({ ...person, steps: emptyPack })).toString('base64'),
    traits: readTraits(scope, record.key),
  }
  const body = Buffer.from(JSON.stringify(sent))
  send(scope, { kind: 'identity-part', key: userKey, skeleton: { deviceKey: record.key }, body })
  person.pointer = userKey
  person.parts = []
  writePerson(scope, person)
  scope.view.remove(traitPrefix + record.key)
}

/** At the user: takes the device's past in as a part. */
export async function foldIdentityPart(scope: FoldScope, record: LogRecord): Promise<void> {
  await scope.view.load(keysOfPerson(record.key))
  const person = readPerson(scope, record.key)
  const sent = decodeJson<SentPart>(record.body)
  const device = decodePerson(Buffer.from(sent.person, 'base64'))
  const all = [...person.parts, ...device.parts]
  const isRefused = all.length > partCountMax || countNames(all) > profileNameCountMax
  if (isRefused || person.pointer !== undefined) {
    scope.meta.counts.mergesRefused++
    return
  }
  const traits = readTraits(scope, person.key)
  for (const part of device.parts) {
    if (findPart(person, part.key) !== undefined) continue
    person.parts.push(part)
    const partTraits = sent.traits[part.key]
    if (partTraits === undefined) continue
    const { droppedCount } = setTraits(traits, part.key, partTraits)
    scope.meta.counts.traitsDropped += droppedCount
  }
  cutActivity(person)
  const { seen, isCut } = mergeSeen(person.seen, device.seen, scope.nowMs)
  person.seen = seen
  if (isCut) scope.meta.counts.horizonCut++
  writeTraits(scope, person.key, traits)
  updateAllMemberships(scope, person, traits)
  person.rulesHash = scope.definitions.segmentsHash
  for (const [topic, atMs] of Object.entries(device.withdrawn)) {
    if (!Object.hasOwn(person.withdrawn, topic)) withdraw(person, topic, atMs)
  }
  writePerson(scope, person)
}

/** At the user who lost the device to another: it may be claimed again by a later event. */
export async function foldIdentityRefused(scope: FoldScope, record: LogRecord): Promise<void> {
  const deviceKey = textOf(record.skeleton, 'deviceKey')
  await scope.view.load(keysOfPerson(record.key))
  const person = readPerson(scope, record.key)
  person.claimed = person.claimed.filter((key) => key !== deviceKey)
  writePerson(scope, person)
}

function dropSegmentState(scope: FoldScope, person: Person): void {
  for (const [name, dueMs] of Object.entries(person.segmentTimers)) {
    scope.view.removeTimer(timerKey(dueMs, person.key, `segment:${name}`))
  }
  person.memberships = {}
  person.segmentTimers = {}
}

function textOf(skeleton: unknown, name: string): string {
  const value = isJsonObject(skeleton) ? skeleton[name] : undefined
  return typeof value === 'string' ? value : ''
}
