/**
 * `@jitsu/js`, as its users run it on a server: a request for each call, the write key in a header
 * and masked in the body.
 *
 * It repeats nothing. What it promises is that it tells of each call that was not answered 200, and
 * that is all that is shown here: of those, what the server took is there, and the rest is not.
 */

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type AnalyticsInterface, jitsuAnalytics } from '@jitsu/js'
import { type ClientWorld, eventsOfUser, openClientWorld, writeKeys } from './client-world.ts'
import { faults, outcomeOf } from './faulty-proxy.ts'

describe('@jitsu/js', () => {
  let world: ClientWorld
  before(async () => {
    world = await openClientWorld()
  })
  after(() => world.close())

  const openClient = (
    host: string,
    isToServer = false,
  ): { readonly client: AnalyticsInterface; readonly failures: readonly string[] } => {
    const failures: string[] = []
    const errorPolicy = (says: string): void => {
      failures.push(says)
    }
    const options = { host, writeKey: writeKeys.jitsu, s2s: isToServer, errorPolicy }
    return { client: jitsuAnalytics(options), failures }
  }

  for (const isToServer of [false, true]) {
    it(`brings every kind of call into the log as it was meant, s2s ${isToServer}`, async () => {
      const proxy = await world.openProxy([])
      const { client, failures } = openClient(proxy.url, isToServer)
      const userId = `ada-${isToServer}`
      await client.identify(userId, { email: 'ada@a.example' })
      await client.track('Product Viewed', { product_id: 'cup', price: 4.5, currency: 'gbp' })
      await client.page({ name: 'Home', url: 'https://shop.example/home?a=1' })
      await client.group('acme', { plan: 'pro' })
      assert.deepEqual(failures, [])
      const kinds = ['identify', 'track', 'page', 'group']
      const prefix = isToServer ? '/api/s/s2s' : '/api/s'
      assert.deepEqual(
        proxy.seen.map(({ path }) => path),
        kinds.map((kind) => `${prefix}/${kind}`),
      )
      assert.equal(proxy.seen[0]?.headers['x-write-key'], writeKeys.jitsu)
      const sent = JSON.parse(String(proxy.seen[0]?.body)) as { readonly writeKey: string }
      assert.equal(sent.writeKey, 'jitsuid:***')
      const events = eventsOfUser(await world.events(), userId)
      assert.deepEqual(
        events.map(({ type }) => type),
        kinds,
      )
      const [identify, track, page, group] = events
      assert.deepEqual(identify?.traits, { email: 'ada@a.example' })
      assert.equal(track?.name, 'Product Viewed')
      assert.deepEqual(track?.properties, { product_id: 'cup', price: 4.5, currency: 'GBP' })
      const library = { name: '@jitsu/js', version: '1.11.0', env: 'node' }
      assert.deepEqual(track?.context?.library, library)
      assert.equal(page?.name, 'Page Viewed')
      assert.equal(page?.properties?.path, '/home')
      assert.deepEqual([group?.groupId, group?.traits], ['acme', { plan: 'pro' }])
      assert.equal(await world.rejectedCount(), 0)
    })
  }

  for (const [name, fault] of Object.entries(faults)) {
    it(`tells of ${name}, sends it once, and goes on`, async () => {
      const proxy = await world.openProxy([fault])
      const { client, failures } = openClient(proxy.url)
      const userId = `user of ${name}`
      await client.track('First', {}, { userId })
      await client.track('Second', {}, { userId })
      assert.equal(failures.length, 1)
      assert.match(failures[0] ?? '', /^Call to .*\/api\/s\/track failed/)
      assert.deepEqual(proxy.outcomes(), [outcomeOf(fault), 200])
      // Behind a lost answer the event is there, though the client cannot know it.
      const taken = fault.kind === 'cut-answer' ? ['First', 'Second'] : ['Second']
      const names = eventsOfUser(await world.events(), userId).map((event) => event.name)
      assert.deepEqual(names, taken)
      const totals = Object.fromEntries(taken.map((event) => [event, 1]))
      assert.deepEqual(await world.totalsOf(`user:${userId}`), totals)
    })
  }
})
