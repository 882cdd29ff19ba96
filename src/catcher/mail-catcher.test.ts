import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import { createTransport } from 'nodemailer'
import { type MailCatcherOptions, openMailCatcher } from './mail-catcher.ts'

async function aCatcher(t: TestContext, options: Partial<MailCatcherOptions> = {}) {
  const catcher = await openMailCatcher({ host: '127.0.0.1', port: 0, ...options })
  const client = createTransport({ host: '127.0.0.1', port: catcher.port, pool: true })
  t.after(async () => {
    client.close()
    await catcher.close()
  })
  const hand = (serial: number, more: Record<string, unknown> = {}) =>
    client.sendMail({
      from: 'Shop <news@shop.example>',
      to: `ada${serial}@person.example`,
      subject: `Mail ${serial}`,
      text: 'Hello',
      messageId: `<${serial}@shop.example>`,
      ...more,
    })
  return { catcher, hand }
}

describe('the mail catcher', () => {
  it('keeps envelope, time and the mail as it was handed over', async (t) => {
    const clock = { nowMs: () => 1_234, monotonicMs: () => 0, sleep: async () => {} }
    const { catcher, hand } = await aCatcher(t, { clock })
    const raw = 'Subject: dots\r\n\r\n.\r\n..two\r\nend.\r\n'
    const to = ['a@one.example', 'b@two.example']
    const info = await hand(0, { raw, envelope: { from: 'bounce@shop.example', to } })
    assert.match(info.response, /^250 OK: caught as 0$/)
    const mail = catcher.get(0)
    assert.equal(mail?.envelopeFrom, 'bounce@shop.example')
    assert.deepEqual(mail?.envelopeTo, to)
    assert.equal(mail?.receivedAtMs, 1_234)
    assert.equal(Buffer.from(mail?.raw ?? []).toString(), raw)
  })

  it('parses headers, subject, HTML and text when asked', async (t) => {
    const { catcher, hand } = await aCatcher(t)
    await hand(3, {
      subject: 'Gr\u00fc\u00dfe \u{1f381}',
      html: '<p>still \u20ac 5</p>',
      text: 'still \u20ac 5',
      headers: { 'List-Unsubscribe': '<https://shop.example/e/u/x>' },
    })
    const parsed = await catcher.parse(0)
    assert.equal(parsed?.subject, 'Gr\u00fc\u00dfe \u{1f381}')
    assert.equal(parsed?.html.trim(), '<p>still \u20ac 5</p>')
    assert.equal(parsed?.text.trim(), 'still \u20ac 5')
    assert.equal(parsed?.from, 'news@shop.example')
    assert.deepEqual(parsed?.to, ['ada3@person.example'])
    assert.equal(parsed?.rfcMessageId, '<3@shop.example>')
    const unsubscribe = parsed?.headers.find((header) => header.name === 'List-Unsubscribe')
    assert.equal(unsubscribe?.value, '<https://shop.example/e/u/x>')
    assert.equal(await catcher.parse(1), undefined)
  })

  it('keeps the newest mails and counts all', async (t) => {
    const { catcher, hand } = await aCatcher(t, { mailCountMax: 3 })
    for (let serial = 0; serial < 5; serial++) await hand(serial)
    assert.equal(catcher.count, 5)
    const indexes = (countMax: number) => catcher.list(countMax).map((mail) => mail.index)
    assert.deepEqual(indexes(10), [4, 3, 2])
    assert.deepEqual(indexes(2), [4, 3])
    assert.equal(catcher.get(1), undefined)
    assert.deepEqual(catcher.get(2)?.envelopeTo, ['ada2@person.example'])
    assert.equal(catcher.get(5), undefined)
    assert.equal(catcher.get(-1), undefined)
  })

  it('keeps within its bytes, and always the newest mail', async (t) => {
    const { catcher, hand } = await aCatcher(t, { bytesMax: 5_000 })
    for (let serial = 0; serial < 4; serial++) await hand(serial, { text: 'x'.repeat(2_000) })
    assert.equal(catcher.list(10).length, 2)
    await hand(4, { text: 'x'.repeat(50_000) })
    assert.deepEqual(
      catcher.list(10).map((mail) => mail.index),
      [4],
    )
  })

  it('shows how often each RFC message id came, also of mails no longer kept', async (t) => {
    const { catcher, hand } = await aCatcher(t, { mailCountMax: 1 })
    for (const serial of [1, 2, 1, 3]) await hand(serial)
    await hand(0, {
      raw: 'Subject: x\r\nMESSAGE-ID:\r\n <folded@a.example>\r\n\r\nMessage-ID: <no@x>',
    })
    await hand(0, { raw: 'Subject: none\r\n\r\nbody' })
    assert.deepEqual(
      [...catcher.messageIds()],
      [
        ['<1@shop.example>', 2],
        ['<2@shop.example>', 1],
        ['<3@shop.example>', 1],
        ['<folded@a.example>', 1],
      ],
    )
  })

  it('tells those who subscribed of each mail, until they leave', async (t) => {
    const { catcher, hand } = await aCatcher(t)
    const told: number[] = []
    const leave = catcher.subscribe((mail) => told.push(mail.index))
    await hand(0)
    await hand(1)
    leave()
    await hand(2)
    assert.deepEqual(told, [0, 1])
  })

  it('takes the empty sender of a bounce', async (t) => {
    const { catcher, hand } = await aCatcher(t)
    await hand(0, { raw: 'Subject: x\r\n\r\ny', envelope: { from: '', to: ['a@b.example'] } })
    assert.equal(catcher.get(0)?.envelopeFrom, '')
  })

  it('refuses a mail that is too large, keeps nothing of it, and goes on', async (t) => {
    const { catcher, hand } = await aCatcher(t)
    await assert.rejects(hand(0, { text: 'x'.repeat(33 * 1024 * 1024) }), { responseCode: 552 })
    assert.equal(catcher.count, 0)
    await hand(1)
    assert.equal(catcher.count, 1)
  })

  it('names the port when another listens there', async (t) => {
    const other = createServer()
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    t.after(() => other.close())
    const address = other.address()
    assert.ok(address !== null && typeof address === 'object')
    await assert.rejects(openMailCatcher({ host: '127.0.0.1', port: address.port }), {
      code: 'PORT_BUSY',
      message: `listen for mail on 127.0.0.1:${address.port}`,
    })
  })
})
