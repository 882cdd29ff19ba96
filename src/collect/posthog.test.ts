import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Event } from '../event/event.ts'
import { defaultEventLimits } from '../event/event-limits.ts'
import { type ParsedEvent, parseEvent } from '../event/parse-event.ts'
import { translatePosthog, writeKeyOfPosthog } from './posthog.ts'

const receivedAtMs = Date.UTC(2026, 10, 23)
const uuid = '019aa5b2-0000-7000-8000-000000000001'
const device = '019aa5b2-0000-7000-8000-00000000000d'

const parsed = (body: unknown): readonly ParsedEvent[] => {
  const deps = { sourceId: 'web', receivedAtMs, makeEventId: () => 'made' }
  const items = translatePosthog(body)?.items ?? []
  return items.map(({ event }) => parseEvent(event, { ...deps, limits: defaultEventLimits }))
}

/** Returns what the item of one capture becomes, without what every event has. */
const eventsOf = (item: object): readonly Partial<Event>[] =>
  parsed({ api_key: 'phc_1', batch: [{ uuid, timestamp: '2026-11-22T00:00:00Z', ...item }] }).map(
    (one) => {
      if (one.kind === 'refused') return assert.fail(`${one.reason} ${one.path}`)
      const { sourceId: _source, receivedAtMs: _received, occurredAtMs, ...event } = one.event
      assert.equal(occurredAtMs, Date.UTC(2026, 10, 22))
      return event
    },
  )

const reasonsOf = (item: object): readonly string[] =>
  parsed({ batch: [item] }).map((one) => (one.kind === 'refused' ? one.reason : 'event'))

describe('translatePosthog', () => {
  it('makes a track call of a capture, with what the client adds in the context', () => {
    const properties = {
      ...{ product_id: 'cup', $groups: { company: 'acme' }, $session_id: 's1' },
      ...{ $lib: 'posthog-node', $lib_version: '5.70.0', $geoip_disable: true, $is_server: true },
      ...{ $ip: '192.0.2.1', $timezone: 'Europe/Oslo', $os: 'Linux', $screen_width: 800 },
    }
    assert.deepEqual(eventsOf({ event: 'Product Viewed', distinct_id: 'ada', properties }), [
      {
        eventId: uuid,
        type: 'track',
        name: 'Product Viewed',
        userId: 'ada',
        properties: { product_id: 'cup', $groups: { company: 'acme' }, $session_id: 's1' },
        context: {
          library: { name: 'posthog-node', version: '5.70.0' },
          ...{ ip: '192.0.2.1', timezone: 'Europe/Oslo' },
          ...{ os: { name: 'Linux' }, screen: { width: 800 } },
        },
      },
    ])
  })

  it('joins the device to the user it identifies, with what is set once apart', () => {
    const $set = { email: 'ada@a.example' }
    const $set_once = { email: 'old@a.example', since: 2026, $initial_gclid: null }
    const said = { $set, $set_once, $anon_distinct_id: device, $is_identified: false }
    const expected = {
      ...{ eventId: uuid, type: 'identify', name: 'identify', context: {} },
      ...{ userId: 'ada', anonymousId: device, traits: { email: 'ada@a.example' } },
      traitsOnce: { email: 'old@a.example', since: 2026 },
    }
    const item = { event: '$identify', distinct_id: 'ada', properties: said }
    assert.deepEqual(eventsOf(item), [expected])
    // A browser writes them beside the properties.
    const { $set: _set, $set_once: _once, ...properties } = said
    assert.deepEqual(eventsOf({ ...item, properties, $set, $set_once }), [expected])
    const again = { ...item, properties: { $set, $anon_distinct_id: 'ada' } }
    assert.equal(eventsOf(again)[0]?.anonymousId, undefined, 'an id is not joined to itself')
  })

  it('takes an id for a device only where the client says so', () => {
    const idsOf = (properties: object): unknown => {
      const [event] = eventsOf({ event: 'Seen', distinct_id: device, properties })
      return event?.userId === undefined ? { anonymousId: event?.anonymousId } : 'user'
    }
    assert.equal(idsOf({}), 'user')
    assert.equal(idsOf({ $is_identified: true, $device_id: device }), 'user')
    assert.deepEqual(idsOf({ $is_identified: false }), { anonymousId: device })
    assert.deepEqual(idsOf({ $device_id: device }), { anonymousId: device })
    assert.deepEqual(idsOf({ $process_person_profile: false }), { anonymousId: device })
  })

  it('tells who a person is before what they did', () => {
    const properties = { $set: { plan: 'pro' }, $set_once: { since: 2026 }, amount: 2 }
    const [identify, track, ...more] = eventsOf({ event: 'Paid', distinct_id: 'ada', properties })
    assert.deepEqual(more, [])
    assert.deepEqual(identify, {
      ...{ eventId: `${uuid}:set`, type: 'identify', name: 'identify', userId: 'ada' },
      ...{ traits: { plan: 'pro' }, traitsOnce: { since: 2026 }, context: {} },
    })
    assert.deepEqual([track?.eventId, track?.properties], [uuid, { amount: 2 }])
    const set = { event: '$set', distinct_id: 'ada' }
    const [changed] = eventsOf({ ...set, properties: { $set: { a: 1 }, $set_once: { b: 2 } } })
    assert.deepEqual([changed?.type, changed?.traits], ['identify', { a: 1 }])
    assert.deepEqual(changed?.traitsOnce, { b: 2 })
    const onlyOnce = { event: 'Paid', distinct_id: 'ada', properties: { $set_once: { c: 3 } } }
    assert.deepEqual(eventsOf(onlyOnce)[0]?.traitsOnce, { c: 3 })
    const [unset] = eventsOf({ ...set, properties: { $unset: ['a', 7, 'b'] } })
    assert.deepEqual(unset?.traits, { a: null, b: null })
  })

  it('makes an alias call, whichever of the two ids is the device', () => {
    const event = '$create_alias'
    const onServer = { event, distinct_id: 'ada', properties: { alias: 'ada-before' } }
    const [alias] = eventsOf(onServer)
    assert.deepEqual([alias?.type, alias?.userId], ['alias', 'ada'])
    assert.equal(alias?.previousId, 'ada-before')
    const properties = { alias: 'ada', $device_id: device }
    const [inBrowser] = eventsOf({ event, distinct_id: device, properties })
    assert.deepEqual([inBrowser?.userId, inBrowser?.previousId], ['ada', device])
    assert.equal(inBrowser?.anonymousId, device)
  })

  it('makes group, page and screen calls', () => {
    const properties = { $group_type: 'company', $group_key: 'acme', $group_set: { plan: 'pro' } }
    const told = { event: '$groupidentify', properties }
    const [group] = eventsOf({ ...told, distinct_id: 'ada' })
    assert.deepEqual([group?.type, group?.userId, group?.groupId], ['group', 'ada', 'acme'])
    assert.deepEqual(group?.traits, { plan: 'pro' })
    assert.deepEqual(reasonsOf({ ...told, distinct_id: '$company_acme' }), ['id-missing'])
    const seen = { $current_url: 'https://a.example/b?c=1', $pathname: '/b', title: 'B' }
    const [page] = eventsOf({ event: '$pageview', distinct_id: 'ada', properties: seen })
    assert.deepEqual([page?.type, page?.name], ['page', 'Page Viewed'])
    assert.deepEqual(page?.properties, { url: 'https://a.example/b?c=1', path: '/b', title: 'B' })
    const shown = { $screen_name: 'Basket', depth: 1 }
    const [screen] = eventsOf({ event: '$screen', distinct_id: 'ada', properties: shown })
    assert.deepEqual([screen?.type, screen?.properties], ['screen', { name: 'Basket', depth: 1 }])
  })

  it('reads a batch, one event, and a list of events', () => {
    const item = { event: 'Seen', distinct_id: 'ada' }
    const batch = {
      api_key: 'phc_1',
      batch: [item, item],
      sent_at: 't',
      historical_migration: true,
    }
    const read = translatePosthog(batch)
    assert.deepEqual([read?.sentAt, read?.isBackfill], ['t', true])
    assert.equal(read?.items.length, 2)
    assert.equal(read?.items[0]?.original, item)
    const one = translatePosthog({ ...item, token: 'phc_2' })
    assert.deepEqual([one?.isBackfill, one?.items.length], [false, 1])
    const listed = [{ ...item, properties: { token: 'phc_3' } }, item]
    assert.equal(translatePosthog(listed)?.items.length, 2)
    assert.equal(writeKeyOfPosthog(batch), 'phc_1')
    assert.equal(writeKeyOfPosthog({ ...item, token: 'phc_2' }), 'phc_2')
    assert.equal(writeKeyOfPosthog(listed), 'phc_3')
    assert.equal(writeKeyOfPosthog([7]), undefined)
    for (const body of [{}, { batch: 7, event: 'Seen' }, 7, null, 'text']) {
      assert.equal(translatePosthog(body), undefined)
    }
  })

  it('leaves to the parser what it refuses', () => {
    assert.deepEqual(reasonsOf({ distinct_id: 'ada' }), ['event-name-missing'])
    assert.deepEqual(reasonsOf({ event: 'Seen' }), ['id-missing'])
    const shared = { event: 'Seen', distinct_id: '$posthog_cookieless' }
    assert.deepEqual(reasonsOf(shared), ['id-missing'], 'an id that all visitors share')
    const polluted = JSON.parse('{"event":"Seen","distinct_id":"a","properties":{"__proto__":{}}}')
    assert.deepEqual(reasonsOf(polluted as object), ['key-forbidden'])
    assert.deepEqual(
      parsed([7]).map(({ kind }) => kind),
      ['refused'],
    )
  })

  it('makes one or two events of anything that JSON can say, and pollutes nothing', () => {
    const names = ['$identify', '$set', '$create_alias', '$groupidentify', '$pageview', '$screen']
    const words = ['$set', '$set_once', '$unset', 'alias', '$group_set', '$group_key', '__proto__']
    const properties = fc.dictionary(fc.constantFrom(...words), fc.jsonValue())
    const item = fc.record({
      event: fc.oneof(fc.constantFrom(...names), fc.jsonValue()),
      distinct_id: fc.jsonValue(),
      properties: fc.oneof(properties, fc.jsonValue()),
    })
    const property = fc.property(fc.array(fc.oneof(item, fc.jsonValue())), (batch) => {
      const text = JSON.stringify({ batch })
      const count = parsed(JSON.parse(text)).length
      assert.ok(count >= batch.length && count <= 2 * batch.length)
      assert.equal(({} as { polluted?: unknown }).polluted, undefined)
    })
    fc.assert(property, { numRuns: 300 })
  })
})
