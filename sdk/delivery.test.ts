/** What becomes of events when pages, tabs, networks and collectors come and go. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Event } from '../src/event/event.ts'
import {
  type BrowserWorld,
  call,
  skip,
  tagOf,
  until,
  untilAccepted,
  useBrowserWorld,
  visit,
  writeKey,
} from './browser-world.fixture.ts'

const queued = 'Object.keys(localStorage).filter((name) => name.startsWith("attune.e.")).length'

/** The events of one name prefix, in the order of their ids, once `count` are there. */
const named = (world: BrowserWorld, prefix: string, count: number) =>
  untilAccepted(world, count, ({ name }) => name.startsWith(prefix))
const namesOf = (events: readonly Event[]) => events.map(({ name }) => name)
const range = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, index) => `${prefix} ${String(index).padStart(3, '0')}`)
const track = (names: readonly string[]) =>
  `for (const name of ${JSON.stringify(names)}) attune.track(name)`
/** Properties of so many characters each. */
const textsOf = (...counts: readonly number[]) =>
  `{ ${counts.map((count, index) => `text${index}: 'x'.repeat(${count})`).join()} }`

/** The worker of a shop that can be opened without a network. */
const workerOf = (world: BrowserWorld) => `
  addEventListener('install', (event) => event.waitUntil(caches.open('shop').then((cache) =>
    cache.addAll(['/', '${world.collectUrl}/sdk/v1/attune.js']))))
  addEventListener('fetch', (event) => {
    if (event.request.method !== 'GET') return
    event.respondWith(caches.match(event.request, { ignoreVary: true })
      .then((answer) => answer ?? fetch(event.request)))
  })`

describe('an event', { skip }, () => {
  const open = useBrowserWorld()

  it('outlives the page that made it', async (t) => {
    const world = open()
    world.pages.set('/', tagOf(world))
    const { page } = await visit(world, t)
    const names = range('Left', 8)
    for (const [index, name] of names.entries()) {
      const next = `location.assign('/next-${index}')`
      await call(page, `attune.track('${name}'); ${next}`)
      await page.waitForURL(`**/next-${index}`)
    }
    const events = await named(world, 'Left', names.length)
    assert.deepEqual([...new Set(namesOf(events))], names)
    assert.equal(new Set(events.map(({ eventId }) => eventId)).size, names.length)
  })

  it('outlives the last page of the shop', async (t) => {
    const world = open()
    const { page } = await visit(world, t)
    // So late that only what is sent at the very end can leave.
    await call(page, `addEventListener('beforeunload', () => attune.track('Gone'))`)
    await page.goto('about:blank')
    await named(world, 'Gone', 1)
  })

  it('waits for the network, also over a reload, under one id', async (t) => {
    const world = open()
    world.pages.set('/worker.js', workerOf(world))
    const { page, context } = await visit(world, t)
    await page.evaluate(`navigator.serviceWorker.register('/worker.js')
      .then(() => navigator.serviceWorker.ready)`)
    await call(page, track(['Offline 000']))
    await named(world, 'Offline', 1)
    await until(async () => (await page.evaluate(queued)) === 0)
    await context.setOffline(true)
    await call(page, track(['Offline 001', 'Offline 002']))
    assert.equal(await page.evaluate(queued), 2)
    await page.reload()
    await call(page, track(['Offline 003']))
    assert.equal(await page.evaluate('navigator.onLine'), false)
    assert.equal(await page.evaluate(queued), 3)
    await context.setOffline(false)
    await named(world, 'Offline', 4)
    await until(async () => (await page.evaluate(queued)) === 0)
    // Chromium cuts off the page, not what it carries behind the page's end: that may have come
    // through, its answer lost, and comes again.
    const events = new Map((await world.events()).map((event) => [event.eventId, event]))
    const isOffline = ({ name }: Event) => name.startsWith('Offline')
    assert.deepEqual(namesOf([...events.values()].filter(isOffline)), range('Offline', 4))
  })

  it('comes after as long as the collector asks for, whatever page is open then', async (t) => {
    const world = open()
    const { page } = await visit(world, t)
    world.taken.length = 0
    // The first so long that the page is another one by then, also on a busy machine.
    world.faults.push({ status: 503, retryAfterSeconds: 5 }, { status: 429, retryAfterSeconds: 1 })
    await call(page, track(range('Asked', 2)))
    await until(() => world.taken.length === 1)
    // A page that ends before it has read the answer cannot know of it.
    await until(async () => (await page.evaluate('localStorage["attune.w"]')) !== undefined)
    const askedMs = Number(await page.evaluate('localStorage["attune.w"] - Date.now()'))
    assert.ok(askedMs <= 6000, `${askedMs} ms instead of 5000, scattered by 1000`)
    await page.reload()
    await call(page, track(['Asked 002']))
    const events = await named(world, 'Asked', 3)
    assert.deepEqual(namesOf(events), range('Asked', 3))
    await until(() => world.taken.length >= 3)
    const [first, second, third] = world.taken
    assert.deepEqual([first?.status, second?.status, third?.status], [503, 429, 200])
    const [firstMs, secondMs] = [
      (second?.at ?? 0) - (first?.at ?? 0),
      (third?.at ?? 0) - (second?.at ?? 0),
    ]
    assert.ok(firstMs >= 5000, `${firstMs} ms instead of 5000`)
    assert.ok(secondMs >= 1000, `${secondMs} ms instead of 1000`)
    const [early, late] = [first, third].map((taken) => JSON.parse(taken?.body ?? '{}').sentAt)
    assert.ok(early < late, 'it says anew when it was sent')
    await until(async () => (await page.evaluate('localStorage["attune.w"]')) === undefined)
    assert.equal(world.taken.length, 3, 'it asks no more often than it may')
  })

  it('comes after a growing pause where the collector is broken', async (t) => {
    const world = open()
    const { page } = await visit(world, t)
    world.taken.length = 0
    world.faults.push({ status: 500 }, { status: 502 })
    await call(page, track(['Broken']))
    await named(world, 'Broken', 1)
    await until(() => world.taken.length === 3)
    const [first, second, third] = world.taken.map(({ at }) => at)
    const pauses = [(second ?? 0) - (first ?? 0), (third ?? 0) - (second ?? 0)]
    assert.ok(
      pauses.every((ms, index) => ms >= 500 * 2 ** index),
      pauses.join(),
    )
    await until(async () => (await page.evaluate(queued)) === 0)
    assert.equal(world.taken.length, 3, 'it asks no more often than it should')
  })

  it('counts once where an answer was lost and it came twice', async (t) => {
    const world = open()
    const { page } = await visit(world, t)
    world.faults.push({ status: 0 })
    await call(
      page,
      `attune.identify('eve')
       attune.orderCompleted({ order_id: 'o1', products: [{ product_id: 'cup', price: 8 }] })`,
    )
    const isEves = ({ userId, type }: Event) => userId === 'eve' && type === 'track'
    const twice = await until(async () => {
      const events = (await world.events()).filter(isEves)
      return events.length >= 2 ? events : undefined
    })
    assert.deepEqual(twice[0]?.eventId, twice[1]?.eventId)
    await call(page, `attune.track('Eve Went')`)
    const profile = await until(async () => {
      const text = JSON.stringify(await world.profile('eve'))
      return text.includes('Eve Went') ? text : undefined
    })
    assert.equal(profile.match(/"Order Completed"/g)?.length, 1, profile)
  })

  it('is sent by one of two tabs, once, also while the collector is slow', async (t) => {
    const world = open()
    const { page, context } = await visit(world, t)
    const other = await context.newPage()
    await other.goto(page.url())
    world.taken.length = 0
    world.faults.push(...Array.from({ length: 4 }, () => ({ status: 200, delayMs: 150 })))
    const names = range('Tab', 40)
    for (let at = 0; at < names.length; at += 4) {
      await call(page, track(names.slice(at, at + 2)))
      await call(other, track(names.slice(at + 2, at + 4)))
    }
    const events = await named(world, 'Tab', names.length)
    assert.deepEqual(namesOf(events).sort(), names)
    await until(async () => (await other.evaluate(queued)) === 0)
    const sent = world.taken.flatMap(({ body }) => body.match(/"Tab \d+"/g) ?? [])
    assert.equal(sent.length, names.length, 'no event left the browser twice')
  })

  it('is not sent by another tab that is left while the answer is due', async (t) => {
    const world = open()
    const { page, context } = await visit(world, t)
    const other = await context.newPage()
    await other.goto(page.url())
    await call(other, `attune.track('Other')`)
    await named(world, 'Other', 1)
    await until(async () => (await other.evaluate(queued)) === 0)
    world.taken.length = 0
    world.faults.push({ status: 200, delayMs: 1000 })
    await call(page, `attune.track('Mine')`)
    await until(() => world.faults.length === 0)
    await other.goto('about:blank')
    await named(world, 'Mine', 1)
    await until(async () => (await page.evaluate(queued)) === 0)
    assert.equal(world.taken.length, 1)
  })

  it('is sent by the tab that is left where its own was closed', async (t) => {
    const world = open()
    const { page, context } = await visit(world, t)
    world.faults.push({ status: 503, retryAfterSeconds: 1 })
    const other = await context.newPage()
    await other.goto(page.url())
    await call(other, track(range('Closed', 2)))
    await until(async () => world.faults.length === 0)
    await other.close()
    await call(page, track(['Closed 002']))
    assert.deepEqual(namesOf(await named(world, 'Closed', 3)), range('Closed', 3))
  })
})

describe('an event of a browser that keeps nothing', { skip }, () => {
  const open = useBrowserWorld()

  it('goes out from memory where localStorage is full', async (t) => {
    const world = open()
    world.pages.set('/', tagOf(world))
    const { page } = await visit(world, t)
    const fill = `
      for (let size = 4_000_000; size >= 1; size >>= 1)
        try {
          for (let index = 0; ; index++) localStorage[size + 'x' + index] = 'x'.repeat(size)
        } catch {}`
    await page.evaluate(fill)
    world.faults.push({ status: 503 })
    await call(page, track(['Full 000', 'Full 001']))
    assert.equal(await page.evaluate(queued), 0)
    assert.deepEqual(namesOf(await named(world, 'Full', 2)), range('Full', 2))
  })

  it('goes out from memory where storage and cookies are blocked', async (t) => {
    const world = open()
    const inside = `${tagOf(world)}<script>
      addEventListener('load', () => { attune.track('Blocked 000'); attune.track('Blocked 001') })
    </script>`
    const escaped = inside.replaceAll('&', '&amp;').replaceAll('"', '&quot;')
    world.pages.set('/', `<iframe sandbox="allow-scripts" srcdoc="${escaped}"></iframe>`)
    world.faults.push({ status: 503 })
    const { faults } = await visit(world, t)
    const events = await named(world, 'Blocked', 2)
    assert.deepEqual(namesOf(events), range('Blocked', 2))
    assert.equal(new Set(events.map(({ anonymousId }) => anonymousId)).size, 1)
    assert.deepEqual(
      faults.filter((text) => !text.includes('503')),
      [],
    )
  })

  it('goes out where the page has no https, and so no locks', async (t) => {
    const world = open()
    world.pages.set('/', tagOf(world))
    const { page } = await visit(world, t, { host: 'shop.example' })
    assert.equal(await page.evaluate('isSecureContext || "locks" in navigator'), false)
    await call(page, `attune.track('Plain'); location.reload()`)
    const [event] = await named(world, 'Plain', 1)
    await call(page, `attune.track('Plain again')`)
    const again = (await named(world, 'Plain again', 1))[0]
    assert.equal(again?.anonymousId, event?.anonymousId)
  })
})

describe('an event that the collector never takes', { skip }, () => {
  const open = useBrowserWorld({ ATTUNE_COLLECT__BATCH_BYTES_MAX: '50000' })
  const listen = `window.drops = []
    addEventListener('attune:drop', ({ detail }) => drops.push(detail))`

  it('is kept by the collector as rejected, and not sent again', async (t) => {
    const world = open()
    world.pages.set('/', tagOf(world))
    const { page } = await visit(world, t)
    world.taken.length = 0
    await call(page, `attune.track('Heavy', ${textsOf(10_000, 16_000, 14_000)})`)
    await until(async () => (await page.evaluate(queued)) === 0)
    assert.deepEqual(await world.rejections(), ['event-too-large'])
    assert.equal(world.taken.length, 1)
  })

  it('takes no other along, and is given up', async (t) => {
    const world = open()
    const { page } = await visit(world, t)
    const texts = textsOf(15_000, 15_000, 15_000, 8_000)
    await call(page, listen)
    world.taken.length = 0
    await page.evaluate(
      `attune.track('Beside 000'); attune.track('Over', ${texts}); attune.track('Beside 001')`,
    )
    assert.deepEqual(namesOf(await named(world, 'Beside', 2)), range('Beside', 2))
    await until(async () => (await page.evaluate(queued)) === 0)
    assert.deepEqual(await page.evaluate('drops.map(({ reason }) => reason)'), ['refused'])
    const statuses = world.taken.map(({ status }) => status)
    assert.deepEqual(statuses, [413, 200, 413, 413, 200], 'in ever smaller parts')
  })

  it('is given up where the write key is unknown', async (t) => {
    const world = open()
    world.pages.set('/', tagOf(world).replace(writeKey, 'wk_unknown'))
    const { page } = await visit(world, t)
    world.taken.length = 0
    await call(page, `${listen}; attune.track('Nobody')`)
    await until(async () => (await page.evaluate('drops.length')) === 1)
    assert.equal(await page.evaluate(queued), 0)
    assert.deepEqual(
      world.taken.map(({ status }) => status),
      [401],
    )
  })

  it('is the oldest of more than the queue holds', async (t) => {
    const world = open()
    world.pages.set('/', tagOf(world))
    const { page, context } = await visit(world, t)
    await call(page, listen)
    await context.setOffline(true)
    await page.evaluate(track(range('Many', 520)))
    assert.equal(await page.evaluate(queued), 500)
    await context.setOffline(false)
    const events = await named(world, 'Many', 500)
    assert.deepEqual(namesOf(events), range('Many', 520).slice(20))
    const reasons = await page.evaluate<string[]>('drops.map(({ reason }) => reason)')
    assert.deepEqual(reasons, Array(20).fill('queue-full'))
  })

  it('is older than ids are known', async (t) => {
    const world = open()
    const { page } = await visit(world, t)
    await call(page, listen)
    const [gone, kept] = [7, 5].map((days) => `(Date.now() - ${days} * 86_400_000).toString(36)`)
    const put = (at: string | undefined, name: string) => `localStorage.setItem(
      'attune.e.${writeKey}.' + ${at} + '-x',
      JSON.stringify({ messageId: '${name}', type: 'track', event: '${name}', anonymousId: 'x1' }))`
    await page.evaluate(`${put(gone, 'Week Old')}; ${put(kept, 'Days Old')}; attune.track('Today')`)
    await untilAccepted(world, 2, ({ name }) => /^(Days Old|Today)$/.test(name))
    assert.ok((await world.events()).every(({ name }) => name !== 'Week Old'))
    assert.deepEqual(await page.evaluate('drops.map(({ reason }) => reason)'), ['expired'])
  })
})
