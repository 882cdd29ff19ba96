import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { it, type TestContext } from 'node:test'
import { openSqliteStateStore, statePath } from './sqlite-state-store.ts'
import { aCommit, describeStateStore } from './state-store.contract.ts'
import type { StateStore } from './state-store.ts'

interface OpenedStore {
  readonly dataDir: string
  readonly store: StateStore
}

async function openStore(t: TestContext): Promise<OpenedStore> {
  const dataDir = mkdtempSync(join(tmpdir(), 'attune-state-'))
  const store = await openSqliteStateStore({ dataDir })
  t.after(async () => {
    await store.close()
    const db = new DatabaseSync(statePath(dataDir))
    assert.equal(db.prepare('PRAGMA integrity_check').get()?.['integrity_check'], 'ok')
    db.close()
    rmSync(dataDir, { recursive: true })
  })
  return { dataDir, store }
}

describeStateStore('sqlite', async (t) => (await openStore(t)).store)

const value = new Uint8Array([1])

it('shows a reader what was committed, and refuses its commits', async (t) => {
  const { dataDir, store } = await openStore(t)
  await store.acquire(0, 1, 'n1')
  const reader = await openSqliteStateStore({ dataDir, readOnly: true })
  await store.commit([aCommit({ changes: [{ key: 'a', value }] })])
  assert.equal((await reader.head(0)).offset, 1)
  assert.equal((await reader.get(0, ['a']))[0]?.length, 1)
  await assert.rejects(reader.commit([aCommit({ previousOffset: 1, offset: 2 })]), {
    code: 'STORE_IO',
  })
  await reader.close()
})

it('takes back all partitions of a commit that fails in the middle', async (t) => {
  const { dataDir, store } = await openStore(t)
  await store.acquire(0, 1, 'n1')
  await store.acquire(1, 1, 'n1')
  const other = new DatabaseSync(statePath(dataDir))
  other.exec(`CREATE TRIGGER refuse BEFORE INSERT ON entry WHEN new.key = 'poison'
    BEGIN SELECT raise(ABORT, 'asked for'); END`)
  other.close()
  const changes = [
    { key: 'a', value },
    { key: 'poison', value },
  ]
  const commits = [aCommit({ changes: changes.slice(0, 1) }), aCommit({ partition: 1, changes })]
  await assert.rejects(store.commit(commits), { code: 'STORE_IO' })
  assert.deepEqual(await store.get(0, ['a']), [undefined])
  assert.equal((await store.head(0)).offset, 0)
  assert.deepEqual(await store.commit(commits.slice(0, 1)), ['committed'])
})

it('keeps everything when it is opened again, and refuses another format', async (t) => {
  const { dataDir, store } = await openStore(t)
  await store.acquire(0, 1, 'n1')
  await store.commit([aCommit({ offset: 4, changes: [{ key: 'a\0b', value }] })])
  const again = await openSqliteStateStore({ dataDir })
  assert.equal((await again.head(0)).offset, 4)
  assert.deepEqual(
    (await again.scan(0, 'a', '', 5)).map(({ key }) => key),
    ['a\0b'],
  )
  await again.close()
  const db = new DatabaseSync(statePath(dataDir))
  db.exec('PRAGMA user_version = 99')
  db.close()
  await assert.rejects(openSqliteStateStore({ dataDir }), { code: 'DATA_DIR_VERSION' })
  const nowhere = { dataDir: join(dataDir, 'nowhere'), readOnly: true }
  await assert.rejects(openSqliteStateStore(nowhere), { code: 'DATA_DIR_INVALID' })
})
