/**
 * A disk that fills up under load: refused with 503 and `Retry-After`, nothing acknowledged lost,
 * resumed by itself.
 */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
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

const diskBytes = 64 * 1024 * 1024
const ballastBytes = 30 * 1024 * 1024
const ratePerSecond = 4000
const fullMsMax = 180_000
/** How long the disk stays full: several turns of every retry. */
const stayFullMs = 4000
const resumeMsMax = 60_000
const resumedCount = 500
/** A message that met the full disk is tried again after a minute. */
const quietMsMax = 120_000

const canMount = process.getuid?.() === 0 && spawnSync('mount', ['--version']).status === 0

it('refuses while the disk is full, resumes by itself, and has lost nothing', {
  skip: canMount ? false : 'mounting a small tmpfs needs root',
}, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'attune-full-'))
  const disk = join(folder, 'disk')
  await mkdir(disk)
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${diskBytes}`, 'tmpfs', disk])
  const closers: (() => unknown)[] = []
  t.after(async () => {
    for (const close of closers.reverse()) await close()
    spawnSync('umount', [disk])
    await rm(folder, { recursive: true, force: true })
  })
  if (mounted.status !== 0) return t.skip(`no tmpfs here: ${mounted.stderr.toString().trim()}`)
  await writeSmallShop(join(folder, 'shop'))
  const ballast = join(disk, 'ballast')
  await writeFile(ballast, Buffer.alloc(ballastBytes, 1))
  const catcher = await openMailCatcher({ host: '127.0.0.1', port: 0, mailCountMax: 10 })
  closers.push(() => catcher.close())
  const port = await freePort()
  const dataDir = join(disk, 'data')
  const definitionsDir = join(folder, 'shop')
  const server = await openServerProcess({ dataDir, definitionsDir, port, smtpPort: catcher.port })
  closers.push(() => server.signal('SIGKILL'))
  const load = startLoad({ port, ratePerSecond, seed: 7 })
  closers.push(() => load.finish(AbortSignal.abort()))

  await waitUntil(() => load.statuses.has(503), fullMsMax, 'the disk fills')
  assert.match(load.retryAfter ?? '', /^\d+$/)
  await systemClock.sleep(stayFullMs)
  assert.equal(server.hasEnded, false, server.said())
  const countWhileFull = load.acknowledged.size
  const startedAt = systemClock.monotonicMs()
  await rm(ballast)
  await waitUntil(
    () => load.acknowledged.size > countWhileFull + resumedCount,
    resumeMsMax,
    'intake resumes',
  )
  const resumedMs = Math.round(systemClock.monotonicMs() - startedAt)
  await load.finish(AbortSignal.timeout(quietMsMax))
  await untilQuiet(dataDir, AbortSignal.timeout(quietMsMax))
  const { code } = await stopServerProcess(server)
  assert.equal(code, 0, server.said())

  const examined = await examineDataDir(dataDir)
  const { acknowledged, triggered } = load
  const seen = { acknowledged, triggered, mails: catcher.messageIds() }
  t.diagnostic(
    JSON.stringify({
      statuses: Object.fromEntries(load.statuses),
      acknowledgedCount: acknowledged.size,
      resumedMs,
      messages: countStates(examined),
    }),
  )
  assert.deepEqual(examined.findings, [])
  assert.deepEqual(compareWithSeen(examined, seen), [])
})

async function waitUntil(isSo: () => boolean, msMax: number, says: string): Promise<void> {
  const deadline = systemClock.monotonicMs() + msMax
  while (!isSo()) {
    assert.ok(systemClock.monotonicMs() < deadline, says)
    await systemClock.sleep(20)
  }
}
