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
import { serverTable } from '../../src/config.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { untilQuiet } from './kill-harness.ts'
import { startLoad } from './load-client.ts'
import { freePort, openServerProcess, stopServerProcess } from './server-process.ts'
import { writeSmallShop } from './small-shop.ts'
import { compareWithSeen, countStates, examineDataDir } from './verify-data-dir.ts'

const stopCount = 10
const lifeMs = 700
/** The product's own bound; it takes a second or two where nobody else has the cores. */
const stopMsMax = serverTable['server.stopMsMax'].default
/** A busy machine may wake a process so much later than it asked. */
const lateMsMax = 20_000
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
  const environment = { ATTUNE_SERVER__STOP_MS_MAX: String(stopMsMax) }
  const options = { dataDir, definitionsDir, port, smtpPort: catcher.port, environment }
  const load = startLoad({ port, ratePerSecond, seed: 11 })
  closers.push(() => load.finish(AbortSignal.abort()))

  const stops: number[] = []
  let cleanCount = 0
  for (let stop = 0; stop < stopCount; stop++) {
    const server = await openServerProcess(options)
    closers.push(() => server.signal('SIGKILL'))
    await systemClock.sleep(lifeMs)
    const { code, tookMs } = await stopServerProcess(server)
    // One that is not done by then ends all the same, and says so; none gives up before.
    assert.ok(code === 0 || tookMs >= stopMsMax, `${code} after ${tookMs} ms: ${server.said()}`)
    if (code === 0) cleanCount++
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
  t.diagnostic(
    JSON.stringify({ stops, cleanCount, acknowledgedCount: acknowledged.size, statuses, messages }),
  )
  assert.deepEqual(examined.findings, [])
  assert.deepEqual(compareWithSeen(examined, seen), [])
  assert.ok(Math.max(...stops) <= stopMsMax + lateMsMax, `${stops.join(', ')} ms`)
  assert.ok(cleanCount > stopCount / 2, `${cleanCount} of ${stopCount} stops were clean`)
  // A clean stop ends what it has in hand: nobody is left who may have been written to.
  if (cleanCount === stopCount) assert.equal(messages['unknown'] ?? 0, 0)
})
