/**
 * A record that breaks the fold, in a real server: its partition stands still and everybody is told
 * so, the others go on, events of both are taken; and once it is skipped the partition goes on too.
 */

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { withDataReader } from '../../src/command/data-reader.ts'
import { partitionOf } from '../../src/log/record.ts'
import { appendUnfoldable, runCommand, waitUntil } from '../command/run-command.ts'
import {
  freePort,
  openServerProcess,
  type ServerProcess,
  stopServerProcess,
} from '../faults/server-process.ts'
import { writeKey, writeSmallShop } from '../faults/small-shop.ts'

const partitionCount = 64
const partitionOfUser = (userId: string): number =>
  partitionOf('default', `user:${userId}`, partitionCount)

it('stops one partition alone, loudly, until its record is skipped', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'attune-stopped-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const [dataDir, definitionsDir] = [join(folder, 'data'), join(folder, 'shop')]
  await writeSmallShop(definitionsDir)
  const open = async (): Promise<ServerProcess> => {
    const server = await openServerProcess({ dataDir, definitionsDir, port: await freePort() })
    t.after(() => server.signal('SIGKILL'))
    return server
  }
  const isFolded = (partition: number): Promise<boolean> =>
    withDataReader({ dataDir }, async ({ log, state }) => {
      const { offset } = await state.head(partition)
      return offset === (await log.end(partition))
    })
  const [stopped, other] = [partitionOfUser('ada'), partitionOfUser('bob')]
  assert.notEqual(stopped, other)
  assert.equal((await stopServerProcess(await open())).code, 0)
  const offset = await appendUnfoldable(dataDir, stopped)

  const server = await open()
  await waitUntil(async () => (await fetch(`${server.url}/readyz`)).status === 503)
  const reasons = await (await fetch(`${server.url}/readyz`)).text()
  assert.match(reasons, new RegExp(`partition ${stopped} stopped before offset ${offset}`))
  const metrics = await (await fetch(`${server.url}/metrics`)).text()
  assert.match(metrics, /^attune_process_stopped_partitions 1$/m)
  assert.match(server.said(), /FOLD_POISONED/)
  assert.equal((await fetch(`${server.url}/healthz`)).status, 200)
  assert.equal(await sendView(server, 'ada'), 200)
  assert.equal(await sendView(server, 'bob'), 200)
  await waitUntil(() => isFolded(other))
  assert.equal(await isFolded(stopped), false)
  assert.equal((await stopServerProcess(server)).code, 0, server.said())

  const place = ['--partition', String(stopped), '--offset', String(offset)]
  const skipped = await runCommand(['skip', ...place, '--reason', 'test', '--data-dir', dataDir])
  assert.equal(skipped.code, 0, skipped.stderr)
  const again = await open()
  await waitUntil(async () => (await fetch(`${again.url}/readyz`)).status === 200)
  await waitUntil(() => isFolded(stopped))
  assert.equal((await stopServerProcess(again)).code, 0)
})

async function sendView(server: ServerProcess, userId: string): Promise<number> {
  const response = await fetch(`${server.url}/v1/track`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`${writeKey}:`).toString('base64')}` },
    body: JSON.stringify({ event: 'Product Viewed', userId }),
  })
  await response.arrayBuffer()
  return response.status
}
