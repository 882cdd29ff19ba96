/** Reads what is open in the log `rejected`, in the order of the log, so much at a time. */

import type { Clock } from '../lib/clock.ts'
import type { EventLog } from '../log/event-log.ts'
import { readKnown } from '../log/read-known.ts'
import type { RejectedIndex } from './rejected-index.ts'
import {
  decodeRejected,
  type GroupName,
  parseRejectedId,
  placeOf,
  type RejectedRecord,
} from './rejected-record.ts'

/** Which rejected events are meant: those for which all that is given is so. */
export interface Selection extends Partial<GroupName> {
  readonly ids?: readonly string[]
}

export interface OpenPage {
  readonly records: readonly RejectedRecord[]
  /** Where to go on; absent at the end. */
  readonly cursor?: string
}

export interface ReadOpenDeps {
  readonly rejected: EventLog
  readonly index: RejectedIndex
  readonly clock: Pick<Clock, 'sleep'>
  readonly workspace: string
}

const pageCount = 100
/** Records looked at for one answer: few of them may be meant. */
const lookCountMax = 20_000
const cursorPattern = /^(\d{1,5})-(\d{1,15})$/

export function isCursor(text: string): boolean {
  return cursorPattern.test(text)
}

/** Returns at most `countMax` open records; the index must have caught up. */
export async function readOpen(
  deps: ReadOpenDeps,
  selection: Selection,
  limits: { readonly countMax: number; readonly cursor?: string | undefined },
): Promise<OpenPage> {
  if (selection.ids !== undefined) return await readByIds(deps, selection)
  const [, from = '0', behind = '0'] = cursorPattern.exec(limits.cursor ?? '') ?? []
  const known = { log: deps.rejected, clock: deps.clock }
  const records: RejectedRecord[] = []
  let lookedAtCount = 0
  for (const partition of partitionsOf(deps, selection)) {
    if (partition < Number(from)) continue
    const range = deps.index.openRange(partition)
    let after = Math.max(range.after, partition === Number(from) ? Number(behind) : 0)
    while (after < range.through) {
      const page = await readKnown(known, { partition, after }, pageCount)
      for (const record of page) {
        after = record.offset
        lookedAtCount++
        if (record.kind !== 'event' || !deps.index.isOpen(partition, after)) continue
        const rejected = decodeRejected(record)
        if (isMeant(rejected, selection)) records.push(rejected)
        if (records.length === limits.countMax) break
      }
      if (records.length === limits.countMax || lookedAtCount >= lookCountMax) {
        return { records, cursor: `${partition}-${after}` }
      }
      // Other requests get their turn.
      await deps.clock.sleep(0)
    }
  }
  return { records }
}

/** Returns the record of an id, open or not. */
export async function readById(
  { rejected, clock }: Pick<ReadOpenDeps, 'rejected' | 'clock'>,
  id: string,
): Promise<RejectedRecord | undefined> {
  const parsed = parseRejectedId(id, rejected.identity.partitionCount)
  if (parsed === undefined) return undefined
  const { partition, offset } = parsed
  const [start, end] = await Promise.all([rejected.start(partition), rejected.end(partition)])
  if (start === 0 || offset < start || offset > end) return undefined
  const place = { partition, after: offset - 1 }
  const [record] = await readKnown({ log: rejected, clock }, place, 1)
  if (record?.offset !== offset || record.kind !== 'event') return undefined
  const found = decodeRejected(record)
  return found.id === id ? found : undefined
}

async function readByIds(deps: ReadOpenDeps, selection: Selection): Promise<OpenPage> {
  const records: RejectedRecord[] = []
  for (const id of new Set(selection.ids)) {
    const record = await readById(deps, id)
    if (record === undefined || !deps.index.isOpen(record.partition, record.offset)) continue
    if (isMeant(record, selection)) records.push(record)
  }
  return { records }
}

function partitionsOf(deps: ReadOpenDeps, { source }: Selection): readonly number[] {
  if (source !== undefined) return [placeOf(source, deps.rejected, deps.workspace).partition]
  return Array.from({ length: deps.rejected.identity.partitionCount }, (_, index) => index)
}

function isMeant({ group }: RejectedRecord, selection: Selection): boolean {
  return (['source', 'reason', 'path', 'event'] as const).every(
    (name) => selection[name] === undefined || selection[name] === group[name],
  )
}
