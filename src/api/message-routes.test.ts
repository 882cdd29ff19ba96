import { deepStrictEqual, equal, notEqual, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { explainMessage } from '../delivery/explain.ts'
import { createMemoryBlobStore } from '../state/memory-blob-store.ts'
import { apiDefaults } from './api-options.ts'
import { createApi } from './create-api.ts'
import { adaShops, openWorld, type World } from './world.fixture.ts'

async function openWithMessage(t: Parameters<typeof openWorld>[0]) {
  const world = await openWorld(t)
  await world.happen(adaShops())
  const message = await world.acceptedMessage('user:ada')
  const get = async (path: string) =>
    await world.app.inject({
      url: `/api/v1/messages/${message.messageId}${path}`,
      headers: world.keys.read,
    })
  return { world, message, get }
}

describe('messages', () => {
  it('shows a message, its evidence, and where each thing is stored', async (t) => {
    const { world, message, get } = await openWithMessage(t)
    equal((await get('')).json().state.kind, 'accepted')
    const { evidence, stored } = (await get('/evidence')).json()
    equal(evidence.decision.profileKey, 'user:ada')
    equal(evidence.input.message.to, 'ada@person.example')
    equal(stored.trigger.offset, message.trigger.offset)
    const raw = await world.deps.blobs.get(stored.raw.blob)
    deepStrictEqual(Buffer.from(raw ?? []), Buffer.from(world.handedOver[0]?.raw ?? []))
    for (const name of ['evidence', 'template', 'definitions']) {
      ok(await world.deps.blobs.get(stored[name].blob), name)
    }
    const unknown = await world.app.inject({
      url: '/api/v1/messages/00-xxxxxxxxxxxxxxxxxxxxxx',
      headers: world.keys.read,
    })
    equal(unknown.statusCode, 404)
  })

  it('renders the same bytes again, also after the person and the items changed', async (t) => {
    const { world, get } = await openWithMessage(t)
    await world.app.inject({
      method: 'POST',
      url: '/api/v1/items',
      headers: world.keys.write,
      payload: { itemId: '1', name: 'Renamed', price: 99 },
    })
    await world.happen([
      { type: 'identify', name: 'identify', userId: 'ada', traits: { name: 'Eve' } },
    ])
    const answer = (await get('/explain')).json()
    equal(answer.isSame, true)
    equal(answer.renderedHash, answer.rawHash)
    equal(answer.difference, undefined)
    deepStrictEqual(answer.rendererVersion, { stored: '1', present: '1' })
  })

  it('shows the first line that differs where one stored input is changed', async (t) => {
    const { get } = await openWithMessage(t)
    const query = 'path=values.profile.last_order.0.price&value=123.45'
    const answer = (await get(`/explain?${query}`)).json()
    equal(answer.isSame, false)
    notEqual(answer.renderedHash, answer.rawHash)
    ok(!answer.difference.stored.includes('123.45'))
    ok(answer.difference.rendered.includes('123.45'))
    equal((await get('/explain?path=values.nothing.here&value=1')).json().code, 'bad-change')
    equal((await get('/explain?path=values.profile&value={')).statusCode, 400)
    equal((await get('/explain?path=values.profile')).statusCode, 400)
  })

  it('refuses to explain what was not rendered, is unknown, or lost its bodies', async (t) => {
    const { world, message } = await openWithMessage(t)
    const unknown = await explainMessage(world.deps, '00-xxxxxxxxxxxxxxxxxxxxxx')
    equal(unknown.kind === 'refused' && unknown.reason, 'message-unknown')
    const deps = { ...world.deps, blobs: createMemoryBlobStore() }
    const lost = await explainMessage(deps, message.messageId)
    equal(lost.kind === 'refused' && lost.reason, 'body-missing')
  })
})

describe('POST /api/v1/render', () => {
  const render = async (world: World, payload: Record<string, unknown>) =>
    await world.app.inject({
      method: 'POST',
      url: '/api/v1/render',
      headers: world.keys.render,
      payload,
    })

  it('fills a template for a person now', async (t) => {
    const { world } = await openWithMessage(t)
    const answer = await render(world, {
      profile: 'ada',
      template: 'thanks',
      recommendations: 2,
      event: { name: 'Order Completed', properties: { order_id: 'o-77' } },
      freshWithinMs: 60_000,
    })
    equal(answer.statusCode, 200)
    const { subject, html, text, headers, ageMs, profileVersion } = answer.json()
    equal(subject, 'Thank you, Ada')
    ok(html.includes('o-77') && html.includes('Thing 1'))
    ok(text.includes('o-77'))
    ok(headers.some(([name]: [string]) => name === 'List-Unsubscribe'))
    ok(ageMs >= 0)
    ok(html.includes(`Version ${profileVersion}.`))
  })

  it('makes links that lead nowhere and count nothing', async (t) => {
    const { world } = await openWithMessage(t)
    const { html } = (await render(world, { profile: 'ada', template: 'thanks' })).json()
    const paths = [...html.matchAll(/https:\/\/mail\.shop\.example(\/e\/[ocu]\/[^"]+)"/g)]
    ok(paths.length >= 3)
    const countBefore = [0, 1, 2, 3].map((partition) => world.log.count(partition))
    for (const [, path = ''] of paths) equal((await world.app.inject(path)).statusCode, 404)
    const after = [0, 1, 2, 3].map((partition) => world.log.count(partition))
    deepStrictEqual(after, countBefore)
  })

  it('refuses too old data, an unknown template and an unknown person', async (t) => {
    const { world } = await openWithMessage(t)
    const confirmedAtMs = world.deps.clock.nowMs() - 5000
    const freshness = { confirmedAtMs: () => confirmedAtMs }
    const app = createApi({ ...world.deps, freshness }, apiDefaults)
    const old = await app.inject({
      method: 'POST',
      url: '/api/v1/render',
      headers: world.keys.render,
      payload: { profile: 'ada', template: 'thanks', freshWithinMs: 4000 },
    })
    equal(old.statusCode, 409)
    equal(old.json().code, 'stale')
    ok(old.json().ageMs >= 5000)
    equal((await render(world, { profile: 'ada', template: 'no' })).json().code, 'template-unknown')
    equal((await render(world, { profile: 'no', template: 'thanks' })).statusCode, 404)
  })
})
