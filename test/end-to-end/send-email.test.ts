/**
 * The whole way, by real HTTP and real SMTP: an event goes in, an email comes out, and its links do
 * what they say.
 */

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { createApiKey } from '../../src/api/api-keys.ts'
import { type Message, messagePrefix } from '../../src/campaign/message.ts'
import { type MailCatcher, openMailCatcher } from '../../src/catcher/mail-catcher.ts'
import type { ParsedMail } from '../../src/catcher/parsed-mail.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { systemRandom } from '../../src/lib/random.ts'
import { decodeJson } from '../../src/process/meta.ts'
import { openSqliteStateStore } from '../../src/state/sqlite-state-store.ts'
import { parseLines, runCommand, waitUntil } from '../command/run-command.ts'
import {
  freePort,
  openServerProcess,
  type ServerProcess,
  stopServerProcess,
} from '../faults/server-process.ts'
import { writeKey, writeSmallShop } from '../faults/small-shop.ts'

const waitMsMax = 60_000
/** Longer than the campaign waits, with room for a busy machine. */
const quietMs = 3000

describe('an event that becomes an email', () => {
  let folder = ''
  let catcher: MailCatcher
  let server: ServerProcess
  let apiKey = ''

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'attune-email-'))
    await writeSmallShop(join(folder, 'shop'))
    catcher = await openMailCatcher({ host: '127.0.0.1', port: 0 })
    server = await openServerProcess({
      dataDir: join(folder, 'data'),
      definitionsDir: join(folder, 'shop'),
      port: await freePort(),
      smtpPort: catcher.port,
    })
    const deps = { clock: systemClock, random: systemRandom }
    const given = { name: 'test', scopes: ['read', 'write'] as const }
    apiKey = await createApiKey(join(folder, 'data'), deps, given)
    // An unknown key is looked up again at most once a second.
    await systemClock.sleep(1100)
    const item = { itemId: 'kettle-1', name: 'Enamel Kettle', price: 24.5 }
    const response = await callApi('/api/v1/items', [item])
    assert.ok(response.ok, `items: ${response.status} ${await response.text()}`)
  })
  after(async () => {
    const { code } = await stopServerProcess(server)
    await catcher.close()
    await rm(folder, { recursive: true, force: true })
    assert.equal(code, 0)
  })

  const callApi = (path: string, body?: unknown): Promise<Response> =>
    fetch(server.url + path, {
      headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
    })

  const collect = async (type: string, event: object): Promise<void> => {
    const authorization = `Basic ${Buffer.from(`${writeKey}:`).toString('base64')}`
    const response = await fetch(`${server.url}/v1/${type}`, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json' },
      body: JSON.stringify(event),
    })
    assert.equal(response.status, 200)
  }

  const addToCart = async (userId: string): Promise<void> => {
    await collect('identify', { userId, traits: { email: `${userId}@people.example` } })
    const properties = { product_id: 'kettle-1', price: 24.5, quantity: 1 }
    await collect('track', { userId, event: 'Product Added', properties })
  }

  const mailsTo = async (userId: string): Promise<readonly ParsedMail[]> => {
    const mails: ParsedMail[] = []
    for (const { index, envelopeTo } of catcher.list(1000)) {
      const mail = envelopeTo.includes(`${userId}@people.example`) && (await catcher.parse(index))
      if (mail) mails.push(mail)
    }
    return mails
  }

  const waitForMails = async (userId: string, count: number): Promise<readonly ParsedMail[]> => {
    const deadline = systemClock.monotonicMs() + waitMsMax
    for (;;) {
      const mails = await mailsTo(userId)
      if (mails.length >= count) return mails
      if (systemClock.monotonicMs() > deadline) {
        assert.fail(`${mails.length} of ${count} mails came for ${userId}\n${server.said()}`)
      }
      await systemClock.sleep(50)
    }
  }

  const headerOf = (mail: ParsedMail | undefined, name: string): string =>
    mail?.headers.find((header) => header.name.toLowerCase() === name)?.value ?? ''

  const messageOf = async (mail: ParsedMail | undefined): Promise<Message> => {
    const messageId = /^<([^@>]+)@/.exec(mail?.rfcMessageId ?? '')?.[1] ?? ''
    const response = await callApi(`/api/v1/messages/${messageId}`)
    assert.equal(response.status, 200, await response.clone().text())
    return (await response.json()) as Message
  }

  /** In the order in which they became due. */
  const messagesOf = async (personKey: string): Promise<readonly Message[]> => {
    const state = await openSqliteStateStore({ dataDir: join(folder, 'data'), readOnly: true })
    const messages: Message[] = []
    for (let partition = 0; partition < 64; partition++) {
      for (const { value } of await state.scan(partition, messagePrefix, '', 1000)) {
        messages.push(decodeJson<unknown>(value) as Message)
      }
    }
    await state.close()
    return messages
      .filter((message) => message.personKey === personKey)
      .sort((one, other) => one.dueAtMs - other.dueAtMs)
  }

  it('stamps into an event what the catalog says of its item', async () => {
    const item = { itemId: 'stamped-1', name: 'Jug', price: 8, category: 'Kitchen' }
    await callApi('/api/v1/items', [{ ...item, updatedAtMs: 5 }])
    await waitUntil(async () => (await callApi('/api/v1/items/stamped-1')).ok)
    const properties = { product_id: 'stamped-1', category: 'Jugs' }
    let stamped: object | undefined
    // The collector notices within seconds that there is a catalog by now.
    await waitUntil(async () => {
      await collect('track', { userId: 'eve', event: 'Product Viewed', properties })
      const { stdout } = await runCommand(['events', '--json', '--data-dir', join(folder, 'data')])
      const lines = parseLines<{ person: string; event?: { stamped?: object } }>(stdout)
      stamped = lines.findLast(({ person }) => person === 'user:eve')?.event?.stamped
      return stamped !== undefined
    })
    assert.deepEqual(stamped, { items: { 'stamped-1': { price: 8, itemVersion: 5 } } })
  })

  it('names the product, and says how to unsubscribe', async () => {
    await addToCart('ada')
    const [mail] = await waitForMails('ada', 1)
    assert.equal(mail?.subject, 'Enamel Kettle is in your basket')
    assert.match(mail?.html ?? '', /Enamel Kettle/)
    assert.match(mail?.text ?? '', /- Enamel Kettle/)
    assert.equal(headerOf(mail, 'list-unsubscribe-post'), 'List-Unsubscribe=One-Click')
    assert.match(headerOf(mail, 'list-unsubscribe'), new RegExp(`^<${server.url}/e/u/[^>]+>$`))
  })

  it('leads from its link to the shop, and from its pixel to an image', async () => {
    await addToCart('grace')
    const [mail] = await waitForMails('grace', 1)
    const link = new RegExp(`${server.url}/e/c/[^"'\\s<]+`).exec(mail?.html ?? '')?.[0] ?? ''
    const clicked = await fetchUntilReady(link)
    assert.equal(clicked.status, 302)
    assert.equal(clicked.headers.get('location'), 'https://shop.example/cart')
    const pixel = new RegExp(`${server.url}/e/o/[^"'\\s<]+`).exec(mail?.html ?? '')?.[0] ?? ''
    const opened = await fetch(pixel)
    assert.equal(opened.headers.get('content-type'), 'image/gif')
    const bytes = Buffer.from(await opened.arrayBuffer())
    assert.equal(bytes.subarray(0, 3).toString(), 'GIF')
    await until(async () => {
      const { outcomes } = await messageOf(mail)
      return outcomes.opened !== undefined && outcomes.clicked !== undefined
    }, 'the open and the click are known')
  })

  it('stops after one click on unsubscribe', async () => {
    await addToCart('hedy')
    const [mail] = await waitForMails('hedy', 1)
    const url = headerOf(mail, 'list-unsubscribe').slice(1, -1)
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: 'List-Unsubscribe=One-Click',
    })
    assert.equal(answer.status, 200)
    // The waiting campaign of the first addition is under way; it too must not send, unless the
    // click came so late that it had begun to.
    const granted = async () =>
      (await messagesOf('user:hedy')).filter(({ state }) => state.kind === 'granted')
    await until(async () => (await granted()).length === 0, 'nothing is on its way')
    const countBefore = (await mailsTo('hedy')).length
    await addToCart('hedy')
    await until(async () => {
      const messages = await messagesOf('user:hedy')
      const [, second] = messages.filter(({ campaign }) => campaign === 'at-once')
      return second?.state.kind === 'refused'
    }, 'the second addition made a message, and it was refused')
    await systemClock.sleep(quietMs)
    assert.equal((await mailsTo('hedy')).length, countBefore)
    await until(async () => {
      const messages = await messagesOf('user:hedy')
      return messages.filter(({ state }) => state.kind !== 'refused').length === countBefore
    }, 'all that was made later was refused')
  })

  it('is not sent where the purchase comes before the wait is over', async () => {
    const products = [{ product_id: 'kettle-1', price: 24.5, quantity: 1 }]
    // Together in the log: a busy machine may need longer than the wait for a second request.
    const batch = [
      { type: 'identify', traits: { email: 'mary@people.example' } },
      { type: 'track', event: 'Product Added', properties: products[0] },
      { type: 'track', event: 'Order Completed', properties: { order_id: 'o1', products } },
    ]
    await collect('batch', { batch: batch.map((event) => ({ ...event, userId: 'mary' })) })
    await addToCart('rosa')
    await waitForMails('rosa', 2)
    await waitForMails('mary', 1)
    await systemClock.sleep(quietMs)
    assert.equal((await mailsTo('mary')).length, 1, 'only the one that was sent at once')
  })
})

/**
 * The evidence of a message is there a moment after the mail: its result has to be folded first.
 */
async function fetchUntilReady(url: string): Promise<Response> {
  const deadline = systemClock.monotonicMs() + waitMsMax
  for (;;) {
    const response = await fetch(url, { redirect: 'manual' })
    if (response.status !== 503 || systemClock.monotonicMs() > deadline) return response
    await systemClock.sleep(50)
  }
}

async function until(isSo: () => Promise<boolean>, says: string): Promise<void> {
  const deadline = systemClock.monotonicMs() + waitMsMax
  while (!(await isSo())) {
    assert.ok(systemClock.monotonicMs() < deadline, says)
    await systemClock.sleep(50)
  }
}
