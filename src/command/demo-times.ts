/**
 * When the log took each call of the shoppers.
 *
 * Waits and windows count from that time: it is in the record, and `attune events` shows it. When a
 * call was sent or acknowledged is another time, seconds away where a store is slow, so a second
 * opinion must not count from it. What it may rely on is checked here: every valid call that was
 * acknowledged is in the log, at a time between the two.
 */

import { isValidCall, type SentCall } from '../../examples/shop/expected-messages.ts'
import type { Event } from '../event/event.ts'
import { systemClock } from '../lib/clock.ts'
import type { EventLog } from '../log/event-log.ts'
import { readKnown } from '../log/read-known.ts'
import type { LogRecord } from '../log/record.ts'
import { decodeJson } from '../process/meta.ts'

/** A call of a shopper, with when it was sent and when it was known to be safe. */
export interface AcknowledgedCall extends SentCall {
  readonly acknowledgedAtMs: number
}

export interface LoggedCalls {
  /** At the times of the log, in its order. */
  readonly calls: readonly SentCall[]
  /** Valid and acknowledged, but not in the log. */
  readonly lostCount: number
  /** In the log at a time before it was sent or after it was acknowledged. */
  readonly oddTimeCount: number
}

const readCount = 1000
/** A clock may be set a little while the demo runs. */
const clockStepMsMax = 100

/** Finds each call in the log; one that was sent twice has the time of the first. */
export async function placeInLog(
  log: EventLog,
  sent: readonly AcknowledgedCall[],
): Promise<LoggedCalls> {
  const records = await readFirstRecords(log)
  const placed: { readonly call: SentCall; readonly record: LogRecord }[] = []
  const absent: SentCall[] = []
  let lostCount = 0
  let oddTimeCount = 0
  for (const [id, calls] of Map.groupBy(sent, ({ call }) => call.messageId ?? '')) {
    const record = records.get(id)
    if (record === undefined) {
      absent.push(...calls)
      if (calls.some(({ call }) => isValidCall(call))) lostCount++
      continue
    }
    const { recordedAtMs } = record
    const sentAtMs = Math.min(...calls.map((call) => call.sentAtMs))
    const acknowledgedAtMs = Math.min(...calls.map((call) => call.acknowledgedAtMs))
    const isBefore = recordedAtMs < sentAtMs - clockStepMsMax
    if (isBefore || recordedAtMs > acknowledgedAtMs + clockStepMsMax) oddTimeCount++
    for (const { call } of calls) placed.push({ call: { call, sentAtMs: recordedAtMs }, record })
  }
  placed.sort(
    ({ record: left }, { record: right }) =>
      left.recordedAtMs - right.recordedAtMs || left.offset - right.offset,
  )
  return { calls: [...placed.map(({ call }) => call), ...absent], lostCount, oddTimeCount }
}

/** By event id, the first record of each event that is not of the past. */
async function readFirstRecords(log: EventLog): Promise<ReadonlyMap<string, LogRecord>> {
  const records = new Map<string, LogRecord>()
  for (let partition = 0; partition < log.identity.partitionCount; partition++) {
    const end = await log.end(partition)
    for (let after = 0; after < end; ) {
      const page = await readKnown({ log, clock: systemClock }, { partition, after }, readCount)
      for (const record of page) {
        after = record.offset
        if (record.kind !== 'event' || record.isBackfill) continue
        const { eventId } = decodeJson<Event>(record.body)
        if (!records.has(eventId)) records.set(eventId, record)
      }
    }
  }
  return records
}
