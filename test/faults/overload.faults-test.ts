/**
 * Five times the load that the log can take, by making the log slow instead of the load large:
 * memory stays within its cap, what cannot be taken is answered 429 or 503 with `Retry-After`, what
 * was acknowledged is there, and afterwards the server is as before. strace plays the disk.
 */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { systemClock } from '../../src/lib/clock.ts'
import { untilQuiet } from './kill-harness.ts'
import {
  freePort,
  openServerProcess,
  type ServerProcess,
  stopServerProcess,
} from './server-process.ts'
import { slowDisk } from './slow-disk.ts'
import { writeKey, writeSmallShop } from './small-shop.ts'
import { compareWithSeen, examineDataDir } from './verify-data-dir.ts'

const mebibyte = 1024 * 1024
/** So much goes to the disk with one sync, or less. */
const queueBytesHigh = 4 * mebibyte
const bodyBytesInFlightMax = 32 * mebibyte
/** Well under the time after which a disk is called stuck, also where a checkpoint syncs thrice. */
const syncMs = 1_200
const overloadFactor = 5
const overloadMs = 24_000
const batchCount = 100
const paddingBytes = 300
const socketCount = 600
const answerMsMax = 60_000
const quietMsMax = 300_000
/** The fold, which gives way to intake, may have much to catch up with first. */
const reopenMsMax = 300_000
/** What the heap holds that has not been collected yet. */
const headroom = 1.2
const hasStrace = spawnSync('strace', ['-V']).status === 0

interface Answers {
  readonly acknowledged: Set<string>
  readonly statuses: Map<number, number>
  withoutRetryAfter: number
}

describe('five times the load', { skip: hasStrace ? false : 'strace is not installed' }, () => {
  it('is refused in part, within the memory cap, and nothing acknowledged is lost', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'attune-overload-'))
    t.after(() => rm(folder, { recursive: true, force: true }))
    await writeSmallShop(join(folder, 'shop'), { without: ['at-once', 'waiting'] })
    const dataDir = join(folder, 'data')
    const server = await openServerProcess({
      dataDir,
      definitionsDir: join(folder, 'shop'),
      port: await freePort(),
      environment: {
        ATTUNE_LOG__QUEUE_BYTES_HIGH: String(queueBytesHigh),
        ATTUNE_COLLECT__BODY_BYTES_IN_FLIGHT_MAX: String(bodyBytesInFlightMax),
      },
    })
    t.after(() => server.signal('SIGKILL'))
    const answers: Answers = { acknowledged: new Set(), statuses: new Map(), withoutRetryAfter: 0 }
    const agent = new Agent({ keepAlive: true, maxSockets: socketCount })
    t.after(() => agent.destroy())

    // What it is like when busy: the heap has grown to its working size.
    await sendAtRate({ server, agent, answers }, 4 * mebibyte, 5_000)
    const busyBytes = await residentBytes(server)
    const earlierCount = refusedCountOf(answers)

    const disk = await slowDisk(server, syncMs)
    t.after(() => disk.end())
    const bytesPerSecond = (overloadFactor * queueBytesHigh * 1000) / syncMs
    const mostBytes = await sendAtRate({ server, agent, answers }, bytesPerSecond, overloadMs)
    await disk.end()
    const capBytes = (busyBytes + queueBytesHigh + bodyBytesInFlightMax) * headroom
    t.diagnostic(
      JSON.stringify({
        statuses: Object.fromEntries(answers.statuses),
        acknowledged: answers.acknowledged.size,
        mebibytes: [busyBytes, mostBytes, capBytes].map((bytes) => Math.round(bytes / mebibyte)),
      }),
    )
    assert.ok(refusedCountOf(answers) > earlierCount, 'the load is more than the log can take')
    assert.equal(answers.withoutRetryAfter, 0)
    assert.deepEqual(
      [...answers.statuses.keys()].filter((status) => ![200, 429, 503].includes(status)),
      [],
    )
    assert.ok(mostBytes <= capBytes, `${mostBytes} bytes resident, over ${capBytes}`)

    // The disk is well again: a little later everything is taken as before.
    const before = answers.statuses.get(200) ?? 0
    const deadlineMs = systemClock.monotonicMs() + reopenMsMax
    while ((answers.statuses.get(200) ?? 0) === before) {
      assert.ok(systemClock.monotonicMs() < deadlineMs, 'intake is open again')
      await sendAtRate({ server, agent, answers }, mebibyte, 2_000)
    }
    await untilQuiet(dataDir, AbortSignal.timeout(quietMsMax))
    assert.equal((await stopServerProcess(server)).code, 0, server.said())
    const examined = await examineDataDir(dataDir)
    assert.deepEqual(examined.findings, [])
    const seen = { acknowledged: answers.acknowledged, mails: new Map<string, number>() }
    assert.deepEqual(compareWithSeen({ ...examined, messages: new Map() }, seen), [])
  })
})

function refusedCountOf({ statuses }: Answers): number {
  return (statuses.get(429) ?? 0) + (statuses.get(503) ?? 0)
}

interface Load {
  readonly server: ServerProcess
  readonly agent: Agent
  readonly answers: Answers
}

let batchNumber = 0

/** Sends at a fixed rate, whatever is answered; returns the most bytes that were resident. */
async function sendAtRate(load: Load, bytesPerSecond: number, forMs: number): Promise<number> {
  const body = makeBatch(0)
  const everyMs = (1000 * body.length) / bytesPerSecond
  const startedAtMs = systemClock.monotonicMs()
  const inHand = new Set<Promise<void>>()
  let mostBytes = 0
  let lookedAtMs = startedAtMs
  for (let sent = 0; sent * everyMs < forMs; sent++) {
    const sending = send(load, batchNumber++).finally(() => inHand.delete(sending))
    inHand.add(sending)
    await systemClock.sleep(startedAtMs + sent * everyMs - systemClock.monotonicMs())
    if (systemClock.monotonicMs() - lookedAtMs < 200) continue
    lookedAtMs = systemClock.monotonicMs()
    mostBytes = Math.max(mostBytes, await residentBytes(load.server))
  }
  await Promise.all(inHand)
  return mostBytes
}

function makeBatch(number: number): Buffer {
  const properties = { product_id: `p${number % 500}`, padding: 'x'.repeat(paddingBytes) }
  const batch = Array.from({ length: batchCount }, (_, index) => ({
    type: 'track',
    event: 'Product Viewed',
    userId: `u${(number * batchCount + index) % 5_000}`,
    messageId: `${number}-${index}`,
    properties,
  }))
  return Buffer.from(JSON.stringify({ batch }))
}

/** Never rejects; a connection that is cut counts as status 0. */
function send({ server, agent, answers }: Load, number: number): Promise<void> {
  const headers = {
    authorization: `Basic ${Buffer.from(`${writeKey}:`).toString('base64')}`,
    'content-type': 'application/json',
  }
  return new Promise((resolve) => {
    const finish = (status: number, retryAfter?: string): void => {
      answers.statuses.set(status, (answers.statuses.get(status) ?? 0) + 1)
      if (status === 200) {
        for (let index = 0; index < batchCount; index++)
          answers.acknowledged.add(`${number}-${index}`)
      } else if (!/^\d+$/.test(retryAfter ?? '')) answers.withoutRetryAfter++
      resolve()
    }
    const options = { method: 'POST', agent, headers, timeout: answerMsMax }
    const sent = request(`${server.url}/v1/batch`, options, (response) => {
      response.resume()
      response.on('close', () => {
        finish(response.complete ? (response.statusCode ?? 0) : 0, response.headers['retry-after'])
      })
    })
    sent.on('timeout', () => sent.destroy())
    sent.on('error', () => finish(0))
    sent.end(makeBatch(number))
  })
}

async function residentBytes(server: ServerProcess): Promise<number> {
  const status = await readFile(`/proc/${server.pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024
}
