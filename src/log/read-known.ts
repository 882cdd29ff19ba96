import type { Clock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import type { EventLog } from './event-log.ts'
import type { LogRecord } from './record.ts'

const pauseMs = 100
const tryCountMax = 300

/**
 * Reads behind a place behind which a record is known to be, from `end` or an earlier read. A log
 * elsewhere may show nothing for a moment all the same, which is no end: it is asked again, and
 * throws STORE_UNREACHABLE where the record does not come. Returns at least one record.
 */
export async function readKnown(
  { log, clock }: { readonly log: Pick<EventLog, 'read'>; readonly clock: Pick<Clock, 'sleep'> },
  { partition, after }: { readonly partition: number; readonly after: number },
  countMax: number,
): Promise<readonly LogRecord[]> {
  for (let tryCount = 0; tryCount < tryCountMax; tryCount++) {
    if (tryCount > 0) await clock.sleep(pauseMs)
    const records = await log.read(partition, after, countMax)
    if (records.length > 0) return records
  }
  const says = `read partition ${partition} behind ${after}, where it has a record`
  throw new OperatingError('STORE_UNREACHABLE', says)
}
