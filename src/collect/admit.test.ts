import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Event } from '../event/event.ts'
import { basic, openStage, type Stage } from './collect-stage.fixture.ts'

const view = { type: 'track', event: 'Product Viewed', userId: 'ada' }

function send(stage: Stage, headers: Record<string, string>, count = 1): Promise<Response> {
  const body = JSON.stringify({ batch: Array.from({ length: count }, () => view) })
  return fetch(`${stage.url}/v1/batch`, { method: 'POST', headers, body })
}

async function lastEvent(stage: Stage): Promise<Event> {
  const records = await stage.log.read(0, 0, 100)
  return JSON.parse(Buffer.from(records.at(-1)?.body ?? '').toString()) as Event
}

describe('a source over its rate', () => {
  it('is answered 429 with the time to wait, and then let in again', async (t) => {
    let nowMs = 0
    const clock = { nowMs: () => nowMs, monotonicMs: () => nowMs, sleep: async () => {} }
    const stage = await openStage(t, { clock, web: { eventsPerSecondMax: 10 } })
    // A batch larger than the rate gets in once, and is made up for.
    assert.equal((await send(stage, basic, 45)).status, 200)
    const refused = await send(stage, basic)
    assert.equal(refused.status, 429)
    assert.equal(refused.headers.get('retry-after'), '4')
    assert.equal(refused.headers.get('x-ratelimit-reset'), '4')
    assert.equal(((await refused.json()) as { code: string }).code, 'rate-exceeded')
    nowMs = 3_600
    assert.equal((await send(stage, basic)).status, 200)
    assert.deepEqual(stage.refusals, ['429 rate-exceeded'])
    assert.equal((await stage.log.read(0, 0, 100)).length, 46)
  })

  it('holds up no other source, and is found by the key in the body too', async (t) => {
    const clock = { nowMs: () => 0, monotonicMs: () => 0, sleep: async () => {} }
    const stage = await openStage(t, { clock, web: { eventsPerSecondMax: 1 } })
    await send(stage, basic, 5)
    const shop = { 'x-write-key': 'wk_shop_1234' }
    assert.equal((await send(stage, shop, 50)).status, 200)
    const body = JSON.stringify({ ...view, writeKey: 'wk_12345678' })
    const response = await fetch(`${stage.url}/v1/track`, { method: 'POST', body })
    assert.equal(response.status, 429)
  })
})

describe('the address of a client', () => {
  it('is kept where the source says so, as trusted proxies tell it', async (t) => {
    const stage = await openStage(t, { web: { keepIp: true } })
    await send(stage, { ...basic, 'x-forwarded-for': '198.51.100.1, 203.0.113.9' })
    assert.deepEqual((await lastEvent(stage)).context, { ip: '203.0.113.9' })
  })

  it('is kept by nobody else', async (t) => {
    const stage = await openStage(t)
    await send(stage, { ...basic, 'x-forwarded-for': '203.0.113.9' })
    assert.equal((await lastEvent(stage)).context, undefined)
  })
})
