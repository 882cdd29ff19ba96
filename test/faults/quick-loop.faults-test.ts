/**
 * The thread that takes requests never waits for the disk or for the fold: where a sync, or the
 * commit of the fold, takes 2 s, its event loop goes round all the same. strace plays the disk; the
 * loop's longest delay is what the server's own metric tells since it was last asked.
 */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { systemClock } from '../../src/lib/clock.ts'
import { openSqliteEventLogReader } from '../../src/log/sqlite-log-reader.ts'
import { openSqliteStateStore, statePath } from '../../src/state/sqlite-state-store.ts'
import { waitUntil } from '../command/run-command.ts'
import { timeOne } from './send-one.ts'
import {
  freePort,
  openServerProcess,
  type ServerProcess,
  stopServerProcess,
} from './server-process.ts'
import { injectIntoWrites, slowDisk } from './slow-disk.ts'
import { writeSmallShop } from './small-shop.ts'

/** So much longer takes one call; a commit of three syncs is not yet called stuck. */
const delayMs = 2_000
/** Of the loop: half of what it would be if the thread waited once. Others may have the cores. */
const loopMsMax = delayMs / 2
const sendEveryMs = 100
const sendCount = 40
const hasStrace = spawnSync('strace', ['-V']).status === 0

describe('the event loop', { skip: hasStrace ? false : 'strace is not installed' }, () => {
  it('goes round while each sync takes 2 s', async (t) => {
    const { server } = await openShop(t)
    const disk = await slowDisk(server, delayMs)
    t.after(() => disk.end())
    await takeLongestDelayMs(server)
    const took = await sendMany(server)
    const longestMs = await takeLongestDelayMs(server)
    t.diagnostic(JSON.stringify({ longestMs, tookMs: Math.round(Math.max(...took)) }))
    assert.ok(Math.max(...took) >= delayMs, 'the events waited')
    assert.ok(longestMs < loopMsMax, `${longestMs} ms`)
    await disk.end()
    assert.equal((await stopServerProcess(server)).code, 0, server.said())
  })

  it('goes round while a commit of the fold takes 2 s', async (t) => {
    const { server, dataDir } = await openShop(t)
    const log = await openSqliteEventLogReader({ dataDir, stream: 'events' })
    const state = await openSqliteStateStore({ dataDir, readOnly: true })
    t.after(() => Promise.all([log.close(), state.close()]))
    const isFolded = async (): Promise<boolean> => {
      for (let partition = 0; partition < log.identity.partitionCount; partition++) {
        const { offset } = await state.head(partition)
        if (offset < (await log.end(partition))) return false
      }
      return true
    }
    await waitUntil(isFolded)
    // The next write of the thread alone: a commit has many.
    const how = `delay_enter=${delayMs * 1000}:when=1`
    const disk = await injectIntoWrites(server, `${statePath(dataDir)}-wal`, how)
    t.after(() => disk.end())
    await takeLongestDelayMs(server)
    const startedAtMs = systemClock.monotonicMs()
    const folded = timeOne(server.url, 'first').then(() => waitUntil(isFolded))
    const foldedAfter = folded.then(() => systemClock.monotonicMs() - startedAtMs)
    const took = await sendMany(server)
    const longestMs = await takeLongestDelayMs(server)
    const foldedMs = Math.round(await foldedAfter)
    t.diagnostic(JSON.stringify({ longestMs, foldedMs, tookMs: Math.round(Math.max(...took)) }))
    assert.ok(foldedMs >= delayMs, 'the fold waited')
    assert.ok(longestMs < loopMsMax, `${longestMs} ms`)
    await disk.end()
    assert.equal((await stopServerProcess(server)).code, 0, server.said())
  })
})

async function openShop(
  t: TestContext,
): Promise<{ readonly server: ServerProcess; readonly dataDir: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'attune-loop-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const [dataDir, definitionsDir] = [join(folder, 'data'), join(folder, 'shop')]
  await writeSmallShop(definitionsDir)
  const server = await openServerProcess({ dataDir, definitionsDir, port: await freePort() })
  t.after(() => server.signal('SIGKILL'))
  await timeOne(server.url, 'before')
  return { server, dataDir }
}

/** Returns the longest delay of the loop since this was asked last. */
async function takeLongestDelayMs(server: ServerProcess): Promise<number> {
  const text = await (await fetch(`${server.url}/metrics`)).text()
  const seconds = /^nodejs_eventloop_lag_max_seconds (\S+)$/m.exec(text)?.[1]
  assert.ok(seconds !== undefined, 'the metric is there')
  return Math.round(1000 * Number(seconds))
}

/** Sends events, one every 100 ms, whether those before were answered or not; returns their ms. */
async function sendMany(server: ServerProcess): Promise<readonly number[]> {
  const sending: Promise<number>[] = []
  for (let number = 0; number < sendCount; number++) {
    sending.push(timeOne(server.url, `event-${number}`))
    await systemClock.sleep(sendEveryMs)
  }
  return await Promise.all(sending)
}
