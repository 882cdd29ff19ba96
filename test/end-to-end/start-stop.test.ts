/**
 * The server as an operator meets it: started, asked, refused to a second one, stopped, started
 * again.
 */

import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { duePrefix } from '../../src/campaign/message.ts'
import { openMailCatcher } from '../../src/catcher/mail-catcher.ts'
import { withDataReader } from '../../src/command/data-reader.ts'
import { waitUntil } from '../command/run-command.ts'
import {
  freePort,
  openServerProcess,
  startServerProcess,
  stopServerProcess,
} from '../faults/server-process.ts'
import { writeKey, writeSmallShop } from '../faults/small-shop.ts'

/** An idle server stops within a second; here others may have the cores. */
const stopMsMax = 30_000
/** By the name of the thread: what may lag gives way to intake and to what makes it durable. */
const givingWay = { main: 0, log: 0, work: 5, recommend: 5, render: 5 }
/** What V8's helpers collect is mostly what the fold drops. */
const nicenesses = { ...givingWay, V8Worker: 5 }
/** No thread can do with less; what took more to compile the templates is gone after the start. */
const threadBytesMin = 2 ** 20
const heapBytesMax = 96 * 2 ** 20

/** Writes a line for each flag of V8 that is set, and for each thread that begins. */
const flagsHook = `
  const { appendFileSync } = require('node:fs')
  const { syncBuiltinESMExports } = require('node:module')
  const { isMainThread } = require('node:worker_threads')
  const v8 = require('node:v8')
  const tell = (line) => appendFileSync(process.env.FLAGS_FILE, line + '\\n')
  const { setFlagsFromString } = v8
  v8.setFlagsFromString = (flag) => {
    tell(flag)
    setFlagsFromString(flag)
  }
  syncBuiltinESMExports()
  if (!isMainThread) tell('thread')
`

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
    await waitUntil(async () => isDeepStrictEqual(await readNiceness(first.pid), nicenesses))
  }

  await waitUntil(async () => {
    const memory = await readThreadMemory(first.url)
    return isDeepStrictEqual(Object.keys(memory).sort(), Object.keys(givingWay).sort())
  })
  for (const [thread, each] of Object.entries(await readThreadMemory(first.url))) {
    const { heap = 0, heap_used: used = 0, external = 0 } = each
    const says = `${thread}: ${JSON.stringify(each)}`
    assert.ok(used > threadBytesMin && used <= heap && heap < heapBytesMax, says)
    assert.ok(external > 0 && external < heapBytesMax, says)
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

/** Returns what each thread holds, as `/metrics` tells it: `heap`, `heap_used` and `external`. */
async function readThreadMemory(url: string): Promise<Record<string, Record<string, number>>> {
  const text = await (await fetch(`${url}/metrics`)).text()
  const threads: Record<string, Record<string, number>> = {}
  for (const found of text.matchAll(/^attune_thread_(\w+)_bytes\{thread="(\w+)"\} (\d+)$/gm)) {
    const [, kind = '', thread = '', bytes] = found
    threads[thread] = { ...threads[thread], [kind]: Number(bytes) }
  }
  return threads
}

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
  const names = Object.keys(nicenesses)
  return Object.fromEntries(names.map((name) => [name, (all[name] ?? 99) - (all['main'] ?? 0)]))
}

it('sets the flags of its heaps before there is a thread that they count for', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'attune-flags-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const definitionsDir = join(folder, 'shop')
  await writeSmallShop(definitionsDir)
  const [hook, flagsFile] = [join(folder, 'hook.cjs'), join(folder, 'flags')]
  await writeFile(hook, flagsHook)
  const server = await openServerProcess({
    ...{ dataDir: join(folder, 'data'), definitionsDir, port: await freePort() },
    environment: { NODE_OPTIONS: `--require=${hook}`, FLAGS_FILE: flagsFile },
  })
  await stopServerProcess(server)
  const lines = (await readFile(flagsFile, 'utf8')).trim().split('\n')
  const flagCount = lines.indexOf('thread')
  assert.deepEqual(lines.slice(0, flagCount), [
    '--heap-growing-percent=100',
    '--no-allocation-site-pretenuring',
    '--no-parallel-scavenge',
    '--max-semi-space-size=0',
  ])
  assert.ok(lines.slice(flagCount).every((line) => line === 'thread'))
})

it('sends nothing without a public URL, says what to give, and sends then', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'attune-start-'))
  const closers: (() => unknown)[] = [() => rm(folder, { recursive: true, force: true })]
  t.after(async () => {
    for (const close of closers.reverse()) await close()
  })
  const [dataDir, definitionsDir] = [join(folder, 'data'), join(folder, 'shop')]
  await writeSmallShop(definitionsDir, { without: ['waiting'] })
  const catcher = await openMailCatcher({ host: '127.0.0.1', port: 0 })
  closers.push(() => catcher.close())
  const options = { dataDir, definitionsDir, smtpPort: catcher.port }
  const first = await openServerProcess({ ...options, port: await freePort(), publicUrl: null })
  closers.push(() => first.signal('SIGKILL'))
  const batch = [
    { type: 'identify', userId: 'ada', traits: { email: 'ada@people.example' } },
    { type: 'track', userId: 'ada', event: 'Product Added', properties: { product_id: 'cup' } },
  ]
  const headers = { authorization: `Basic ${Buffer.from(`${writeKey}:`).toString('base64')}` }
  const sent = { method: 'POST', headers, body: JSON.stringify({ batch }) }
  assert.equal((await fetch(`${first.url}/v1/batch`, sent)).status, 200)
  await withDataReader({ dataDir }, ({ state, log }) =>
    waitUntil(async () => {
      for (let partition = 0; partition < log.identity.partitionCount; partition++) {
        if ((await state.scan(partition, duePrefix, '', 1)).length > 0) return true
      }
      return false
    }),
  )
  // What is in hand would be finished.
  assert.equal((await stopServerProcess(first)).code, 0)
  assert.equal(catcher.count, 0)
  assert.match(first.said(), /nothing is sent, and messages stay due, until .* --public-url <url>"/)

  const publicUrl = 'https://mail.shop.example'
  const again = await openServerProcess({ ...options, port: await freePort(), publicUrl })
  closers.push(() => again.signal('SIGKILL'))
  await waitUntil(() => catcher.count > 0)
  const mail = await catcher.parse(0)
  assert.match(mail?.html ?? '', /"https:\/\/mail\.shop\.example\/e\/u\//)
  assert.doesNotMatch(again.said(), /nothing is sent/)
  assert.equal((await stopServerProcess(again)).code, 0)
})

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
