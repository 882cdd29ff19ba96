/**
 * The state in a SQLite file. It runs on the thread of the fold and answers before its promises are
 * looked at.
 *
 * `synchronous` is NORMAL: a power cut may take the newest commits, whole ones, and the log makes
 * them again.
 *
 * A rowid table beside a unique index writes 2 KB values more than twice as fast as a table WITHOUT
 * ROWID: there a value shares the pages of the keys, and one over a quarter of a page goes to
 * another page. Pages of 4 KiB, since each changed value writes its whole page twice, to the WAL
 * and at the checkpoint.
 */

import { join } from 'node:path'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import {
  atOneInstant,
  inTransaction,
  openSqliteFile,
  orOperatingError,
} from '../log/sqlite-file.ts'
import { assertCommitFits, rangeOf } from './key-order.ts'
import {
  type CommitAnswer,
  type Entry,
  type Head,
  isRepeat,
  noHead,
  type PartitionCommit,
  type StateStore,
} from './state-store.ts'

export interface SqliteStateStoreOptions {
  readonly dataDir: string
  /** For other threads and processes; their commits are refused by SQLite. */
  readonly readOnly?: boolean
  /** Name of the file where each fold thread has its own. */
  readonly fileName?: string
}

const stateFormatVersion = 1
const statePageBytes = 4096
const stateCacheKib = 32 * 1024
const readerCacheKib = 8 * 1024
const schema = `
  CREATE TABLE head (
    partition INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, nonce TEXT NOT NULL,
    at_offset INTEGER NOT NULL, last_record_id TEXT NOT NULL, incarnation TEXT NOT NULL);
  CREATE TABLE entry (
    partition INTEGER NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, UNIQUE (partition, key))`

export function statePath(dataDir: string, fileName = 'state.sqlite'): string {
  return join(dataDir, fileName)
}

/** Opens the state, or makes it unless `readOnly`. */
export async function openSqliteStateStore(options: SqliteStateStoreOptions): Promise<StateStore> {
  const isReadOnly = options.readOnly ?? false
  const db = openSqliteFile({
    path: statePath(options.dataDir, options.fileName),
    isReadOnly,
    synchronous: 'NORMAL',
    pageBytes: statePageBytes,
    cacheKib: isReadOnly ? readerCacheKib : stateCacheKib,
    version: stateFormatVersion,
    schema,
  })
  return new SqliteStateStore(db)
}

class SqliteStateStore implements StateStore {
  readonly #db: DatabaseSync
  readonly #selectHead: StatementSync
  readonly #saveHead: StatementSync
  readonly #select: StatementSync
  readonly #scan: StatementSync
  readonly #save: StatementSync
  readonly #delete: StatementSync

  constructor(db: DatabaseSync) {
    this.#db = db
    this.#selectHead = db.prepare('SELECT * FROM head WHERE partition = ?')
    this.#saveHead = db.prepare('INSERT OR REPLACE INTO head VALUES (?, ?, ?, ?, ?, ?)')
    this.#select = db.prepare('SELECT value FROM entry WHERE partition = ? AND key = ?')
    this.#scan = db.prepare(
      'SELECT key, value FROM entry WHERE partition = ? AND key >= ? AND key < ? ' +
        'ORDER BY key LIMIT ?',
    )
    this.#save = db.prepare(
      'INSERT INTO entry VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value',
    )
    this.#delete = db.prepare('DELETE FROM entry WHERE partition = ? AND key = ?')
  }

  async head(partition: number): Promise<Head> {
    return orOperatingError(`read the head of partition ${partition}`, () => this.#head(partition))
  }

  async get(
    partition: number,
    keys: readonly string[],
  ): Promise<readonly (Uint8Array | undefined)[]> {
    const readAll = (): readonly (Uint8Array | undefined)[] =>
      keys.map((key) => this.#select.get(partition, key)?.['value'] as Uint8Array | undefined)
    return orOperatingError(`read state of partition ${partition}`, () =>
      keys.length < 2 ? readAll() : atOneInstant(this.#db, readAll),
    )
  }

  async scan(
    partition: number,
    prefix: string,
    after: string,
    countMax: number,
  ): Promise<readonly Entry[]> {
    const { from, to } = rangeOf(prefix, after)
    const rows = orOperatingError(`scan state of partition ${partition}`, () =>
      this.#scan.all(partition, from, to, countMax),
    )
    return rows.map(({ key, value }) => ({ key: key as string, value: value as Uint8Array }))
  }

  async acquire(partition: number, epoch: number, nonce: string): Promise<'acquired' | 'fenced'> {
    return inTransaction(this.#db, `acquire partition ${partition}`, () => {
      const head = this.#head(partition)
      const isOwn = epoch === head.epoch && nonce === head.nonce
      if (epoch <= head.epoch && !isOwn) return 'fenced'
      if (!isOwn) this.#writeHead(partition, { ...head, epoch, nonce })
      return 'acquired'
    })
  }

  async release(partition: number, epoch: number, nonce: string): Promise<void> {
    inTransaction(this.#db, `release partition ${partition}`, () => {
      const head = this.#head(partition)
      if (epoch === head.epoch && nonce === head.nonce) {
        this.#writeHead(partition, { ...head, nonce: '' })
      }
    })
  }

  async commit(commits: readonly PartitionCommit[]): Promise<readonly CommitAnswer[]> {
    for (const commit of commits) assertCommitFits(commit)
    return inTransaction(this.#db, 'commit state', () =>
      commits.map((commit) => this.#commitOne(commit)),
    )
  }

  async close(): Promise<void> {
    this.#db.close()
  }

  #commitOne(commit: PartitionCommit): CommitAnswer {
    const { partition } = commit
    const head = this.#head(partition)
    if (commit.epoch !== head.epoch || commit.nonce !== head.nonce) return 'fenced'
    if (isRepeat(head, commit)) return 'committed'
    if (commit.previousOffset !== head.offset) return 'moved'
    for (const { key, value } of commit.changes) {
      if (value === undefined) this.#delete.run(partition, key)
      else this.#save.run(partition, key, value)
    }
    this.#writeHead(partition, commit)
    return 'committed'
  }

  #head(partition: number): Head {
    const row = this.#selectHead.get(partition)
    if (row === undefined) return noHead
    return {
      epoch: Number(row['epoch']),
      nonce: String(row['nonce']),
      offset: Number(row['at_offset']),
      lastRecordId: String(row['last_record_id']),
      incarnation: String(row['incarnation']),
    }
  }

  #writeHead(partition: number, head: Head): void {
    const { epoch, nonce, offset, lastRecordId, incarnation } = head
    this.#saveHead.run(partition, epoch, nonce, offset, lastRecordId, incarnation)
  }
}
