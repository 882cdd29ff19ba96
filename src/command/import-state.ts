/**
 * How far each file was imported, in a small SQLite file: in the data directory, or where `--state`
 * names it.
 *
 * A place is saved only when all rows before it are durable where they were sent, so what it tells
 * is never too much. It may be too little after a kill; the rows behind it are read again then, and
 * have the same event ids. Several imports may share the file: each writes rows of its own.
 *
 * A file is known by its first record, not by its name, and the bytes before the place are hashed:
 * another file that only begins in the same way is not taken for it.
 */

import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import type { DropReason } from '../collect/import-row.ts'
import type { Clock } from '../lib/clock.ts'
import { hmacBase64Url, sha256Hex } from '../lib/hash.ts'
import type { Random } from '../lib/random.ts'
import { inTransaction, openSqliteFile, orOperatingError } from '../log/sqlite-file.ts'

export interface ImportCounts {
  readonly rows: number
  /** Rows all of whose events were accepted. */
  readonly accepted: number
  readonly events: number
  readonly refused: number
  readonly dropped: Readonly<Partial<Record<DropReason, number>>>
  /** Rows that were in the log already, found after a kill; among `accepted` or `refused`. */
  readonly known: number
}

export interface SavedPlace {
  readonly name: string
  /** Behind the last row that is durable. */
  readonly offset: number
  /** Line that begins there. */
  readonly line: number
  /** Hash of the `tailBytes` bytes before `offset`. */
  readonly tail: string
  readonly tailBytes: number
  /** True where the whole file was read. */
  readonly isFinished: boolean
  readonly counts: ImportCounts
  /**
   * Where each partition of both logs ended before the first row behind `offset` was sent; empty
   * where only a server knows.
   */
  readonly ends: readonly number[]
  /** Of a file that is followed. */
  readonly followedPath?: string
  readonly identity: string
  readonly savedAtMs: number
}

export interface ImportState {
  /** Key of the visitors' hash, made with the file. */
  readonly visitorKey: Uint8Array
  /** Returns the places of files with this beginning, newest first. */
  find(key: string): readonly { readonly id: number; readonly place: SavedPlace }[]
  /** Returns the newest place of a file that is followed. */
  findFollowed(key: string): SavedPlace | undefined
  /** Makes a row for a file that begins now. */
  add(key: string, place: SavedPlace): number
  save(id: number, place: SavedPlace): void
  close(): void
}

export const emptyCounts: ImportCounts = {
  rows: 0,
  accepted: 0,
  events: 0,
  refused: 0,
  dropped: {},
  known: 0,
}

/** Bytes before a place that are hashed. */
export const tailBytesMax = 1024

const visitorKeyBytes = 32
const fileCountMax = 10_000
const stateVersion = 1
const statePageBytes = 4096
const stateCacheKib = 256
const schema = `CREATE TABLE secret (bytes BLOB NOT NULL);
CREATE TABLE file (id INTEGER PRIMARY KEY, key TEXT NOT NULL, followed TEXT, place TEXT NOT NULL);
CREATE INDEX file_key ON file (key); CREATE INDEX file_followed ON file (followed)`

export function importStatePath(dataDir: string): string {
  return join(dataDir, 'import.sqlite')
}

/** Returns the key of places: what was read, as what, and where it was sent. */
export function importKey(parts: {
  readonly target: string
  readonly source: string
  readonly format: string
  readonly identity: string
}): string {
  return sha256Hex(JSON.stringify([parts.target, parts.source, parts.format, parts.identity]))
}

export function hashTail(bytes: Uint8Array): string {
  return sha256Hex(bytes).slice(0, 32)
}

/** Returns the visitors' key of a data directory; its secrets are in every backup of it. */
export function visitorKeyOf(addressSecret: Uint8Array): Uint8Array {
  return Buffer.from(hmacBase64Url(addressSecret, 'import visitor', visitorKeyBytes), 'base64url')
}

export function openImportState(
  deps: { readonly clock: Clock; readonly random: Random },
  path: string,
): ImportState {
  const db = openSqliteFile({
    path,
    isReadOnly: false,
    synchronous: 'FULL',
    pageBytes: statePageBytes,
    cacheKib: stateCacheKib,
    version: stateVersion,
    schema,
  })
  const visitorKey = readVisitorKey(db, deps.random)
  const select = db.prepare('SELECT id, place FROM file WHERE key = ? ORDER BY id DESC LIMIT 20')
  const followed = db.prepare('SELECT place FROM file WHERE followed = ? ORDER BY id DESC LIMIT 1')
  const insert = db.prepare('INSERT INTO file (key, followed, place) VALUES (?, ?, ?)')
  const update = db.prepare('UPDATE file SET place = ? WHERE id = ?')
  const trim = db.prepare('DELETE FROM file WHERE id <= ?')
  const writePlace = (place: SavedPlace): string =>
    JSON.stringify({ ...place, savedAtMs: deps.clock.nowMs() })
  return {
    visitorKey,
    find: (key) =>
      orOperatingError('read the state of imports', () =>
        select.all(key).map((row) => ({ id: Number(row['id']), place: readPlace(row['place']) })),
      ),
    findFollowed: (path) =>
      orOperatingError('read the state of imports', () => {
        const row = followed.get(path)
        return row === undefined ? undefined : readPlace(row['place'])
      }),
    add: (key, place) =>
      inTransaction(db, 'write the state of imports', () => {
        const followedKey = place.followedPath ?? null
        const id = Number(insert.run(key, followedKey, writePlace(place)).lastInsertRowid)
        trim.run(id - fileCountMax)
        return id
      }),
    save: (id, place) =>
      inTransaction(db, 'write the state of imports', () => {
        update.run(writePlace(place), id)
      }),
    close: () => db.close(),
  }
}

function readPlace(text: unknown): SavedPlace {
  return JSON.parse(String(text)) as SavedPlace
}

function readVisitorKey(db: DatabaseSync, random: Random): Uint8Array {
  return inTransaction(db, 'read the key of visitors', () => {
    const row = db.prepare('SELECT bytes FROM secret').get()
    if (row !== undefined) return new Uint8Array(row['bytes'] as Uint8Array)
    const key = random.bytes(visitorKeyBytes)
    db.prepare('INSERT INTO secret VALUES (?)').run(key)
    return key
  })
}
