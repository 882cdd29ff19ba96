/**
 * `posthog-node`, as its users run it: batches of `POST /batch/`, compressed, the key in the body.
 * It tries a request four times, three seconds apart unless told otherwise; after an error that is
 * no answer it keeps the events for the next flush.
 */

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { PostHog } from 'posthog-node'
import { type ClientWorld, eventsOfUser, openClientWorld, writeKeys } from './client-world.ts'
import { faults, outcomeOf } from './faulty-proxy.ts'

describe('posthog-node', () => {
  let world: ClientWorld
  before(async () => {
    world = await openClientWorld()
  })
  after(() => world.close())

  /** Runs one client from its first call to its last answer; returns what it failed to deliver. */
  const runClient = async (
    host: string,
    call: (client: PostHog) => void,
  ): Promise<readonly unknown[]> => {
    const failures: unknown[] = []
    const client = new PostHog(writeKeys.posthog, { host, fetchRetryDelay: 200 })
    client.on('error', (error) => failures.push(error))
    call(client)
    await client.shutdown()
    return failures
  }

  it('brings every kind of call into the log as it was meant', async () => {
    const proxy = await world.openProxy([])
    const failures = await runClient(proxy.url, (client) => {
      const properties = { $set: { email: 'ada@a.example' }, $anon_distinct_id: 'tab-1' }
      client.identify({ distinctId: 'ada', properties })
      const viewed = { product_id: 'cup', price: 4.5, currency: 'gbp' }
      client.capture({ distinctId: 'ada', event: 'Product Viewed', properties: viewed })
      const page = { $current_url: 'https://a.example/b', $pathname: '/b' }
      client.capture({ distinctId: 'ada', event: '$pageview', properties: page })
      client.capture({ distinctId: 'ada', event: '$screen', properties: { $screen_name: 'Cart' } })
      const group = { groupType: 'company', groupKey: 'acme', properties: { plan: 'pro' } }
      client.groupIdentify({ ...group, distinctId: 'ada' })
      client.alias({ distinctId: 'ada', alias: 'ada-before' })
      client.capture({ event: 'Nobody', properties: {} })
    })
    assert.deepEqual(failures, [])
    assert.deepEqual(
      proxy.seen.map(({ path, headers }) => [path, headers['content-encoding']]),
      [['/batch/', 'gzip']],
    )
    const events = await world.events()
    const byType = (type: string) => eventsOfUser(events, 'ada').find((one) => one.type === type)
    const identify = byType('identify')
    assert.deepEqual(identify?.traits, { email: 'ada@a.example' })
    assert.equal(identify?.anonymousId, 'tab-1')
    const track = byType('track')
    assert.equal(track?.name, 'Product Viewed')
    assert.deepEqual(track?.properties, { product_id: 'cup', price: 4.5, currency: 'GBP' })
    assert.deepEqual(track?.context, { library: { name: 'posthog-node', version: '5.70.0' } })
    assert.match(track?.eventId ?? '', /^[0-9a-f]{8}-[0-9a-f]{4}-7/)
    assert.equal(track?.timeNote, undefined)
    assert.deepEqual(byType('page')?.properties, { url: 'https://a.example/b', path: '/b' })
    assert.deepEqual(byType('screen')?.properties, { name: 'Cart' })
    assert.equal(byType('group')?.groupId, 'acme')
    assert.deepEqual(byType('group')?.traits, { plan: 'pro' })
    assert.equal(byType('alias')?.previousId, 'ada-before')
    assert.equal(eventsOfUser(events, 'ada').length, 6)
    // Sent without a person: the id is one that the client made up for this event alone.
    const nobody = events.find((one) => one.name === 'Nobody')
    assert.equal(nobody?.userId, undefined)
    assert.match(nobody?.anonymousId ?? '', /^[0-9a-f-]{36}$/)
    assert.equal(await world.rejectedCount(), 0)
  })

  it('is told that no flag is on, and says no error', async () => {
    const failures: unknown[] = []
    const client = new PostHog(writeKeys.posthog, { host: world.url })
    client.on('error', (error) => failures.push(error))
    const flags = await client.evaluateFlags('ada')
    assert.equal(flags.isEnabled('new-basket'), false)
    assert.deepEqual(await client.getAllFlags('ada'), {})
    await client.shutdown()
    assert.deepEqual(failures, [])
  })

  describe('loses nothing and has nothing applied twice', { concurrency: true }, () => {
    for (const [name, fault] of Object.entries(faults)) {
      it(`after ${name}`, async () => {
        const proxy = await world.openProxy([fault])
        const userId = `user of ${name}`
        const failures = await runClient(proxy.url, (client) => {
          for (const event of ['First', 'Second']) client.capture({ distinctId: userId, event })
        })
        assert.deepEqual(failures, [])
        assert.deepEqual(proxy.outcomes(), [outcomeOf(fault), 200])
        const names = eventsOfUser(await world.events(), userId).map((event) => event.name)
        const once = ['First', 'Second']
        assert.deepEqual(names, fault.kind === 'cut-answer' ? [...once, ...once] : once)
        assert.deepEqual(await world.totalsOf(`user:${userId}`), { First: 1, Second: 1 })
      })
    }

    it('when three tries in a row fail, which is all that it repeats', async () => {
      const spoiled = Object.values(faults).slice(1)
      const proxy = await world.openProxy(spoiled)
      const userId = 'user of three failures'
      const call = (client: PostHog): void => client.capture({ distinctId: userId, event: 'First' })
      assert.deepEqual(await runClient(proxy.url, call), [])
      assert.deepEqual(proxy.outcomes(), [...spoiled.map(outcomeOf), 200])
      assert.deepEqual(await world.totalsOf(`user:${userId}`), { First: 1 })
    })
  })
})
