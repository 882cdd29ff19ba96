/**
 * What an operator asks of identity: to take a key out of a person, or to join two. Checked against
 * the committed state, and made into a record; the fold does the rest, wherever the keys are by
 * then.
 */

import { findPerson, type StatePlace } from '../delivery/read-state.ts'
import { readId } from '../event/identity-field.ts'
import type { Clock } from '../lib/clock.ts'
import type { Random } from '../lib/random.ts'
import { emptyBody, type NewRecord, partitionOf } from '../log/record.ts'
import { compareKeys, externalKeyPattern, isDeviceKey, isUserKey } from '../profile/identity-key.ts'
import { decodePerson, type Person, personPrefix } from '../profile/person.ts'
import type { JoinSkeleton } from './fold-split.ts'

export interface OrderDeps {
  readonly place: StatePlace
  readonly clock: Clock
  readonly random: Random
}

export interface OrderRefusal {
  readonly kind: 'refused'
  readonly code: 'invalid' | 'unknown' | 'conflict'
  /** JSON pointer into what was asked. */
  readonly path: string
  readonly says: string
}

export type PlannedOrder =
  | {
      readonly kind: 'order'
      readonly key: string
      /** Who leads the person. */
      readonly leaderKey: string
      readonly record: NewRecord
    }
  | OrderRefusal

/** Plans to take `key` out of the person it joined; out of `from`, where that is given. */
export async function planSplit(
  deps: OrderDeps,
  key: string,
  from: string | undefined,
): Promise<PlannedOrder> {
  const fault =
    faultOfKey(key, '/key') ?? (from === undefined ? undefined : faultOfKey(from, '/from'))
  if (fault !== undefined) return fault
  const person = await readOne(deps.place, key)
  if (person === undefined) return refuse('unknown', '/key', 'Nothing is known of this key.')
  if (person.pointer === undefined) {
    return refuse('conflict', '/key', 'It leads its person, or is alone: take the others out.')
  }
  const leaderKey = (await findPerson(deps.place, key))?.person.key ?? person.pointer
  if (from !== undefined && from !== leaderKey) {
    return refuse('conflict', '/from', 'It belongs to somebody else by now.')
  }
  return { kind: 'order', key, leaderKey, record: recordOf(deps, 'identity-split', key, {}) }
}

/** Plans to join two keys; of the two the lower one leads. */
export async function planJoin(
  deps: OrderDeps,
  [left, right]: readonly [string, string],
): Promise<PlannedOrder> {
  const fault = faultOfKey(left, '/keys/0') ?? faultOfKey(right, '/keys/1')
  if (fault !== undefined) return fault
  if (left === right) return refuse('invalid', '/keys/1', 'A key cannot be joined to itself.')
  for (const [index, key] of [left, right].entries()) {
    const isKnown = (await readOne(deps.place, key)) !== undefined
    if (!isKnown) return refuse('unknown', `/keys/${index}`, 'Nothing is known of this key.')
  }
  const [leaderKey, key] = compareKeys(left, right) < 0 ? [left, right] : [right, left]
  const skeleton: JoinSkeleton = { otherKey: leaderKey }
  return { kind: 'order', key, leaderKey, record: recordOf(deps, 'identity-join', key, skeleton) }
}

function faultOfKey(key: string, path: string): OrderRefusal | undefined {
  if (isUserKey(key) || isDeviceKey(key)) {
    const id = readId(key.slice(key.indexOf(':') + 1), false)
    if (id.kind === 'id') return undefined
    return refuse('invalid', path, id.kind === 'refused' ? id.says : 'The id is empty.')
  }
  if (externalKeyPattern.test(key)) return undefined
  const says = 'Not user:ID, anonymous:ID, or the key of an external id as a profile shows it.'
  return refuse('invalid', path, says)
}

async function readOne(place: StatePlace, key: string): Promise<Person | undefined> {
  const partition = partitionOf(place.workspace, key, place.partitionCount)
  const [bytes] = await place.state.get(partition, [personPrefix + key])
  return bytes === undefined ? undefined : decodePerson(bytes)
}

function recordOf(
  { place, clock, random }: OrderDeps,
  kind: 'identity-split' | 'identity-join',
  key: string,
  skeleton: unknown,
): NewRecord {
  return {
    partition: partitionOf(place.workspace, key, place.partitionCount),
    key,
    kind,
    id: random.bytes(16),
    recordedAtMs: clock.nowMs(),
    isBackfill: false,
    keyId: 0,
    skeleton,
    body: emptyBody,
  }
}

function refuse(code: OrderRefusal['code'], path: string, says: string): OrderRefusal {
  return { kind: 'refused', code, path, says }
}
