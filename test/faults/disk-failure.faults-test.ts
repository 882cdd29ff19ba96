/**
 * A disk that answers a sync with an error, or not at all: no 2xx for what was not synced, and the
 * process ends with 70 so that somebody starts it again on a disk that works. strace plays the
 * disk.
 */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { systemClock } from '../../src/lib/clock.ts'
import { sendOne } from './send-one.ts'
import {
  freePort,
  openServerProcess,
  type ServerProcess,
  stopServerProcess,
} from './server-process.ts'
import { injectIntoSyncs, injectIntoWrites } from './slow-disk.ts'
import { writeSmallShop } from './small-shop.ts'
import { compareWithSeen, examineDataDir } from './verify-data-dir.ts'

const exitFailed = 70
const errorMsMax = 40_000
/** The log's thread is called stuck after 10 s, looked at each half second; far below a minute. */
const stuckMsMax = 40_000
const stuckMicroseconds = 60_000_000
const hasStrace = spawnSync('strace', ['-V']).status === 0

describe('a disk that fails', { skip: hasStrace ? false : 'strace is not installed' }, () => {
  it('ends the server with 70 and acknowledges nothing where a sync answers EIO', async (t) => {
    await failDisk(t, 'error=EIO', errorMsMax)
  })

  it('ends the server with 70 where the state alone cannot be written', async (t) => {
    await failDisk(t, 'error=EIO', errorMsMax, 'state.sqlite-wal')
  })

  it('ends the server with 70 where a write of the state never comes back', async (t) => {
    await failDisk(t, `delay_enter=${stuckMicroseconds}`, stuckMsMax, 'state.sqlite-wal')
  })

  it('ends the server with 70 where a sync never comes back', async (t) => {
    await failDisk(t, `delay_enter=${stuckMicroseconds}`, stuckMsMax)
  })
})

/** With a `fileName`, what is written there goes wrong; else every sync. */
async function failDisk(
  t: TestContext,
  how: string,
  endMsMax: number,
  fileName?: string,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'attune-disk-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  await writeSmallShop(join(folder, 'shop'))
  const dataDir = join(folder, 'data')
  const port = await freePort()
  const options = { dataDir, definitionsDir: join(folder, 'shop'), port }
  const server = await openServerProcess(options)
  t.after(() => server.signal('SIGKILL'))
  assert.equal(await sendEvent(port, 'before'), 200)
  const disk = await (fileName === undefined
    ? injectIntoSyncs(server, how)
    : injectIntoWrites(server, join(dataDir, fileName), how))
  t.after(() => disk.end())

  const startedAt = systemClock.monotonicMs()
  const status = sendEvent(port, 'during')
  const isKnown = (): boolean => server.hasEnded || /attune: STORE_/.test(server.said())
  await waitUntil(isKnown, endMsMax + 2000, server)
  const knownMs = Math.round(systemClock.monotonicMs() - startedAt)
  // strace holds back even threads that were killed while it makes them wait.
  await disk.end()
  const end = await server.ended
  const endMs = Math.round(systemClock.monotonicMs() - startedAt)
  t.diagnostic(JSON.stringify({ how, knownMs, endMs, status: await status }))
  assert.equal(end.code, exitFailed, `${JSON.stringify(end)}\n${server.said()}`)
  assert.ok(endMs <= endMsMax, `it took ${endMs} ms`)
  const answered = await status
  // The log's disk may be well: then the event is taken, and is there after the start.
  const isTaken = fileName !== undefined && answered === 200
  assert.ok(isTaken || answered === 0 || answered === 503, `the event was answered ${answered}`)

  const again = await openServerProcess(options)
  t.after(() => again.signal('SIGKILL'))
  assert.equal(await sendEvent(port, 'after'), 200)
  assert.equal((await stopServerProcess(again)).code, 0)
  const examined = await examineDataDir(dataDir)
  assert.deepEqual(examined.findings, [])
  const during = isTaken ? ['during'] : []
  const seen = { acknowledged: ['before', ...during, 'after'], mails: new Map<string, number>() }
  assert.deepEqual(compareWithSeen({ ...examined, messages: new Map() }, seen), [])
}

async function waitUntil(isSo: () => boolean, msMax: number, server: ServerProcess): Promise<void> {
  const deadline = systemClock.monotonicMs() + msMax
  while (!isSo()) {
    assert.ok(systemClock.monotonicMs() < deadline, `nothing was noticed:\n${server.said()}`)
    await systemClock.sleep(20)
  }
}

/** Returns the status, 0 for none. */
async function sendEvent(port: number, messageId: string): Promise<number> {
  try {
    return await sendOne(`http://127.0.0.1:${port}`, messageId)
  } catch {
    // The server ended, which is no answer.
    return 0
  }
}
