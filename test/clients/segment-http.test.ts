/**
 * Segment's API as its other clients speak it, at its limits: batches of 2,500 events, every path,
 * and what browsers load.
 */

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import {
  type ClientWorld,
  eventsOfUser,
  openClientWorld,
  waitFor,
  writeKeys,
} from './client-world.ts'

const authorization = `Basic ${Buffer.from(`${writeKeys.segment}:`).toString('base64')}`

describe("Segment's HTTP API", () => {
  let world: ClientWorld
  before(async () => {
    world = await openClientWorld()
  })
  after(() => world.close())

  const post = (path: string, body: object): Promise<Response> =>
    fetch(world.url + path, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })

  const viewsOf = (userId: string, count: number): readonly object[] =>
    Array.from({ length: count }, (_, index) => ({
      ...{ type: 'track', event: 'Cart Viewed', userId, messageId: `${userId}-${index}` },
      properties: { index },
    }))

  it('takes 2,500 events in one batch, and refuses one more as a whole', async () => {
    assert.equal((await post('/v1/batch', { batch: viewsOf('ada', 2500) })).status, 200)
    const events = eventsOfUser(await world.events(), 'ada')
    assert.deepEqual(
      events.map(({ properties }) => properties?.index),
      Array.from({ length: 2500 }, (_, index) => index),
      'all of them, in their order',
    )
    const refused = await post('/v1/batch', { batch: viewsOf('bob', 2501) })
    assert.equal(refused.status, 413)
    assert.equal(((await refused.json()) as { readonly code: string }).code, 'batch-too-long')
    assert.deepEqual(eventsOfUser(await world.events(), 'bob'), [])
    assert.equal(await world.rejectedCount(), 1, 'the request is kept')
    assert.deepEqual(await world.totalsOf('user:ada'), { 'Cart Viewed': 2500 })
  })

  it('takes each call on its path and on the short one of browsers', async () => {
    const calls = {
      track: { event: 'Seen' },
      identify: { traits: { plan: 'pro' } },
      page: { name: 'Home' },
      screen: { name: 'Basket' },
      group: { groupId: 'acme' },
      alias: { previousId: 'before' },
    }
    for (const [type, fields] of Object.entries(calls)) {
      for (const path of [`/v1/${type}`, `/v1/${type.charAt(0)}`]) {
        const answer = await post(path, { userId: 'cyd', messageId: path, ...fields })
        assert.deepEqual([answer.status, await answer.json()], [200, { success: true }], path)
      }
    }
    const [event] = viewsOf('cyd', 1)
    for (const path of ['/v1/batch', '/v1/b', '/v1/import']) {
      assert.equal((await post(path, { batch: [{ ...event, messageId: path }] })).status, 200)
    }
    const taken = eventsOfUser(await world.events(), 'cyd')
    const types = taken.map(({ type }) => type)
    for (const type of Object.keys(calls)) {
      const count = type === 'track' ? 5 : 2
      assert.equal(types.filter((each) => each === type).length, count, type)
    }
    assert.equal(new Set(taken.map(({ eventId }) => eventId)).size, 15)
  })

  it('applies once what a client sends again in the name of the user', async () => {
    const seen = { anonymousId: 'tab', event: 'Seen' }
    const asUser = { ...seen, userId: 'eve' }
    await post('/v1/track', { ...seen, messageId: 'before' })
    await post('/v1/identify', { anonymousId: 'tab', userId: 'eve' })
    // What comes by way of the device comes a moment later.
    const untilSeen = (count: number): Promise<true> =>
      waitFor(`the user has ${count} of the device`, async () =>
        (await world.totalsOf('user:eve'))['Seen'] === count ? true : undefined,
      )
    await untilSeen(1)
    await post('/v1/track', { ...asUser, messageId: 'before' })
    await post('/v1/track', { ...seen, messageId: 'after' })
    await untilSeen(2)
    await post('/v1/track', { ...asUser, messageId: 'after' })
    await post('/v1/track', { ...asUser, messageId: 'first as the user' })
    assert.equal((await world.totalsOf('user:eve'))['Seen'], 3)
    await post('/v1/track', { ...seen, messageId: 'first as the user' })
    assert.deepEqual(await world.totalsOf('anonymous:tab'), { identify: 1, Seen: 3 })
  })

  it('gives browsers settings that lead back to it, and takes their metrics', async () => {
    const path = `/v1/projects/${writeKeys.segment}/settings`
    const settings = (await (await fetch(world.url + path)).json()) as {
      readonly integrations: Readonly<Record<string, unknown>>
    }
    const { host } = new URL(world.publicProxy.url)
    const { apiKey, apiHost, protocol } = settings.integrations['Segment.io'] as {
      readonly [name: string]: unknown
    }
    assert.deepEqual([apiKey, apiHost, protocol], [writeKeys.segment, `${host}/v1`, 'http'])
    assert.equal((await fetch(`${world.url}/v1/projects/wk_nobody/settings`)).status, 404)
    const series = [{ type: 'Counter', metric: 'analytics_js.invoke', value: 1, tags: {} }]
    const before = await world.events()
    assert.equal((await post('/v1/m', { series })).status, 200)
    assert.equal((await world.events()).length, before.length, 'and drops them')
  })
})
