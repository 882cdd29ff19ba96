import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { eventsOf, factsOf, keptOf } from './collect-stage.fixture.ts'
import { deliverLoyalty, openHookStage, postHook } from './hook-stage.fixture.ts'

const points = {
  id: 17,
  kind: 'points',
  name: 'Points Earned',
  member: { id: 26 },
  device: 5,
  at: '2026-11-02T09:00:00Z',
  points: 40,
  tags: ['a', 'b'],
}

describe('a webhook of another system', () => {
  it('is read by the pointers of its definition', async (t) => {
    const stage = await openHookStage(t)
    assert.equal((await deliverLoyalty(stage, { events: [points] })).status, 200)
    const [event] = await factsOf(stage)
    assert.deepEqual(event, {
      eventId: '17',
      sourceId: 'loyalty',
      type: 'track',
      name: 'Points Earned',
      userId: '26',
      anonymousId: '5',
      occurredAtMs: Date.parse('2026-11-02T09:00:00Z'),
      properties: { points: 40, shop: 'main', tag: 'b' },
    })
  })

  it('drops what breaks a filter, and rejects what makes no event, item by item', async (t) => {
    const stage = await openHookStage(t)
    const events = [
      points,
      { ...points, kind: 'login' },
      { ...points, kind: null },
      7,
      { ...points, id: 18, member: null, device: undefined },
      { ...points, id: 19, name: { first: 'x' } },
      { ...points, id: 20 },
    ]
    assert.equal((await deliverLoyalty(stage, { events })).status, 200)
    assert.deepEqual([stage.counts, stage.ignored.dropped], [{ accepted: 2, rejected: 2 }, 3])
    const kept = (await keptOf(stage)).map(({ reason, path, text }) => [reason, path, text])
    assert.deepEqual(kept, [
      ['id-missing', '', JSON.stringify(events[4])],
      ['event-name-invalid', '/event', JSON.stringify(events[5])],
    ])
  })

  it('without the list its definition names is kept whole', async (t) => {
    const stage = await openHookStage(t)
    for (const body of [{}, { events: {} }, { events: 'x' }, [], 'x', null]) {
      assert.equal((await deliverLoyalty(stage, body)).status, 400, JSON.stringify(body))
    }
    const reasons = (await keptOf(stage)).map(({ reason }) => reason)
    assert.deepEqual(reasons, Array(6).fill('batch-missing'))
  })

  it('with nothing in it is dropped and counted', async (t) => {
    const stage = await openHookStage(t)
    assert.equal((await deliverLoyalty(stage, { events: [] })).status, 200)
    assert.equal(stage.ignored.dropped, 1)
  })

  it('with more items than a batch may have is refused as one', async (t) => {
    const stage = await openHookStage(t)
    const events = Array.from({ length: 2_501 }, (_, id) => ({ kind: 'points', id }))
    assert.equal((await deliverLoyalty(stage, { events })).status, 413)
    assert.deepEqual(stage.counts, { accepted: 0, rejected: 2_501 })
    assert.equal(await stage.rejected.end(0), 1)
  })

  it('reads own names only, and whole objects as traits', async (t) => {
    const stage = await openHookStage(t)
    const send = (body: string): Promise<Response> =>
      postHook(stage, 'form?writeKey=wk_form_1234', body)
    await send('{"type": "identify", "user": "ada", "about": {"email": "ada@example.com"}}')
    await send('{"type": "identify", "user": "ada", "about": {"__proto__": {"a": 1}}}')
    await send('{"__proto__": {"type": "identify", "user": "eve"}}')
    assert.deepEqual(
      (await eventsOf(stage)).map(({ traits }) => traits),
      [{ email: 'ada@example.com' }],
    )
    const reasons = (await keptOf(stage)).map(({ reason }) => reason)
    assert.deepEqual(reasons, ['key-forbidden', 'type-unknown'])
  })
})
