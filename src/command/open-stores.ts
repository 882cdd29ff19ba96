/**
 * Opens log, state and side store of any kind, on any thread. Here, and in the entries of threads,
 * adapters are wired; a client library is loaded only where its store is used.
 */

import type { MessagePort } from 'node:worker_threads'
import { assert } from '../lib/assert.ts'
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import { systemRandom } from '../lib/random.ts'
import type { EventLog } from '../log/event-log.ts'
import { openSqliteEventLog } from '../log/sqlite-event-log.ts'
import type { LogStream } from '../log/sqlite-log-file.ts'
import { openSqliteEventLogReader } from '../log/sqlite-log-reader.ts'
import type { BlobStore } from '../state/blob-store.ts'
import { createCopiedStateStore } from '../state/copied-state-store.ts'
import { openSqliteBlobStore } from '../state/sqlite-blob-store.ts'
import { withPutThread } from '../state/sqlite-blob-thread.ts'
import { openSqliteStateStore } from '../state/sqlite-state-store.ts'
import type { StateStore } from '../state/state-store.ts'
import { type LogOptions, type StateOptions, streamOf, topicOf } from './store-options.ts'

export interface StoreDeps {
  readonly clock: Clock
  readonly logger: Logger
}

export interface OpenLogOptions {
  readonly stream: LogStream
  /** To the thread that writes the log's file; without one a log on this machine is read only. */
  readonly port?: MessagePort | undefined
  /** Whether `assign` joins the group that shares the partitions out. */
  readonly isWorker?: boolean
}

/** Opens one of the two streams. */
export async function openEventLog(
  deps: StoreDeps,
  options: LogOptions,
  { stream, port, isWorker }: OpenLogOptions,
): Promise<EventLog> {
  if (options.kind === 'sqlite') {
    const { dataDir } = options
    if (port === undefined) return await openSqliteEventLogReader({ dataDir, stream })
    return await openSqliteEventLog({ dataDir, stream, port })
  }
  if (options.kind === 'kinesis') {
    const { openKinesisEventLog } = await import('../log/kinesis-event-log.ts')
    const { kinesis, prefix } = options
    const named = { ...kinesis, stream: streamOf(prefix, stream), isWorker: isWorker === true }
    return await openKinesisEventLog(deps, named)
  }
  const { openKafkaEventLog } = await import('../log/kafka-event-log.ts')
  const { groupId, ...kafka } = options.kafka
  assert(groupId !== undefined, 'the workers have a group')
  return await openKafkaEventLog(deps, {
    ...kafka,
    topic: topicOf(options.prefix, stream),
    ...(isWorker === true ? { groupId } : {}),
  })
}

/** Opens the state; `isReader` where this thread must not write a state on this machine. */
export async function openStateStore(
  deps: StoreDeps,
  options: StateOptions,
  { isReader = false }: { readonly isReader?: boolean } = {},
): Promise<StateStore> {
  switch (options.kind) {
    case 'sqlite':
      return await openSqliteStateStore({ dataDir: options.dataDir, readOnly: isReader })
    case 'redis': {
      const { openRedisStateStore } = await import('../state/redis-state-store.ts')
      return await openRedisStateStore(deps, options.redis)
    }
    case 'dynamodb': {
      const { openDynamodbStateStore } = await import('../state/dynamodb-state-store.ts')
      return await openDynamodbStateStore(deps, options.dynamodb)
    }
    case 'dynamodb-redis': {
      const { openDynamodbStateStore } = await import('../state/dynamodb-state-store.ts')
      const primary = await openDynamodbStateStore(deps, options.dynamodb)
      // Only owners read the copy.
      if (isReader) return primary
      const { openRedisStateCopy } = await import('../state/redis-state-copy.ts')
      const copy = await openRedisStateCopy(deps, options.redis)
      return createCopiedStateStore({ ...deps, random: systemRandom, primary, copy })
    }
  }
}

/**
 * Opens the side store, which lies with the state; `hasPutThread` where this thread has more to do
 * than to wait for a disk of this machine.
 */
export async function openBlobStore(
  deps: StoreDeps,
  options: StateOptions,
  given: { readonly isReader?: boolean; readonly hasPutThread?: boolean } = {},
): Promise<BlobStore> {
  const { isReader = false, hasPutThread = false } = given
  switch (options.kind) {
    case 'sqlite': {
      const { dataDir } = options
      const store = await openSqliteBlobStore({ dataDir, readOnly: isReader })
      return hasPutThread ? withPutThread(store, dataDir) : store
    }
    case 'redis': {
      const { openRedisBlobStore } = await import('../state/redis-blob-store.ts')
      return await openRedisBlobStore(deps, options.redis)
    }
    case 'dynamodb':
    case 'dynamodb-redis': {
      const { openDynamodbBlobStore } = await import('../state/dynamodb-blob-store.ts')
      return await openDynamodbBlobStore(deps, options.dynamodb)
    }
  }
}
