/**
 * A thousand clients that send a byte a second hold up nobody: the others are answered as fast as
 * before, and the slow ones are closed after the time that a head or a body may take.
 */

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { systemClock } from '../../src/lib/clock.ts'
import { percentileOf } from '../../src/lib/percentile.ts'
import { timeOne } from './send-one.ts'
import { freePort, openServerProcess, stopServerProcess } from './server-process.ts'
import { dripInto, openSlow } from './slow-client.ts'
import { writeSmallShop } from './small-shop.ts'

const slowCount = 1_000
const dripMs = 1_000
const sendCount = 400
const sendEveryMs = 15
/** A body may take 30 s, and is looked at every second. */
const closedMsMax = 60_000
/**
 * Of the p99: below it the two measurements tell nothing from what else the machine does. Who had
 * to wait for a slow client would wait for seconds.
 */
const slackMs = 1000

it('lets no slow client hold up another one, and closes it in the end', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'attune-slow-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  await writeSmallShop(join(folder, 'shop'))
  const port = await freePort()
  const server = await openServerProcess({
    dataDir: join(folder, 'data'),
    definitionsDir: join(folder, 'shop'),
    port,
  })
  t.after(() => server.signal('SIGKILL'))
  const alone = await sendMany(port, 'alone')

  const startedAtMs = systemClock.monotonicMs()
  const slow = Array.from({ length: slowCount }, (_, index) => openSlow(port, index))
  const stopped = new AbortController()
  t.after(() => {
    stopped.abort()
    for (const { socket } of slow) socket.destroy()
  })
  const dripping = dripInto(slow, dripMs, stopped.signal)
  const beside = await sendMany(port, 'beside')
  const leftCount = slow.filter((each) => !each.isClosed).length
  assert.ok(leftCount > slowCount / 4, `only ${leftCount} slow clients were there meanwhile`)

  while (slow.some((each) => !each.isClosed)) {
    const spentMs = systemClock.monotonicMs() - startedAtMs
    assert.ok(spentMs < closedMsMax, 'every slow client is closed in the end')
    await systemClock.sleep(100)
  }
  const closedMs = Math.round(systemClock.monotonicMs() - startedAtMs)
  stopped.abort()
  await dripping
  t.diagnostic(JSON.stringify({ p99Ms: { alone, beside }, leftCount, closedMs }))
  assert.ok(beside <= 2 * alone + slackMs, `p99 of others: ${beside} ms, and ${alone} ms alone`)
  assert.equal((await stopServerProcess(server)).code, 0, server.said())
})

/** Sends single events at a fixed rate; returns the p99 of the answers in ms. */
async function sendMany(port: number, name: string): Promise<number> {
  const times: number[] = []
  const sending: Promise<void>[] = []
  for (let number = 0; number < sendCount; number++) {
    sending.push(
      timeOne(`http://127.0.0.1:${port}`, `${name}-${number}`).then((ms) => {
        times.push(ms)
      }),
    )
    await systemClock.sleep(sendEveryMs)
  }
  await Promise.all(sending)
  return percentileOf(times, 0.99)
}
