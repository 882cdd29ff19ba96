/**
 * The log in memory, for tests and the simulator. One object is shared by all who append and read:
 * it outlives their crashes as a disk does. No timer, and nothing asynchronous but resolved
 * promises.
 */

import { assert } from '../lib/assert.ts'
import { OperatingError } from '../lib/errors.ts'
import { assignAll } from './assign-all.ts'
import { countThrough } from './count-through.ts'
import type { EventLog, LogIdentity, Place } from './event-log.ts'
import { decodeRecord, encodeRecord, recordBytesMax } from './record.ts'

export interface MemoryEventLog extends EventLog {
  /** Records kept in the partition. */
  count(partition: number): number
  /** Loses the records up to and with `through`, as a trim does. */
  trim(partition: number, through: number): void
  /** Makes appends reject. A full disk may be emptied again; a broken one stays so. */
  setFault(fault: 'DISK_FULL' | 'STORE_IO' | undefined): void
}

interface MemoryPartition {
  /** The oldest first. */
  readonly records: { readonly offset: number; readonly bytes: Uint8Array }[]
  end: number
  trimmedThrough: number
}

export interface MemoryEventLogOptions {
  readonly identity: LogIdentity
  /** Offsets that stay free before the next record's, as brokers leave some; none by default. */
  gapCount?(): number
}

export function createMemoryEventLog(options: MemoryEventLogOptions): MemoryEventLog {
  const { identity } = options
  const partitions: MemoryPartition[] = Array.from({ length: identity.partitionCount }, () => ({
    records: [],
    end: 0,
    trimmedThrough: 0,
  }))
  const waiters = new Set<() => void>()
  let fault: 'DISK_FULL' | 'STORE_IO' | undefined

  const partitionAt = (partition: number): MemoryPartition => {
    const found = partitions[partition]
    assert(found, 'a partition is one of the log')
    return found
  }
  const endOf = (partition: number): number => partitionAt(partition).end

  return {
    identity,
    async append(records) {
      const encoded = records.map((record) => {
        const bytes = encodeRecord(record)
        assert(bytes.length <= recordBytesMax, 'a record is at most recordBytesMax')
        return { target: partitionAt(record.partition), partition: record.partition, bytes }
      })
      if (fault) throw new OperatingError(fault, `append ${records.length} records`)
      const places = encoded.map(({ target, partition, bytes }): Place => {
        target.end += 1 + (options.gapCount?.() ?? 0)
        target.records.push({ offset: target.end, bytes })
        return { partition, offset: target.end }
      })
      for (const look of [...waiters]) look()
      return places
    },
    async read(partition, after, countMax) {
      const { records, trimmedThrough } = partitionAt(partition)
      if (after < trimmedThrough || after > endOf(partition)) {
        throw new OperatingError('LOG_OFFSET_LOST', `read partition ${partition} behind ${after}`)
      }
      const from = countThrough(records, after)
      return records
        .slice(from, from + countMax)
        .map(({ offset, bytes }) => decodeRecord(partition, offset, bytes))
    },
    hasMore: (partition, after) => endOf(partition) > after,
    wait(wanted, after, signal) {
      return new Promise((resolve) => {
        const finish = (): void => {
          waiters.delete(look)
          signal.removeEventListener('abort', finish)
          resolve()
        }
        const look = (): void => {
          const isThere = wanted.some((partition, at) => endOf(partition) > (after[at] ?? 0))
          if (isThere || signal.aborted) finish()
        }
        waiters.add(look)
        signal.addEventListener('abort', finish, { once: true })
        look()
      })
    },
    async end(partition) {
      return endOf(partition)
    },
    async start(partition) {
      return partitionAt(partition).records[0]?.offset ?? 0
    },
    assign: (signal) => assignAll(partitions.length, signal),
    queueBytes: () => 0,
    noteFolded: () => {},
    async close() {},
    count: (partition) => partitionAt(partition).records.length,
    trim(partition, through) {
      const target = partitionAt(partition)
      target.records.splice(0, countThrough(target.records, through))
      target.trimmedThrough = Math.max(target.trimmedThrough, Math.min(through, target.end))
    },
    setFault(wanted) {
      if (fault !== 'STORE_IO') fault = wanted
    },
  }
}
