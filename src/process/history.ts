/**
 * The past of people: where the records lie that made each version, and a checkpoint after each
 * `checkpointStepCount` of them.
 *
 * A person carries its newest steps along; each `stepCountMax` of them are put aside under a key of
 * their own. The one that completes `checkpointStepCount` also holds the person's keys as they are
 * behind it, without the ids seen. That is made when record or timer is done, not at the commit:
 * where a batch ends is not the log's to say. Versions between two checkpoints need the earlier
 * one, so all of it goes by one timer, when the last of them is old enough.
 */

import { assert } from '../lib/assert.ts'
import { emptyPack } from '../profile/activity-pack.ts'
import { encodePerson, type Person, personPrefix } from '../profile/person.ts'
import {
  beginSteps,
  countSteps,
  readCheckpointVersion,
  stepCountMax,
} from '../profile/step-pack.ts'
import { timerKey } from './partition-view.ts'
import {
  bytesCodec,
  type FoldScope,
  firedKey,
  historyKey,
  historyPrefix,
  jsonCodec,
  keysOfPerson,
} from './scope.ts'

/**
 * A version that a timer made, and the offset of the record before which it fired; or one that a
 * `continue` or a `filled` record made, and its offset.
 */
export type Fired = [offset: number, version: number, personKey: string, atMs: number, what: string]

export const firedCodec = jsonCodec<Fired>()

export interface Aside {
  /** The steps up to this version. */
  readonly steps: Uint8Array
  /**
   * At a checkpoint the value of each key of the person, in the order of `keysOfPerson`; else
   * empty.
   */
  readonly values: readonly (Uint8Array | undefined)[]
}

/**
 * Steps folded again for an answer at most; a checkpoint has some KB, so each of them costs some
 * ten bytes.
 */
export const checkpointStepCount = 256
/** Keys taken away by one timer. */
const dropCountMax = 500
/** Changes by timers and new rules that a follower of one partition may be behind. */
export const firedCountMax = 20_000
const layoutVersion = 1
const absent = 0xffffffff

/**
 * Puts aside what is due after a record or a timer; there is nothing to wait for where nothing is.
 * `what` names it where no record's key tells whom it changed.
 */
export function keepHistory(scope: FoldScope, what?: string): Promise<void> | undefined {
  const { noted } = scope
  if (noted.size === 0) return undefined
  let isDue = what !== undefined
  for (const [person, hasBefore] of noted) isDue ||= isAsideDue(person, hasBefore)
  if (isDue) return keepNoted(scope, what)
  noted.clear()
  return undefined
}

async function keepNoted(scope: FoldScope, what: string | undefined): Promise<void> {
  const { noted } = scope
  for (const [person, hasBefore] of noted) {
    if (what !== undefined) noteFired(scope, person, what)
    if (isAsideDue(person, hasBefore)) await putAside(scope, person, hasBefore)
  }
  noted.clear()
}

/** Tells whether the next version of a person will be put aside with all keys of the person. */
export function beginsHistory({ meta }: FoldScope, { steps, version }: Person): boolean {
  return (meta.historyMs ?? 0) > 0 && steps.length === 0 && version > 0
}

function isAsideDue({ steps }: Person, hasBefore: boolean): boolean {
  return !hasBefore || countSteps(steps) >= stepCountMax
}

/**
 * A version that a record made is found by its key; one that a timer made, or a record that reaches
 * many people, is noted for the feed of changes. The newest `firedCountMax` of a partition are
 * kept.
 */
function noteFired({ view, meta, offset, nowMs }: FoldScope, person: Person, what: string): void {
  const number = meta.firedNext ?? 1
  meta.firedNext = number + 1
  view.write(firedKey(number), [offset, person.version, person.key, nowMs, what], firedCodec)
  if (number > firedCountMax) view.remove(firedKey(number - firedCountMax))
}

/**
 * Takes away what lies aside of a person before a version; `name` is that version, and behind a
 * colon where to go on. What is too much for one commit is left to another timer.
 */
export async function dropHistory(
  { view, nowMs }: FoldScope,
  personKey: string,
  name: string,
): Promise<void> {
  const [version = '', from = '0'] = name.split(':')
  const end = historyKey(personKey, Number(version))
  const after = historyKey(personKey, Number(from))
  const keys = await view.listAfter(prefixOf(personKey), after, dropCountMax)
  for (const key of keys) if (key < end) view.remove(key)
  const next = keys.at(-1)
  if (next === undefined || keys.length < dropCountMax || next >= end) return
  const reached = Number.parseInt(next.slice(prefixOf(personKey).length), 16)
  view.addTimer(timerKey(nowMs + 1, personKey, `history:${version}:${reached}`))
}

function prefixOf(personKey: string): string {
  return `${historyPrefix}${personKey}\0`
}

async function putAside(scope: FoldScope, person: Person, hasBefore: boolean): Promise<void> {
  const { view, meta, nowMs } = scope
  const { steps, version } = person
  const before = readCheckpointVersion(steps)
  const isCheckpoint = !hasBefore || version - before >= checkpointStepCount
  const values = isCheckpoint ? await valuesOf(scope, person) : []
  view.write(historyKey(person.key, version), encodeAside({ steps, values }), bytesCodec)
  person.steps = beginSteps(steps, isCheckpoint ? version : before)
  if (!isCheckpoint) return
  const dueMs = nowMs + (meta.historyMs ?? 0)
  view.addTimer(timerKey(dueMs, person.key, `history:${version}`))
}

async function valuesOf({ view }: FoldScope, person: Person): Promise<Aside['values']> {
  const keys = keysOfPerson(person.key)
  await view.load(keys)
  return keys.map((key) =>
    key === personPrefix + person.key
      ? encodePerson({ ...person, seen: emptyPack, steps: emptyPack })
      : view.encoded(key),
  )
}

/** Layout: u8 version | u32 bytes, steps | u8 keys | for each u32 bytes (all ones: none), value. */
export function encodeAside({ steps, values }: Aside): Uint8Array {
  const valueBytes = values.reduce((sum, value) => sum + 4 + (value?.length ?? 0), 0)
  const bytes = Buffer.allocUnsafe(6 + steps.length + valueBytes)
  bytes[0] = layoutVersion
  let at = bytes.writeUInt32BE(steps.length, 1)
  bytes.set(steps, at)
  at += steps.length
  bytes[at++] = values.length
  for (const value of values) {
    at = bytes.writeUInt32BE(value?.length ?? absent, at)
    if (value === undefined) continue
    bytes.set(value, at)
    at += value.length
  }
  return bytes
}

export function decodeAside(source: Uint8Array): Aside {
  const bytes = Buffer.from(source.buffer, source.byteOffset, source.byteLength)
  assert(bytes[0] === layoutVersion, `layout ${bytes[0]} of what lies aside is known`)
  const stepsEnd = 5 + bytes.readUInt32BE(1)
  const steps = bytes.subarray(5, stepsEnd)
  let at = stepsEnd + 1
  const values = Array.from({ length: bytes[stepsEnd] ?? 0 }, () => {
    const length = bytes.readUInt32BE(at)
    at += 4
    if (length === absent) return undefined
    at += length
    return bytes.subarray(at - length, at)
  })
  return { steps, values }
}
