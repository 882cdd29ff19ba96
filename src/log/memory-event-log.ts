/**
 * The log in memory, for tests and the simulator. One object is shared by all who append and read:
 * it outlives their crashes as a disk does. No timer, and nothing asynchronous but resolved
 * promises.
 */

import { assert } from '../lib/assert.ts'
import { OperatingError } from '../lib/errors.ts'
import { assignAll } from './assign-all.ts'
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
  readonly records: Uint8Array[]
  trimmedThrough: number
}

export function createMemoryEventLog(options: { readonly identity: LogIdentity }): MemoryEventLog {
  const { identity } = options
  const partitions: MemoryPartition[] = Array.from({ length: identity.partitionCount }, () => ({
    records: [],
    trimmedThrough: 0,
  }))
  const waiters = new Set<() => void>()
  let fault: 'DISK_FULL' | 'STORE_IO' | undefined

  const partitionAt = (partition: number): MemoryPartition => {
    const found = partitions[partition]
    assert(found, 'a partition is one of the log')
    return found
  }
  const endOf = (partition: number): number => {
    const { records, trimmedThrough } = partitionAt(partition)
    return trimmedThrough + records.length
  }

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
        target.records.push(bytes)
        return { partition, offset: endOf(partition) }
      })
      for (const look of [...waiters]) look()
      return places
    },
    async read(partition, after, countMax) {
      const { records, trimmedThrough } = partitionAt(partition)
      if (after < trimmedThrough || after > endOf(partition)) {
        throw new OperatingError('LOG_OFFSET_LOST', `read partition ${partition} behind ${after}`)
      }
      const from = after - trimmedThrough
      return records
        .slice(from, from + countMax)
        .map((bytes, index) => decodeRecord(partition, after + index + 1, bytes))
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
      const { records, trimmedThrough } = partitionAt(partition)
      return records.length === 0 ? 0 : trimmedThrough + 1
    },
    assign: (signal) => assignAll(partitions.length, signal),
    queueBytes: () => 0,
    noteFolded: () => {},
    async close() {},
    count: (partition) => partitionAt(partition).records.length,
    trim(partition, through) {
      const target = partitionAt(partition)
      const lost = Math.min(through, endOf(partition)) - target.trimmedThrough
      if (lost <= 0) return
      target.records.splice(0, lost)
      target.trimmedThrough += lost
    },
    setFault(wanted) {
      if (fault !== 'STORE_IO') fault = wanted
    },
  }
}
