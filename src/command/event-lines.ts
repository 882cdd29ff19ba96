/** Reads the records of both logs in the order of their time, and says each in one line. */

import type { Event } from '../event/event.ts'
import { systemClock } from '../lib/clock.ts'
import type { EventLog } from '../log/event-log.ts'
import { readKnown } from '../log/read-known.ts'
import type { LogRecord } from '../log/record.ts'
import { decodeJson } from '../process/meta.ts'
import { type Output, showText, showTime } from './output.ts'

export interface ShownEvent {
  readonly at: string
  readonly kind: string
  readonly partition: number
  readonly offset: number
  readonly source: string
  readonly person: string
  readonly name: string
  readonly isBackfill: boolean
  /** Of a rejected event: why, and where in it. */
  readonly reason?: string
  readonly path?: string
  /** Of an accepted event: what was stored. */
  readonly event?: unknown
}

/** A log, and where each of its partitions is read on. */
export interface LogCursor {
  readonly log: EventLog
  readonly isRejected: boolean
  readonly after: number[]
}

export interface MergeOptions {
  wants(record: LogRecord, isRejected: boolean): boolean
  /** Offsets to stop behind; absent: to the end that is found. */
  readonly countMax: number
}

interface Lane {
  readonly cursor: LogCursor
  readonly partition: number
  /** Where the partition ended when the lane was opened. */
  readonly end: number
  page: readonly LogRecord[]
  at: number
}

const pageCount = 200
const windowCount = 500
/** Records of one partition looked at for the newest ones of a rare kind. */
const lookBackCountMax = 20_000

export function partitionsOf(log: EventLog): readonly number[] {
  return Array.from({ length: log.identity.partitionCount }, (_, partition) => partition)
}

/** Returns a cursor before the oldest record kept. */
export async function openAtStart(log: EventLog, isRejected: boolean): Promise<LogCursor> {
  const after = partitionsOf(log).map(async (partition) => {
    const start = await log.start(partition)
    return start === 0 ? await log.end(partition) : start - 1
  })
  return { log, isRejected, after: await Promise.all(after) }
}

export async function openAtEnd(log: EventLog, isRejected: boolean): Promise<LogCursor> {
  const after = await Promise.all(partitionsOf(log).map((partition) => log.end(partition)))
  return { log, isRejected, after }
}

/** Yields what lies behind the cursors by now, by time, and moves them. */
export async function* mergeRecords(
  cursors: readonly LogCursor[],
  options: MergeOptions,
): AsyncGenerator<readonly [record: LogRecord, isRejected: boolean]> {
  const opened = cursors.flatMap((cursor) =>
    partitionsOf(cursor.log).map(async (partition): Promise<Lane> => {
      const end = await cursor.log.end(partition)
      return { cursor, partition, end, page: [], at: 0 }
    }),
  )
  let lanes = await Promise.all(opened)
  for (let count = 0; count < options.countMax; ) {
    for (const lane of lanes) await fillLane(lane, options)
    lanes = lanes.filter(({ page, at }) => at < page.length)
    const lane = earliestLane(lanes)
    const record = lane?.page[lane.at]
    if (lane === undefined || record === undefined) return
    lane.at++
    lane.cursor.after[lane.partition] = record.offset
    count++
    yield [record, lane.cursor.isRejected]
  }
}

/** Returns the newest wanted records of a log, in the order of their time. */
export async function readNewest(
  log: EventLog,
  isRejected: boolean,
  options: MergeOptions,
): Promise<readonly LogRecord[]> {
  const { wants, countMax } = options
  const newest: LogRecord[] = []
  for (const partition of partitionsOf(log)) {
    const start = Math.max(1, await log.start(partition))
    let before = await log.end(partition)
    const stop = Math.max(start - 1, before - lookBackCountMax)
    const found: LogRecord[] = []
    while (before > stop && found.length < countMax) {
      const from = Math.max(stop, before - windowCount)
      const window: LogRecord[] = []
      for (let after = from; after < before; ) {
        const page = await readKnown(
          { log, clock: systemClock },
          { partition, after },
          before - after,
        )
        window.push(...page.filter(({ offset }) => offset <= before))
        after = page.at(-1)?.offset ?? before
      }
      found.unshift(...window.filter((record) => wants(record, isRejected)))
      before = from
    }
    newest.push(...found.slice(-countMax))
  }
  return newest.sort(byTime).slice(-countMax)
}

export function byTime(left: LogRecord, right: LogRecord): number {
  return left.recordedAtMs - right.recordedAtMs
}

export function describeRecord(record: LogRecord, isRejected: boolean): ShownEvent {
  const { partition, offset, key, recordedAtMs, isBackfill } = record
  const skeleton = (record.skeleton ?? {}) as Readonly<Record<string, unknown>>
  const text = (name: string): string => String(skeleton[name] ?? '')
  const named = ['name', 'result', 'outcome', 'reason', 'hash'].map(text).find((one) => one !== '')
  const shared = { at: showTime(recordedAtMs), partition, offset, isBackfill }
  if (isRejected && record.kind === 'event') {
    const source = text('sourceId')
    const rejection = { reason: text('reason'), path: text('path') }
    return { ...shared, kind: 'rejected', source, person: '', name: '', ...rejection }
  }
  const hasEvent = record.kind === 'event' && record.keyId === 0
  return {
    ...shared,
    kind: record.kind,
    source: text('sourceId'),
    person: key,
    name: record.kind === 'membership' ? `${text('change')} ${named ?? ''}` : (named ?? ''),
    ...(hasEvent ? { event: decodeJson<Event>(record.body) } : {}),
  }
}

/**
 * Returns a record as one line: time, source, person, name; a rejected one with reason and path.
 */
export function formatEvent(shown: ShownEvent, output: Output): string {
  const at = output.paint('dim', shown.at)
  const place = output.paint('dim', `${shown.partition}:${shown.offset}`)
  if (shown.kind === 'rejected') {
    const path = shown.path === '' ? '' : ` at ${shown.path}`
    const says = showText(`${shown.source.padEnd(8)}  rejected: ${shown.reason}${path}`)
    return `${at}  ${output.paint('red', says)}  ${place}`
  }
  const name = shown.kind === 'event' ? shown.name : `${shown.kind} ${shown.name}`
  const backfill = shown.isBackfill ? output.paint('dim', '  backfill') : ''
  const source = showText(shown.source).padEnd(8)
  const person = showText(shown.person).padEnd(28)
  return `${at}  ${source}  ${person}  ${showText(name)}${backfill}  ${place}`
}

async function fillLane(lane: Lane, options: MergeOptions): Promise<void> {
  const { cursor, partition, end } = lane
  const { log } = cursor
  while (lane.at >= lane.page.length) {
    const after = cursor.after[partition] ?? 0
    if (after >= end) return
    const page = await readKnown({ log, clock: systemClock }, { partition, after }, pageCount)
    lane.page = page.filter((record) => options.wants(record, cursor.isRejected))
    lane.at = 0
    if (lane.page.length === 0) cursor.after[partition] = page.at(-1)?.offset ?? end
  }
}

function earliestLane(lanes: readonly Lane[]): Lane | undefined {
  let earliest: Lane | undefined
  let earliestMs = Number.POSITIVE_INFINITY
  for (const lane of lanes) {
    const atMs = lane.page[lane.at]?.recordedAtMs ?? Number.POSITIVE_INFINITY
    if (atMs >= earliestMs) continue
    earliest = lane
    earliestMs = atMs
  }
  return earliest
}
