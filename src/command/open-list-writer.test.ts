import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { createSeededRandom } from '../lib/random.ts'
import { openSqliteEventLogReader } from '../log/sqlite-log-reader.ts'
import { listCountMax } from '../process/list-record.ts'
import { createMeta, encodeJson, type ListInForce, metaKey } from '../process/meta.ts'
import { openSqliteStateStore } from '../state/sqlite-state-store.ts'
import { initDataDir } from './data-dir.ts'
import { uploadList } from './open-list-writer.ts'

const inForce: ListInForce = { hash: 'h', keyCount: 1, atMs: 0 }

describe('uploadList, on files of a data directory', () => {
  it('replaces one of as many lists as can be, and refuses one more', async (t) => {
    const dataDir = await openDataDir(t, listCountMax)
    const file = join(dataDir, 'some.csv')
    await writeFile(file, 'user_id\nada\nbob\n')
    await assert.rejects(uploadList({ dataDir }, 'one-more', file), /100 lists already/)
    const uploaded = await uploadList({ dataDir }, 'list-7', file)
    assert.deepEqual(uploaded, { name: 'list-7', keyCount: 2 })
    const log = await openSqliteEventLogReader({ dataDir, stream: 'events' })
    t.after(() => log.close())
    const records = await log.read(0, 0, 10)
    const names = records.map(({ skeleton }) => (skeleton as { list: { name: string } }).list.name)
    assert.deepEqual(names, ['list-7'])
  })
})

/** Makes a data directory in whose state so many lists are in force. */
async function openDataDir(t: TestContext, listCount: number): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), 'attune-lists-'))
  t.after(() => rm(dataDir, { recursive: true, force: true }))
  await initDataDir(dataDir, { partitionCount: 2 }, createSeededRandom(1))
  const numbers = Array.from({ length: listCount }, (_, number) => number)
  const lists = Object.fromEntries(numbers.map((number) => [`list-${number}`, inForce]))
  const state = await openSqliteStateStore({ dataDir })
  await state.acquire(0, 1, 'n')
  const place = { partition: 0, epoch: 1, nonce: 'n', previousOffset: 0, offset: 1 }
  const value = encodeJson({ ...createMeta(1), lists })
  const changes = [{ key: metaKey, value }]
  await state.commit([{ ...place, lastRecordId: 'r', incarnation: 'i', changes }])
  await state.close()
  return dataDir
}
