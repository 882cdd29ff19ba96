/**
 * `@rudderstack/rudder-sdk-node`, as its users run it: batches of `POST /v1/batch`, compressed and
 * labelled as a form. It tries a request four times, and waits as long as Retry-After says.
 */

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { gunzipSync } from 'node:zlib'
import RudderAnalytics from '@rudderstack/rudder-sdk-node'
import { type ClientWorld, eventsOfUser, openClientWorld, writeKeys } from './client-world.ts'
import { type FaultyProxy, faults, outcomeOf } from './faulty-proxy.ts'

describe('@rudderstack/rudder-sdk-node', () => {
  let world: ClientWorld
  before(async () => {
    world = await openClientWorld()
  })
  after(() => world.close())

  /** Runs one client from its first call to its last answer; returns what it failed to deliver. */
  const runClient = async (
    proxy: FaultyProxy,
    call: (client: RudderAnalytics) => void,
  ): Promise<readonly unknown[]> => {
    const failures: unknown[] = []
    const client = new RudderAnalytics(writeKeys.segment, {
      dataPlaneUrl: proxy.url,
      logLevel: 'none',
      errorHandler: (error) => failures.push(error),
    })
    call(client)
    // It sends the first call alone, and the rest when that is answered.
    await client.flush()
    await client.flush()
    return failures
  }

  it('brings every kind of call into the log as it was meant', async () => {
    const proxy = await world.openProxy([])
    const failures = await runClient(proxy, (client) => {
      client.identify({ userId: 'ada', anonymousId: 'tab-1', traits: { email: 'ada@a.example' } })
      const properties = { product_id: 'cup', price: 4.5, currency: 'gbp' }
      client.track({ userId: 'ada', event: 'Product Viewed', properties })
      client.page({ userId: 'ada', name: 'Home', category: 'Shop', properties: { url: '/' } })
      client.screen({ userId: 'ada', name: 'Basket' })
      client.group({ userId: 'ada', groupId: 'acme', traits: { plan: 'pro' } })
      client.alias({ userId: 'ada', previousId: 'ada-before' })
    })
    assert.deepEqual(failures, [])
    const [first, second] = proxy.seen
    assert.equal(first?.headers['content-type'], 'application/x-www-form-urlencoded')
    assert.equal(first?.headers['content-encoding'], 'gzip')
    const sent = JSON.parse(gunzipSync(second?.body ?? '').toString()) as { batch: unknown[] }
    assert.equal(sent.batch.length, 5)
    const events = eventsOfUser(await world.events(), 'ada')
    const [identify, track, page, screen, group, alias] = events
    assert.equal(identify?.type, 'identify')
    assert.equal(identify?.anonymousId, 'tab-1')
    assert.deepEqual(identify?.traits, { email: 'ada@a.example' })
    assert.equal(track?.name, 'Product Viewed')
    assert.deepEqual(track?.properties, { product_id: 'cup', price: 4.5, currency: 'GBP' })
    assert.deepEqual(track?.context, { library: { name: 'analytics-node', version: '3.0.13' } })
    assert.equal(track?.timeNote, undefined, 'originalTimestamp is its time')
    assert.equal(page?.name, 'Page Viewed')
    assert.deepEqual(page?.properties, { url: '/', name: 'Home', category: 'Shop' })
    assert.equal(screen?.type, 'screen')
    assert.deepEqual([group?.type, group?.groupId], ['group', 'acme'])
    assert.deepEqual([alias?.type, alias?.previousId], ['alias', 'ada-before'])
    assert.equal(events.length, 6)
    assert.equal(await world.rejectedCount(), 0)
  })

  describe('loses nothing and has nothing applied twice', { concurrency: true }, () => {
    for (const [name, fault] of Object.entries(faults)) {
      it(`after ${name}`, async () => {
        const proxy = await world.openProxy([fault])
        const userId = `user of ${name}`
        const failures = await runClient(proxy, (client) => {
          for (const event of ['First', 'Second', 'Third']) client.track({ userId, event })
        })
        assert.deepEqual(failures, [])
        assert.deepEqual(proxy.outcomes(), [outcomeOf(fault), 200, 200])
        const names = eventsOfUser(await world.events(), userId).map((event) => event.name)
        const repeated = fault.kind === 'cut-answer' ? ['First'] : []
        assert.deepEqual(names, [...repeated, 'First', 'Second', 'Third'])
        const totals = { First: 1, Second: 1, Third: 1 }
        assert.deepEqual(await world.totalsOf(`user:${userId}`), totals)
      })
    }

    it('when three tries in a row fail, which is all that it repeats', async () => {
      const spoiled = Object.values(faults)
      const proxy = await world.openProxy(spoiled.slice(1))
      const userId = 'user of three failures'
      const call = (client: RudderAnalytics): void => {
        client.track({ userId, event: 'First' })
      }
      assert.deepEqual(await runClient(proxy, call), [])
      assert.deepEqual(proxy.outcomes(), [503, 'cut-request', 'cut-answer', 200])
      assert.deepEqual(await world.totalsOf(`user:${userId}`), { First: 1 })
      const busy = { kind: 'answer', status: 503 } as const
      const more = await world.openProxy(Array(5).fill(busy))
      const failures = await runClient(more, (client) => {
        client.track({ userId: 'user of four failures', event: 'First' })
      })
      assert.equal(failures.length, 1, 'and it says what it gave up')
      assert.equal(more.outcomes().length, 4)
    })
  })
})
