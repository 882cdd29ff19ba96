/**
 * What of the log may be deleted: the records before a base, up to what somebody may still read.
 *
 * Of each partition stay: the record at the base's offset, by which a state proves that it belongs
 * to the log; all younger than the time that was asked to be kept, which is what history needs; and
 * from the oldest event on that started a passage or a message which is not over, since rendering
 * reads it. Followers and the feed of recommendations read the state, which lies behind the base.
 */

import { messagePrefix } from '../campaign/message.ts'
import type { EventLog } from '../log/event-log.ts'
import { readMeta } from '../process/meta.ts'
import { messageCodec } from '../process/scope.ts'
import { decodePerson, personPrefix, type TriggerRef } from '../profile/person.ts'
import type { Entry, StateReader } from '../state/state-store.ts'
import type { Base } from './base-folder.ts'

export type KeptBy = 'base' | 'age' | 'open-trigger' | 'empty'

export interface TrimPlan {
  readonly partition: number
  /** Oldest offset in the log, 0 for none. */
  readonly start: number
  readonly end: number
  readonly baseOffset: number
  /** Greatest offset to delete; below `start` where there is nothing. */
  readonly through: number
  /** Places deleted; records, where offsets have no gaps. */
  readonly count: number
  /** What keeps the next one. */
  readonly keptBy: KeptBy
}

const scanCount = 500
/** A message that is one of these is never rendered again; nor is one behind its `notAfterMs`. */
const endKinds: ReadonlySet<string> = new Set(['accepted', 'failed', 'refused'])

/** Plans for every partition; `state` is that of the base. */
export async function planTrim(
  given: { readonly log: EventLog; readonly state: StateReader },
  base: Base,
  keepFromMs: number,
): Promise<readonly TrimPlan[]> {
  const plans: TrimPlan[] = []
  for (const { partition, offset } of base.partitions) {
    plans.push(await planPartition(given, { partition, baseOffset: offset }, keepFromMs))
  }
  return plans
}

async function planPartition(
  { log, state }: { readonly log: EventLog; readonly state: StateReader },
  place: { readonly partition: number; readonly baseOffset: number },
  keepFromMs: number,
): Promise<TrimPlan> {
  const { partition, baseOffset } = place
  const start = await log.start(partition)
  const end = await log.end(partition)
  const none = { ...place, start, end, through: Math.max(0, start - 1), count: 0 }
  if (start === 0 || baseOffset === 0) return { ...none, keptBy: 'empty' }
  const bounds: readonly (readonly [KeptBy, number])[] = [
    ['base', baseOffset],
    ['open-trigger', await oldestTrigger(state, partition)],
    [
      'age',
      await firstOffsetSince(log, partition, { start, end: baseOffset, sinceMs: keepFromMs }),
    ],
  ]
  const [keptBy, kept] = bounds.reduce((least, each) => (each[1] < least[1] ? each : least))
  const through = kept - 1
  if (through < start) return { ...none, keptBy }
  return { ...place, start, end, through, count: through - start + 1, keptBy }
}

/** Returns the offset of the oldest event that something open in the state was started by. */
async function oldestTrigger(state: StateReader, partition: number): Promise<number> {
  const { foldMs = 0 } = (await readMeta(state, partition)) ?? {}
  let oldest = Number.POSITIVE_INFINITY
  const keep = ({ kind, offset }: TriggerRef): void => {
    if (kind === 'event') oldest = Math.min(oldest, offset)
  }
  for await (const { value } of scan(state, partition, personPrefix)) {
    for (const { trigger } of Object.values(decodePerson(value).enrollments)) keep(trigger)
  }
  for await (const { value } of scan(state, partition, messagePrefix)) {
    const { state: now, notAfterMs, trigger } = messageCodec.decode(value)
    if (!endKinds.has(now.kind) && notAfterMs >= foldMs) keep(trigger)
  }
  return oldest
}

/** Halves the range: times of appends rise with the offsets, but for clocks that differ. */
async function firstOffsetSince(
  log: EventLog,
  partition: number,
  range: { readonly start: number; readonly end: number; readonly sinceMs: number },
): Promise<number> {
  let low = range.start
  let high = range.end
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    const [record] = await log.read(partition, middle - 1, 1)
    if (record !== undefined && record.recordedAtMs < range.sinceMs) low = middle + 1
    else high = middle
  }
  return low
}

async function* scan(state: StateReader, partition: number, prefix: string): AsyncGenerator<Entry> {
  for (let after = ''; ; ) {
    const page = await state.scan(partition, prefix, after, scanCount)
    yield* page
    if (page.length < scanCount) return
    after = page.at(-1)?.key ?? ''
  }
}
