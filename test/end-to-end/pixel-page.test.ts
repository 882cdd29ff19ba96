/** Pixels in a real browser, on a page of another origin, as a shop has them. */

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { chromium } from 'playwright-core'
import { createAdaptedRoutes } from '../../src/collect/adapted-routes.ts'
import { eventsOf, openStage, writeKey } from '../../src/collect/collect-stage.fixture.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { silentLogger } from '../../src/lib/logger.ts'

const executablePath = '/usr/bin/chromium'
const skip = existsSync(executablePath) ? false : `no browser at ${executablePath}`
const testMsMax = 120_000

async function servePage(t: TestContext, html: string): Promise<string> {
  const server = createServer((_request, response) => {
    // The strictest of pages: it isolates itself from what does not say that it may be shown.
    response.setHeader('cross-origin-embedder-policy', 'require-corp')
    response.setHeader('content-type', 'text/html').end(html)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

test('a browser shows each pixel, taken or refused, and says which page it is on', {
  skip,
  timeout: testMsMax,
}, async (t) => {
  const given = { clock: systemClock, logger: silentLogger, environment: {} }
  const adapted = createAdaptedRoutes(given)
  const stage = await openStage(t, { adapted })
  const intake = { kind: 'closed', reason: 'disk', retryAfterSeconds: 3 } as const
  const closed = await openStage(t, { adapted, intake })
  const query = `writeKey=${writeKey}&anonymousId=device-1`
  const urls = [
    `${stage.url}/v1/pixel/page?${query}`,
    `${stage.url}/v1/pixel/page?${query}&url=https%3A%2F%2Fshop.example%2Fcart`,
    `${stage.url}/v1/pixel/track?${query}`,
    `${stage.url}/v1/pixel/track?writeKey=stranger`,
    `${closed.url}/v1/pixel/page?${query}`,
  ]
  const images = urls.map((url) => `<img src="${url.replaceAll('&', '&amp;')}" alt="">`)
  const origin = await servePage(t, `<!doctype html><title>Cart</title>${images.join('')}`)

  const options = { executablePath, args: ['--no-sandbox'], timeout: testMsMax }
  const browser = await chromium.launch(options)
  t.after(() => browser.close())
  const page = await browser.newPage()
  page.setDefaultTimeout(testMsMax)
  await page.goto(`${origin}/cart?step=2`, { waitUntil: 'load' })
  const sizes = await page
    .locator('img')
    .evaluateAll((all) => all.map((each) => Reflect.get(each, 'naturalWidth') as number))
  assert.deepEqual(sizes, [1, 1, 1, 1, 1])

  const events = await eventsOf(stage)
  const pages = events.map(({ context }) => (context?.page as { url?: string } | undefined)?.url)
  // To another origin a browser tells its own and no more, unless the page says otherwise.
  assert.deepEqual(new Set(pages), new Set([`${origin}/`, 'https://shop.example/cart']))
  assert.match(String(events[0]?.context?.userAgent), /Chrome/)
  assert.deepEqual(stage.counts, { accepted: 2, rejected: 1 })
})
