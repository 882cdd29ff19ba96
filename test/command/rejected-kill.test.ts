/** `attune rejected replay`, killed at each place and at any time. */

import assert from 'node:assert/strict'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import { systemClock } from '../../src/lib/clock.ts'
import { createSeededRandom } from '../../src/lib/random.ts'
import { stopServerProcess } from '../faults/server-process.ts'
import { added, ask, openRejectedStage, type RejectedStage, send } from './rejected-stage.ts'
import { runCommand, waitUntil } from './run-command.ts'

/** Two pages, and fewer than a profile keeps. */
const orderCount = 120
/** Of the command. */
const pageCount = 100
const killCount = 4
const seed = 11

describe('attune rejected replay', () => {
  let stage: RejectedStage
  before(async () => {
    stage = await openRejectedStage()
    const data = join(stage.folder, 'data')
    const server = await stage.open(data)
    const batch = Array.from({ length: orderCount }, () => added('kim', '2'))
    await send(server, '/v1/batch', JSON.stringify({ batch }))
    await stopServerProcess(server)
    assert.equal((await stage.listOf(data))[0]?.count, orderCount)
    await cp(data, join(stage.folder, 'copy'), { recursive: true })
  })
  after(() => stage.close())

  const replayIn = (data: string): readonly string[] => [
    ...['rejected', 'replay', '--file', stage.fixFile, '--source', 'web', '--json'],
    ...['--data-dir', data],
  ]

  /** Starts a server on what is left, and looks at what it makes of it. */
  const assertOnce = async (t: TestContext, data: string): Promise<number> => {
    assert.deepEqual(await stage.listOf(data), [])
    const server = await stage.open(data)
    t.after(() => stopServerProcess(server))
    const key = await stage.makeKey(data)
    const status = () =>
      ask<{ counts?: Record<string, number>; lagCount?: number }>(server, '/status', key)
    await waitUntil(async () => {
      // Until the server has read the key, it answers that it does not know it.
      const { counts, lagCount } = await status()
      return counts?.['applied'] === orderCount && lagCount === 0
    })
    const { counts = {} } = await status()
    assert.equal(counts['applied'], orderCount)
    const path = '/profiles/kim/events?count=1000'
    const { events } = await ask<{ events: readonly { name: string }[] }>(server, path, key)
    assert.equal(events.filter(({ name }) => name === 'Product Added').length, orderCount)
    return counts['duplicates'] ?? 0
  }

  it('applies each event once, killed at each place', async (t) => {
    const data = join(stage.folder, 'data')
    const places = ['before-commit:1', 'after-commit:1', 'before-commit:2', 'after-commit:3']
    for (const place of places) {
      const environment = { ATTUNE_FAILPOINT: `log-${place}` }
      const killed = await runCommand(replayIn(data), { environment })
      assert.equal(killed.code, null, `${place}: ${killed.stderr}`)
      assert.equal(killed.stdout, '')
    }
    const last = await runCommand(replayIn(data))
    assert.equal(last.code, 0, last.stderr)
    // The first page was appended three times, the second one twice.
    assert.equal(await assertOnce(t, data), 2 * pageCount + (orderCount - pageCount))
  })

  it('applies each event once, killed at any time', async (t) => {
    const data = join(stage.folder, 'copy')
    const random = createSeededRandom(seed)
    const startedAtMs = systemClock.monotonicMs()
    await stage.listOf(data)
    // A replay takes no less, on this machine, today.
    const listMs = systemClock.monotonicMs() - startedAtMs
    let doneCount = 0
    for (let count = 0; count < killCount; count++) {
      const killAfterMs = Math.ceil(listMs * (0.4 + random.unit() * 0.6))
      const ran = await runCommand(replayIn(data), { killAfterMs })
      if (ran.code === 0) doneCount++
    }
    const last = await runCommand(replayIn(data))
    assert.equal(last.code, 0, last.stderr)
    const duplicates = await assertOnce(t, data)
    t.diagnostic(`seed ${seed}: ${doneCount} of ${killCount} done, ${duplicates} appended again`)
  })
})
