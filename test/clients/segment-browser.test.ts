/**
 * `@segment/analytics-next` in Chromium, embedded as `docs/guide/clients.md` says: the script, its
 * chunks and its settings come from the server, the page from another origin. Each POST is
 * `text/plain` with Basic authorization, so the browser asks by a preflight first.
 */

import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, it, type TestContext } from 'node:test'
import { type Browser, chromium, type Page } from 'playwright-core'
import type { Event } from '../../src/event/event.ts'
import {
  type ClientWorld,
  eventsOfUser,
  openClientWorld,
  waitFor,
  writeKeys,
} from './client-world.ts'
import { type FaultyProxy, faults, outcomeOf } from './faulty-proxy.ts'

const chromiumPath = '/usr/bin/chromium'
const chromiumFlags = [
  ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'],
  ...['--disable-background-networking', '--disable-component-update'],
]
const stepMsMax = 90_000
const skip = existsSync(chromiumPath) ? false : `no browser at ${chromiumPath}`

/** The script waits for this name, which a page sets up before it is there. */
const loaded = "typeof analytics.initialized === 'boolean' && analytics.initialized"

describe('@segment/analytics-next', { skip }, () => {
  let world: ClientWorld
  let browser: Browser
  let shop: Server
  before(async () => {
    world = await openClientWorld()
    shop = await openShop()
    const options = { executablePath: chromiumPath, args: chromiumFlags, timeout: stepMsMax }
    browser = await chromium.launch(options)
  })
  after(async () => {
    await browser.close()
    shop.closeAllConnections()
    shop.close()
    await world.close()
  })

  /** Loads the shop's page in a profile of its own; `options` is a text of JavaScript. */
  const openPage = async (
    t: TestContext,
    options = '{}',
    query = '',
  ): Promise<{ readonly page: Page; readonly faultsSeen: readonly string[] }> => {
    const profile = await browser.newContext()
    t.after(() => profile.close())
    const page = await profile.newPage()
    page.setDefaultTimeout(stepMsMax)
    const faultsSeen: string[] = []
    page.on('pageerror', (error) => faultsSeen.push(error.message))
    page.on('console', (message) => {
      if (message.type() === 'error') faultsSeen.push(message.text())
    })
    await goTo(page, options, query)
    return { page, faultsSeen }
  }

  const goTo = async (page: Page, options: string, query = ''): Promise<void> => {
    const { port } = shop.address() as AddressInfo
    const given = new URLSearchParams({ options, from: world.publicProxy.url })
    await page.goto(`http://127.0.0.1:${port}/?${given}${query}`)
    await page.waitForFunction(loaded)
  }

  const eventsWhen = (userId: string, names: readonly string[]): Promise<readonly Event[]> =>
    waitFor(`${names} of ${userId}`, async () => {
      const found = eventsOfUser(await world.events(), userId)
      const known = new Set(found.map(({ name }) => name))
      return names.every((name) => known.has(name)) ? found : undefined
    })

  /**
   * Waits until the log has what the page called before the script was there. The script sends it
   * at a moment of its own: what the page calls in the meantime may be sent first, and a user named
   * in the meantime is the user of the early calls too.
   */
  const earlyIn = async (page: Page): Promise<void> => {
    const anonymousId = await page.evaluate('analytics.user().anonymousId()')
    await waitFor('the calls before the script', async () => {
      const events = (await world.events()).filter((one) => one.anonymousId === anonymousId)
      const known = new Set(events.map(({ name }) => name))
      return known.has('Page Viewed') && known.has('Early') ? true : undefined
    })
  }

  it('brings every kind of call into the log as it was meant', async (t) => {
    const { page, faultsSeen } = await openPage(t)
    await earlyIn(page)
    await page.evaluate(`(async () => {
      await analytics.identify('ada', { email: 'ada@a.example' })
      await analytics.track('Product Viewed', { product_id: 'cup', price: 4.5, currency: 'gbp' })
      await analytics.page('Shop', 'Home', { season: 'spring' })
      await analytics.screen('Basket')
      await analytics.group('acme', { plan: 'pro' })
      await analytics.alias('ada', 'ada-before')
    })()`)
    const sent = ['identify', 'Product Viewed', 'Page Viewed', 'screen', 'group', 'alias']
    const events = await eventsWhen('ada', sent)
    assert.deepEqual(
      events.map(({ name }) => name),
      sent,
    )
    const byType = (type: string): Event | undefined => events.find((one) => one.type === type)
    const identify = byType('identify')
    assert.deepEqual(identify?.traits, { email: 'ada@a.example' })
    assert.match(identify?.anonymousId ?? '', /^[0-9a-f-]{36}$/)
    const track = byType('track')
    assert.equal(track?.name, 'Product Viewed')
    assert.deepEqual(track?.properties, { product_id: 'cup', price: 4.5, currency: 'GBP' })
    assert.equal(track?.anonymousId, identify?.anonymousId)
    assert.equal(track?.timeNote, undefined)
    const { library, page: shown, userAgent } = track?.context ?? {}
    assert.deepEqual(library, { name: 'analytics.js', version: 'next-1.84.3' })
    assert.equal((shown as { readonly title?: string }).title, 'Shop')
    assert.match(String(userAgent), /Chrome/)
    const viewed = byType('page')?.properties
    assert.deepEqual(
      [viewed?.name, viewed?.category, viewed?.season, viewed?.path],
      ['Home', 'Shop', 'spring', '/'],
    )
    assert.equal(byType('screen')?.properties?.name, 'Basket')
    assert.deepEqual([byType('group')?.groupId, byType('group')?.traits], ['acme', { plan: 'pro' }])
    assert.equal(byType('alias')?.previousId, 'ada-before')
    assert.equal(await world.rejectedCount(), 0)
    assert.deepEqual(faultsSeen, [])
    assertAsked(world.publicProxy, ['/v1/i', '/v1/t', '/v1/p', '/v1/s', '/v1/g', '/v1/a'])
  })

  it('loads a chunk of itself where a link names who follows it', async (t) => {
    const { faultsSeen } = await openPage(t, '{}', '&ajs_uid=grace&ajs_event=From%20Link')
    await eventsWhen('grace', ['identify', 'From Link'])
    assert.deepEqual(faultsSeen, [])
    const { seen } = world.publicProxy
    const chunks = seen.filter(({ path }) => path.startsWith('/analytics-next/bundles/'))
    assert.ok(chunks.length > 0 && chunks.every(({ outcome }) => outcome === 200))
  })

  it('sends batches, and figures of its own that are taken and dropped', async (t) => {
    const { host } = new URL(world.publicProxy.url)
    const delivery = "{ strategy: 'batching', config: { size: 3, timeout: 200 } }"
    const { page, faultsSeen } = await openPage(
      t,
      `{
        integrations: { 'Segment.io': {
          apiHost: '${host}/v1', protocol: 'http', deliveryStrategy: ${delivery} } },
        updateCDNSettings: (given) => ({ ...given, metrics: { sampleRate: 1, flushTimer: 100 } }),
      }`,
    )
    await earlyIn(page)
    await page.evaluate(`(async () => {
      await analytics.identify('hedy')
      for (const name of ['First', 'Second', 'Third', 'Fourth']) analytics.track(name)
    })()`)
    const sent = ['identify', 'First', 'Second', 'Third', 'Fourth']
    const names = (await eventsWhen('hedy', sent)).map((event) => event.name)
    // Two batches may be on their way at once.
    assert.deepEqual([...names].sort(), [...sent].sort())
    const { seen } = world.publicProxy
    for (const path of ['/v1/b', '/v1/m']) {
      const post = await waitFor(path, () => seen.find((one) => one.path === path && isPost(one)))
      assert.equal(post.outcome, 200)
    }
    assert.deepEqual(faultsSeen, [])
  })

  describe('loses nothing and has nothing applied twice', { concurrency: true }, () => {
    for (const strategy of ['standard', 'batching']) {
      it(`after each way to fail, sending by the ${strategy} strategy`, async (t) => {
        const spoiled = Object.values(faults)
        const proxy = await world.openProxy(spoiled)
        const { page } = await openPage(t, sendingTo(proxy, strategy))
        const userId = `user of ${strategy}`
        await page.evaluate(`(async () => {
          analytics.identify('${userId}')
          for (const name of ['First', 'Second', 'Third']) analytics.track(name)
        })()`)
        const sent = ['identify', 'First', 'Second', 'Third']
        await eventsWhen(userId, sent)
        await earlyIn(page)
        const names = ['Page Viewed', 'Early', ...sent]
        // What was taken behind a lost answer is sent again before the client rests.
        await waitFor('each call is answered', () =>
          idsTaken(proxy).size === names.length ? true : undefined,
        )
        // What comes by way of the device comes a moment later.
        const totals = await waitFor('the user has the calls of the device', async () => {
          const found = await world.totalsOf(`user:${userId}`)
          return names.every((name) => name in found) ? found : undefined
        })
        assert.deepEqual(totals, Object.fromEntries(names.map((name) => [name, 1])))
        const outcomes = new Set(proxy.outcomes())
        for (const fault of spoiled) assert.ok(outcomes.has(outcomeOf(fault)))
      })
    }

    it('when the page is left before the server answers again', async (t) => {
      const gone = Array.from({ length: 1000 }, () => ({ kind: 'answer', status: 503 }) as const)
      const proxy = await world.openProxy(gone)
      const options = sendingTo(proxy, 'standard')
      const { page } = await openPage(t, options)
      await page.evaluate("void analytics.identify('rosa'), void analytics.track('Left')")
      await waitFor('both are sent and fail', () => {
        const bodies = proxy.seen.map(({ body }) => String(body))
        const wasSent = (says: string): boolean => bodies.some((body) => body.includes(says))
        return wasSent('"type":"identify"') && wasSent('"event":"Left"') ? true : undefined
      })
      assert.deepEqual(eventsOfUser(await world.events(), 'rosa'), [])
      proxy.heal()
      await goTo(page, options)
      await eventsWhen('rosa', ['identify', 'Left'])
      const { identify, Left } = await world.totalsOf('user:rosa')
      assert.deepEqual([identify, Left], [1, 1])
    })
  })
})

/** Each path was asked for by a preflight, and then sent to as the client always does. */
function assertAsked({ seen }: FaultyProxy, paths: readonly string[]): void {
  const basic = `Basic ${Buffer.from(`${writeKeys.segment}:`).toString('base64')}`
  for (const path of paths) {
    const [preflight, post] = seen.filter((one) => one.path === path)
    assert.deepEqual([preflight?.method, preflight?.outcome], ['OPTIONS', 204])
    assert.equal(preflight?.headers['access-control-request-headers'], 'authorization')
    assert.deepEqual([post?.method, post?.outcome], ['POST', 200])
    assert.equal(post?.headers['content-type'], 'text/plain')
    assert.equal(post?.headers.authorization, basic)
  }
}

/** Ids of the events that were in a request which the client knows to be taken. */
function idsTaken({ seen }: FaultyProxy): ReadonlySet<string | undefined> {
  const taken = seen.filter((one) => isPost(one) && one.outcome === 200)
  const ids = taken.flatMap(({ body }) => [...String(body).matchAll(/"messageId":"([^"]+)"/g)])
  return new Set(ids.map(([, id]) => id))
}

function isPost({ method }: { readonly method: string }): boolean {
  return method === 'POST'
}

function sendingTo(proxy: FaultyProxy, strategy: string): string {
  const { host } = new URL(proxy.url)
  const delivery = `{ strategy: '${strategy}', config: { size: 2, timeout: 200 } }`
  const sent = `apiHost: '${host}/v1', protocol: 'http', deliveryStrategy: ${delivery}`
  return `{ integrations: { 'Segment.io': { ${sent} } } }`
}

/** Serves a page that embeds the client as the guide says. */
async function openShop(): Promise<Server> {
  const guide = readFileSync(new URL('../../docs/guide/clients.md', import.meta.url), 'utf8')
  const snippet = /```html\n([\s\S]*?)```/.exec(guide)?.[1] ?? assert.fail('the guide has no page')
  const server = createServer((request, response) => {
    const { searchParams } = new URL(request.url ?? '', 'http://127.0.0.1')
    const asked = `analytics._loadOptions = ${searchParams.get('options')}
      analytics.push(['track', 'Early', {}])`
    const page = snippet
      .replaceAll('https://in.shop.example', searchParams.get('from') ?? '')
      .replace('WRITE_KEY', writeKeys.segment)
      .replace('</script>', `${asked}</script>`)
    response.writeHead(200, { 'content-type': 'text/html' })
    response.end(`<!doctype html><title>Shop</title>${page}`)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}
