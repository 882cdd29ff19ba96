/**
 * Blobs in a SQLite file, apart from the state: they are large, written once and never changed.
 *
 * Puts of one turn of the event loop share a commit, and so its sync of the disk: while one runs,
 * the next ones gather.
 *
 * Raw deflate at level 1, where it makes a blob smaller by a tenth: rendered HTML shrinks to about
 * a quarter and takes less time than writing the rest would. What is read is hashed again, so that
 * a changed byte is noticed.
 */

import { join } from 'node:path'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { OperatingError } from '../lib/errors.ts'
import { sha256Hex } from '../lib/hash.ts'
import { inTransaction, openSqliteFile, orOperatingError } from '../log/sqlite-file.ts'
import { type BlobStore, blobBytesMax, checkBlobSizes } from './blob-store.ts'

export interface SqliteBlobStoreOptions {
  readonly dataDir: string
  readonly readOnly?: boolean
}

const blobFormatVersion = 1
const blobPageBytes = 8192
const blobCacheKib = 4 * 1024
/** A smaller blob gains nothing. */
const deflateBytesMin = 512
const deflateRatioMax = 0.9
const schema = `CREATE TABLE blob (
  hash BLOB PRIMARY KEY, is_deflated INTEGER NOT NULL, bytes BLOB NOT NULL)`

export function blobPath(dataDir: string): string {
  return join(dataDir, 'blobs.sqlite')
}

/** Opens the blobs, or makes the file unless `readOnly`. */
export async function openSqliteBlobStore(options: SqliteBlobStoreOptions): Promise<BlobStore> {
  return new SqliteBlobStore(openBlobFile(options))
}

function openBlobFile(options: SqliteBlobStoreOptions): DatabaseSync {
  return openSqliteFile({
    path: blobPath(options.dataDir),
    isReadOnly: options.readOnly ?? false,
    synchronous: 'FULL',
    pageBytes: blobPageBytes,
    cacheKib: blobCacheKib,
    version: blobFormatVersion,
    schema,
  })
}

/** Yields the hashes of all blobs, in no order that means anything. */
export function* listSqliteBlobs(dataDir: string): Generator<string> {
  const db = openBlobFile({ dataDir, readOnly: true })
  try {
    for (const row of db.prepare('SELECT hash FROM blob').iterate()) {
      yield Buffer.from(row['hash'] as Uint8Array).toString('hex')
    }
  } finally {
    db.close()
  }
}

interface PackedBlob {
  readonly hash: string
  readonly isDeflated: boolean
  readonly bytes: Uint8Array
}

interface WaitingPut {
  readonly packed: readonly PackedBlob[]
  resolve(hashes: readonly string[]): void
  reject(error: unknown): void
}

class SqliteBlobStore implements BlobStore {
  readonly #db: DatabaseSync
  readonly #insert: StatementSync
  readonly #select: StatementSync
  /** Puts of this turn of the event loop. */
  #waiting: WaitingPut[] = []

  constructor(db: DatabaseSync) {
    this.#db = db
    this.#insert = db.prepare('INSERT INTO blob VALUES (?, ?, ?) ON CONFLICT DO NOTHING')
    this.#select = db.prepare('SELECT is_deflated, bytes FROM blob WHERE hash = ?')
  }

  async put(blobs: readonly Uint8Array[]): Promise<readonly string[]> {
    checkBlobSizes(blobs)
    const packed = blobs.map((bytes) => ({ hash: sha256Hex(bytes), ...pack(bytes) }))
    return await new Promise((resolve, reject) => {
      if (this.#waiting.length === 0) setImmediate(() => this.#commit())
      this.#waiting.push({ packed, resolve, reject })
    })
  }

  async get(hash: string): Promise<Uint8Array | undefined> {
    const row = orOperatingError('read a blob', () => this.#select.get(Buffer.from(hash, 'hex')))
    if (row === undefined) return undefined
    const bytes = unpack(row['bytes'] as Uint8Array, row['is_deflated'] === 1)
    if (bytes === undefined || sha256Hex(bytes) !== hash) {
      throw new OperatingError('STORE_CORRUPT', `read blob ${hash}`)
    }
    return bytes
  }

  async close(): Promise<void> {
    this.#commit()
    this.#db.close()
  }

  /** Commits what waits; a failure is that of each put in it. */
  #commit(): void {
    const puts = this.#waiting
    this.#waiting = []
    if (puts.length === 0) return
    const packed = puts.flatMap((put) => put.packed)
    try {
      inTransaction(this.#db, `put ${packed.length} blobs`, () => {
        for (const { hash, isDeflated, bytes } of packed) {
          this.#insert.run(Buffer.from(hash, 'hex'), isDeflated ? 1 : 0, bytes)
        }
      })
    } catch (error) {
      for (const { reject } of puts) reject(error)
      return
    }
    for (const put of puts) put.resolve(put.packed.map(({ hash }) => hash))
  }
}

function pack(bytes: Uint8Array): { readonly isDeflated: boolean; readonly bytes: Uint8Array } {
  if (bytes.length < deflateBytesMin) return { isDeflated: false, bytes }
  const deflated = deflateRawSync(bytes, { level: 1 })
  const isDeflated = deflated.length < bytes.length * deflateRatioMax
  return { isDeflated, bytes: isDeflated ? deflated : bytes }
}

/** Returns undefined where the bytes are no deflated ones. */
function unpack(bytes: Uint8Array, isDeflated: boolean): Uint8Array | undefined {
  if (!isDeflated) return bytes
  try {
    return inflateRawSync(bytes, { maxOutputLength: blobBytesMax })
  } catch {
    return undefined
  }
}
