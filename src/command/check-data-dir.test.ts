import assert from 'node:assert/strict'
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { it, type TestContext } from 'node:test'
import { aRecord } from '../log/event-log.contract.ts'
import { openSqliteEventLog } from '../log/sqlite-event-log.ts'
import { initSqliteLogs, logPath, trimSqliteLog } from '../log/sqlite-log-file.ts'
import { startLogThread } from '../log/sqlite-log-thread.ts'
import { blobPath, openSqliteBlobStore } from '../state/sqlite-blob-store.ts'
import { openSqliteStateStore, statePath } from '../state/sqlite-state-store.ts'
import { aCommit } from '../state/state-store.contract.ts'
import { checkDataDir, type Finding } from './check-data-dir.ts'

const recordCount = 200

/** A directory with 200 records in partition 1 and a state at the last of them. */
async function makeDataDir(t: TestContext): Promise<string> {
  const dataDir = mkdtempSync(join(tmpdir(), 'attune-check-'))
  t.after(() => rmSync(dataDir, { recursive: true }))
  await initSqliteLogs(dataDir, { incarnation: 'i1', partitionCount: 2 })
  const thread = await startLogThread(dataDir)
  const port = thread.connect()
  const log = await openSqliteEventLog({ dataDir, stream: 'events', port })
  const records = Array.from({ length: recordCount }, (_, n) =>
    aRecord({ partition: 1, id: new Uint8Array(16).fill(n + 1) }),
  )
  await log.append(records)
  await log.close()
  await thread.close()
  const state = await openSqliteStateStore({ dataDir })
  await state.acquire(1, 1, 'n1')
  const lastRecordId = Buffer.alloc(16, recordCount).toString('hex')
  const value = new Uint8Array(3000)
  const changes = Array.from({ length: 50 }, (_, n) => ({ key: `person/${n}`, value }))
  await state.commit([aCommit({ partition: 1, offset: recordCount, lastRecordId, changes })])
  await state.close()
  const blobs = await openSqliteBlobStore({ dataDir })
  await blobs.put([new Uint8Array(10)])
  await blobs.close()
  return dataDir
}

function change(path: string, sql: string): void {
  const db = new DatabaseSync(path)
  db.exec(sql)
  db.close()
}

function overwrite(path: string, at: number, count: number): void {
  const file = openSync(path, 'r+')
  writeSync(file, Buffer.alloc(count, 0xa5), 0, count, at)
  closeSync(file)
}

function brief(findings: readonly Finding[]): readonly string[] {
  return findings.map(({ severity, code, partition }) => `${severity} ${code} ${partition ?? '-'}`)
}

it('finds nothing in a whole directory, also after a trim up to the state', async (t) => {
  const dataDir = await makeDataDir(t)
  assert.deepEqual(await checkDataDir(dataDir), [])
  await trimSqliteLog({ dataDir, stream: 'events' }, 1, recordCount)
  assert.deepEqual(await checkDataDir(dataDir), [])
})

const cases: readonly {
  readonly does: string
  readonly file: (dataDir: string) => string
  readonly sql: string
  readonly finds: readonly string[]
}[] = [
  {
    does: 'a record that is missing',
    file: (dataDir) => logPath(dataDir, 'events'),
    sql: 'DELETE FROM record_1 WHERE n IN (7, 8)',
    finds: ['error record-missing 1'],
  },
  {
    does: 'a record whose bytes were changed',
    file: (dataDir) => logPath(dataDir, 'events'),
    sql: "UPDATE record_1 SET bytes = bytes || X'20' WHERE n = 9",
    finds: ['error record-damaged 1'],
  },
  {
    does: 'a state that was made from another log',
    file: statePath,
    sql: "UPDATE head SET incarnation = 'i2'",
    finds: ['error incarnation-differs 1'],
  },
  {
    does: 'a state that is ahead of the log',
    file: (dataDir) => logPath(dataDir, 'events'),
    sql: 'DELETE FROM record_1 WHERE n > 190',
    finds: ['error state-ahead 1'],
  },
  {
    does: 'a state that is behind what was trimmed',
    file: statePath,
    sql: 'UPDATE head SET at_offset = 5',
    finds: ['error state-behind-trim 1'],
  },
  {
    does: 'a state that was made from another record',
    file: statePath,
    sql: "UPDATE head SET last_record_id = 'ff'",
    finds: ['error record-differs 1'],
  },
  {
    does: 'a file of another format',
    file: (dataDir) => logPath(dataDir, 'rejected'),
    sql: 'PRAGMA user_version = 99',
    finds: ['error file-unreadable -'],
  },
]

for (const { does, file, sql, finds } of cases) {
  it(`finds ${does}`, async (t) => {
    const dataDir = await makeDataDir(t)
    if (finds[0]?.includes('behind-trim')) {
      await trimSqliteLog({ dataDir, stream: 'events' }, 1, 100)
    }
    change(file(dataDir), sql)
    assert.deepEqual(brief(await checkDataDir(dataDir)), finds)
  })
}

it('finds missing files: the log as an error, what is made on demand as a warning', async (t) => {
  const dataDir = await makeDataDir(t)
  for (const path of [logPath(dataDir, 'events'), statePath(dataDir), blobPath(dataDir)]) {
    rmSync(path)
  }
  assert.deepEqual(brief(await checkDataDir(dataDir)), [
    'error file-missing -',
    'warning file-missing -',
    'warning file-missing -',
  ])
})

it('finds damaged pages in each file, and still looks at the others', async (t) => {
  for (const pathOf of [(dir: string) => logPath(dir, 'events'), statePath]) {
    const dataDir = await makeDataDir(t)
    const path = pathOf(dataDir)
    const bytes = new DatabaseSync(path)
    const pageCount = Number(bytes.prepare('PRAGMA page_count').get()?.['page_count'])
    const pageBytes = Number(bytes.prepare('PRAGMA page_size').get()?.['page_size'])
    bytes.close()
    overwrite(path, (pageCount - 1) * pageBytes, pageBytes)
    const findings = await checkDataDir(dataDir)
    assert.ok(findings.some(({ code }) => code === 'file-damaged' || code === 'record-damaged'))
    assert.ok(findings.every(({ severity }) => severity === 'error'))
  }
})

it('finds a file that is no database', async (t) => {
  const dataDir = await makeDataDir(t)
  writeFileSync(statePath(dataDir), 'no database'.repeat(1000))
  assert.ok(brief(await checkDataDir(dataDir)).includes('error file-unreadable -'))
})
