/**
 * Measures ways to lay out the SQLite log: rows a second in durable group commits of 1,000, the
 * latency of a commit of one record, the size of the file against the records in it, and reading
 * back by partition.
 *
 *   node bench/spike-log-layout.ts [rowCount]
 */

import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'

interface Layout {
  readonly name: string
  create(db: DatabaseSync): void
  /**
   * Returns what inserts record `n` of `partition`, at the latest when `flush` is called before a
   * commit.
   */
  writer(db: DatabaseSync): Writer
  /** Returns what reads up to `countMax` records of `partition` behind `after`. */
  reader(db: DatabaseSync): (partition: number, after: number, countMax: number) => unknown[]
}

interface Writer {
  write(partition: number, n: number, bytes: Uint8Array): void
  flush?(): void
}

const partitionCount = 64
const partitionSpan = 2 ** 40
const batchCount = 1000
const recordBytes = 450
const rowCount = Number(process.argv[2] ?? 300_000)

const oneTable: Layout = {
  name: 'one rowid table, rowid = partition * 2^40 + n',
  create: (db) => db.exec('CREATE TABLE record (place INTEGER PRIMARY KEY, bytes BLOB NOT NULL)'),
  writer(db) {
    const insert = db.prepare('INSERT INTO record VALUES (?, ?)')
    return { write: (partition, n, bytes) => insert.run(partition * partitionSpan + n, bytes) }
  },
  reader(db) {
    const select = db.prepare(
      'SELECT place, bytes FROM record WHERE place > ? AND place < ? LIMIT ?',
    )
    return (partition, after, countMax) =>
      select.all(partition * partitionSpan + after, (partition + 1) * partitionSpan, countMax)
  },
}

const tablePerPartition: Layout = {
  name: 'a table per partition',
  create(db) {
    for (let partition = 0; partition < partitionCount; partition++) {
      db.exec(`CREATE TABLE record_${partition} (n INTEGER PRIMARY KEY, bytes BLOB NOT NULL)`)
    }
  },
  writer(db) {
    const inserts = eachPartition(
      db,
      (partition) => `INSERT INTO record_${partition} VALUES (?, ?)`,
    )
    return { write: (partition, n, bytes) => inserts[partition]?.run(n, bytes) }
  },
  reader(db) {
    const selects = eachPartition(
      db,
      (partition) => `SELECT n, bytes FROM record_${partition} WHERE n > ? LIMIT ?`,
    )
    return (partition, after, countMax) => selects[partition]?.all(after, countMax) ?? []
  },
}

const globalOrder: Layout = {
  name: 'one rowid table in order of arrival, index (partition, n)',
  create(db) {
    db.exec(
      'CREATE TABLE record (place INTEGER PRIMARY KEY, partition INT, n INT, bytes BLOB NOT NULL)',
    )
    db.exec('CREATE INDEX by_partition ON record (partition, n)')
  },
  writer(db) {
    const insert = db.prepare('INSERT INTO record (partition, n, bytes) VALUES (?, ?, ?)')
    return { write: (partition, n, bytes) => insert.run(partition, n, bytes) }
  },
  reader(db) {
    const select = db.prepare(
      'SELECT n, bytes FROM record WHERE partition = ? AND n > ? ORDER BY n LIMIT ?',
    )
    return (partition, after, countMax) => select.all(partition, after, countMax)
  },
}

/**
 * One row holds what one commit brings to a partition; `n` is its first record, frames are u32
 * length | bytes.
 */
const chunks: Layout = {
  name: 'one rowid table, a row per commit and partition',
  create: (db) => oneTable.create(db),
  writer(db) {
    const insert = db.prepare('INSERT INTO record VALUES (?, ?)')
    return chunkWriter((partition, n, bytes) => insert.run(partition * partitionSpan + n, bytes))
  },
  reader(db) {
    const select = db.prepare(
      `SELECT place, bytes FROM record WHERE place >= ifnull((SELECT max(place) FROM record
       WHERE place <= ?1 + 1 AND place > ?2), ?1) AND place < ?2 + ${partitionSpan} LIMIT ?3`,
    )
    return (partition, after, countMax) => {
      const rows = select.all(partition * partitionSpan + after, partition * partitionSpan, 20)
      return unpack(rows, partition, after, countMax)
    }
  },
}

const chunksPerTable: Layout = {
  name: 'a table per partition, a row per commit and partition',
  create: (db) => tablePerPartition.create(db),
  writer(db) {
    const inserts = eachPartition(
      db,
      (partition) => `INSERT INTO record_${partition} VALUES (?, ?)`,
    )
    return chunkWriter((partition, n, bytes) => inserts[partition]?.run(n, bytes))
  },
  reader(db) {
    const selects = eachPartition(
      db,
      (partition) => `SELECT n AS place, bytes FROM record_${partition}
        WHERE n >= ifnull((SELECT max(n) FROM record_${partition} WHERE n <= ?1 + 1), ?1) LIMIT ?2`,
    )
    return (partition, after, countMax) =>
      unpack(selects[partition]?.all(after, 20) ?? [], 0, after, countMax)
  },
}

function chunkWriter(insert: (partition: number, n: number, bytes: Uint8Array) => void): Writer {
  const waiting = new Map<number, { readonly first: number; readonly parts: Uint8Array[] }>()
  return {
    write(partition, n, bytes) {
      let chunk = waiting.get(partition)
      if (!chunk) {
        chunk = { first: n, parts: [] }
        waiting.set(partition, chunk)
      }
      const length = Buffer.allocUnsafe(4)
      length.writeUInt32BE(bytes.length)
      chunk.parts.push(length, bytes)
    },
    flush() {
      for (const [partition, chunk] of waiting)
        insert(partition, chunk.first, Buffer.concat(chunk.parts))
      waiting.clear()
    },
  }
}

function unpack(rows: unknown[], partition: number, after: number, countMax: number): unknown[] {
  const records: unknown[] = []
  for (const row of rows as readonly { place: number; bytes: Uint8Array }[]) {
    const bytes = Buffer.from(row.bytes.buffer, row.bytes.byteOffset, row.bytes.byteLength)
    let n = row.place - partition * partitionSpan
    for (let at = 0; at < bytes.length && records.length < countMax; n++) {
      const end = at + 4 + bytes.readUInt32BE(at)
      if (n > after) records.push({ n, bytes: bytes.subarray(at + 4, end) })
      at = end
    }
  }
  return records
}

function eachPartition(db: DatabaseSync, sql: (partition: number) => string): StatementSync[] {
  return Array.from({ length: partitionCount }, (_, partition) => db.prepare(sql(partition)))
}

function openFile(path: string, pageBytes: number): DatabaseSync {
  const db = new DatabaseSync(path)
  db.exec(`PRAGMA page_size = ${pageBytes}`)
  db.exec('PRAGMA journal_mode = WAL')
  db.exec('PRAGMA synchronous = FULL')
  return db
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}

function measure(layout: Layout, pageBytes: number): Record<string, unknown> {
  const folder = mkdtempSync(join(tmpdir(), 'spike-log-'))
  const path = join(folder, 'events.sqlite')
  const db = openFile(path, pageBytes)
  layout.create(db)
  const writer = layout.writer(db)
  const ends = new Array<number>(partitionCount).fill(0)
  const bytes = new Uint8Array(recordBytes).fill(65)
  const append = (index: number): void => {
    const partition = (index * 2654435761) % partitionCount
    const n = (ends[partition] ?? 0) + 1
    writer.write(partition, n, bytes)
    ends[partition] = n
  }

  const beganAt = performance.now()
  for (let row = 0; row < rowCount; row += batchCount) {
    db.exec('BEGIN IMMEDIATE')
    for (let index = 0; index < batchCount; index++) append(row + index)
    writer.flush?.()
    db.exec('COMMIT')
  }
  const rowsPerSecond = rowCount / ((performance.now() - beganAt) / 1000)

  const latencies: number[] = []
  for (let index = 0; index < 1000; index++) {
    const at = performance.now()
    db.exec('BEGIN IMMEDIATE')
    append(index)
    writer.flush?.()
    db.exec('COMMIT')
    latencies.push(performance.now() - at)
  }
  latencies.sort((left, right) => left - right)

  db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
  const read = layout.reader(db)
  const readAt = performance.now()
  let readCount = 0
  for (let partition = 0; partition < partitionCount; partition++) {
    for (let after = 0; ; ) {
      const got = read(partition, after, 500).length
      if (got === 0) break
      after += got
      readCount += got
    }
  }
  const readPerSecond = readCount / ((performance.now() - readAt) / 1000)
  const sizeRatio = statSync(path).size / (readCount * recordBytes)
  db.close()
  rmSync(folder, { recursive: true })
  return {
    layout: layout.name,
    pageBytes,
    rowsPerSecond: Math.round(rowsPerSecond),
    commitMsMedian: Number(quantile(latencies, 0.5).toFixed(3)),
    commitMsP99: Number(quantile(latencies, 0.99).toFixed(3)),
    readPerSecond: Math.round(readPerSecond),
    sizeRatio: Number(sizeRatio.toFixed(2)),
  }
}

for (const pageBytes of [4096, 8192]) {
  for (const layout of [oneTable, tablePerPartition, globalOrder, chunks, chunksPerTable]) {
    console.log(JSON.stringify(measure(layout, pageBytes)))
  }
}
