/**
 * What changed over all people since a cursor, partition by partition in the order of their logs.
 *
 * A version that a record made is found by the record itself, in the log; one that a timer made by
 * an entry of `fired/`, which tells before which record it fired; so does one that new rules made,
 * or their past, whose records name nobody. So the feed costs an event nothing. The cursor holds,
 * for each partition, the last record and the last entry that were told, and the partition that
 * comes next, so that a busy one does not hold up the others.
 *
 * Order: within a partition that of the log, timers before the record that let them fire; so the
 * versions of one person come in order. Nothing is told before it is committed.
 */

import { OperatingError } from '../lib/errors.ts'
import type { EventLog } from '../log/event-log.ts'
import type { LogRecord } from '../log/record.ts'
import type { StateReader } from '../state/state-store.ts'
import { type Cause, causeOf } from './fold-stretch.ts'
import { firedCodec } from './history.ts'
import { readMeta } from './meta.ts'
import { findVersionsOf, type PastAnswer, type PastRefusal } from './refold.ts'
import { firedKey, firedPrefix } from './scope.ts'

export interface FeedDeps {
  readonly log: EventLog
  readonly state: StateReader
  readonly workspace: string
}

export interface FeedCursor {
  /** Partition that comes next. */
  readonly next: number
  readonly places: readonly FeedPlace[]
}

export interface FeedPlace {
  /** Offset of the last record told. */
  readonly offset: number
  /** Number of the last entry of `fired/` told. */
  readonly fired: number
}

export interface PersonChange {
  readonly personKey: string
  readonly version: number
  readonly atMs: number
  readonly cause: Cause
}

export interface FeedPage {
  readonly changes: readonly PersonChange[]
  readonly cursor: FeedCursor
  readonly hasMore: boolean
}

/** Keys of records that are no person's. */
const otherKeys = /^(control|item|address):/
/** Records looked at for one page: most make no change where they repeat what was there. */
const lookCountMax = 2000
const numberMax = 2 ** 48

/** Returns the cursor behind all that is committed now. */
export async function openFeed({ log, state }: FeedDeps): Promise<FeedCursor> {
  const places: FeedPlace[] = []
  for (let partition = 0; partition < log.identity.partitionCount; partition++) {
    // The entry first: what a commit in between adds is told, and not left out.
    const fired = (await readFiredNext(state, partition)) - 1
    const { offset } = await state.head(partition)
    places.push({ offset, fired })
  }
  return { next: 0, places }
}

/** Returns changes behind a cursor, at most `countMax` but for all that the last record made. */
export async function readFeed(
  deps: FeedDeps,
  from: FeedCursor,
  countMax: number,
): Promise<PastAnswer<FeedPage>> {
  const places = [...from.places]
  const changes: PersonChange[] = []
  let lookCount = 0
  let quietCount = 0
  let next = from.next
  while (quietCount < places.length && changes.length < countMax && lookCount < lookCountMax) {
    const place = places[next] ?? { offset: 0, fired: 0 }
    const some = await readPlace(deps, { partition: next, place }, countMax - changes.length)
    if (typeof some === 'string') return { kind: 'refused', reason: some }
    places[next] = some.place
    changes.push(...some.changes)
    lookCount += some.lookCount
    quietCount = some.lookCount === 0 ? quietCount + 1 : 0
    next = (next + 1) % places.length
  }
  const hasMore = quietCount < places.length
  return { kind: 'found', found: { changes, cursor: { next, places }, hasMore } }
}

interface Told {
  readonly changes: readonly PersonChange[]
  readonly place: FeedPlace
  readonly lookCount: number
}

async function readPlace(
  deps: FeedDeps,
  { partition, place }: { readonly partition: number; readonly place: FeedPlace },
  countMax: number,
): Promise<Told | PastRefusal> {
  const { state } = deps
  const after = firedKey(place.fired)
  const entries = await state.scan(partition, firedPrefix, after, countMax)
  const [first] = entries
  if (first !== undefined && first.key !== firedKey(place.fired + 1)) return 'expired'
  const fired = entries.map(({ value }) => firedCodec.decode(value))
  const firedAt = fired[0]?.[0] ?? Number.POSITIVE_INFINITY
  const { offset: head } = await state.head(partition)
  if (firedAt <= place.offset + 1) {
    const due = fired.filter(([offset]) => offset === firedAt)
    const changes = due.map(([offset, version, personKey, atMs, name]): PersonChange => {
      const isRecord = name === 'continue' || name === 'filled'
      const cause = isRecord ? { kind: name, offset } : { kind: 'timer', name, offset }
      return { personKey, version, atMs, cause }
    })
    const told = { offset: place.offset, fired: place.fired + due.length }
    return { changes, place: told, lookCount: due.length }
  }
  const last = Math.min(head, firedAt - 1)
  if (place.offset >= last) return { changes: [], place, lookCount: 0 }
  return await readRecords(deps, { partition, place, last }, countMax)
}

async function readRecords(
  deps: FeedDeps,
  given: { readonly partition: number; readonly place: FeedPlace; readonly last: number },
  countMax: number,
): Promise<Told | PastRefusal> {
  const { partition, place, last } = given
  const page = await readLog(deps.log, partition, place.offset, countMax)
  if (page === undefined) return 'trimmed'
  const records = page.filter(({ offset }) => offset <= last)
  const changes: PersonChange[] = []
  let offset = place.offset
  for (const record of records) {
    const made = await changesBy(deps, record)
    if (typeof made === 'string') return made
    // A record may make more than one version; those of the next page wait.
    if (changes.length > 0 && changes.length + made.length > countMax) break
    changes.push(...made)
    offset = record.offset
  }
  // Offsets may have gaps: what is not there was told.
  const isAll = records.length < page.length || page.length < countMax
  const reached = isAll && offset === (records.at(-1)?.offset ?? place.offset) ? last : offset
  return { changes, place: { offset: reached, fired: place.fired }, lookCount: records.length + 1 }
}

async function readLog(
  log: EventLog,
  partition: number,
  after: number,
  countMax: number,
): Promise<readonly LogRecord[] | undefined> {
  try {
    return await log.read(partition, after, countMax)
  } catch (error) {
    if (error instanceof OperatingError && error.code === 'LOG_OFFSET_LOST') return undefined
    throw error
  }
}

async function changesBy(
  { log, state, workspace }: FeedDeps,
  record: LogRecord,
): Promise<readonly PersonChange[] | PastRefusal> {
  const { key: personKey, kind, partition, offset } = record
  // A record of an entry or exit is told of; it changes nothing.
  if (otherKeys.test(personKey) || kind === 'membership') return []
  const { partitionCount } = log.identity
  const place = { workspace, partitionCount, partition, personKey }
  const answer = await findVersionsOf({ state }, place, offset)
  if (answer.kind === 'refused') return answer.reason
  const cause = causeOf(record)
  return answer.found.map(({ version, atMs }) => ({ personKey, version, atMs, cause }))
}

async function readFiredNext(state: StateReader, partition: number): Promise<number> {
  return (await readMeta(state, partition))?.firedNext ?? 1
}

/** Returns a cursor as text: numbers in bytes of seven bits, the low ones first, base 64. */
export function encodeCursor({ next, places }: FeedCursor): string {
  const bytes: number[] = []
  for (const number of [next, ...places.flatMap(({ offset, fired }) => [offset, fired])]) {
    let rest = number
    for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128)
    bytes.push(rest)
  }
  return Buffer.from(bytes).toString('base64url')
}

/** Returns the cursor of a text, or undefined where it is none for so many partitions. */
export function decodeCursor(text: string, partitionCount: number): FeedCursor | undefined {
  const numbers: number[] = []
  let value = 0
  let scale = 1
  for (const byte of Buffer.from(text, 'base64url')) {
    value += (byte & 127) * scale
    scale *= 128
    if (value >= numberMax) return undefined
    if (byte > 127) continue
    numbers.push(value)
    value = 0
    scale = 1
  }
  const [next = 0, ...rest] = numbers
  const isWhole = scale === 1 && rest.length === 2 * partitionCount && next < partitionCount
  if (!isWhole) return undefined
  const places = Array.from({ length: partitionCount }, (_, partition) => ({
    offset: rest[2 * partition] ?? 0,
    fired: rest[2 * partition + 1] ?? 0,
  }))
  return { next, places }
}
