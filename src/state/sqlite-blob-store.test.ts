import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { it, type TestContext } from 'node:test'
import { sha256Hex } from '../lib/hash.ts'
import { describeBlobStore } from './blob-store.contract.ts'
import { type BlobStore, blobBytesMax } from './blob-store.ts'
import { blobPath, listSqliteBlobs, openSqliteBlobStore } from './sqlite-blob-store.ts'
import { withPutThread } from './sqlite-blob-thread.ts'

function makeFolder(t: TestContext): string {
  const dataDir = mkdtempSync(join(tmpdir(), 'attune-blob-'))
  t.after(() => rmSync(dataDir, { recursive: true }))
  return dataDir
}

async function openStore(
  t: TestContext,
): Promise<{ readonly dataDir: string; readonly store: BlobStore }> {
  const dataDir = makeFolder(t)
  const store = await openSqliteBlobStore({ dataDir })
  t.after(() => store.close())
  return { dataDir, store }
}

describeBlobStore('sqlite', async (t) => (await openStore(t)).store)

describeBlobStore('sqlite, puts on a thread', async (t) => {
  const dataDir = makeFolder(t)
  const store = withPutThread(await openSqliteBlobStore({ dataDir }), dataDir)
  t.after(() => store.close())
  return store
})

it('keeps what was put on a thread and closed at once, but what was refused', async (t) => {
  const dataDir = makeFolder(t)
  const store = withPutThread(await openSqliteBlobStore({ dataDir }), dataDir)
  const blobs = Array.from({ length: 200 }, (_, index) => Buffer.from(`blob ${index}`))
  const puts = blobs.map((bytes) => store.put([bytes]))
  const refused = store.put([new Uint8Array(blobBytesMax + 1)])
  const closed = store.close()
  await assert.rejects(refused, { code: 'BLOB_TOO_LARGE' })
  assert.deepEqual(
    (await Promise.all(puts)).flat(),
    blobs.map((bytes) => sha256Hex(bytes)),
  )
  await closed
  assert.equal([...listSqliteBlobs(dataDir)].length, blobs.length)
})

it('refuses a put whose file cannot be opened, and makes the next that can', async (t) => {
  const dataDir = makeFolder(t)
  const elsewhere = join(dataDir, 'not-there-yet')
  const onThread = withPutThread(await openSqliteBlobStore({ dataDir }), elsewhere)
  t.after(() => onThread.close())
  const bytes = Buffer.from('kept')
  await assert.rejects(onThread.put([bytes]), { code: 'STORE_IO' })
  mkdirSync(elsewhere)
  assert.deepEqual(await onThread.put([bytes]), [sha256Hex(bytes)])
  assert.deepEqual([...listSqliteBlobs(elsewhere)], [sha256Hex(bytes)])
})

it('keeps blobs when it is opened again, smaller than they are', async (t) => {
  const { dataDir, store } = await openStore(t)
  const bytes = Buffer.from('<td style="padding: 0">Ada, your cart waits</td>'.repeat(5000))
  const [hash] = await store.put([bytes])
  const reader = await openSqliteBlobStore({ dataDir, readOnly: true })
  assert.deepEqual([...((await reader.get(hash ?? '')) ?? [])], [...bytes])
  await assert.rejects(reader.put([bytes]), { code: 'STORE_IO' })
  await reader.close()
  assert.ok(statSync(blobPath(dataDir)).size + statSync(`${blobPath(dataDir)}-wal`).size < 100_000)
})

it('refuses to read a blob whose bytes were changed', async (t) => {
  const { dataDir, store } = await openStore(t)
  const [short, long] = await store.put([new Uint8Array([1, 2, 3]), new Uint8Array(9000)])
  const db = new DatabaseSync(blobPath(dataDir))
  db.exec("UPDATE blob SET bytes = X'010204'")
  db.close()
  await assert.rejects(store.get(short ?? ''), { code: 'STORE_CORRUPT' })
  await assert.rejects(store.get(long ?? ''), { code: 'STORE_CORRUPT' })
})
