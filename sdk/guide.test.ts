/** Runs the code of the guide, and uses the example as a visitor would. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Page } from 'playwright-core'
import {
  type BrowserWorld,
  call,
  skip,
  until,
  untilAccepted,
  useBrowserWorld,
  visit,
  writeKey,
} from './browser-world.fixture.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const guide = readFileSync(`${root}docs/guide/browser-sdk.md`, 'utf8')

interface Sample {
  readonly heading: string
  readonly language: string
  readonly code: string
}

function samplesOf(text: string): readonly Sample[] {
  return text.split(/^## /m).flatMap((section) => {
    const [heading = ''] = section.split('\n')
    const blocks = [...section.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)]
    return blocks.map(([, language = '', code = '']) => ({ heading, language, code }))
  })
}

describe('the guide', { skip }, () => {
  const open = useBrowserWorld()
  const samples = samplesOf(guide)
  const sample = (world: BrowserWorld, heading: string): string => {
    const { code } = samples.find((each) => each.heading === heading) ?? assert.fail(heading)
    return code
      .replaceAll('https://collect.shop.example', world.collectUrl)
      .replaceAll('wk_your_key', writeKey)
  }
  /** What each piece of code makes the collector accept; in the order of the guide. */
  const expected: Readonly<Record<string, readonly string[]>> = {
    'Put it on a page': ['Page Viewed'],
    'Call before it has loaded': ['Newsletter Opened', 'Page Viewed'],
    'Say what happens': ['Page Viewed', 'Page Viewed', 'identify', 'Size Guide Opened'],
    'Say what is bought': [
      ...['Page Viewed', 'Product Viewed', 'Product Added', 'Product Removed', 'Cart Viewed'],
      ...['Checkout Started', 'Order Completed'],
    ],
    Consent: ['Page Viewed'],
    'What you can rely on': ['Page Viewed'],
    'With a bundler': ['Bundled'],
  }

  it('has no code that is not run here', () => {
    assert.deepEqual(
      samples.map(({ heading }) => heading),
      Object.keys(expected),
    )
    assert.deepEqual(new Set(samples.map(({ language }) => language)), new Set(['html', 'js']))
  })

  const runSample = async (page: Page, heading: string, code: string): Promise<void> => {
    if (heading === 'Put it on a page' || heading === 'With a bundler') return
    if (heading === 'Call before it has loaded') return
    await call(page, code)
  }

  for (const [index, [heading, names]] of Object.entries(expected).entries()) {
    it(`does what it says: ${heading}`, async (t) => {
      const world = open()
      const tag = sample(world, 'Put it on a page')
      const code = sample(world, heading)
      const before = heading === 'Call before it has loaded' ? `<script>${code}</script>` : ''
      const bundled = `<script type="module">${code}</script>`
      world.pages.set('/', heading === 'With a bundler' ? bundled : before + tag)
      for (const file of readdirSync(`${root}sdk`).filter((name) => name.endsWith('.js'))) {
        world.pages.set(`/sdk/${file}`, readFileSync(`${root}sdk/${file}`, 'utf8'))
      }
      const { page, faults, context } = await visit(world, t, { path: `/${index}` })
      const warnings: string[] = []
      page.on('console', (message) => warnings.push(message.text()))
      const isHere = ({ context: given }: { readonly context?: object }) =>
        JSON.stringify(given).includes(`:${world.shopPort}/${index}"`)
      const untilHere = (count: number) =>
        until(async () => {
          const all = (await world.events()).filter(isHere)
          return all.length >= count ? all : undefined
        })
      // Who withdraws consent takes back what is not sent yet.
      if (heading === 'Consent') await untilHere(1)
      await runSample(page, heading, code)
      const events = await untilHere(names.length)
      assert.deepEqual(events.map(({ name }) => name).sort(), names.toSorted())
      assert.deepEqual(faults, [])
      if (heading === 'Consent') {
        const cookies = await context.cookies()
        assert.deepEqual(
          cookies.map(({ name, value }) => `${name}=${value}`),
          ['attune_c=withdrawn'],
        )
      }
      if (heading === 'What you can rely on') assert.match(warnings.join(), /given up: too-large/)
    })
  }

  it('names what the browser keeps, and the limits that the code has', () => {
    const queue = readFileSync(`${root}sdk/queue.js`, 'utf8')
    const limit = (name: string) => new RegExp(`${name} = ([\\d_]+)`).exec(queue)?.[1] ?? ''
    const counts = ['queueCountMax', 'queueUnitsMax', 'bodyBytesMax'].map((name) =>
      Number(limit(name).replaceAll('_', '')).toLocaleString('en'),
    )
    for (const count of counts) assert.ok(guide.includes(` ${count} `), count)
  })

  it('links to an example that tells what a visitor does', async (t) => {
    const world = open()
    const context = await world.browser.newContext()
    t.after(() => context.close())
    const page = await context.newPage()
    const faults: string[] = []
    page.on('pageerror', (error) => faults.push(error.message))
    const file = pathToFileURL(`${root}examples/browser/index.html`)
    file.search = String(new URLSearchParams({ collect: world.collectUrl, key: writeKey }))
    await page.goto(file.href)
    await page.getByText('productViewed').waitFor()
    await page.getByRole('button', { name: 'Put into the basket' }).click()
    await page.getByLabel('Your address').fill('ada@shop.example')
    await page.getByRole('button', { name: 'Log in' }).click()
    await page.getByRole('button', { name: 'Yes' }).click()
    await page.getByRole('button', { name: 'Buy' }).click()
    const isHere = ({ context: given }: { readonly context?: object }) =>
      JSON.stringify(given).includes('examples/browser/index.html')
    const events = await untilAccepted(world, 5, isHere)
    assert.deepEqual(
      events.map(({ name, userId }) => `${name} ${userId}`),
      [
        ...['Page Viewed undefined', 'Product Viewed undefined', 'Product Added undefined'],
        ...['identify ada@shop.example', 'Order Completed ada@shop.example'],
      ],
    )
    assert.deepEqual(faults, [])
    assert.equal(await page.getByText('May we remember').isVisible(), false)
  })
})
