/**
 * A trait that is defined when there is a past already, at the real server: it is filled from the
 * log, also of a device that became a user's, and goes on counting; a folder with a fault keeps
 * the server from starting with it. A rebuild makes the same state.
 */

import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { parseLines, runCommand, waitUntil } from '../command/run-command.ts'
import {
  freePort,
  openServerProcess,
  type ServerProcess,
  stopServerProcess,
} from '../faults/server-process.ts'
import { writeKey, writeSmallShop } from '../faults/small-shop.ts'

interface Profile {
  readonly computedTraits?: Readonly<
    Record<string, { readonly value: unknown; readonly state: string; readonly isExact?: boolean }>
  >
}

async function send(server: ServerProcess, event: Readonly<Record<string, unknown>>) {
  const answer = await fetch(`${server.url}/v1/track`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ writeKey, ...event }),
  })
  await answer.arrayBuffer()
  assert.equal(answer.status, 200)
}

it('fills a new trait from the past, and goes on with what comes', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'attune-computed-'))
  const servers: ServerProcess[] = []
  t.after(async () => {
    for (const server of servers) server.signal('SIGKILL')
    await rm(folder, { recursive: true, force: true })
  })
  const definitionsDir = join(folder, 'shop')
  const dataDir = join(folder, 'data')
  await writeSmallShop(definitionsDir)
  const open = async (): Promise<ServerProcess> => {
    const server = await openServerProcess({ dataDir, definitionsDir, port: await freePort() })
    servers.push(server)
    return server
  }
  const order = (userId: string, total: number) => ({
    ...{ event: 'Order Completed', userId, properties: { order_id: `o${total}`, total } },
  })
  const first = await open()
  for (let count = 0; count < 3; count++) {
    await send(first, {
      event: 'Seen',
      anonymousId: 'device-1',
      properties: { place: `p${count}` },
    })
  }
  await send(first, { ...order('ada', 20), anonymousId: 'device-1' })
  await send(first, order('ada', 12.5))
  await send(first, { event: 'Seen', anonymousId: 'device-1', properties: { place: 'p1' } })
  assert.equal((await stopServerProcess(first)).code, 0)

  await mkdir(join(definitionsDir, 'traits'))
  const write = (name: string, text: string): Promise<void> =>
    writeFile(join(definitionsDir, 'traits', `${name}.yaml`), text)
  await write('spent', 'kind: sum\nevent: Order Completed\nof: $value\nwithin: 30d\n')
  await write('places', 'kind: uniqueCount\nevent: Seen\nof: place\n')
  await write('often', 'kind: mostFrequent\nevent: Seen\nof: place\n')
  const again = await open()
  const flags = ['--json', '--data-dir', dataDir]
  let computed: Profile['computedTraits']
  const waitFor = (name: string, value: unknown): Promise<void> =>
    waitUntil(async () => {
      const { stdout } = await runCommand(['profile', 'get', 'ada', ...flags])
      computed = parseLines<Profile>(stdout)[0]?.computedTraits
      return computed?.[name]?.value === value
    })
  await waitFor('spent', 32.5)
  await waitFor('places', 3)
  // Of two visits to one place the second may come by way of the device a moment later.
  await waitFor('often', 'p1')
  assert.equal(computed?.['often']?.isExact, true)
  await send(again, order('ada', 7.25))
  await send(again, { event: 'Seen', anonymousId: 'device-1', properties: { place: 'p9' } })
  await waitFor('spent', 39.75)
  await waitFor('places', 4)
  assert.equal((await stopServerProcess(again)).code, 0)

  const rebuilt = await runCommand([
    'rebuild',
    '--into',
    join(folder, 'new'),
    '--data-dir',
    dataDir,
  ])
  assert.equal(rebuilt.code, 0, rebuilt.stderr)

  await write('wrong', 'kind: sum\nevent: Order Completed\nof: $value\nwithin: 99999d\n')
  const checked = await runCommand(['validate', definitionsDir])
  assert.equal(checked.code, 1)
  assert.match(checked.stdout + checked.stderr, /traits\/wrong\.yaml\s+within\s+must be session/)
})
