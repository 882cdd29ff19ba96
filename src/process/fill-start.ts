/**
 * Where the second fold of a fill begins: with the first record of the log; or, where the log was
 * trimmed, with a base from which on it has all; or not at all, where there is none at hand.
 *
 * A base is the state itself at its offset, with duplicates, claims and definitions as they were,
 * so what comes behind it is judged as it was. A state made of the trimmed log alone would be
 * another one: whose a device is was said in records that are gone.
 *
 * What is not read is said: `fromMs` is the instant from which on no event is missing.
 */

import { defaultEventLimits } from '../event/event-limits.ts'
import { OperatingError } from '../lib/errors.ts'
import type { EventLog } from '../log/event-log.ts'
import { personPrefix, traitPrefix } from '../profile/person.ts'
import type { Change, Head, StateReader, StateStore } from '../state/state-store.ts'
import { metaKey } from './meta.ts'
import { parseTimerKey, timerPrefix } from './partition-view.ts'
import {
  feedPrefix,
  firedPrefix,
  historyPrefix,
  itemPrefix,
  metaCodec,
  outboxPrefix,
} from './scope.ts'

/** A state at an offset of the log, for as long as it is open. */
export interface FillBase {
  readonly state: StateReader
  close(): Promise<void>
}

export interface FillBaseWish {
  readonly partition: number
  /** At least this offset, and before `untilOffset`. */
  readonly fromOffset: number
  readonly untilOffset: number
}

/** Opens the base with the least offset that is wished for; undefined where there is none. */
export type OpenFillBase = (wish: FillBaseWish) => Promise<FillBase | undefined>

/** Tells whether the log of a partition lacks its beginning. */
export async function isTrimmed(log: EventLog, partition: number): Promise<boolean> {
  try {
    await log.read(partition, 0, 1)
    return false
  } catch (error) {
    if (isLost(error)) return true
    throw error
  }
}

export function isLost(error: unknown): boolean {
  return error instanceof OperatingError && error.code === 'LOG_OFFSET_LOST'
}

/** Returns the instant from which on no event is missing to who has all behind a fold time. */
export function countedFrom(foldMs: number): number {
  // An event may be dated so far ahead of when it was taken.
  return foldMs + defaultEventLimits.futureMsMax
}

/** Keys of no person, or only of what is thrown away. */
const passedOver = [outboxPrefix, feedPrefix, itemPrefix, historyPrefix, firedPrefix]
const pageCount = 1000

/** Copies a partition of a base, but for whom `isMeant` leaves out; returns its fold time. */
export async function copyFillBase(
  source: StateReader,
  target: { readonly state: StateStore; readonly partition: number; readonly owner: FillOwner },
  isMeant: (personKey: string) => boolean,
): Promise<number> {
  const { state, partition, owner } = target
  const { incarnation, lastRecordId, offset }: Head = await source.head(partition)
  const place = { partition, ...owner, previousOffset: 0, incarnation }
  let foldMs = 0
  for (let after = ''; ; ) {
    const page = await source.scan(partition, '', after, pageCount)
    const changes: Change[] = []
    for (const { key, value } of page) {
      const person = personOf(key)
      if (passedOver.some((prefix) => key.startsWith(prefix))) continue
      if (person !== undefined && !isMeant(person)) continue
      if (key !== metaKey) changes.push({ key, value })
      else {
        const meta = metaCodec.decode(value)
        foldMs = meta.foldMs
        // No versions are kept of what is thrown away.
        changes.push({ key, value: metaCodec.encode({ ...meta, historyMs: 0 }) })
      }
    }
    await state.commit([{ ...place, offset: 0, lastRecordId: '', changes }])
    if (page.length < pageCount) break
    after = page.at(-1)?.key ?? ''
  }
  await state.commit([{ ...place, offset, lastRecordId, changes: [] }])
  return foldMs
}

interface FillOwner {
  readonly epoch: number
  readonly nonce: string
}

/** Whose an entry is; undefined where it is nobody's, or is found by another key. */
function personOf(key: string): string | undefined {
  if (key.startsWith(timerPrefix)) return parseTimerKey(key).personKey
  const prefix = [personPrefix, traitPrefix].find((each) => key.startsWith(each))
  return prefix === undefined ? undefined : key.slice(prefix.length)
}
