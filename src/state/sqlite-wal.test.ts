/** How large the WAL of log and state is while they are written to, beside a reader and after. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, it, type TestContext } from 'node:test'
import { aRecord } from '../log/event-log.contract.ts'
import { openSqliteEventLog } from '../log/sqlite-event-log.ts'
import { walBytesMax } from '../log/sqlite-file.ts'
import { initSqliteLogs, logPath } from '../log/sqlite-log-file.ts'
import { startLogThread } from '../log/sqlite-log-thread.ts'
import { openSqliteStateStore, statePath } from './sqlite-state-store.ts'
import { aCommit } from './state-store.contract.ts'

const mebibyte = 1024 * 1024
/** More than a thousand pages of 4 KiB, behind which a commit empties the WAL. */
const checkpointBytes = 4.2 * mebibyte
const writeBytes = 256 * 1024
/** Several times what the WAL may hold. */
const writeCount = (2 * walBytesMax) / writeBytes

interface Written {
  readonly path: string
  /** Makes `writeBytes` durable. */
  write(): Promise<void>
}

const stores: Readonly<Record<string, (t: TestContext, dataDir: string) => Promise<Written>>> = {
  async log(t, dataDir) {
    await initSqliteLogs(dataDir, { incarnation: 'incarnation-1', partitionCount: 1 })
    const thread = await startLogThread(dataDir)
    const log = await openSqliteEventLog({ dataDir, stream: 'events', port: thread.connect() })
    t.after(async () => {
      await log.close()
      await thread.close()
    })
    const record = { ...aRecord(), partition: 0, body: new Uint8Array(writeBytes) }
    return {
      path: logPath(dataDir, 'events'),
      write: async () => {
        await log.append([record])
      },
    }
  },
  async state(t, dataDir) {
    const store = await openSqliteStateStore({ dataDir })
    t.after(() => store.close())
    await store.acquire(0, 1, 'n1')
    let offset = 0
    return {
      path: statePath(dataDir),
      write: async () => {
        // The values of a few people, again and again; a page that stays the same is not written.
        const value = new Uint8Array(writeBytes).fill(offset)
        const changes = [{ key: `person/${offset % 8}`, value }]
        await store.commit([aCommit({ previousOffset: offset, offset: ++offset, changes })])
      },
    }
  },
}

for (const [name, open] of Object.entries(stores)) {
  describe(`the WAL of the ${name}`, () => {
    it('stays small under writes, and becomes small again behind a long read', async (t) => {
      const dataDir = mkdtempSync(join(tmpdir(), 'attune-wal-'))
      const { path, write } = await open(t, dataDir)
      t.after(() => rmSync(dataDir, { recursive: true }))
      const walBytes = (): number => statSync(`${path}-wal`).size
      const writeMany = async (): Promise<number> => {
        let mostBytes = 0
        for (let count = 0; count < writeCount; count++) {
          await write()
          mostBytes = Math.max(mostBytes, walBytes())
        }
        return mostBytes
      }
      const emptied = await writeMany()
      assert.ok(emptied <= checkpointBytes + 2 * writeBytes, `${emptied} bytes`)

      // As a backup does, which copies all pages in one step.
      const reader = new DatabaseSync(path, { readOnly: true })
      reader.exec('BEGIN; SELECT count(*) FROM sqlite_schema')
      const beside = await writeMany()
      assert.ok(beside > walBytesMax, 'what it may still read is kept')
      reader.close()

      // The first commit that empties the WAL gives its room back.
      await writeMany()
      assert.ok(walBytes() <= walBytesMax, `${walBytes()} bytes`)
    })
  })
}
