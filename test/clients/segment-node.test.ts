/**
 * `@segment/analytics-node`, as its users run it: batches of `POST /v1/batch`, Basic, plain JSON.
 * It tries a request eleven times, and a 429 with Retry-After more often.
 */

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Analytics } from '@segment/analytics-node'
import { type ClientWorld, eventsOfUser, openClientWorld, writeKeys } from './client-world.ts'
import { faults, outcomeOf } from './faulty-proxy.ts'

const flushMsMax = 90_000

describe('@segment/analytics-node', () => {
  let world: ClientWorld
  before(async () => {
    world = await openClientWorld()
  })
  after(() => world.close())

  /** Runs one client from its first call to its last answer; returns what it failed to deliver. */
  const runClient = async (
    host: string,
    call: (client: Analytics) => void,
    flushAt = 15,
  ): Promise<readonly unknown[]> => {
    const failures: unknown[] = []
    const client = new Analytics({ writeKey: writeKeys.segment, host, flushAt })
    client.on('error', (error) => failures.push(error))
    call(client)
    await client.closeAndFlush({ timeout: flushMsMax })
    return failures
  }

  it('brings every kind of call into the log as it was meant', async () => {
    const timestamp = '2026-01-02T03:04:05.678Z'
    const failures = await runClient(world.url, (client) => {
      client.identify({ userId: 'ada', anonymousId: 'tab-1', traits: { email: 'ada@a.example' } })
      const properties = { product_id: 'cup', price: 4.5, currency: 'gbp' }
      client.track({ userId: 'ada', event: 'Product Viewed', properties, timestamp })
      client.page({ userId: 'ada', name: 'Home', category: 'Shop', properties: { url: '/' } })
      client.screen({ userId: 'ada', name: 'Basket' })
      client.group({ userId: 'ada', groupId: 'acme', traits: { plan: 'pro' } })
      client.alias({ userId: 'ada', previousId: 'ada-before' })
      client.track({ anonymousId: 'tab-2', event: 'Cart Viewed', context: { locale: 'en-GB' } })
    })
    assert.deepEqual(failures, [])
    const events = await world.events()
    const [identify, track, page, screen, group, alias] = eventsOfUser(events, 'ada')
    assert.equal(identify?.type, 'identify')
    assert.equal(identify?.anonymousId, 'tab-1')
    assert.deepEqual(identify?.traits, { email: 'ada@a.example' })
    assert.match(identify?.eventId ?? '', /^node-next-\d+-[0-9a-f-]{36}$/)
    assert.equal(track?.name, 'Product Viewed')
    assert.deepEqual(track?.properties, { product_id: 'cup', price: 4.5, currency: 'GBP' })
    assertNear(track?.occurredAtMs, Date.parse(timestamp))
    assert.equal(track?.timeNote, undefined)
    const library = { name: '@segment/analytics-node', version: '3.1.0' }
    assert.deepEqual(track?.context, { library })
    assert.equal(page?.name, 'Page Viewed')
    assert.deepEqual(page?.properties, { url: '/', name: 'Home', category: 'Shop' })
    assert.equal(screen?.type, 'screen')
    assert.deepEqual(screen?.properties, { name: 'Basket' })
    assert.deepEqual([group?.type, group?.groupId], ['group', 'acme'])
    assert.deepEqual(group?.traits, { plan: 'pro' })
    assert.deepEqual([alias?.type, alias?.previousId], ['alias', 'ada-before'])
    const [anonymous] = events.filter((event) => event.anonymousId === 'tab-2')
    assert.equal(anonymous?.userId, undefined)
    assert.deepEqual(anonymous?.context, { library, locale: 'en-GB' })
    assert.equal(await world.rejectedCount(), 0)
    assert.deepEqual(await world.totalsOf('user:ada'), {
      ...{ 'Product Viewed': 1, 'Page Viewed': 1, screen: 1 },
      ...{ identify: 1, group: 1, alias: 1 },
    })
  })

  describe('loses nothing and has nothing applied twice', { concurrency: true }, () => {
    for (const [name, fault] of Object.entries(faults)) {
      it(`after ${name}`, async () => {
        const proxy = await world.openProxy([fault])
        const userId = `user of ${name}`
        const failures = await runClient(proxy.url, (client) => {
          for (const event of ['First', 'Second', 'Third']) client.track({ userId, event })
        })
        assert.deepEqual(failures, [])
        assert.deepEqual(proxy.outcomes(), [outcomeOf(fault), 200])
        const names = eventsOfUser(await world.events(), userId).map((event) => event.name)
        const once = ['First', 'Second', 'Third']
        // What the server had taken when its answer was lost stands in the log twice.
        assert.deepEqual(names, fault.kind === 'cut-answer' ? [...once, ...once] : once)
        const totals = { First: 1, Second: 1, Third: 1 }
        assert.deepEqual(await world.totalsOf(`user:${userId}`), totals)
      })
    }

    it('when each of many batches fails in some way first', async () => {
      const cycle = Object.values(faults)
      const proxy = await world.openProxy([...cycle, ...cycle])
      const userId = 'user of many batches'
      const call = (client: Analytics): void => {
        for (let at = 0; at < 80; at++) client.track({ userId, event: 'Cart Viewed' })
      }
      assert.deepEqual(await runClient(proxy.url, call, 10), [])
      const outcomes = proxy.outcomes()
      assert.equal(outcomes.filter((outcome) => outcome === 200).length, 8)
      assert.equal(outcomes.length, 16)
      const kept = eventsOfUser(await world.events(), userId)
      assert.equal(kept.length, 80 + 20, 'two batches of which the answer was lost came twice')
      assert.equal(new Set(kept.map(({ eventId }) => eventId)).size, 80)
      assert.deepEqual(await world.totalsOf(`user:${userId}`), { 'Cart Viewed': 80 })
    })
  })
})

/** The way from the client here takes a moment, by which its clock seems to be wrong. */
function assertNear(actualMs: number | undefined, expectedMs: number): void {
  const offMs = Math.abs((actualMs ?? 0) - expectedMs)
  assert.ok(offMs < 60_000, `${offMs} ms off`)
}
