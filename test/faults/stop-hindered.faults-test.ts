/**
 * One stop under load while everything is in its way: a relay whose answers are late or never come,
 * a client that says nothing, one that never comes to the end of its request, a stream of events.
 *
 * The relay is a mail catcher behind a proxy, which holds back answers from the first mail on: so
 * that mail has been taken, and the server cannot know it yet.
 */

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { createApiKey } from '../../src/api/api-keys.ts'
import { openMailCatcher } from '../../src/catcher/mail-catcher.ts'
import { serverTable } from '../../src/config.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { systemRandom } from '../../src/lib/random.ts'
import { waitUntil } from '../command/run-command.ts'
import { openClusterProxy } from './cluster-proxy.ts'
import { untilQuiet } from './kill-harness.ts'
import { startLoad } from './load-client.ts'
import {
  freePort,
  openServerProcess,
  type ProcessEnd,
  type ServerProcess,
  stopServerProcess,
} from './server-process.ts'
import { dripInto, openSlow } from './slow-client.ts'
import { writeSmallShop } from './small-shop.ts'
import { compareWithSeen, countStates, examineDataDir } from './verify-data-dir.ts'

const stopMsDefault = serverTable['server.stopMsMax'].default
const exitFailed = 70
const ratePerSecond = 1500
const acknowledgedCountMin = 3_000
/** Longer than requests in hand may take, shorter than hand-overs may. */
const lateAnswerMs = 3_500
/** A signal within five seconds of the first is taken for the same key press. */
const samePressMs = 5_000
const dripMs = 200
const quietMsMax = 60_000
/** What was deferred is tried again after a minute, which nobody waits for here. */
const soonMs = 20_000

describe('a stop that is hindered', () => {
  it('takes at most 10 s, waits for a late answer, and loses nothing', async (t) => {
    const busy = await openBusyServer(t, stopMsDefault)
    const ending = stopServerProcess(busy.server)
    await systemClock.sleep(lateAnswerMs)
    assert.equal(busy.server.hasEnded, false, 'it waits for the answer')
    busy.answer()
    const { code, tookMs } = await ending
    t.diagnostic(`${Math.round(tookMs)} ms, ${busy.told()}`)
    assert.equal(code, 0, busy.server.said())
    assert.ok(tookMs <= 10_000, `${tookMs} ms`)
    const { unknown } = await busy.startAndExamine()
    assert.equal(unknown, undefined, 'every answer was heard')
  })

  it('takes at most 10 s where the answer never comes, and sends none again', async (t) => {
    const busy = await openBusyServer(t, stopMsDefault)
    const { code, tookMs } = await stopServerProcess(busy.server)
    t.diagnostic(`${Math.round(tookMs)} ms, ${busy.told()}`)
    assert.equal(code, 0, busy.server.said())
    assert.ok(tookMs <= 10_000, `${tookMs} ms`)
    const { unknown = 0 } = await busy.startAndExamine()
    assert.ok(unknown > 0, 'what became of the mail that was taken is not claimed to be known')
  })

  it('ends at its bound all the same, and loses nothing', async (t) => {
    const stopMsMax = 1_000
    const busy = await openBusyServer(t, stopMsMax)
    const { code, tookMs } = await stopServerProcess(busy.server)
    assert.equal(code, exitFailed, busy.server.said())
    assert.match(busy.server.said(), /the stop took longer/)
    assert.ok(tookMs >= stopMsMax, `${tookMs} ms`)
    await busy.startAndExamine()
  })

  it('ends at once at a second signal, which no key press repeats', async (t) => {
    const busy = await openBusyServer(t, 60_000)
    const first = stopServerProcess(busy.server)
    await systemClock.sleep(samePressMs / 5)
    busy.server.signal('SIGTERM')
    await systemClock.sleep(samePressMs)
    assert.equal(busy.server.hasEnded, false, 'a repeat within five seconds changes nothing')
    busy.server.signal('SIGTERM')
    const { code }: ProcessEnd = await first
    // A stop that had come to its own end would be 0, and one at the bound says so.
    assert.equal(code, exitFailed, busy.server.said())
    assert.doesNotMatch(busy.server.said(), /the stop took longer/)
    await busy.startAndExamine()
  })
})

interface BusyServer {
  readonly server: ServerProcess
  /** Lets the relay's answers through. */
  answer(): void
  /** What the load was, in words. */
  told(): string
  /**
   * Starts the server again, lets it finish, and examines what is left; returns the number of
   * messages by state.
   */
  startAndExamine(): Promise<Readonly<Record<string, number>>>
}

/** Resolves when the server takes the load and a mail that was taken waits for its answer. */
async function openBusyServer(t: TestContext, stopMsMax: number): Promise<BusyServer> {
  const folder = await mkdtemp(join(tmpdir(), 'attune-hindered-'))
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
  const relay = await openClusterProxy(catcher.port)
  closers.push(() => relay.close())
  const port = await freePort()
  const environment = { ATTUNE_SERVER__STOP_MS_MAX: String(stopMsMax) }
  const options = { dataDir, definitionsDir, port, smtpPort: relay.port, environment }
  const server = await openServerProcess(options)
  closers.push(() => server.signal('SIGKILL'))
  closers.push(await openClients(server, dataDir, port))
  const startedAtMs = systemClock.monotonicMs()
  const load = startLoad({ port, ratePerSecond, seed: 12 })
  closers.push(() => load.finish(AbortSignal.abort()))
  await waitUntil(() => load.acknowledged.size >= acknowledgedCountMin)
  const rate = (1000 * load.acknowledged.size) / (systemClock.monotonicMs() - startedAtMs)
  // Told before it is answered, so this very answer is held.
  const taken = Promise.withResolvers<void>()
  const forget = catcher.subscribe(() => {
    relay.block('answers')
    forget()
    taken.resolve()
  })
  await taken.promise
  return {
    server,
    answer: () => relay.open(),
    told: () => `${Math.round(rate)} events/s acknowledged before`,
    async startAndExamine() {
      relay.cut()
      const again = await openServerProcess(options)
      closers.push(() => again.signal('SIGKILL'))
      await load.finish(AbortSignal.timeout(quietMsMax))
      await untilQuiet(dataDir, AbortSignal.timeout(quietMsMax), soonMs)
      assert.equal((await stopServerProcess(again)).code, 0, again.said())
      const { acknowledged, triggered } = load
      const examined = await examineDataDir(dataDir)
      assert.deepEqual(examined.findings, [])
      const seen = { acknowledged, triggered, mails: catcher.messageIds(), mayWait: true }
      assert.deepEqual(compareWithSeen(examined, seen), [])
      return countStates(examined)
    },
  }
}

/**
 * Opens a client that says nothing, two that drip, and one that follows the events; returns what
 * closes them.
 */
async function openClients(
  server: ServerProcess,
  dataDir: string,
  port: number,
): Promise<() => void> {
  const idle = connect(port, '127.0.0.1').on('error', () => {})
  const slow = [openSlow(port, 0), openSlow(port, 1)]
  const ended = new AbortController()
  void dripInto(slow, dripMs, ended.signal)
  const deps = { clock: systemClock, random: systemRandom }
  const key = await createApiKey(dataDir, deps, { name: 'watcher', scopes: ['read'] })
  const headers = { authorization: `Bearer ${key}` }
  const { signal } = ended
  // A new key is noticed within a second.
  await waitUntil(async () => {
    const stream = await fetch(`${server.url}/api/v1/events/stream`, { headers, signal })
    if (!stream.ok) await stream.arrayBuffer()
    else void stream.body?.pipeTo(new WritableStream()).catch(() => {})
    return stream.ok
  })
  return () => {
    ended.abort()
    for (const { socket } of [...slow, { socket: idle }]) socket.destroy()
  }
}
