/**
 * The log in a SQLite file, as another process sees it: it has no writer to hear from, so it looks
 * every 50 ms.
 */

import type { DatabaseSync } from 'node:sqlite'
import { type Clock, systemClock } from '../lib/clock.ts'
import { assignAll } from './assign-all.ts'
import type { EventLog, LogIdentity, Place } from './event-log.ts'
import type { LogRecord } from './record.ts'
import { LogFileReader, type LogStream, openLogFile } from './sqlite-log-file.ts'

const pollMs = 50

/** Opens the log of `dataDir` for reading only, also while a server writes to it. */
export async function openSqliteEventLogReader(options: {
  readonly dataDir: string
  readonly stream: LogStream
  readonly clock?: Clock
}): Promise<EventLog> {
  const db = openLogFile(options.dataDir, options.stream, true)
  return new SqliteEventLogReader(db, options.clock ?? systemClock)
}

class SqliteEventLogReader implements EventLog {
  readonly identity: LogIdentity
  readonly #db: DatabaseSync
  readonly #reader: LogFileReader
  readonly #clock: Clock

  constructor(db: DatabaseSync, clock: Clock) {
    this.#db = db
    this.#clock = clock
    this.#reader = new LogFileReader(db)
    this.identity = this.#reader.identity
  }

  async append(): Promise<readonly Place[]> {
    throw new Error('broken belief: nobody appends to a log that is open for reading only')
  }

  async read(partition: number, after: number, countMax: number): Promise<readonly LogRecord[]> {
    return this.#reader.read(partition, after, countMax)
  }

  hasMore(partition: number, after: number): boolean {
    return this.#reader.end(partition) > after
  }

  async wait(
    partitions: readonly number[],
    after: readonly number[],
    signal: AbortSignal,
  ): Promise<void> {
    const isThere = (partition: number, index: number): boolean =>
      this.#reader.end(partition) > (after[index] ?? 0)
    while (!signal.aborted && !partitions.some(isThere)) await this.#clock.sleep(pollMs, signal)
  }

  async end(partition: number): Promise<number> {
    return this.#reader.end(partition)
  }

  async start(partition: number): Promise<number> {
    return this.#reader.start(partition)
  }

  assign(signal: AbortSignal): AsyncIterable<readonly number[]> {
    return assignAll(this.identity.partitionCount, signal)
  }

  queueBytes(): number {
    return 0
  }

  noteFolded(): void {}

  async close(): Promise<void> {
    this.#db.close()
  }
}
