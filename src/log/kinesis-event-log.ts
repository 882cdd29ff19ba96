/**
 * The log in a Kinesis stream, with a table in DynamoDB beside it.
 *
 * Each partition lies whole in one shard at a time. Kinesis tells no offsets that fit a number, so
 * readers count the records of a partition in the order of its shards, and the table keeps noted
 * places to begin from; `append` cannot tell the offset and answers 0. The stream's name and time
 * of creation are the incarnation. An acknowledged record is in three data centres.
 *
 * Kinesis forgets: 365 days after a record came at the latest. Places older than that are refused
 * with LOG_OFFSET_LOST, and `start` is the first offset behind the oldest noted place that is
 * whole.
 */

import { OperatingError } from '../lib/errors.ts'
import { assignAll } from './assign-all.ts'
import type { EventLog } from './event-log.ts'
import { assignByLease } from './kinesis-lease.ts'
import { createNotes } from './kinesis-notes.ts'
import {
  type KinesisEventLogOptions,
  type KinesisLogDeps,
  type KinesisSettings,
  kinesisDefaults,
} from './kinesis-options.ts'
import { KinesisReader } from './kinesis-reader.ts'
import { KinesisStream } from './kinesis-stream.ts'
import { KinesisWriter } from './kinesis-writer.ts'

export interface KinesisLogMeasures {
  /** Frames sent again after a failure. */
  readonly retriedCount: number
  /** Those of them that their shard had no room for. */
  readonly throttledCount: number
}

export interface KinesisEventLog extends EventLog {
  measures(): KinesisLogMeasures
}

/** Opens a log whose stream and table `initKinesisStreams` has made. */
export async function openKinesisEventLog(
  deps: KinesisLogDeps,
  options: KinesisEventLogOptions,
): Promise<KinesisEventLog> {
  const stream = await KinesisStream.open(deps, options)
  return createLog(deps, stream, { ...kinesisDefaults, ...options })
}

function createLog(
  deps: KinesisLogDeps,
  stream: KinesisStream,
  settings: KinesisSettings,
): KinesisEventLog {
  const reader = new KinesisReader(deps, stream, settings)
  const writer = new KinesisWriter(deps, stream, settings, (partition, place) =>
    reader.raiseAcknowledged(partition, place),
  )
  const notes = createNotes(deps.clock, { stream, reader }, settings)
  let closing: Promise<void> | undefined
  const close = async (): Promise<void> => {
    await writer.close()
    stream.end(new OperatingError('STORE_UNREACHABLE', 'use a log that is closed'))
    await reader.close()
    stream.close()
  }
  const { identity } = stream
  return {
    identity,
    append: async (records) => writer.append(records),
    read: (partition, after, countMax) => reader.read(partition, after, countMax),
    hasMore: (partition, after) => reader.hasMore(partition, after),
    wait: (partitions, after, signal) => reader.wait(partitions, after, signal),
    end: (partition) => reader.end(partition),
    start: (partition) => reader.start(partition),
    assign(signal) {
      if (!settings.isWorker) return assignAll(identity.partitionCount, signal)
      return assignByLease(deps, { stream, notes }, settings, signal)
    },
    queueBytes: () => writer.queueBytes,
    noteFolded: () => {},
    close: () => (closing ??= close()),
    measures: () => ({
      retriedCount: writer.retriedCount,
      throttledCount: writer.throttledCount,
    }),
  }
}
