/**
 * Looks at the server's system calls: a 2xx leaves only after the event's bytes are synced to the
 * disk.
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
import { freePort, openServerProcess } from './server-process.ts'
import { writeKey, writeSmallShop } from './small-shop.ts'
import { readTrace, type SystemCall } from './system-calls.ts'

const projectRoot = fileURLToPath(new URL('../..', import.meta.url))
const hasStrace = spawnSync('strace', ['-V']).status === 0
const eventMark = 'fsync-test-event'
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
    const calls = await traceOneEvent(folder, 'data', projectRoot)
    assert.equal(whatIsWrong(calls), undefined)
  })

  it('is caught when the log is set not to sync', async () => {
    const copy = await copyWithoutSync(folder)
    const calls = await traceOneEvent(folder, 'data-lowered', copy)
    assert.equal(whatIsWrong(calls), 'the 2xx left before a sync of the log')
  })
})

/**
 * Starts a server, attaches strace, sends one event, and returns the calls that it made meanwhile.
 */
async function traceOneEvent(
  folder: string,
  dataName: string,
  root: string,
): Promise<readonly SystemCall[]> {
  const tracePath = join(folder, `${dataName}.trace`)
  const port = await freePort()
  const server = await openServerProcess({
    dataDir: join(folder, dataName),
    definitionsDir: join(folder, 'shop'),
    port,
    root,
    wrapper: [
      ...['strace', '-f', '-y', '-ttt', '-s', '256', '-o', tracePath],
      ...['-e', 'trace=fsync,fdatasync,pwrite64,write,writev,sendto,sendmsg,exit_group'],
    ],
  })
  try {
    // What the start leaves to do is over then: the next write to the log is the event's.
    await untilStill(tracePath)
    const sizeBefore = readFileSync(tracePath).length
    const response = await fetch(`http://127.0.0.1:${port}/v1/track`, {
      method: 'POST',
      headers: {
        authorization: `Basic ${Buffer.from(`${writeKey}:`).toString('base64')}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify({ event: 'Product Viewed', userId: 'ada', messageId: eventMark }),
    })
    assert.equal(response.status, 200)
    await response.arrayBuffer()
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

/** Returns what breaks the promise in these calls; undefined where it is kept. */
function whatIsWrong(calls: readonly SystemCall[]): string | undefined {
  const isLogWrite = ({ name, target }: SystemCall): boolean =>
    (name === 'pwrite64' || name === 'write') && target.endsWith('/events.sqlite-wal')
  const answer = calls.find(
    ({ name, text }) =>
      /^(write|writev|sendto|sendmsg)$/.test(name) && text.includes('HTTP/1.1 200'),
  )
  if (answer === undefined) return 'no 2xx was seen'
  const written = calls.filter((call) => isLogWrite(call) && call.endedAt < answer.beganAt).at(-1)
  if (written === undefined) return 'the event was not written before the 2xx'
  const synced = calls.find(
    ({ name, target, result, beganAt, endedAt }) =>
      (name === 'fdatasync' || name === 'fsync') &&
      target === written.target &&
      result === '0' &&
      beganAt >= written.endedAt &&
      endedAt <= answer.beganAt,
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
