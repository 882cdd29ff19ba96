import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { it, type TestContext } from 'node:test'
import { describeBlobStore } from './blob-store.contract.ts'
import type { BlobStore } from './blob-store.ts'
import { blobPath, openSqliteBlobStore } from './sqlite-blob-store.ts'

async function openStore(
  t: TestContext,
): Promise<{ readonly dataDir: string; readonly store: BlobStore }> {
  const dataDir = mkdtempSync(join(tmpdir(), 'attune-blob-'))
  const store = await openSqliteBlobStore({ dataDir })
  t.after(async () => {
    await store.close()
    rmSync(dataDir, { recursive: true })
  })
  return { dataDir, store }
}

describeBlobStore('sqlite', async (t) => (await openStore(t)).store)

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
