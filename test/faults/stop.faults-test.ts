/**
 * A clean stop under load, again and again: it is quick, and nothing that was acknowledged is
 * lost.
 */

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { openMailCatcher } from '../../src/catcher/mail-catcher.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { untilQuiet } from './kill-harness.ts'
import { startLoad } from './load-client.ts'
import { freePort, openServerProcess, stopServerProcess } from './server-process.ts'
import { writeSmallShop } from './small-shop.ts'
import { compareWithSeen, countStates, examineDataDir } from './verify-data-dir.ts'

const stopCount = 10
const lifeMs = 700
/** It takes a second or two where nobody else has the cores. */
const stopMsMax = 30_000
const quietMsMax = 60_000
const ratePerSecond = 1500

it('stops in bounded time under load, ten times, and loses nothing', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'attune-stop-'))
  const closers: (() => unknown)[] = []
  t.after(async () => {
    for (const close of closers.reverse()) await close()
    await rm(folder, { recursive: true, force: true })
  })
  const dataDir = join(folder, 'data')
  const definitionsDir = join(folder, 'shop')
  await writeSmallShop(definitionsDir)
  const catcher = await openMailCatcher({ host: '127.0.0.1', port: 0, mailCountMax: 10 })
  closers.push(() => catcher.close())
  const port = await freePort()
  const options = { dataDir, definitionsDir, port, smtpPort: catcher.port }
  const load = startLoad({ port, ratePerSecond, seed: 11 })
  closers.push(() => load.finish(AbortSignal.abort()))

  const stops: number[] = []
  for (let stop = 0; stop < stopCount; stop++) {
    const server = await openServerProcess(options)
    closers.push(() => server.signal('SIGKILL'))
    await systemClock.sleep(lifeMs)
    const { code, tookMs } = await stopServerProcess(server)
    assert.equal(code, 0, server.said())
    stops.push(Math.round(tookMs))
  }
  const last = await openServerProcess(options)
  closers.push(() => last.signal('SIGKILL'))
  await load.finish(AbortSignal.timeout(quietMsMax))
  await untilQuiet(dataDir, AbortSignal.timeout(quietMsMax))
  assert.equal((await stopServerProcess(last)).code, 0, last.said())

  const { acknowledged, triggered } = load
  const examined = await examineDataDir(dataDir)
  const seen = { acknowledged, triggered, mails: catcher.messageIds() }
  const statuses = Object.fromEntries(load.statuses)
  const messages = countStates(examined)
  t.diagnostic(JSON.stringify({ stops, acknowledgedCount: acknowledged.size, statuses, messages }))
  assert.deepEqual(examined.findings, [])
  assert.deepEqual(compareWithSeen(examined, seen), [])
  assert.ok(Math.max(...stops) <= stopMsMax, `${stops.join(', ')} ms`)
  // A clean stop ends what it has in hand: nobody is left who may have been written to.
  assert.equal(messages['unknown'] ?? 0, 0)
})
