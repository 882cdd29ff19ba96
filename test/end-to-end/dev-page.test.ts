/**
 * `attune dev` as a newcomer meets it: its own process, a real browser, a real shop. What is
 * asserted is what one sees: an email with the name of a real product, its evidence, the proof by
 * rendering it again, a live event; and that neither the page nor the email breaks its policy.
 */

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type Browser, chromium, type Page } from 'playwright-core'
import { readDemoShop } from '../../src/command/demo-shop.ts'
import { waitUntil } from '../command/run-command.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const chromiumPath = '/usr/bin/chromium'
const chromiumFlags = [
  ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'],
  ...['--disable-background-networking', '--disable-component-update'],
]
const testMsMax = 420_000
/** History is folded first. */
const firstMailMsMax = 240_000
const stepMsMax = 60_000
const stopMsMax = 5000

interface Started {
  readonly url: string
  readonly writeKey: string
  readonly apiKey: string
}

const hasCurl = spawnSync('curl', ['--version']).status === 0
const skip = existsSync(chromiumPath) ? false : `no browser at ${chromiumPath}`

test('the page shows emails with real product names and proves their bytes', {
  skip,
  timeout: testMsMax,
}, async (t) => {
  const { url, writeKey } = await startDev(t)
  const { page, faults } = await openPage(t, url)

  const row = page.locator('#inbox .row', { hasText: 'in your basket' }).first()
  await row.waitFor({ timeout: firstMailMsMax })
  await row.click()

  const { items } = await readDemoShop(1)
  const names = new Set(items.map(({ name }) => name))
  const letter = page.frameLocator('.paper iframe')
  await letter.getByText('Still thinking it over').waitFor()
  const texts = await letter.locator('a').allInnerTexts()
  const known = texts.filter((text) => names.has(text.trim()))
  assert.ok(known.length >= 2, `an email names items of the catalog, not ${texts.join(' | ')}`)
  // Resolves once a picture is loaded, and rejects where it cannot be.
  const widths = await letter.locator('img[src*="/demo/items/"]').evaluateAll((images) =>
    Promise.all(
      images.map(async (image) => {
        await (image as unknown as { decode(): Promise<void> }).decode()
        return Reflect.get(image, 'naturalWidth') as number
      }),
    ),
  )
  assert.ok(widths.length > 0 && widths.every((width) => width > 0), 'its pictures are loaded')

  const evidence = page.locator('#evidence-body')
  await evidence.getByText('The event Product Added started cart-reminder.').waitFor()
  await evidence.getByRole('button', { name: 'Render again' }).click()
  await evidence.getByText('The same bytes.').waitFor()
  await evidence.getByText('So are those that arrived in this inbox.').waitFor()
  await evidence.getByRole('button', { name: 'Change one input' }).click()
  await evidence.getByText('It differs, as it should').waitFor()

  await page.getByRole('tab', { name: 'Text' }).press('ArrowRight')
  await page.locator('#tab-panel').getByText('List-Unsubscribe-Post').waitFor()

  await page.getByLabel('Filter events').fill('from-the-test')
  await sendEvent(url, writeKey, { userId: 'from-the-test', event: 'Product Viewed' })
  await page.locator('#events tr:visible', { hasText: 'from-the-test' }).first().waitFor()
  await page.getByLabel('Filter events').fill('plan-mismatch')
  await page.locator('#events tr.rejected:visible').first().waitFor()

  assert.deepEqual(faults, [])
})

test('what it prints works as it is pasted, and changes what is recommended', {
  skip: hasCurl ? false : 'curl is not installed',
  timeout: testMsMax,
}, async (t) => {
  const { lines, said } = spawnDev(t, ['--no-shoppers'])
  const printed: string[] = []
  const commands: string[] = []
  for await (const line of lines) {
    if (commands.length > 0 || line.startsWith('ask()')) commands.push(line)
    else printed.push(line)
    // It is printed three times: what it does, before, after.
    if (commands.filter((each) => each === 'ask').length === 2) break
  }
  assert.ok(commands.length > 0, said())
  const shown = (name: string): string =>
    printed.map((line) => new RegExp(`^ +${name} +(\\S+)$`).exec(line)?.[1]).find(Boolean) ?? ''
  const page = await fetch(shown('Page'))
  assert.equal(page.status, 200)
  assert.match(page.headers.get('content-type') ?? '', /^text\/html/)
  const [define = '', ask, ...rest] = commands
  const send = rest.slice(0, -1).join('\n')
  assert.equal(ask, 'ask')
  assert.ok(define.includes(shown('API key')) && send.includes(shown('Write key')))

  const before = runShell(`${define}\nask`)
  assert.equal(before.trimEnd().split('\n').length, 5, before)
  assert.equal(runShell(`${define}\nask`), before, 'nothing else changes it')
  assert.match(runShell(send), /"success":true/)
  // The event is folded and learned in a moment.
  let after = before
  await waitUntil(() => {
    after = runShell(`${define}\nask`)
    return after !== before
  })
  assert.equal(after.trimEnd().split('\n').length, 5, after)
})

function runShell(script: string): string {
  const { status, stdout, stderr } = spawnSync('sh', ['-c', script], { encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  return stdout
}

test('only a request that names this machine reads the inbox', {
  timeout: testMsMax,
}, async (t) => {
  const { url } = await startDev(t, ['--no-seed'])
  const answer = await fetch(`${url}/demo/inbox.json`)
  assert.equal(answer.status, 200)
  assert.equal(answer.headers.get('access-control-allow-origin'), null)
  assert.equal(await statusWithHost(url, 'attacker.example'), 403)
  const page = await fetch(url)
  assert.match(page.headers.get('content-security-policy') ?? '', /script-src 'self'/)
})

/** Starts `attune dev`, and returns what it says of itself for programs. */
async function startDev(t: TestContext, flags: readonly string[] = []): Promise<Started> {
  const { lines, said } = spawnDev(t, ['--json', ...flags])
  for await (const text of lines) return JSON.parse(text) as Started
  throw new Error(`attune dev ended before it listened:\n${said()}`)
}

/**
 * Runs `attune dev` with a few orders in a folder of its own; both are gone after the test. Returns
 * the lines of stdout, and what it wrote to stderr.
 */
function spawnDev(
  t: TestContext,
  flags: readonly string[],
): { readonly lines: AsyncIterable<string>; said(): string } {
  const dataDir = mkdtempSync(join(tmpdir(), 'attune-dev-'))
  const line = ['src/main.ts', 'dev', '--port', '0', '--data-dir', join(dataDir, 'data')]
  const given = [...line, '--orders', '500', '--arrival-ms', '150', ...flags]
  const child = spawn(process.execPath, given, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  let says = ''
  child.stderr.on('data', (text: Buffer) => {
    says += text.toString()
  })
  t.after(async () => {
    child.kill('SIGTERM')
    const late = AbortSignal.timeout(stopMsMax)
    late.addEventListener('abort', () => child.kill('SIGKILL'))
    await ended
    rmSync(dataDir, { recursive: true })
  })
  return { lines: createInterface(child.stdout), said: () => says }
}

/** Opens the page in a new browser; everything that a console would show as wrong is kept. */
async function openPage(
  t: TestContext,
  url: string,
): Promise<{ readonly page: Page; readonly faults: readonly string[] }> {
  const options = { executablePath: chromiumPath, args: chromiumFlags, timeout: stepMsMax }
  const browser: Browser = await chromium.launch(options)
  t.after(() => browser.close())
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } })
  page.setDefaultTimeout(stepMsMax)
  const faults: string[] = []
  page.on('pageerror', (error) => faults.push(error.message))
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') faults.push(message.text())
  })
  await delayEvidence(page)
  await page.goto(url)
  return { page, faults }
}

/**
 * Has the page told of each message at first that nothing is stored yet, as it may be where the
 * machine is busy: when the page opens the first one by itself, and when the test does.
 */
async function delayEvidence(page: Page): Promise<void> {
  const asked = new Map<string, number>()
  await page.route('**/demo/messages/*/evidence', async (route) => {
    const url = route.request().url()
    const count = (asked.get(url) ?? 0) + 1
    asked.set(url, count)
    if (count > 2) return await route.continue()
    try {
      const response = await route.fetch()
      const json = { ...((await response.json()) as object), evidence: null }
      await route.fulfill({ response, json })
    } catch {
      // The page asks for another message by now.
    }
  })
}

/** Sends an event that is taken, and one that lacks what its schema requires. */
async function sendEvent(
  url: string,
  writeKey: string,
  call: { readonly userId: string; readonly event: string },
): Promise<void> {
  for (const properties of [{ product_id: '85123A' }, {}]) {
    const headers = { 'content-type': 'application/json', 'x-write-key': writeKey }
    const body = JSON.stringify({ ...call, properties })
    const answer = await fetch(`${url}/v1/track?verbose=1`, { method: 'POST', headers, body })
    assert.equal(answer.status, 200, await answer.text())
  }
}

/** `fetch` does not let a caller name another host. */
async function statusWithHost(url: string, host: string): Promise<number | undefined> {
  return await new Promise((resolve, reject) => {
    const asked = request(`${url}/demo/inbox.json`, { headers: { host } }, (answer) => {
      answer.resume()
      resolve(answer.statusCode)
    })
    asked.once('error', reject)
    asked.end()
  })
}
