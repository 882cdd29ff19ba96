/**
 * The recommendation index over restarts: a clean stop leaves a snapshot, a kill leaves the one of
 * before; either way the next start knows all that was acknowledged, each interaction once. Who was
 * erased since does not come back with it.
 */

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { createApiKey } from '../../src/api/api-keys.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { systemRandom } from '../../src/lib/random.ts'
import { feedKey } from '../../src/process/feed.ts'
import { decodeJson, encodeJson, metaKey, type PartitionMeta } from '../../src/process/meta.ts'
import { personPrefix } from '../../src/profile/person.ts'
import { hashText } from '../../src/recommend/hash-text.ts'
import { openSqliteStateStore } from '../../src/state/sqlite-state-store.ts'
import { waitUntil } from '../command/run-command.ts'
import {
  freePort,
  openServerProcess,
  type ServerProcess,
  startServerProcess,
  stopServerProcess,
} from '../faults/server-process.ts'
import { writeKey, writeSmallShop } from '../faults/small-shop.ts'

/** More than any server has. */
const partitionCount = 256
const waitMsMax = 60_000
const environment = { ATTUNE_RECOMMEND__SNAPSHOT_EVERY_COUNT: '40' }

interface Answer {
  readonly items: readonly { readonly itemId: string; readonly reason: { readonly kind: string } }[]
  readonly learnedCount: number
}

it('knows what was acknowledged after a stop, and after a kill', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'attune-index-'))
  const dataDir = join(folder, 'data')
  const definitionsDir = join(folder, 'shop')
  const snapshot = join(dataDir, 'recommend-index.snapshot')
  await writeSmallShop(definitionsDir)
  const deps = { clock: systemClock, random: systemRandom }
  await mkdir(dataDir)
  const apiKey = await createApiKey(dataDir, deps, { name: 'test', scopes: ['admin'] })
  let server: ServerProcess | undefined
  t.after(async () => {
    server?.signal('SIGKILL')
    await server?.ended
    await rm(folder, { recursive: true, force: true })
  })
  const start = async (): Promise<ServerProcess> => {
    server = await openServerProcess({
      ...{ dataDir, definitionsDir, environment, port: await freePort() },
    })
    return server
  }
  const ask = async ({ url }: ServerProcess, path: string, body?: unknown): Promise<Answer> => {
    const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' }
    const more = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }
    const answer = await fetch(`${url}/api/v1/${path}`, { headers, ...more })
    assert.equal(answer.status, 200)
    return (await answer.json()) as Answer
  }
  const view = async ({ url }: ServerProcess, person: string, itemIds: string): Promise<void> => {
    const batch = [...itemIds].map((itemId) => {
      const properties = { product_id: itemId }
      return { type: 'track', event: 'Product Viewed', userId: person, properties }
    })
    const authorization = `Basic ${Buffer.from(`${writeKey}:`).toString('base64')}`
    const headers = { authorization, 'content-type': 'application/json' }
    const body = JSON.stringify({ batch })
    const { status } = await fetch(`${url}/v1/batch`, { method: 'POST', headers, body })
    assert.equal(status, 200)
  }
  const similar = (running: ServerProcess) => ask(running, 'items/a/similar?count=3')
  const untilLearned = async (running: ServerProcess, count: number): Promise<Answer> => {
    const startedAt = systemClock.monotonicMs()
    for (;;) {
      const answer = await similar(running)
      if (answer.learnedCount >= count && answer.items.length === 3) return answer
      const waitedMs = systemClock.monotonicMs() - startedAt
      assert.ok(waitedMs < waitMsMax, `${answer.learnedCount} learned: ${running.said()}`)
      await systemClock.sleep(5)
    }
  }

  const first = await start()
  await ask(
    first,
    'items',
    [...'abcde'].map((itemId) => ({ itemId, name: itemId, price: 1 })),
  )
  for (let person = 0; person < 6; person++) await view(first, `p${person}`, 'abcd')
  const before = await untilLearned(first, 24)
  assert.equal(before.learnedCount, 24)
  assert.equal((await stopServerProcess(first)).code, 0)
  assert.ok(existsSync(snapshot))

  const second = await start()
  assert.deepEqual(await untilLearned(second, 24), before)
  await waitUntil(() => second.said().includes('"isFromSnapshot":true'))
  // More than what a snapshot is written after; then it is killed.
  for (let person = 0; person < 12; person++) await view(second, `q${person}`, 'aeae')
  await untilLearned(second, 72)
  second.signal('SIGKILL')
  await second.ended

  const third = await start()
  const after = await untilLearned(third, 72)
  assert.equal(after.learnedCount, 72)
  assert.equal(after.items[0]?.itemId, 'e')
  await waitUntil(() => third.said().includes('"isFromSnapshot":true'))
  assert.equal((await stopServerProcess(third)).code, 0)

  // One of them is erased behind the snapshot, which has all of them still.
  assert.ok((await readFile(snapshot)).includes(markOf('user:p0')))
  await eraseFromFeed(dataDir, 'user:p0')
  const fourth = await start()
  await untilLearned(fourth, 72)
  await waitUntil(() => fourth.said().includes('"isFromSnapshot":true'))
  assert.ok(!existsSync(snapshot))
  assert.equal((await stopServerProcess(fourth)).code, 0)
  const last = await readFile(snapshot)
  assert.ok(!last.includes(markOf('user:p0')) && last.includes(markOf('user:p1')))
})

/** Returns what a snapshot has of whose a session is. */
function markOf(profileId: string): Buffer {
  return Buffer.from(Int32Array.of(hashText(profileId)).buffer)
}

/** Writes an erasure into the feed of a state that no server has. */
function eraseFromFeed(dataDir: string, profileId: string): Promise<void> {
  return addToFeed(dataDir, personPrefix + profileId, encodeJson({ erased: [profileId] }))
}

/** Writes what is no entry into the feed of a state that no server has. */
function breakFeed(dataDir: string): Promise<void> {
  return addToFeed(dataDir, metaKey, Buffer.from('no JSON'))
}

/** Adds an entry to the feed of the first partition that has `key`. */
async function addToFeed(dataDir: string, key: string, entry: Uint8Array): Promise<void> {
  const state = await openSqliteStateStore({ dataDir })
  try {
    for (const partition of Array(partitionCount).keys()) {
      const [bytes, found] = await state.get(partition, [metaKey, key])
      if (bytes === undefined || found === undefined) continue
      const meta = decodeJson<PartitionMeta>(bytes)
      const head = await state.head(partition)
      assert.equal(await state.acquire(partition, head.epoch + 1, 'test'), 'acquired')
      const changes = [
        { key: feedKey(meta.feedNext), value: entry },
        { key: metaKey, value: encodeJson({ ...meta, feedNext: meta.feedNext + 1 }) },
      ]
      const owner = { ...head, partition, epoch: head.epoch + 1, nonce: 'test' }
      const commit = { ...owner, previousOffset: head.offset, changes }
      assert.deepEqual(await state.commit([commit]), ['committed'])
      await state.release(partition, owner.epoch, owner.nonce)
      return
    }
    assert.fail(`no partition has ${key}`)
  } finally {
    await state.close()
  }
}

it('ends with the index, and says what to do', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'attune-index-'))
  const options = { dataDir: join(folder, 'data'), definitionsDir: join(folder, 'shop') }
  await writeSmallShop(options.definitionsDir)
  let server = await openServerProcess({ ...options, port: await freePort() })
  t.after(async () => {
    server.signal('SIGKILL')
    await server.ended
    await rm(folder, { recursive: true, force: true })
  })
  assert.equal((await stopServerProcess(server)).code, 0)
  // The fold reads no entry of the feed, so that it is the index alone that meets it.
  await breakFeed(options.dataDir)
  server = startServerProcess({ ...options, port: await freePort() })
  assert.equal((await server.ended).code, 70, server.said())
  assert.match(server.said(), /INDEX_FAILED: run the recommendation index[\s\S]*what to do/)
})
