/**
 * A real client, unmodified, whose server is killed again and again while it sends: what the client
 * was told is taken is there, what it had to send again is applied once, and it gives up nothing.
 */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Analytics } from '@segment/analytics-node'
import { systemClock } from '../../src/lib/clock.ts'
import { eventsOfUser, openClientWorld, writeKeys } from '../clients/client-world.ts'

const killCount = 3
const eventCount = 600
const flushMsMax = 120_000

test("Segment's client loses nothing to a server that is killed", async (t) => {
  const world = await openClientWorld()
  t.after(() => world.close())
  const failures: unknown[] = []
  const retries: number[] = []
  const client = new Analytics({ writeKey: writeKeys.segment, host: world.url, flushAt: 5 })
  client.on('error', (error) => failures.push(error))
  client.on('http_request', ({ headers }) => {
    if (headers['X-Retry-Count'] !== undefined) retries.push(Number(headers['X-Retry-Count']))
  })
  const killing = (async () => {
    for (let kill = 0; kill < killCount; kill++) {
      await systemClock.sleep(500)
      await world.killAndStart()
    }
  })()
  for (let at = 0; at < eventCount; at++) {
    client.track({ userId: 'ada', event: 'Cart Viewed' })
    await systemClock.sleep(10)
  }
  await killing
  await client.closeAndFlush({ timeout: flushMsMax })

  assert.deepEqual(failures, [])
  assert.ok(retries.length > 0, 'some requests met no server')
  const kept = eventsOfUser(await world.events(), 'ada')
  assert.equal(new Set(kept.map(({ eventId }) => eventId)).size, eventCount)
  assert.deepEqual(await world.totalsOf('user:ada'), { 'Cart Viewed': eventCount })
  t.diagnostic(`${retries.length} requests were sent again, ${kept.length} events came`)
})
