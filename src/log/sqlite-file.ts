/**
 * Opens a SQLite file the way all embedded stores need it, and gives SQLite's failures our names.
 *
 * WAL, so that readers and the one writer do not wait for each other. The default
 * `wal_autocheckpoint` stays: a longer WAL makes a checkpoint that holds up everything behind it,
 * and the syncs of other files on the same disk.
 * `user_version` is the format of the file; a format that is not known is refused, never guessed
 * at.
 */

import { existsSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { type ErrorCode, OperatingError } from '../lib/errors.ts'

export interface SqliteFileOptions {
  readonly path: string
  readonly isReadOnly: boolean
  /**
   * FULL: a commit survives power loss. NORMAL: the newest commits may be lost, never a part of
   * one.
   */
  readonly synchronous: 'FULL' | 'NORMAL'
  readonly pageBytes: number
  readonly cacheKib: number
  /** Format of the tables; kept in the file. */
  readonly version: number
  /** Statements that make the tables of a new file. */
  readonly schema: string
}

/**
 * A WAL grows without bound while somebody reads at one instant, as a backup does; what it has
 * beyond this is given back to the disk when it begins again.
 */
export const walBytesMax = 16 * 1024 * 1024

/** How long a statement waits for another process's lock before it fails. */
const busyMsMax = 5000

/** SQLite result codes, https://sqlite.org/rescode.html. */
const sqliteCorrupt = 11
const sqliteFull = 13
const sqliteNotADatabase = 26
/**
 * The shared-memory file cannot grow: what a full disk looks like to the first reader or writer of
 * a WAL.
 */
const sqliteShmSize = 4874

/** Opens the file, or makes it unless it is read only. Throws `OperatingError`. */
export function openSqliteFile(options: SqliteFileOptions): DatabaseSync {
  const { path, isReadOnly } = options
  if (isReadOnly && !existsSync(path)) {
    throw new OperatingError('DATA_DIR_INVALID', `open ${path}, which does not exist`)
  }
  const db = orOperatingError(
    `open ${path}`,
    () => new DatabaseSync(path, { readOnly: isReadOnly, timeout: busyMsMax }),
  )
  try {
    orOperatingError(`open ${path}`, () => prepareFile(db, options))
  } catch (error) {
    db.close()
    throw error
  }
  return db
}

/**
 * Runs `work` in one write transaction, and takes all of it back if it throws. Throws
 * `OperatingError`.
 */
export function inTransaction<Result>(
  db: DatabaseSync,
  attempted: string,
  work: () => Result,
): Result {
  return orOperatingError(attempted, () => {
    db.exec('BEGIN IMMEDIATE')
    try {
      const result = work()
      db.exec('COMMIT')
      return result
    } catch (error) {
      // SQLite ends the transaction by itself after some failures, a full disk among them.
      if (db.isTransaction) db.exec('ROLLBACK')
      throw error
    }
  })
}

/** Runs reads that all see the same commits, with one lock for all of them. Throws what they do. */
export function atOneInstant<Result>(db: DatabaseSync, read: () => Result): Result {
  db.exec('BEGIN')
  try {
    return read()
  } finally {
    // SQLite ends the transaction by itself after some failures.
    if (db.isTransaction) db.exec('COMMIT')
  }
}

/** Runs `work`; what SQLite throws becomes an `OperatingError`, everything else is passed on. */
export function orOperatingError<Result>(attempted: string, work: () => Result): Result {
  try {
    return work()
  } catch (cause) {
    const resultCode = sqliteResultCode(cause)
    if (resultCode === undefined) throw cause
    throw new OperatingError(errorCodeOf(resultCode), attempted, cause)
  }
}

function prepareFile(db: DatabaseSync, options: SqliteFileOptions): void {
  const version = readNumber(db, 'PRAGMA user_version')
  const isNew = version === 0
  if (isNew && options.isReadOnly) {
    throw new OperatingError('DATA_DIR_INVALID', `open ${options.path}, which holds nothing yet`)
  }
  if (!isNew && version !== options.version) {
    throw new OperatingError('DATA_DIR_VERSION', `open ${options.path} of format ${version}`)
  }
  db.exec(`PRAGMA cache_size = -${options.cacheKib}`)
  if (options.isReadOnly) return
  if (isNew) db.exec(`PRAGMA page_size = ${options.pageBytes}`)
  db.exec('PRAGMA journal_mode = WAL')
  db.exec(`PRAGMA synchronous = ${options.synchronous}`)
  db.exec(`PRAGMA journal_size_limit = ${walBytesMax}`)
  if (!isNew) return
  // One transaction: after a crash the file has all its tables and the version, or still none.
  db.exec(`BEGIN IMMEDIATE; ${options.schema}; PRAGMA user_version = ${options.version}; COMMIT`)
}

/** Returns the first column of the first row as a number, 0 for none. */
export function readNumber(db: DatabaseSync, sql: string): number {
  const row = db.prepare(sql).get()
  return row === undefined ? 0 : Number(Object.values(row)[0] ?? 0)
}

function errorCodeOf(resultCode: number): ErrorCode {
  const primary = resultCode & 0xff
  if (primary === sqliteFull || resultCode === sqliteShmSize) return 'DISK_FULL'
  if (primary === sqliteCorrupt || primary === sqliteNotADatabase) return 'STORE_CORRUPT'
  return 'STORE_IO'
}

function sqliteResultCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error)) return undefined
  return typeof error.errcode === 'number' ? error.errcode : undefined
}
