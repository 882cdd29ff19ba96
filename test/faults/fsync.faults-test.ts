/**
 * Looks at the server's system calls: a 2xx leaves only after the event's bytes are synced to the
 * disk, and events that wait at the same time share a sync.
 *
 * The same examination is run on a copy of the program whose log does not sync, and must fail
 * there.
 */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../../src/lib/clock.ts'
import { timeOne } from './send-one.ts'
import { freePort, openServerProcess } from './server-process.ts'
import { writeSmallShop } from './small-shop.ts'
import { readTrace, type SystemCall } from './system-calls.ts'

const projectRoot = fileURLToPath(new URL('../..', import.meta.url))
const hasStrace = spawnSync('strace', ['-V']).status === 0
const eventMark = 'fsync-test-event'
const togetherCount = 60
/** Every sync takes so much longer: the others come meanwhile, also on a busy machine. */
const sharedSyncMs = 100
const settleMs = 1500
const lookCountMax = 10

describe('the log under strace', { skip: hasStrace ? false : 'strace is not installed' }, () => {
  let folder = ''
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'attune-fsync-'))
    await writeSmallShop(join(folder, 'shop'))
  })
  after(() => rm(folder, { recursive: true, force: true }))

  it('syncs the event between its write and the 2xx', async () => {
    const calls = await traceEvents(folder, 'data', { eventIds: [eventMark] })
    assert.equal(whatIsWrong(calls, eventMark), undefined)
  })

  it('syncs once for many events that wait, and answers each behind its sync', async (t) => {
    const eventIds = Array.from({ length: togetherCount }, (_, index) => `${eventMark}-${index}-`)
    const calls = await traceEvents(folder, 'data-together', { eventIds, syncMs: sharedSyncMs })
    const wrong = eventIds.map((eventId) => whatIsWrong(calls, eventId))
    assert.deepEqual(new Set(wrong), new Set([undefined]))
    const syncCount = calls.filter((call) => isSync(call) && isOfLog(call)).length
    t.diagnostic(`${syncCount} syncs of the log for ${togetherCount} events`)
    assert.ok(syncCount <= togetherCount / 10, `${syncCount} syncs of the log`)
  })

  it('is caught when the log is set not to sync', async () => {
    const copy = await copyWithoutSync(folder)
    const calls = await traceEvents(folder, 'data-lowered', { eventIds: [eventMark], root: copy })
    assert.equal(whatIsWrong(calls, eventMark), 'the 2xx left before a sync of the log')
  })
})

/**
 * Starts a server under strace, sends events at the same time, and returns the calls that it made
 * meanwhile.
 */
async function traceEvents(
  folder: string,
  dataName: string,
  sent: { readonly eventIds: readonly string[]; readonly syncMs?: number; readonly root?: string },
): Promise<readonly SystemCall[]> {
  const { eventIds, syncMs = 0, root = projectRoot } = sent
  const tracePath = join(folder, `${dataName}.trace`)
  const port = await freePort()
  const server = await openServerProcess({
    dataDir: join(folder, dataName),
    definitionsDir: join(folder, 'shop'),
    port,
    root,
    wrapper: [
      ...['strace', '-f', '-y', '-ttt', '-s', '8192', '-o', tracePath],
      ...['-e', 'trace=fsync,fdatasync,pwrite64,read,write,writev,sendto,sendmsg,exit_group'],
      ...(syncMs === 0 ? [] : ['-e', `inject=fsync,fdatasync:delay_enter=${syncMs * 1000}`]),
    ],
  })
  try {
    // What the start leaves to do is over then: the next writes to the log are the events'.
    await untilStill(tracePath)
    const sizeBefore = readFileSync(tracePath).length
    await Promise.all(eventIds.map((eventId) => timeOne(`http://127.0.0.1:${port}`, eventId)))
    await untilStill(tracePath)
    const trace = readFileSync(tracePath).subarray(sizeBefore).toString('latin1')
    return readTrace(trace)
  } finally {
    server.signal('SIGTERM')
    await server.ended
  }
}

/** Waits until nothing is written to the trace for a while, or it has been long enough. */
async function untilStill(tracePath: string): Promise<void> {
  let size = -1
  for (let look = 0; look < lookCountMax; look++) {
    const now = readFileSync(tracePath).length
    if (now === size) return
    size = now
    await systemClock.sleep(settleMs)
  }
}

const isOfLog = ({ target }: SystemCall): boolean => target.endsWith('/events.sqlite-wal')

const isSync = ({ name, result }: SystemCall): boolean =>
  (name === 'fdatasync' || name === 'fsync') && /^0\b/.test(result)

/** Returns what breaks the promise for an event; undefined where it is kept. */
function whatIsWrong(calls: readonly SystemCall[], eventId: string): string | undefined {
  const asked = calls.find(({ name, text }) => name === 'read' && text.includes(eventId))
  if (asked === undefined) return 'its request was not seen'
  const answer = calls.find(
    ({ name, text, target, beganAt }) =>
      target === asked.target &&
      beganAt > asked.endedAt &&
      /^(write|writev|sendto|sendmsg)$/.test(name) &&
      text.includes('HTTP/1.1 200'),
  )
  if (answer === undefined) return 'no 2xx was seen'
  const written = calls.find(
    (call) => isOfLog(call) && /^(pwrite64|write)$/.test(call.name) && call.text.includes(eventId),
  )
  if (written === undefined || written.endedAt > answer.beganAt) {
    return 'the event was not written before the 2xx'
  }
  const synced = calls.find(
    (call) =>
      isSync(call) &&
      call.target === written.target &&
      call.beganAt >= written.endedAt &&
      call.endedAt <= answer.beganAt,
  )
  return synced === undefined ? 'the 2xx left before a sync of the log' : undefined
}

/** Copies the program and lowers the log's pragma in the copy. */
async function copyWithoutSync(folder: string): Promise<string> {
  const copy = join(folder, 'program')
  for (const part of ['src', 'sdk', 'examples/shop']) {
    await cp(join(projectRoot, part), join(copy, part), { recursive: true })
  }
  await cp(join(projectRoot, 'package.json'), join(copy, 'package.json'))
  await symlink(join(projectRoot, 'node_modules'), join(copy, 'node_modules'))
  const path = join(copy, 'src/log/sqlite-log-file.ts')
  const text = await readFile(path, 'utf8')
  const lowered = text.replace("synchronous: 'FULL'", "synchronous: 'NORMAL'")
  assert.notEqual(lowered, text, 'the pragma of the log stands where the test expects it')
  await writeFile(path, lowered)
  return copy
}
