/**
 * The ways in of a shop, at the real server: a person sees a page that shows a pixel, buys at
 * Shopify, and earns points elsewhere. All of it is one profile, each delivery counts once, also
 * when it is repeated after a restart.
 */

import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { cloudEventsPath } from '../../src/collect/cloud-events.ts'
import { shopifyOrder } from '../../src/collect/shop-payload.fixture.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { parseLines, runCommand, waitUntil } from '../command/run-command.ts'
import {
  freePort,
  openServerProcess,
  type ServerProcess,
  stopServerProcess,
} from '../faults/server-process.ts'
import { writeKey, writeSmallShop } from '../faults/small-shop.ts'

const secret = 'shpss_of-a-test-alone'
/** Shopify ends a subscription whose deliveries take longer. */
const answerMsMax = 5_000

interface Profile {
  readonly identities: readonly string[]
  readonly traits: Readonly<Record<string, { readonly value: unknown }>>
  readonly totals: Readonly<Record<string, { readonly count: number; readonly value: number }>>
}

async function deliver(server: ServerProcess, key = secret): Promise<number> {
  const body = JSON.stringify(shopifyOrder)
  const startedAtMs = systemClock.monotonicMs()
  const answer = await fetch(`${server.url}/v1/hooks/shopify`, {
    method: 'POST',
    body,
    headers: {
      'content-type': 'application/json',
      'x-shopify-topic': 'orders/create',
      'x-shopify-webhook-id': 'b54557e4-0001',
      'x-shopify-hmac-sha256': createHmac('sha256', key).update(body).digest('base64'),
    },
  })
  await answer.arrayBuffer()
  assert.ok(systemClock.monotonicMs() - startedAtMs < answerMsMax)
  return answer.status
}

async function earnPoints(server: ServerProcess, id: string): Promise<number> {
  const cloudEvent = {
    ...{ specversion: '1.0', id, source: '/loyalty', type: 'Points Earned' },
    ...{ subject: '7001', data: { points: 40 } },
  }
  const answer = await fetch(server.url + cloudEventsPath, {
    method: 'POST',
    body: JSON.stringify(cloudEvent),
    headers: {
      authorization: `Bearer ${writeKey}`,
      'content-type': 'application/cloudevents+json',
    },
  })
  await answer.arrayBuffer()
  return answer.status
}

it('joins what comes in by pixel, webhook and CloudEvent, each once', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'attune-ways-'))
  const ends: (() => void)[] = []
  t.after(async () => {
    for (const end of ends) end()
    await rm(folder, { recursive: true, force: true })
  })
  const definitionsDir = join(folder, 'shop')
  const dataDir = join(folder, 'data')
  const secretFile = join(folder, 'secret')
  await writeSmallShop(definitionsDir)
  await writeFile(secretFile, `${secret}\n`)
  const source = `name: shopify\nwebhook: {kind: shopify, secretFile: ${secretFile}}\n`
  await writeFile(join(definitionsDir, 'sources/shopify.yaml'), source)

  const open = async (): Promise<ServerProcess> => {
    const opened = await openServerProcess({ dataDir, definitionsDir, port: await freePort() })
    ends.push(() => opened.signal('SIGKILL'))
    return opened
  }
  const server = await open()
  const pixel = `${server.url}/v1/pixel/page?writeKey=${writeKey}&anonymousId=device-1&name=Home`
  assert.equal((await fetch(pixel)).headers.get('content-type'), 'image/gif')
  assert.equal(await deliver(server, 'a secret of somebody else'), 401)
  assert.equal(await deliver(server), 200)
  assert.equal(await deliver(server), 200)
  assert.equal(await earnPoints(server, '1'), 200)
  const metrics = await (await fetch(`${server.url}/metrics`)).text()
  const count = (outcome: string): unknown =>
    new RegExp(`^attune_collect_events_total\\{outcome="${outcome}"\\} (\\d+)$`, 'm').exec(
      metrics,
    )?.[1]
  assert.deepEqual(
    [count('accepted'), count('duplicate'), count('rejected')],
    ['4', '1', undefined],
  )
  assert.equal((await stopServerProcess(server)).code, 0)

  const again = await open()
  assert.equal(await deliver(again), 200)
  // Behind the repeat in the log: when it is in the profile, the repeat has been folded too.
  assert.equal(await earnPoints(again, '2'), 200)
  const flags = ['--json', '--data-dir', dataDir]
  let profile: Profile | undefined
  await waitUntil(async () => {
    const { stdout } = await runCommand(['profile', 'get', 'anonymous:device-1', ...flags])
    profile = parseLines<Profile>(stdout)[0]
    // What comes by way of the device comes at a moment of its own.
    const totals = profile?.totals
    return totals?.['Points Earned']?.count === 2 && totals['Page Viewed'] !== undefined
  })
  const orders = profile?.totals['Order Completed']
  assert.deepEqual([orders?.count, orders?.value], [1, 49])
  assert.equal(profile?.totals['Page Viewed']?.count, 1)
  assert.equal(profile?.traits['email']?.value, 'ada@example.com')
  assert.deepEqual(new Set(profile?.identities), new Set(['user:7001', 'anonymous:device-1']))
  assert.equal((await stopServerProcess(again)).code, 0)
})
