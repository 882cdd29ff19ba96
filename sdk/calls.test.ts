/** What a page calls, as the collector of a real Attune has it. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Event } from '../src/event/event.ts'
import {
  call,
  skip,
  tagOf,
  untilAccepted,
  useBrowserWorld,
  visit,
} from './browser-world.fixture.ts'

/** A request that takes its time makes the browser's clock seem wrong by as much. */
const nearMs = 60_000

describe('a page that calls', { skip }, () => {
  const open = useBrowserWorld()

  it('sends what it calls, with who, where and when', async (t) => {
    const world = open()
    world.pages.set('/', tagOf(world, 'data-auto-page'))
    const path = '/cup?utm_campaign=spring&utm_source=letter&utm_id=7&a=1#secret'
    const { page, faults, context } = await visit(world, t, { path })
    const startedAt = Date.now() // tidy-ignore: compared with the browser's clock
    await call(
      page,
      `attune.track('Cup Turned', { side: 'left' })
       attune.identify('ada', { email: 'ada@shop.example' })
       attune.productViewed({ product_id: 'cup', price: 4, currency: 'gbp' })
       attune.group('tea club', { plan: 'gold' })
       attune.reset()
       attune.track('After Reset')`,
    )
    const events = await untilAccepted(world, 6, () => true)
    const [viewed, turned, identified, product, group, reset] = events
    assert.deepEqual(
      events.map(({ type, name }) => `${type} ${name}`),
      [
        'page Page Viewed',
        'track Cup Turned',
        'identify identify',
        'track Product Viewed',
        'group group',
        'track After Reset',
      ],
    )
    const url = `http://localhost:${world.shopPort}/cup?utm_campaign=spring&utm_source=letter&utm_id=7&a=1`
    const shown = {
      path: '/cup',
      referrer: '',
      search: url.slice(url.indexOf('?')),
      title: 'A shop',
      url,
    }
    assert.deepEqual(viewed?.properties, shown)
    assert.deepEqual(turned?.properties, { side: 'left' })
    const { library, ...rest } = turned?.context ?? {}
    assert.deepEqual(rest, {
      page: shown,
      campaign: { name: 'spring', source: 'letter', id: '7' },
      locale: 'en-GB',
      timezone: 'Europe/London',
      screen: { width: 1280, height: 720, density: 1 },
    })
    assert.equal((library as { name: string }).name, 'attune-browser')
    assert.ok(Math.abs((turned?.occurredAtMs ?? 0) - startedAt) < nearMs)
    assert.deepEqual(
      [turned?.userId, identified?.userId, product?.userId],
      [undefined, 'ada', 'ada'],
    )
    assert.deepEqual(identified?.traits, { email: 'ada@shop.example' })
    assert.deepEqual(product?.properties, { product_id: 'cup', price: 4, currency: 'GBP' })
    assert.equal(group?.groupId, 'tea club')
    assert.deepEqual(
      [reset?.userId, reset?.anonymousId === turned?.anonymousId],
      [undefined, false],
    )
    const [cookie] = await context.cookies()
    assert.deepEqual(
      [cookie?.name, cookie?.value, cookie?.sameSite, cookie?.path],
      ['attune_a', reset?.anonymousId, 'Lax', '/'],
    )
    const days = ((cookie?.expires ?? 0) * 1000 - startedAt) / 86_400_000
    assert.ok(days > 364 && days <= 366, `${days} days`)
    assert.equal(product?.anonymousId, viewed?.anonymousId)
    assert.deepEqual(faults, [])
    const { headers } = world.taken[0] ?? assert.fail()
    assert.equal(headers['content-type'], 'text/plain;charset=UTF-8')
    assert.equal(headers.cookie, undefined)
  })

  it('has a method for each event of the ecommerce spec', async (t) => {
    const world = open()
    const { page } = await visit(world, t)
    await call(page, 'attune.identify("clerk")')
    const names = await page.evaluate<string[]>('Object.keys(attune)')
    const ecommerce = names.filter((name) =>
      /^(products?|promotion|cart|check|pay|order|coupon|wish)/.test(name),
    )
    assert.equal(ecommerce.length, 28)
    await call(page, `for (const name of ${JSON.stringify(ecommerce)}) attune[name]({ name })`)
    const isClerks = (event: Event) => event.userId === 'clerk' && event.type === 'track'
    const events = await untilAccepted(world, 28, isClerks)
    assert.deepEqual(
      events.map(({ name, properties }) => [name, properties?.['name']]),
      eventNames.map((name, index) => [name, ecommerce[index]]),
    )
  })

  it('keeps what the page calls before the script is there, as of then', async (t) => {
    const world = open()
    const snippet = `<script>
      window.attune = { calls: [] }
      attune.track = (...given) => attune.calls.push(['track', given, 1_900_000_000_000])
      attune.track('Early', { a: 1 })
    </script>`
    world.pages.set('/', snippet + tagOf(world))
    const { page } = await visit(world, t)
    await call(page, `attune.track('Late')`)
    const events = await untilAccepted(world, 2, ({ name }) => /^(Early|Late)$/.test(name))
    const early = events.find(({ name }) => name === 'Early')
    assert.deepEqual(early?.properties, { a: 1 })
    assert.equal(early?.timeNote, 'future-bounded')
    assert.equal(events.find(({ name }) => name === 'Late')?.timeNote, undefined)
  })

  it('does nothing for a second tag, and for a page that is made ready in advance', async (t) => {
    const world = open()
    world.pages.set('/', tagOf(world, 'data-auto-page id="one"') + tagOf(world, 'data-auto-page'))
    const { page, faults } = await visit(world, t, { path: '/twice' })
    await call(page, `attune.track('Once')`)
    await untilAccepted(world, 1, ({ name }) => name === 'Once')
    const isTwice = (event: Event) => event.properties?.['path'] === '/twice'
    assert.equal((await world.events()).filter(isTwice).length, 1)
    assert.deepEqual(faults, [])

    await page.addInitScript(
      'Object.defineProperty(Document.prototype, "prerendering", { value: true, writable: true })',
    )
    await page.goto(page.url().replace('twice', 'ahead'))
    await page.waitForLoadState('networkidle')
    assert.equal(await page.evaluate('window.attune'), undefined)
    await page.evaluate('document.dispatchEvent(new Event("prerenderingchange"))')
    await untilAccepted(world, 1, (event) => event.properties?.['path'] === '/ahead')
  })

  it('never throws into the page, and tells it what is dropped', async (t) => {
    const world = open()
    world.pages.set('/', tagOf(world))
    const { page, faults } = await visit(world, t)
    await call(
      page,
      `window.drops = []
       addEventListener('attune:drop', ({ detail }) => drops.push(detail.reason))
       const circle = {}
       circle.self = circle
       attune.track('Circle', circle)
       attune.track('Big', { text: 'x'.repeat(70_000) })
       attune.identify(undefined)
       attune.identify(null, null)
       attune.identify(7)
       attune.track('Still Here')`,
    )
    const [event] = await untilAccepted(world, 1, ({ name }) => name === 'Still Here')
    assert.equal(event?.userId, '7')
    assert.deepEqual(await page.evaluate('drops'), ['unreadable', 'too-large'])
    assert.deepEqual(faults, [])
  })

  it('runs under a policy that allows no inline script and no eval', async (t) => {
    const world = open()
    world.pages.set('/', `${tagOf(world, 'data-auto-page')}<script src="/own.js"></script>`)
    const own = 'addEventListener("load", () => attune.track("Strict"))'
    world.pages.set('/own.js', own)
    const { collectUrl } = world
    const sources = `script-src 'self' ${collectUrl}; connect-src ${collectUrl}`
    world.policy = `default-src 'none'; ${sources}; require-trusted-types-for 'script'`
    t.after(() => {
      world.policy = undefined
    })
    const { faults } = await visit(world, t, { path: '/strict' })
    await untilAccepted(world, 1, ({ name }) => name === 'Strict')
    assert.deepEqual(faults, [])
  })

  it('corrects events for a clock that is wrong', async (t) => {
    const world = open()
    world.pages.set('/', tagOf(world))
    const { page } = await visit(world, t)
    await page.clock.install({ time: '2031-05-06T07:08:09Z' })
    await page.reload()
    await call(page, `attune.track('Ahead of Time')`)
    const nowMs = Date.now() // tidy-ignore: compared with the collector's clock
    await page.clock.runFor(100)
    const [event] = await untilAccepted(world, 1, ({ name }) => name === 'Ahead of Time')
    assert.equal(event?.timeNote, 'skew-corrected')
    assert.ok(Math.abs((event?.occurredAtMs ?? 0) - nowMs) < nearMs)
  })
})

/** As Segment's spec writes them, in the order of the methods. */
const eventNames = [
  ...['Products Searched', 'Product List Viewed', 'Product List Filtered', 'Promotion Viewed'],
  ...['Promotion Clicked', 'Product Clicked', 'Product Viewed', 'Product Added', 'Product Removed'],
  ...['Cart Viewed', 'Checkout Started', 'Checkout Step Viewed', 'Checkout Step Completed'],
  ...['Payment Info Entered', 'Order Updated', 'Order Completed', 'Order Refunded'],
  ...['Order Cancelled', 'Coupon Entered', 'Coupon Applied', 'Coupon Denied', 'Coupon Removed'],
  ...['Product Added to Wishlist', 'Product Removed from Wishlist'],
  ...['Wishlist Product Added to Cart', 'Product Shared', 'Cart Shared', 'Product Reviewed'],
]
