/**
 * The file of one SQLite log: its tables, its identity, and reading from it.
 *
 * A table per partition, offset = rowid, dense from 1. Appending at the right edge of a table keeps
 * its pages full, and made the writer 1.5 times as fast as one table with the partition in the
 * rowid. A row holds the CRC-32 of the record before its bytes: SQLite has no checksum of its own,
 * and a flipped bit must not become a person's data.
 *
 * Since offsets are dense, a row that is missing is noticed by whoever reads over its place.
 */

import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { crc32 } from 'node:zlib'
import { assert } from '../lib/assert.ts'
import { OperatingError } from '../lib/errors.ts'
import type { LogIdentity } from './event-log.ts'
import { decodeRecord, type LogRecord } from './record.ts'
import { inTransaction, openSqliteFile, orOperatingError, readNumber } from './sqlite-file.ts'

export const logStreams = ['events', 'rejected'] as const
export type LogStream = (typeof logStreams)[number]

export const partitionCountMax = 4096

const logFormatVersion = 1
const logPageBytes = 4096
const logCacheKib = 8 * 1024
export const crcBytes = 4
/** A read stops behind this many bytes, so that `countMax` large records do not fill the memory. */
const readBytesMax = 16 * 1024 * 1024
/** Rows deleted per transaction, so that a trim does not hold up the writer. */
const trimCountMax = 5000

export function logPath(dataDir: string, stream: LogStream): string {
  return join(dataDir, `${stream}.sqlite`)
}

/**
 * Makes both logs. Refuses where a log is already there. `events` comes last: if it is there, both
 * are.
 */
export async function initSqliteLogs(dataDir: string, identity: LogIdentity): Promise<void> {
  const { partitionCount, incarnation } = identity
  assert(
    partitionCount >= 1 && partitionCount <= partitionCountMax,
    'a log has 1 to 4096 partitions',
  )
  assert(incarnation !== '', 'a log has an incarnation')
  if (existsSync(logPath(dataDir, 'events'))) {
    const db = openFileOrUndefined(dataDir)
    db?.close()
    if (db) throw new OperatingError('DATA_DIR_INVALID', `make a log in ${dataDir}, which has one`)
  }
  for (const stream of ['rejected', 'events'] as const) {
    const path = logPath(dataDir, stream)
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${path}${suffix}`, { force: true })
    openFile(path, { isReadOnly: false, schema: schemaOf(identity) }).close()
  }
}

/**
 * Opens the file of one log. Throws DATA_DIR_INVALID where there is none, DATA_DIR_VERSION for
 * another format.
 */
export function openLogFile(dataDir: string, stream: LogStream, isReadOnly: boolean): DatabaseSync {
  const path = logPath(dataDir, stream)
  if (!existsSync(path))
    throw new OperatingError('DATA_DIR_INVALID', `open ${path}, which is not there`)
  return openFile(path, { isReadOnly, schema: '' })
}

export function readLogIdentity(db: DatabaseSync): LogIdentity {
  const row = orOperatingError('read the identity of the log', () =>
    db.prepare('SELECT incarnation, partition_count FROM meta').get(),
  )
  if (row === undefined) throw new OperatingError('STORE_CORRUPT', 'read the identity of the log')
  return {
    incarnation: String(row['incarnation']),
    partitionCount: Number(row['partition_count']),
  }
}

/** Deletes the records up to and with `through`. For a command; the server may go on meanwhile. */
export async function trimSqliteLog(
  file: { readonly dataDir: string; readonly stream: LogStream },
  partition: number,
  through: number,
): Promise<void> {
  const db = openLogFile(file.dataDir, file.stream, false)
  try {
    const end = new LogFileReader(db).end(partition)
    const last = Math.min(through, end)
    const remember = db.prepare(
      'INSERT INTO trimmed VALUES (?, ?) ' +
        'ON CONFLICT DO UPDATE SET through = max(through, excluded.through)',
    )
    const remove = db.prepare(
      `DELETE FROM record_${partition} WHERE n IN
       (SELECT n FROM record_${partition} WHERE n <= ? ORDER BY n LIMIT ${trimCountMax})`,
    )
    inTransaction(db, `trim partition ${partition}`, () => remember.run(partition, last))
    for (let isMore = true; isMore; ) {
      isMore =
        inTransaction(db, `trim partition ${partition}`, () => remove.run(last).changes) !== 0
    }
  } finally {
    db.close()
  }
}

/** Adds up the bytes of the records up to and with each `through`. */
export function measureSqliteLog(
  file: { readonly dataDir: string; readonly stream: LogStream },
  parts: readonly { readonly partition: number; readonly through: number }[],
): number {
  const db = openLogFile(file.dataDir, file.stream, true)
  try {
    return orOperatingError('measure the log', () =>
      parts.reduce((sum, { partition, through }) => {
        const sql = `SELECT sum(length(bytes)) FROM record_${partition} WHERE n <= ${through}`
        return sum + readNumber(db, sql)
      }, 0),
    )
  } finally {
    db.close()
  }
}

/** Reads one log file. Several may read at once, also while the writer writes. */
export class LogFileReader {
  readonly identity: LogIdentity
  readonly #selects: StatementSync[] = []
  readonly #db: DatabaseSync

  constructor(db: DatabaseSync) {
    this.#db = db
    this.identity = readLogIdentity(db)
  }

  read(partition: number, after: number, countMax: number): LogRecord[] {
    const records: LogRecord[] = []
    let bytes = 0
    orOperatingError(`read partition ${partition}`, () => {
      for (const row of this.#select(partition).iterate(after, countMax)) {
        const offset = Number(row['n'])
        if (offset !== after + records.length + 1)
          throw offsetLost(partition, after + records.length)
        const stored = row['bytes'] as Uint8Array
        records.push(decodeStored(partition, offset, stored))
        bytes += stored.length
        if (bytes >= readBytesMax) break
      }
    })
    if (records.length === 0 && countMax > 0 && after !== this.end(partition)) {
      // A record that came between the two looks is no loss: it is there now.
      if (this.#select(partition).get(after, 1)?.['n'] !== after + 1)
        throw offsetLost(partition, after)
    }
    return records
  }

  end(partition: number): number {
    this.#check(partition)
    return orOperatingError(`read the end of partition ${partition}`, () => {
      const end = readNumber(this.#db, `SELECT max(n) FROM record_${partition}`)
      if (end > 0) return end
      return readNumber(this.#db, `SELECT through FROM trimmed WHERE partition = ${partition}`)
    })
  }

  start(partition: number): number {
    this.#check(partition)
    return orOperatingError(`read the start of partition ${partition}`, () =>
      readNumber(this.#db, `SELECT min(n) FROM record_${partition}`),
    )
  }

  #select(partition: number): StatementSync {
    this.#check(partition)
    const known = this.#selects[partition]
    if (known) return known
    const select = this.#db.prepare(
      `SELECT n, bytes FROM record_${partition} WHERE n > ? ORDER BY n LIMIT ?`,
    )
    this.#selects[partition] = select
    return select
  }

  #check(partition: number): void {
    assert(
      Number.isInteger(partition) && partition >= 0 && partition < this.identity.partitionCount,
      'a partition is one of the log',
    )
  }
}

/**
 * Returns the record in a row. Throws STORE_CORRUPT where the bytes are not those that were
 * written.
 */
export function decodeStored(partition: number, offset: number, stored: Uint8Array): LogRecord {
  const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength)
  const record = bytes.subarray(crcBytes)
  if (bytes.length <= crcBytes || bytes.readUInt32BE(0) !== crc32(record)) {
    throw new OperatingError('STORE_CORRUPT', `read record ${offset} of partition ${partition}`)
  }
  return decodeRecord(partition, offset, record)
}

function offsetLost(partition: number, after: number): OperatingError {
  return new OperatingError('LOG_OFFSET_LOST', `read partition ${partition} behind ${after}`)
}

function openFileOrUndefined(dataDir: string): DatabaseSync | undefined {
  try {
    return openLogFile(dataDir, 'events', true)
  } catch (error) {
    // A file without tables is what a crash during `init` leaves: it is made again.
    if (error instanceof OperatingError && error.code === 'DATA_DIR_INVALID') return undefined
    throw error
  }
}

function openFile(
  path: string,
  options: { readonly isReadOnly: boolean; readonly schema: string },
): DatabaseSync {
  return openSqliteFile({
    path,
    isReadOnly: options.isReadOnly,
    synchronous: 'FULL',
    pageBytes: logPageBytes,
    cacheKib: logCacheKib,
    version: logFormatVersion,
    schema: options.schema,
  })
}

function schemaOf(identity: LogIdentity): string {
  const incarnation = identity.incarnation.replaceAll("'", "''")
  const statements = [
    'CREATE TABLE meta (incarnation TEXT NOT NULL, partition_count INTEGER NOT NULL)',
    `INSERT INTO meta VALUES ('${incarnation}', ${identity.partitionCount})`,
    'CREATE TABLE trimmed (partition INTEGER PRIMARY KEY, through INTEGER NOT NULL)',
  ]
  for (let partition = 0; partition < identity.partitionCount; partition++) {
    statements.push(`CREATE TABLE record_${partition} (n INTEGER PRIMARY KEY, bytes BLOB NOT NULL)`)
  }
  return statements.join(';')
}
