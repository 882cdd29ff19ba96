/**
 * Measures ways to lay out the SQLite state: 2 KB point writes a second, over 100,000 uniform keys
 * of 64 partitions, 1,000 writes a commit, WAL with synchronous = NORMAL; then point reads.
 *
 *   node bench/spike-state-layout.ts [writeCount]
 */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

interface Layout {
  readonly name: string
  readonly table: string
  /** True where the key is one blob that begins with the partition. */
  readonly isKeyPrefixed: boolean
}

const keyCount = 100_000
const partitionCount = 64
const batchCount = 1000
const valueBytes = 2000
const writeCount = Number(process.argv[2] ?? 200_000)

const layouts: readonly Layout[] = [
  {
    name: '(partition, key) WITHOUT ROWID',
    table:
      'CREATE TABLE entry (partition INT, key BLOB, value BLOB, ' +
      'PRIMARY KEY (partition, key)) WITHOUT ROWID',
    isKeyPrefixed: false,
  },
  {
    name: 'prefixed key WITHOUT ROWID',
    table: 'CREATE TABLE entry (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID',
    isKeyPrefixed: true,
  },
  {
    name: 'rowid table with unique index',
    table: 'CREATE TABLE entry (partition INT, key BLOB, value BLOB, UNIQUE (partition, key))',
    isKeyPrefixed: false,
  },
]

function measure(layout: Layout, pageBytes: number, cacheKib: number): Record<string, unknown> {
  const folder = mkdtempSync(join(tmpdir(), 'spike-state-'))
  const db = new DatabaseSync(join(folder, 'state.sqlite'))
  db.exec(`PRAGMA page_size = ${pageBytes}`)
  db.exec('PRAGMA journal_mode = WAL')
  db.exec('PRAGMA synchronous = NORMAL')
  db.exec(`PRAGMA cache_size = -${cacheKib}`)
  db.exec(layout.table)
  const keys = Array.from(
    { length: keyCount },
    (_, index) => `person/user:${(index * 2654435761) % 1e9}`,
  )
  const insert = layout.isKeyPrefixed
    ? db.prepare('INSERT INTO entry VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value')
    : db.prepare(
        'INSERT INTO entry VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value',
      )
  const select = layout.isKeyPrefixed
    ? db.prepare('SELECT value FROM entry WHERE key = ?')
    : db.prepare('SELECT value FROM entry WHERE partition = ? AND key = ?')
  const value = new Uint8Array(valueBytes).fill(66)
  const prefixed = (index: number): Buffer =>
    Buffer.concat([Buffer.from([0, index % partitionCount]), Buffer.from(keys[index] ?? '')])
  let putCount = 0
  const put = (index: number): void => {
    // SQLite does not write a page whose content stays the same: each value must differ.
    new DataView(value.buffer).setUint32(0, ++putCount)
    new DataView(value.buffer).setUint32(valueBytes - 4, putCount)
    if (layout.isKeyPrefixed) insert.run(prefixed(index), value)
    else insert.run(index % partitionCount, Buffer.from(keys[index] ?? ''), value)
  }
  const get = (index: number): unknown =>
    layout.isKeyPrefixed
      ? select.get(prefixed(index))
      : select.get(index % partitionCount, Buffer.from(keys[index] ?? ''))
  let seed = 1
  const nextKey = (): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
    return Math.floor((seed / 2 ** 32) * keyCount)
  }

  const loadPerSecond = inBatches(db, keyCount, (index) => put(index))
  const writesPerSecond = inBatches(db, writeCount, () => put(nextKey()))
  const readAt = performance.now()
  for (let index = 0; index < keyCount; index++) get(nextKey())
  const readsPerSecond = keyCount / ((performance.now() - readAt) / 1000)
  db.close()
  rmSync(folder, { recursive: true })
  return {
    layout: layout.name,
    pageBytes,
    cacheKib,
    loadPerSecond: Math.round(loadPerSecond),
    writesPerSecond: Math.round(writesPerSecond),
    readsPerSecond: Math.round(readsPerSecond),
  }
}

function inBatches(db: DatabaseSync, count: number, write: (index: number) => void): number {
  const beganAt = performance.now()
  for (let done = 0; done < count; done += batchCount) {
    db.exec('BEGIN IMMEDIATE')
    for (let index = 0; index < batchCount; index++) write(done + index)
    db.exec('COMMIT')
  }
  return count / ((performance.now() - beganAt) / 1000)
}

for (const pageBytes of [4096, 8192, 16384]) {
  for (const layout of layouts) {
    console.log(JSON.stringify(measure(layout, pageBytes, 32 * 1024)))
  }
}
