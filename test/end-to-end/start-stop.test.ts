/**
 * The server as an operator meets it: started, asked, refused to a second one, stopped, started
 * again.
 */

import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { waitUntil } from '../command/run-command.ts'
import {
  freePort,
  openServerProcess,
  startServerProcess,
  stopServerProcess,
} from '../faults/server-process.ts'
import { writeSmallShop } from '../faults/small-shop.ts'

/** An idle server stops within a second; here others may have the cores. */
const stopMsMax = 30_000
/** By the name of the thread: what may lag gives way to intake and to what makes it durable. */
const givingWay = { main: 0, log: 0, work: 5, recommend: 5, render: 5 }

it('starts, keeps a second server out, stops on SIGTERM and starts again', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'attune-start-'))
  const ends: (() => void)[] = []
  t.after(async () => {
    for (const end of ends) end()
    await rm(folder, { recursive: true, force: true })
  })
  const definitionsDir = join(folder, 'shop')
  await writeSmallShop(definitionsDir)
  const options = { dataDir: join(folder, 'data'), definitionsDir }
  const first = await openServerProcess({ ...options, port: await freePort() })
  ends.push(() => first.signal('SIGKILL'))
  assert.equal((await fetch(`${first.url}/healthz`)).status, 200)
  if (process.platform === 'linux') {
    // A thread that has just begun has the priority and the name of who began it.
    await waitUntil(async () => isDeepStrictEqual(await readNiceness(first.pid), givingWay))
  }

  const second = startServerProcess({ ...options, port: await freePort() })
  ends.push(() => second.signal('SIGKILL'))
  assert.equal((await second.ended).code, 1)
  assert.match(second.said(), /DATA_DIR_LOCKED[\s\S]*what to do/)
  assert.equal((await fetch(`${first.url}/healthz`)).status, 200, 'the first one did not mind')

  const { code, tookMs } = await stopServerProcess(first)
  assert.equal(code, 0, first.said())
  assert.ok(tookMs <= stopMsMax, `${tookMs} ms`)

  const again = await openServerProcess({ ...options, port: await freePort() })
  ends.push(() => again.signal('SIGKILL'))
  assert.equal((await fetch(`${again.url}/healthz`)).status, 200)
  assert.equal((await stopServerProcess(again)).code, 0)
})

/** Returns how much lower than the main thread's the priority of each thread is. */
async function readNiceness(pid: number): Promise<Record<string, number>> {
  const read = async (thread: string): Promise<readonly [string, number]> => {
    // A thread may have ended since it was listed.
    const stat = await readFile(`/proc/${pid}/task/${thread}/stat`, 'utf8').catch(() => '')
    const [, name = '', rest = ''] = /\((.*)\) (.*)$/s.exec(stat) ?? []
    // Field 19 of proc_pid_stat(5), of which the first two are cut off.
    return [thread === String(pid) ? 'main' : name, Number(rest.split(' ')[16])]
  }
  const all = Object.fromEntries(await Promise.all((await readdir(`/proc/${pid}/task`)).map(read)))
  const names = Object.keys(givingWay)
  return Object.fromEntries(names.map((name) => [name, (all[name] ?? 99) - (all['main'] ?? 0)]))
}

it('refuses a failpoint that is not there, since it would guard nothing', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'attune-start-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  await writeSmallShop(folder)
  const options = { dataDir: join(folder, 'data'), definitionsDir: folder, port: await freePort() }
  const server = startServerProcess({ ...options, failpoint: 'no-such-place:1' })
  t.after(() => server.signal('SIGKILL'))
  assert.equal((await server.ended).code, 2)
  assert.match(server.said(), /CONFIG_INVALID[\s\S]*ATTUNE_FAILPOINT/)
})
