/** `scripts/services.ts` as it is called, with a real Redis. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { isListening } from './service.ts'
import { hasRedis } from './service-redis.ts'

const program = fileURLToPath(new URL('services.ts', import.meta.url))
const skip = hasRedis() ? false : 'redis-server is not installed'

interface Ran {
  readonly code: number | null
  readonly printed: string
  readonly said: string
}

interface Shown {
  readonly services: readonly {
    readonly name: string
    readonly addresses: readonly string[]
    readonly pids: readonly number[]
    readonly isUp: boolean
  }[]
}

interface Stage {
  run(...parameters: readonly string[]): Promise<Ran>
  show(): Promise<Shown>
  /** Names of all files that services made. */
  files(): readonly string[]
  readonly cache: string
}

/** With a cache and a folder of temporary files of its own, so that it sees no other services. */
function openStage(t: TestContext): Stage {
  const root = mkdtempSync(join(tmpdir(), 'attune-services-'))
  const [cache, temporary] = [join(root, 'cache'), join(root, 'temporary')]
  mkdirSync(temporary)
  const env = { ...process.env, ATTUNE_SERVICE_CACHE: cache, TMPDIR: temporary }
  const run = async (...parameters: readonly string[]): Promise<Ran> => {
    const stdio = ['ignore', 'pipe', 'pipe'] as const
    const child = spawn(process.execPath, [program, ...parameters], { env, stdio: [...stdio] })
    let [printed, said] = ['', '']
    child.stdout?.on('data', (bytes: Buffer) => {
      printed += bytes.toString()
    })
    child.stderr?.on('data', (bytes: Buffer) => {
      said += bytes.toString()
    })
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
    return { code, printed, said }
  }
  t.after(async () => {
    await run('down')
    rmSync(root, { recursive: true, force: true })
  })
  return {
    ...{ run, cache },
    show: async () => JSON.parse((await run('status', '--json')).printed) as Shown,
    files: () => readdirSync(temporary),
  }
}

function portOf({ services }: Shown): number {
  return Number(services[0]?.addresses[0]?.split(':')[1])
}

describe('the services command', { skip }, () => {
  it('starts, shows and ends, refuses a second start, and leaves nothing', async (t) => {
    const stage = openStage(t)
    assert.match((await stage.run('status')).printed, /^Nothing is up/)
    const up = await stage.run('up', '--redis', '--json')
    assert.equal(up.code, 0, up.said)
    const started = JSON.parse(up.printed) as Shown
    assert.deepEqual(
      started.services.map(({ name, isUp }) => [name, isUp]),
      [['redis', true]],
    )
    assert.equal(await isListening(portOf(started)), true)
    assert.equal(stage.files().length, 1)

    const second = await stage.run('up', '--redis')
    assert.equal(second.code, 1)
    assert.match(second.said, /^Services are up already/)
    assert.deepEqual(await stage.show(), started)
    const told = await stage.run('status')
    assert.equal(told.printed.trim(), `redis      up   127.0.0.1:${portOf(started)}`)

    const down = await stage.run('down')
    assert.equal(down.code, 0, down.said)
    assert.equal(await isListening(portOf(started)), false)
    assert.deepEqual(stage.files(), [])
    assert.deepEqual(readdirSync(stage.cache), ['running.log'])
    assert.match((await stage.run('down')).printed, /^Nothing is up/)
  })

  it('tells of a server that is gone, and ends what a killed holder left', async (t) => {
    const stage = openStage(t)
    assert.equal((await stage.run('up', '--redis')).code, 0)
    const left = await stage.show()
    process.kill(readHolder(stage), 'SIGKILL')
    // A start ends what was left before it starts its own.
    const again = await stage.run('up', '--redis')
    assert.equal(again.code, 0, again.said)
    assert.equal(await isListening(portOf(left)), false)
    assert.equal(stage.files().length, 1)
    const fresh = await stage.show()
    process.kill(fresh.services[0]?.pids[0] ?? 0, 'SIGKILL')
    await t.waitFor(async () => assert.equal((await stage.show()).services[0]?.isUp, false))
    assert.match((await stage.run('status')).printed, /^redis {6}DOWN/)
    process.kill(readHolder(stage), 'SIGKILL')
    assert.equal((await stage.run('down')).code, 0)
    assert.deepEqual(stage.files(), [])
  })

  it('says what it can, and refuses what it does not know', async (t) => {
    const stage = openStage(t)
    assert.match((await stage.run('--help')).printed, /docker compose up --build --wait/)
    const wrong = await stage.run('up', '--kafka', '2')
    assert.equal(wrong.code, 1)
    assert.match(wrong.said, /It is 1 or 3/)
  })
})

function readHolder({ cache }: Stage): number {
  const held = JSON.parse(readFileSync(join(cache, 'running.json'), 'utf8')) as {
    readonly holder: { readonly pid: number }
  }
  return held.holder.pid
}
