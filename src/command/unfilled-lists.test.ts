/** Where there is nothing to recommend, or the index does not answer: what pages and emails get. */

import { deepStrictEqual, equal, ok } from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { MessageChannel } from 'node:worker_threads'
import { adaShops, openWorld, type World } from '../api/world.fixture.ts'
import { parseMail } from '../catcher/parsed-mail.ts'
import { decodeEvidence } from '../delivery/evidence.ts'
import { systemClock } from '../lib/clock.ts'
import { silentLogger } from '../lib/logger.ts'
import { createPortCaller } from '../lib/port-call.ts'
import { type Advise, createAdvise, orNothing } from './advise-port.ts'

const deps = { clock: systemClock, logger: silentLogger }

/** Shows one list and one slot, and what stands there where they have nothing. */
const files = new Map([
  ['recommenders/all.yaml', 'kind: for-you\n'],
  [
    'campaigns/thanks.yaml',
    `name: thanks
kind: triggered
trigger: {event: Order Completed}
steps:
  - send:
      template: thanks
      topic: orders
      freshWithin: 60s
      notAfter: 1d
      recommendations: {count: 1}
      slots: {more: {using: all, count: 1}}
`,
  ],
  [
    'templates/thanks/template.mjml',
    `<mjml><mj-body><mj-section><mj-column><mj-text>
list: {% for item in recommendations %}{{ item.name }}{% else %}none{% endfor %};
slot: {% for item in slots.more %}{{ item.name }}{% else %}none{% endfor %};
<a href="{{ unsubscribe_url }}">Unsubscribe</a></mj-text>
</mj-column></mj-section></mj-body></mjml>
`,
  ],
])

describe('recommendations in an email', () => {
  it('are shown where there are some', async (t) => {
    const { lists } = await sendOne(await openWorld(t, { files }))
    // What comes behind the order may be in the cart by then: of the slot nothing is certain.
    ok(/^list: Thing [34]; slot: (Thing [34]|none);$/.test(lists), lists)
  })

  it('are empty lists where nothing can be sold or the index does not answer', async (t) => {
    const soldOut = await openWorld(t, { files })
    await sellOut(soldOut)
    const empty = await openWorld(t, { files, itemIds: [] })
    const silent = await openWorld(t, { files, advise: orNothing(askNobody(t), deps) })
    for (const world of [soldOut, empty, silent]) {
      const { lists, evidenceHash } = await sendOne(world)
      equal(lists, 'list: none; slot: none;')
      const bytes = await world.deps.blobs.get(evidenceHash)
      ok(bytes !== undefined)
      deepStrictEqual(decodeEvidence(bytes).decision.recommendations, [])
    }
  })
})

describe('recommendations for others where the index does not answer', () => {
  it('are refused for now on every path, with when to come again', async (t) => {
    const { app, keys } = await openWorld(t, { deps: { advise: askNobody(t) } })
    const path = '/api/v1/recommendations'
    const post = { method: 'POST', url: path, payload: { count: 2 } } as const
    const urls = ['/api/v1/profiles/eve/recommendations', '/api/v1/items/1/similar']
    for (const asked of [post, ...[...urls, `${path}/trending`].map((url) => ({ url }))]) {
      const answer = await app.inject({ ...asked, headers: keys.read })
      equal(answer.statusCode, 503, answer.body)
      equal(answer.json().code, 'INDEX_SILENT')
      equal(answer.headers['retry-after'], '5')
    }
  })
})

/** Asks an index that takes questions and answers none. */
function askNobody(t: TestContext): Advise {
  const { port1, port2 } = new MessageChannel()
  t.after(() => port1.close())
  return createAdvise(createPortCaller(port2), deps, 20)
}

async function sellOut(world: World): Promise<void> {
  const items = [...'1234'].map((itemId) => ({ itemId, isPartial: true, stockCount: 0 }))
  const answer = await world.app.inject({
    ...{ method: 'POST', url: '/api/v1/items', headers: world.keys.write, payload: { items } },
  })
  equal(answer.json().rejected, 0, answer.body)
  await world.settle()
}

/** Lets Ada shop, and returns what the email that follows shows. */
async function sendOne(
  world: World,
): Promise<{ readonly lists: string; readonly evidenceHash: string }> {
  await world.happen(adaShops())
  const { evidenceHash = '' } = await world.acceptedMessage('user:ada')
  const { html } = await parseMail(world.handedOver[0]?.raw ?? new Uint8Array())
  const [lists = html] = /list:[\s\S]*slot:[^;]*;/.exec(html) ?? []
  return { lists: lists.replace(/\s+/g, ' '), evidenceHash }
}
