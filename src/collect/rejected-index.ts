/**
 * What is open in the log `rejected`, by group: an index in memory that follows the log.
 *
 * It is a fold of the log: whoever reads the same records has the same index. Counts are exact. At
 * most `groupCountMax` groups have a place of their own; what is in no group counts in `other`. A
 * group with nothing open gives its place up to one that comes new, which from then on counts for
 * itself; what was counted in `other` before is taken from there again.
 *
 * Restarts read the log from its start. Only whole pages are applied, so that a failing read loses
 * nothing and repeats nothing.
 */

import { assert } from '../lib/assert.ts'
import type { Clock } from '../lib/clock.ts'
import type { EventLog } from '../log/event-log.ts'
import { readKnown } from '../log/read-known.ts'
import type { LogRecord } from '../log/record.ts'
import {
  decodeRejected,
  type GroupName,
  type RejectedRecord,
  type ResolutionSkeleton,
} from './rejected-record.ts'
import { createResolvedOffsets, type ResolvedOffsets } from './resolved-offsets.ts'

export interface RejectedGroup extends GroupName {
  readonly count: number
  /** Of those that came since the group was last empty. */
  readonly firstSeenMs: number
  readonly lastSeenMs: number
  readonly lastId: string
  /** Events that a replay tried in vain. */
  readonly failedCount: number
}

export interface RejectedTotals {
  readonly openCount: number
  /** Events in no group of their own. */
  readonly otherCount: number
  readonly oldestMs: number | undefined
  readonly openByReason: ReadonlyMap<string, number>
}

export interface RejectedIndexOptions {
  readonly groupCountMax: number
  /** Records read at a time. */
  readonly pageCount: number
}

export const rejectedIndexDefaults: RejectedIndexOptions = { groupCountMax: 1_000, pageCount: 200 }

export interface RejectedIndexDeps {
  readonly rejected: EventLog
  readonly clock: Pick<Clock, 'sleep'>
}

export interface RejectedIndex {
  /** Resolves when all that was readable at the call is in the index. */
  catchUp(): Promise<void>
  /** Groups with something open, by source, reason, path, event. */
  groups(): readonly RejectedGroup[]
  totals(): RejectedTotals
  /** False also for what the index has not come to. */
  isOpen(partition: number, offset: number): boolean
  /** Offsets of a partition between which open records can lie. */
  openRange(partition: number): { readonly after: number; readonly through: number }
}

interface Group {
  readonly name: GroupName
  readonly partition: number
  /** Records at lower offsets were counted in `other`, if at all. */
  readonly countsFrom: number
  count: number
  failedCount: number
  firstSeenMs: number
  lastSeenMs: number
  lastId: string
}

interface Lane {
  after: number
  readonly resolved: ResolvedOffsets
  openCount: number
  /** All before it is resolved. */
  firstOpen: number
}

interface Tables {
  readonly options: RejectedIndexOptions
  readonly groups: Map<string, Group>
  /** Groups that hold a place with nothing open. */
  emptyCount: number
  readonly other: { count: number; firstSeenMs: number }
  readonly byReason: Map<string, number>
}

export function createRejectedIndex(
  deps: RejectedIndexDeps,
  options: RejectedIndexOptions = rejectedIndexDefaults,
): RejectedIndex {
  const { rejected: log } = deps
  const tables: Tables = {
    options,
    groups: new Map(),
    emptyCount: 0,
    other: { count: 0, firstSeenMs: 0 },
    byReason: new Map(),
  }
  const lanes: Lane[] = []
  const read = async (): Promise<void> => {
    for (let partition = 0; partition < log.identity.partitionCount; partition++) {
      const lane = lanes[partition] ?? (await openLane(log, partition))
      lanes[partition] = lane
      await readLane(deps, { partition, lane, tables })
    }
  }
  let running: Promise<void> = Promise.resolve()
  let next: Promise<void> | undefined
  return {
    catchUp() {
      // Whoever asks while a reading is under way waits for the one after it, with all the others.
      next ??= running
        .catch(() => undefined)
        .then(() => {
          next = undefined
          running = read()
          return running
        })
      return next
    },
    groups: () =>
      [...tables.groups.values()]
        .filter(({ count }) => count > 0)
        .map(showGroup)
        .sort(byName),
    totals: () => totalsOf(tables),
    isOpen: (partition, offset) => {
      const lane = lanes[partition]
      return lane !== undefined && offset <= lane.after && !lane.resolved.has(offset)
    },
    openRange: (partition) => {
      const lane = lanes[partition]
      if (lane === undefined || lane.openCount === 0) return { after: 0, through: 0 }
      return { after: lane.firstOpen - 1, through: lane.after }
    },
  }
}

/** Total order of groups. */
export function byName(left: GroupName, right: GroupName): number {
  const [one, other] = [keyOf(left), keyOf(right)]
  return one < other ? -1 : one > other ? 1 : 0
}

function keyOf({ source, reason, path, event }: GroupName): string {
  return [source, reason, path, event].join('\0')
}

async function openLane(log: EventLog, partition: number): Promise<Lane> {
  const start = await log.start(partition)
  const after = start === 0 ? await log.end(partition) : start - 1
  return { after, resolved: createResolvedOffsets(after), openCount: 0, firstOpen: 0 }
}

interface Reading {
  readonly partition: number
  readonly lane: Lane
  readonly tables: Tables
}

async function readLane(
  { rejected: log, clock }: RejectedIndexDeps,
  reading: Reading,
): Promise<void> {
  const { partition, lane, tables } = reading
  if (!log.hasMore(partition, lane.after)) return
  const end = await log.end(partition)
  while (lane.after < end) {
    const place = { partition, after: lane.after }
    const page = await readKnown({ log, clock }, place, tables.options.pageCount)
    for (const record of page) applyRecord(record, reading)
    lane.after = page.at(-1)?.offset ?? end
    // A long log is read beside requests, which get their turn after each page.
    if (lane.after < end) await clock.sleep(0)
  }
}

function applyRecord(record: LogRecord, reading: Reading): void {
  if (record.kind === 'resolution') applyResolution(record, reading)
  else if (record.kind === 'event') applyRejection(decodeRejected(record), reading)
  // What is neither is nothing to do: the set of what is done has no holes.
  else reading.lane.resolved.add(record.offset)
}

function applyRejection(record: RejectedRecord, { partition, lane, tables }: Reading): void {
  const { group: name, skeleton, id, offset } = record
  if (lane.openCount === 0) lane.firstOpen = offset
  lane.openCount++
  addTo(tables.byReason, name.reason, 1)
  const group = groupFor(name, { partition, offset, tables })
  const atMs = skeleton.receivedAtMs
  if (group === undefined) {
    const { other } = tables
    if (other.count === 0) other.firstSeenMs = atMs
    other.count++
    return
  }
  if (group.count === 0) {
    group.firstSeenMs = atMs
    tables.emptyCount--
  }
  group.count++
  group.lastSeenMs = atMs
  group.lastId = id
}

function groupFor(
  name: GroupName,
  at: { readonly partition: number; readonly offset: number; readonly tables: Tables },
): Group | undefined {
  const { groups, options } = at.tables
  const key = keyOf(name)
  const known = groups.get(key)
  if (known !== undefined) return known
  if (groups.size >= options.groupCountMax) {
    const empty = at.tables.emptyCount === 0 ? undefined : findEmpty(groups)
    if (empty === undefined) return undefined
    groups.delete(empty)
    at.tables.emptyCount--
  }
  const { partition, offset: countsFrom } = at
  const times = { firstSeenMs: 0, lastSeenMs: 0, lastId: '' }
  const made: Group = { name, partition, countsFrom, count: 0, failedCount: 0, ...times }
  groups.set(key, made)
  at.tables.emptyCount++
  return made
}

function findEmpty(groups: ReadonlyMap<string, Group>): string | undefined {
  for (const [key, { count }] of groups) if (count === 0) return key
  return undefined
}

function applyResolution(record: LogRecord, { lane, tables }: Reading): void {
  const { sourceId, outcome, groups } = record.skeleton as ResolutionSkeleton
  for (const { offsets, ...name } of groups) {
    assert(name.source === sourceId, 'a resolution speaks of one source')
    const group = tables.groups.get(keyOf(name))
    for (const offset of offsets) {
      if (outcome === 'failed') {
        if (group !== undefined) group.failedCount++
        continue
      }
      if (!lane.resolved.add(offset)) continue
      lane.openCount--
      addTo(tables.byReason, name.reason, -1)
      if (group !== undefined && offset >= group.countsFrom) closeOne(group, tables)
      else tables.other.count--
    }
  }
  lane.resolved.add(record.offset)
  while (lane.openCount > 0 && lane.resolved.has(lane.firstOpen)) lane.firstOpen++
}

function closeOne(group: Group, tables: Tables): void {
  group.count--
  if (group.count > 0) return
  group.failedCount = 0
  tables.emptyCount++
}

function addTo(sums: Map<string, number>, name: string, by: number): void {
  sums.set(name, (sums.get(name) ?? 0) + by)
}

function showGroup({ name, count, firstSeenMs, lastSeenMs, lastId, failedCount }: Group) {
  return { ...name, count, firstSeenMs, lastSeenMs, lastId, failedCount }
}

function totalsOf({ groups, other, byReason }: Tables): RejectedTotals {
  let oldestMs = other.count > 0 ? other.firstSeenMs : Number.POSITIVE_INFINITY
  let openCount = other.count
  for (const group of groups.values()) {
    openCount += group.count
    if (group.count > 0) oldestMs = Math.min(oldestMs, group.firstSeenMs)
  }
  return {
    openCount,
    otherCount: other.count,
    oldestMs: openCount === 0 ? undefined : oldestMs,
    openByReason: new Map(byReason),
  }
}
