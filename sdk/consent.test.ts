/** What is kept and sent before, with and after a person's consent. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { BrowserContext, Page } from 'playwright-core'
import {
  type BrowserWorld,
  call,
  skip,
  tagOf,
  until,
  untilAccepted,
  useBrowserWorld,
  visit,
} from './browser-world.fixture.ts'

const required = 'data-consent="required"'
const quietMs = 300

interface Kept {
  readonly storage: readonly string[]
  readonly cookies: readonly string[]
}

/** The names of all that the browser keeps of the shop. */
async function keptIn(page: Page, context: BrowserContext): Promise<Kept> {
  const storage = await page.evaluate<string[]>(
    'Object.keys({ ...localStorage, ...sessionStorage })',
  )
  const cookies = await context.cookies()
  return { storage: storage.sort(), cookies: cookies.map(({ name }) => name).sort() }
}

/** When the browser says that each event happened, by name. */
function statedTimes({ taken }: BrowserWorld): ReadonlyMap<string, number> {
  const calls = taken.flatMap(({ body }) => {
    const { batch } = JSON.parse(body) as { readonly batch: readonly Stated[] }
    return batch
  })
  return new Map(calls.map(({ event = '', timestamp }) => [event, Date.parse(timestamp)]))
}

interface Stated {
  readonly event?: string
  readonly timestamp: string
}

describe('consent', { skip }, () => {
  const open = useBrowserWorld()

  it('is asked for: nothing is kept or sent before it, nothing is missing after it', async (t) => {
    const world = open()
    world.pages.set('/', tagOf(world, `${required} data-auto-page`))
    const { page, context } = await visit(world, t, { path: '/asked' })
    world.taken.length = 0
    await call(page, `attune.identify('ida', { name: 'Ida' }); attune.track('Waited')`)
    await page.waitForTimeout(quietMs)
    assert.deepEqual(await keptIn(page, context), { storage: [], cookies: [] })
    assert.equal(world.taken.length, 0)
    await page.evaluate('attune.grantConsent()')
    await page.evaluate(`attune.track('Then')`)
    const isHere = ({ context: given }: { context?: object }) =>
      JSON.stringify(given).includes('/asked')
    const events = await untilAccepted(world, 4, isHere)
    assert.deepEqual(
      events.map(({ name, userId }) => `${name} ${userId}`),
      ['Page Viewed undefined', 'identify ida', 'Waited ida', 'Then ida'],
    )
    assert.equal(new Set(events.map(({ anonymousId }) => anonymousId)).size, 1)
    // As stated: the collector corrects each request by how long it was on its way.
    const stated = await until(() => {
      const times = statedTimes(world)
      return times.has('Then') ? times : undefined
    })
    const apartMs = (stated.get('Then') ?? 0) - (stated.get('Waited') ?? Number.POSITIVE_INFINITY)
    assert.ok(apartMs >= quietMs / 2, `${apartMs} ms`)
    await page.reload()
    await call(page, `attune.track('Remembered')`)
    await untilAccepted(world, 1, ({ name }) => name === 'Remembered')
  })

  it('is granted in one tab for the others', async (t) => {
    const world = open()
    world.pages.set('/', tagOf(world, required))
    const { page, context } = await visit(world, t)
    await call(page, `attune.track('Other Tab')`)
    const other = await context.newPage()
    await other.goto(page.url())
    await call(other, 'attune.grantConsent()')
    await untilAccepted(world, 1, ({ name }) => name === 'Other Tab')
  })

  it('is withdrawn: ids and queue go, and nothing more is kept or sent', async (t) => {
    const world = open()
    world.pages.set('/', tagOf(world))
    const { page, context } = await visit(world, t)
    await call(page, `attune.identify('wim'); attune.track('Before')`)
    const [before] = await untilAccepted(world, 1, ({ name }) => name === 'Before')
    assert.deepEqual((await keptIn(page, context)).cookies, ['attune_a'])
    await context.setOffline(true)
    await page.evaluate(`attune.track('Never')`)
    await page.evaluate('attune.withdrawConsent()')
    await page.evaluate(`attune.track('Never'); attune.identify('wim'); attune.reset()`)
    await context.setOffline(false)
    const choice = { storage: ['attune.c'], cookies: ['attune_c'] }
    assert.deepEqual(await keptIn(page, context), choice)
    await page.reload()
    await call(page, `attune.track('Never')`)
    await page.waitForTimeout(quietMs)
    assert.deepEqual(await keptIn(page, context), choice)
    await page.evaluate('attune.grantConsent()')
    await page.evaluate(`attune.track('Again')`)
    const [again] = await untilAccepted(world, 1, ({ name }) => name === 'Again')
    assert.equal(again?.userId, undefined)
    assert.notEqual(again?.anonymousId, before?.anonymousId)
    assert.ok((await world.events()).every(({ name }) => name !== 'Never'))
  })

  it('and the anonymous id are those of all subdomains where asked for', async (t) => {
    const world = open()
    world.pages.set('/', tagOf(world, 'data-cookie-domain="shop.localhost"'))
    const { page, context } = await visit(world, t, { host: 'www.shop.localhost' })
    await call(page, `attune.identify('sue'); attune.track('On www')`)
    const [first] = await untilAccepted(world, 1, ({ name }) => name === 'On www')
    const other = await context.newPage()
    await other.goto(`http://blog.shop.localhost:${world.shopPort}/`)
    await call(other, `attune.track('On blog')`)
    const [second] = await untilAccepted(world, 1, ({ name }) => name === 'On blog')
    assert.equal(second?.anonymousId, first?.anonymousId)
    await call(other, `attune.reset(); attune.track('Someone')`)
    const [third] = await untilAccepted(world, 1, ({ name }) => name === 'Someone')
    await call(page, `attune.track('On www later')`)
    const [fourth] = await untilAccepted(world, 1, ({ name }) => name === 'On www later')
    assert.deepEqual([fourth?.anonymousId, fourth?.userId], [third?.anonymousId, undefined])
    await call(other, 'attune.withdrawConsent()')
    await call(page, `attune.track('Never')`)
    await page.reload()
    await call(page, `attune.track('Never')`)
    await page.waitForTimeout(quietMs)
    const choice = { storage: ['attune.c'], cookies: ['attune_c'] }
    assert.deepEqual(await keptIn(page, context), choice)
    assert.ok((await world.events()).every(({ name }) => name !== 'Never'))
  })

  it('does not count against Global Privacy Control, unless the shop says so', async (t) => {
    const world = open()
    world.pages.set('/', tagOf(world, 'data-auto-page'))
    const { page, context } = await visit(world, t)
    await call(page, `attune.track('Had Ids')`)
    await untilAccepted(world, 1, ({ name }) => name === 'Had Ids')
    await until(async () => (await keptIn(page, context)).storage.length === 1)
    await context.addInitScript(
      'Object.defineProperty(Navigator.prototype, "globalPrivacyControl", { value: true })',
    )
    await page.reload()
    world.taken.length = 0
    await call(page, `attune.identify('gil'); attune.grantConsent(); attune.track('Never')`)
    await page.waitForTimeout(quietMs)
    assert.deepEqual(await keptIn(page, context), { storage: [], cookies: [] })
    assert.equal(world.taken.length, 0)
    world.pages.set('/', tagOf(world, 'data-global-privacy-control="ignore"'))
    await page.reload()
    await call(page, `attune.track('Not Concerned')`)
    await untilAccepted(world, 1, ({ name }) => name === 'Not Concerned')
  })
})
