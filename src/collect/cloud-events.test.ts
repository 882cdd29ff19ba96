import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import fc from 'fast-check'
import { systemClock } from '../lib/clock.ts'
import { hashId } from '../lib/hash.ts'
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'
import { silentLogger } from '../lib/logger.ts'
import { createAdaptedRoutes } from './adapted-routes.ts'
import { cloudEventsPath } from './cloud-events.ts'
import { factsOf, keptOf, openStage, type Stage, writeKey } from './collect-stage.fixture.ts'

/** In the form of the example in the specification's `json-format.md`; ours. */
const event = {
  specversion: '1.0',
  id: 'A-1',
  source: '/shop/loyalty',
  type: 'com.example.points.earned',
  subject: 'ada',
  time: '2026-11-02T09:00:00Z',
  datacontenttype: 'application/json',
  dataschema: 'https://example.com/points.json',
  traceparent: '00-0af7-b7ad-01',
  data: { points: 40, currency: 'eur' },
}
const structured = { 'content-type': 'application/cloudevents+json; charset=utf-8' }
const batch = { 'content-type': 'application/cloudevents-batch+json' }

type Headers = Readonly<Record<string, string>>

function open(t: TestContext): Promise<Stage> {
  const given = { clock: systemClock, logger: silentLogger, environment: {} }
  return openStage(t, { adapted: createAdaptedRoutes(given) })
}

function send(stage: Stage, body: string, headers: Headers): Promise<Response> {
  const key = { 'x-write-key': writeKey }
  return fetch(stage.url + cloudEventsPath, {
    method: 'POST',
    body,
    headers: { ...key, ...headers },
  })
}

/** Sends one event; returns what became of it. */
async function reasonOf(t: TestContext, given: unknown): Promise<unknown> {
  const stage = await open(t)
  const answer = await send(stage, JSON.stringify(given), structured)
  assert.equal(answer.status, 200)
  const { results } = (await answer.json()) as { results: readonly JsonObject[] }
  assert.equal(results.length, 1)
  const [kept] = await keptOf(stage)
  if (kept !== undefined) {
    assert.deepEqual([kept.format, kept.text], ['cloudevents', JSON.stringify(given)])
  }
  return results[0]?.['reason'] === undefined
    ? 'accepted'
    : `${String(results[0]['reason'])} ${String(results[0]['path'])}`
}

const track = {
  eventId: '/shop/loyalty A-1',
  sourceId: 'web',
  type: 'track',
  name: 'com.example.points.earned',
  userId: 'ada',
  occurredAtMs: Date.parse('2026-11-02T09:00:00Z'),
  properties: { points: 40, currency: 'EUR' },
  context: {
    cloudEvent: {
      id: 'A-1',
      source: '/shop/loyalty',
      subject: 'ada',
      dataschema: 'https://example.com/points.json',
      traceparent: '00-0af7-b7ad-01',
    },
  },
  changes: [{ kind: 'read', path: '/properties/currency', was: 'eur' }],
}

describe('a CloudEvent', () => {
  it('in the structured form is a track event', async (t) => {
    const stage = await open(t)
    const answer = await send(stage, JSON.stringify(event), structured)
    assert.equal(answer.status, 200)
    assert.deepEqual(await answer.json(), {
      success: true,
      accepted: 1,
      rejected: 0,
      results: [{ status: 'accepted', eventId: '/shop/loyalty A-1' }],
    })
    assert.deepEqual(await factsOf(stage), [track])
  })

  it('in the binary form is the same event', async (t) => {
    const stage = await open(t)
    const { data, datacontenttype, ...attributes } = event
    const headers = Object.fromEntries(
      Object.entries(attributes).map(([name, value]) => [`ce-${name}`, value]),
    )
    const type = { 'content-type': datacontenttype }
    assert.equal((await send(stage, JSON.stringify(data), { ...headers, ...type })).status, 200)
    assert.deepEqual(await factsOf(stage), [track])
  })

  it('in a batch is judged alone', async (t) => {
    const stage = await open(t)
    const events = [event, { ...event, id: 'A-2', specversion: '0.3' }, 7, { ...event, id: 'A-3' }]
    const answer = await send(stage, JSON.stringify(events), batch)
    const { accepted, rejected, results } = (await answer.json()) as Record<string, unknown>
    assert.deepEqual([accepted, rejected, (results as unknown[]).length], [2, 2, 4])
    const kept = (await keptOf(stage)).map(({ reason, path }) => `${reason} ${path}`)
    assert.deepEqual(kept, ['item-kind-unknown /specversion', 'item-unreadable '])
  })

  it('in the binary form may have no data, and header values in percent', async (t) => {
    const stage = await open(t)
    const headers = {
      'ce-specversion': '1.0',
      'ce-id': '1',
      'ce-source': '/a',
      'ce-type': 'Caf%C3%A9',
      'ce-subject': 'ada',
    }
    assert.equal((await send(stage, '', headers)).status, 200)
    const [fact] = await factsOf(stage)
    assert.deepEqual([fact?.name, fact?.properties], ['Caf\u00e9', undefined])
  })

  it('has a person by its data, else by its subject', async (t) => {
    const stage = await open(t)
    const cases: readonly (readonly [Json, string | undefined, string | undefined])[] = [
      [{ userId: 'bob' }, 'bob', undefined],
      [{ userId: 26 }, '26', undefined],
      [{ anonymousId: 'd-1' }, undefined, 'd-1'],
      [{ userId: 'bob', anonymousId: 'd-1' }, 'bob', 'd-1'],
      [{ userId: null }, 'ada', undefined],
      ['text', 'ada', undefined],
      [[1, 2], 'ada', undefined],
    ]
    for (const [data] of cases) {
      assert.equal((await send(stage, JSON.stringify({ ...event, data }), structured)).status, 200)
    }
    const found = (await factsOf(stage)).map((each) => [each.userId, each.anonymousId])
    assert.deepEqual(
      found,
      cases.map(([, userId, anonymousId]) => [userId, anonymousId]),
    )
    const properties = (await factsOf(stage)).slice(-2).map((fact) => fact.properties)
    assert.deepEqual(properties, [{ data: 'text' }, { data: [1, 2] }])
  })

  it('has an event id of its source and id, hashed where that is too long', async (t) => {
    const stage = await open(t)
    const source = `urn:${'x'.repeat(100)}`
    for (const [given, id] of [
      ['/a', '1'],
      [source, '1'],
      [source, '2'],
      ['/a b', '1'],
    ] as const) {
      await send(stage, JSON.stringify({ ...event, source: given, id }), structured)
    }
    const ids = (await factsOf(stage)).map(({ eventId }) => eventId)
    const hashed = [hashId(source, '1'), hashId(source, '2'), hashId('/a b', '1')]
    assert.deepEqual(ids, ['/a 1', ...hashed])
  })

  const cases: readonly (readonly [string, unknown, string])[] = [
    ['no object', [event], 'item-unreadable '],
    ['text', 'event', 'item-unreadable '],
    ['another version', { ...event, specversion: '2.0' }, 'item-kind-unknown /specversion'],
    ['a version that is a number', { ...event, specversion: 1 }, 'item-kind-unknown /specversion'],
    ['no version', { ...event, specversion: undefined }, 'item-kind-unknown /specversion'],
    ['no id', { ...event, id: undefined }, 'item-unreadable /id'],
    ['an empty id', { ...event, id: '' }, 'item-unreadable /id'],
    ['an id that is a number', { ...event, id: 1 }, 'item-unreadable /id'],
    ['no source', { ...event, source: null }, 'item-unreadable /source'],
    ['no type', { ...event, type: {} }, 'item-unreadable /type'],
    ['a long type', { ...event, type: 'x'.repeat(201) }, 'event-name-invalid /event'],
    ['an empty subject', { ...event, subject: '' }, 'item-unreadable /subject'],
    ['a time that is a number', { ...event, time: 5 }, 'item-unreadable /time'],
    ['bytes', { ...event, data: undefined, data_base64: 'AAEC' }, 'item-unreadable /data_base64'],
    ['nobody', { ...event, subject: undefined }, 'id-missing '],
    ['a shared id', { ...event, subject: 'null' }, 'id-invalid /userId'],
    [
      'a forbidden name',
      { ...event, data: JSON.parse('{"__proto__": 1}') },
      'key-forbidden /properties/__proto__',
    ],
    ['a control character', { ...event, id: 'a\u0000' }, 'text-invalid /context/cloudEvent/id'],
    ['an extension that is an object', { ...event, extension: {} }, 'accepted'],
    ['a time that is none', { ...event, time: 'yesterday' }, 'accepted'],
  ]
  for (const [what, given, outcome] of cases) {
    it(`with ${what} is ${outcome}`, async (t) => {
      assert.equal(await reasonOf(t, given), outcome)
    })
  }
})

describe('the way in for CloudEvents', () => {
  it('takes the key in each of its places, and from nobody else', async (t) => {
    const stage = await open(t)
    const post = async (query: string, headers: Headers): Promise<number> => {
      const url = stage.url + cloudEventsPath + query
      const body = JSON.stringify(event)
      const answer = await fetch(url, {
        method: 'POST',
        body,
        headers: { ...structured, ...headers },
      })
      return answer.status
    }
    const basic = Buffer.from(`${writeKey}:`).toString('base64')
    assert.equal(await post('', { authorization: `Bearer ${writeKey}` }), 200)
    assert.equal(await post('', { authorization: `Basic ${basic}` }), 200)
    assert.equal(await post(`?access_token=${writeKey}`, {}), 200)
    assert.equal(await post(`?writeKey=${writeKey}`, {}), 200)
    assert.deepEqual(stage.counts, { accepted: 4, rejected: 0 })
    assert.equal(await post('', {}), 401)
    assert.equal(await post('', { authorization: 'Bearer stranger' }), 401)
    assert.equal(await post(`?access_token=a&access_token=${writeKey}`, {}), 401)
    assert.deepEqual(stage.counts, { accepted: 4, rejected: 0 })
    assert.equal(await stage.rejected.end(0), 0)
  })

  it('answers 415 to what is no CloudEvent', async (t) => {
    const stage = await open(t)
    for (const type of ['application/json', 'text/plain', 'application/cloudevents+avro', '']) {
      const answer = await send(stage, JSON.stringify(event), { 'content-type': type })
      assert.equal(answer.status, 415, type)
    }
    assert.equal(await stage.rejected.end(0), 0)
  })

  it('keeps bodies that are no JSON, and data that is none', async (t) => {
    const stage = await open(t)
    const binary = {
      'ce-specversion': '1.0',
      'ce-id': '1',
      'ce-source': '/a',
      'ce-type': 'b',
      'ce-subject': 'ada',
    }
    assert.equal((await send(stage, '{"specversion"', structured)).status, 400)
    assert.equal((await send(stage, '{}', batch)).status, 400)
    assert.equal((await send(stage, '[]', batch)).status, 400)
    const json = { 'content-type': 'application/json' }
    assert.equal((await send(stage, '{', { ...binary, ...json })).status, 400)
    const xml = { 'content-type': 'text/xml' }
    assert.equal((await send(stage, '<a/>', { ...binary, ...xml })).status, 200)
    const kept = await keptOf(stage)
    assert.deepEqual(
      kept.map(({ reason }) => reason),
      ['body-not-json', 'batch-missing', 'batch-empty', 'body-not-json', 'item-unreadable'],
    )
    const last = JSON.parse(kept[4]?.text ?? '') as JsonObject
    assert.equal(Buffer.from(String(last['data_base64']), 'base64').toString(), '<a/>')
    assert.equal(last['id'], '1')
  })

  it('consents to deliveries where it is asked', async (t) => {
    const stage = await open(t)
    const ask = async (headers: Headers): Promise<readonly unknown[]> => {
      const answer = await fetch(stage.url + cloudEventsPath, { method: 'OPTIONS', headers })
      const names = ['webhook-allowed-origin', 'webhook-allowed-rate', 'allow']
      return [answer.status, ...names.map((name) => answer.headers.get(name))]
    }
    const origin = 'eventemitter.example.com'
    const asked = { 'webhook-request-origin': origin, 'webhook-request-rate': '120' }
    assert.deepEqual(await ask(asked), [200, origin, '*', 'POST, OPTIONS'])
    const odd = { 'webhook-request-origin': 'a b<script>' }
    assert.deepEqual(await ask(odd), [200, null, null, 'POST, OPTIONS'])
    assert.deepEqual(await ask({}), [204, null, null, null])
  })

  it('has an outcome for whatever comes', async (t) => {
    const stage = await open(t)
    const value = fc.oneof(
      fc.constantFrom<Json>('', null, 0, '1.0', 'x'.repeat(3_000), '\u0000', '\ud800', [], {}),
      fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<Json>,
    )
    const name = fc.constantFrom(...Object.keys(event), 'data_base64', '__proto__', 'extension')
    const changed = fc
      .array(fc.tuple(name, value), { maxLength: 3 })
      .map((changes): Json => ({ ...event, ...Object.fromEntries(changes) }))
    const item = fc.oneof({ weight: 4, arbitrary: changed }, value)
    const body = fc.oneof(item, fc.array(item, { maxLength: 8 }) as fc.Arbitrary<Json>)
    const headers = fc.constantFrom<Headers>(structured, batch, {
      'content-type': 'application/json',
      'ce-specversion': '1.0',
      'ce-id': '1',
      'ce-source': '/a',
      'ce-type': 'b',
    })
    const property = fc.asyncProperty(body, headers, async (sent, given) => {
      const before = { ...stage.counts }
      const answer = await send(stage, JSON.stringify(sent), given)
      const taken = (await answer.json()) as JsonObject
      assert.ok([200, 400].includes(answer.status), `${answer.status}`)
      const accepted = stage.counts.accepted - before.accepted
      const rejected = stage.counts.rejected - before.rejected
      const isList = given === batch && Array.isArray(sent) && sent.length > 0
      const expectedCount = isList ? (sent as readonly Json[]).length : 1
      assert.equal(accepted + rejected, expectedCount)
      if (answer.status === 200 && isJsonObject(taken)) {
        assert.deepEqual([taken['accepted'], taken['rejected']], [accepted, rejected])
      }
      assert.equal(await stage.log.end(0), stage.counts.accepted)
      assert.equal(await stage.rejected.end(0), stage.counts.rejected)
    })
    await fc.assert(property, { numRuns: 300 })
    assert.ok(stage.counts.accepted > 10 && stage.counts.rejected > 10, 'some are good, some bad')
  })
})
