import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { describe, it, type TestContext } from 'node:test'
import fc from 'fast-check'
import type { Source } from '../event/source.ts'
import { systemClock } from '../lib/clock.ts'
import { silentLogger } from '../lib/logger.ts'
import { createAdaptedRoutes } from './adapted-routes.ts'
import {
  eventsOf,
  factsOf,
  keptOf,
  openStage,
  type Stage,
  writeKey,
} from './collect-stage.fixture.ts'
import { gif } from './pixel-route.ts'
import type { RejectReason } from './reject-reason.ts'

const secret = 'not-a-real-secret'
const mail: Source = {
  sourceId: 'mail',
  writeKeys: ['wk_mail_1234'],
  pixelSecret: { kind: 'variable', variable: 'MAIL_SECRET' },
}
const lost: Source = {
  sourceId: 'lost',
  writeKeys: ['wk_lost_1234'],
  pixelSecret: { kind: 'file', file: '/nowhere/at/all' },
}

function open(t: TestContext, options = {}): Promise<Stage> {
  const environment = { MAIL_SECRET: `an-older-secret\n${secret}\n` }
  const adapted = createAdaptedRoutes({ clock: systemClock, logger: silentLogger, environment })
  return openStage(t, { adapted, sources: [mail, lost], ...options })
}

function sign(pathAndQuery: string, key = secret): string {
  return `${pathAndQuery}&sig=${createHmac('sha256', key).update(pathAndQuery).digest('hex')}`
}

/** Asks for a pixel; whatever is asked, the GIF comes back, and no cache keeps it. */
async function show(stage: Stage, pathAndQuery: string, headers = {}): Promise<number> {
  const answer = await fetch(stage.url + pathAndQuery, { headers })
  const bytes = Buffer.from(await answer.arrayBuffer())
  assert.deepEqual(bytes, gif, pathAndQuery.slice(0, 200))
  assert.equal(answer.headers.get('content-type'), 'image/gif')
  assert.equal(answer.headers.get('cache-control'), 'no-store')
  return answer.status
}

describe('the GIF', () => {
  it('has 43 bytes, one pixel, and a colour that is not shown', () => {
    assert.equal(gif.length, 43)
    assert.equal(gif.subarray(0, 6).toString(), 'GIF89a')
    assert.deepEqual([gif.readUInt16LE(6), gif.readUInt16LE(8)], [1, 1])
    // The graphic control extension says that colour 0 is transparent; all ends with a semicolon.
    assert.deepEqual([...gif.subarray(19, 24)], [0x21, 0xf9, 4, 1, 0])
    assert.equal(gif.at(-1), 0x3b)
  })
})

describe('a pixel', () => {
  const track = `/v1/pixel/track?writeKey=${writeKey}`

  it('is a track event with the properties of its query', async (t) => {
    const stage = await open(t)
    const properties = encodeURIComponent('{"price": 4.95, "tags": ["a", "b"]}')
    const query =
      '&event=Coupon+Shown&userId=ada&anonymousId=d-1&messageId=m-1' +
      '&timestamp=2026-11-01T10:00:00Z' +
      `&p.code=SAVE%2010&p.place=footer&properties=${properties}&cacheBuster=17`
    const headers = { referer: 'https://user:pass@shop.example/cart?x=1', 'user-agent': 'Test/1' }
    assert.equal(await show(stage, track + query, headers), 200)
    const [event, ...others] = await factsOf(stage)
    assert.equal(others.length, 0)
    assert.deepEqual(event, {
      eventId: 'm-1',
      sourceId: 'web',
      type: 'track',
      name: 'Coupon Shown',
      userId: 'ada',
      anonymousId: 'd-1',
      occurredAtMs: Date.parse('2026-11-01T10:00:00Z'),
      properties: { code: 'SAVE 10', place: 'footer', price: 4.95, tags: ['a', 'b'] },
      context: {
        page: { url: 'https://shop.example/cart?x=1', path: '/cart' },
        userAgent: 'Test/1',
      },
    })
  })

  it('is a page event of the page that shows it', async (t) => {
    const stage = await open(t)
    const referrer = encodeURIComponent('https://search.example/?q=shoes')
    const query = `?writeKey=${writeKey}&anonymousId=d-1&name=Home&referrer=${referrer}&title=Hello`
    const headers = { referer: 'https://shop.example/' }
    assert.equal(await show(stage, `/v1/pixel/page${query}`, headers), 200)
    const [event] = await eventsOf(stage)
    const page = {
      url: 'https://shop.example/',
      path: '/',
      referrer: 'https://search.example/?q=shoes',
      title: 'Hello',
    }
    assert.equal(event?.name, 'Page Viewed')
    assert.deepEqual(event.properties, { ...page, name: 'Home' })
    assert.deepEqual(event.context?.page, page)
  })

  it('takes no page address that is not one of the web', async (t) => {
    const stage = await open(t)
    const urls = ['javascript:alert(1)', 'data:text/html,x', 'file:///etc/passwd', '//host', 'x']
    for (const url of [...urls, `https://a.example/${'x'.repeat(2_100)}`]) {
      await show(stage, `${track}&event=A&userId=ada&url=${encodeURIComponent(url)}`)
    }
    const pages = (await eventsOf(stage)).map(({ context }) => context?.page)
    assert.deepEqual(pages, Array(6).fill(undefined))
  })

  const refused: readonly (readonly [string, string, RejectReason])[] = [
    ['a name twice', '&event=A&userId=ada&userId=bob', 'query-invalid'],
    ['an unknown name twice', '&event=A&userId=ada&x=1&x=2', 'query-invalid'],
    ['a name with brackets', '&event=A&userId=ada&a[__proto__]=1', 'query-invalid'],
    ['a name with coded brackets', '&event=A&userId=ada&a%5B%5D=1', 'query-invalid'],
    ['a property given twice', '&event=A&userId=ada&p.a=1&properties={"a":2}', 'query-invalid'],
    ['properties that are a list', '&event=A&userId=ada&properties=[1]', 'query-invalid'],
    ['properties that are no JSON', '&event=A&userId=ada&properties={', 'query-invalid'],
    ['half a code', '&event=A&userId=%f', 'query-invalid'],
    ['bytes that are no UTF-8', '&event=A&userId=%ff%fe', 'query-invalid'],
    ['over 100 names', `&event=A${'&a'.repeat(100)}`, 'query-invalid'],
    ['a property __proto__', '&event=A&userId=ada&p.__proto__=1', 'key-forbidden'],
    ['__proto__ in JSON', '&event=A&userId=ada&properties={"__proto__":1}', 'key-forbidden'],
    ['nobody', '&event=A', 'id-missing'],
    ['a shared id', '&event=A&userId=null', 'id-invalid'],
    ['a control character', '&event=A%00&userId=ada', 'text-invalid'],
    ['no event', '&userId=ada', 'event-name-missing'],
    ['a long event id', `&event=A&userId=ada&messageId=${'x'.repeat(101)}`, 'event-id-invalid'],
  ]
  for (const [what, query, reason] of refused) {
    it(`with ${what} is shown, rejected and kept as it was sent`, async (t) => {
      const stage = await open(t)
      assert.equal(await show(stage, track + query), 200)
      const [kept, ...others] = await keptOf(stage)
      assert.equal(others.length, 0)
      assert.equal(kept?.reason, reason)
      assert.equal(kept.format, 'pixel-track')
      // `fetch` writes the quotes and braces of a query in code.
      assert.equal(decodeLatin(kept.text), decodeLatin(track.slice(16) + query))
      assert.deepEqual(stage.counts, { accepted: 0, rejected: 1 })
    })
  }

  it('of a stranger is shown, and nothing of it is kept', async (t) => {
    const stage = await open(t)
    for (const query of ['', '?writeKey=wk_stranger', '?writeKey=a&writeKey=b', '?%', '?=']) {
      assert.equal(await show(stage, `/v1/pixel/track${query}`), 200)
    }
    assert.equal(await stage.rejected.end(0), 0)
    assert.deepEqual(stage.refusals, Array(5).fill('401 source-unknown'))
  })

  it('answers HEAD like GET and takes nothing; POST is not its method', async (t) => {
    const stage = await open(t)
    const head = await fetch(`${stage.url}${track}&event=A&userId=ada`, { method: 'HEAD' })
    assert.deepEqual([head.status, head.headers.get('content-length')], [200, '43'])
    assert.equal((await head.arrayBuffer()).byteLength, 0)
    assert.equal((await fetch(stage.url + track, { method: 'POST' })).status, 405)
    assert.deepEqual(stage.counts, { accepted: 0, rejected: 0 })
  })

  it('says by its status where the event could be sent again', async (t) => {
    const intake = { kind: 'closed', reason: 'disk', retryAfterSeconds: 3 }
    const stage = await open(t, { intake })
    const answer = await fetch(`${stage.url}${track}&event=A&userId=ada`)
    assert.deepEqual([answer.status, answer.headers.get('retry-after')], [503, '3'])
    assert.deepEqual(Buffer.from(await answer.arrayBuffer()), gif)
  })
})

describe('a signed pixel', () => {
  const given = '/v1/pixel/track?writeKey=wk_mail_1234&event=Email+Seen&userId=ada&messageId=m-1'

  it('is taken with the signature under any of the secrets', async (t) => {
    const stage = await open(t)
    assert.equal(await show(stage, sign(given)), 200)
    assert.equal(await show(stage, sign(given, 'an-older-secret')), 200)
    assert.deepEqual(stage.counts, { accepted: 2, rejected: 0 })
  })

  const signed = sign(given)
  const bad: readonly (readonly [string, string])[] = [
    ['without a signature', given],
    ['signed with another secret', sign(given, 'another-secret')],
    ['with another person', signed.replace('ada', 'bob')],
    ['of another type', signed.replace('/track', '/page')],
    ['with more behind the signature', `${signed}&userId=bob`],
    ['with a bit turned', signed.replace(/.$/, (last) => (last === '0' ? '1' : '0'))],
    ['with a short signature', signed.slice(0, -1)],
    ['with an empty signature', `${given}&sig=`],
    ['with only a signature', `/v1/pixel/track?writeKey=wk_mail_1234&sig=${'0'.repeat(64)}`],
    [
      'with another order',
      sign(given).replace(/writeKey=[^&]+&(event=[^&]+)/, '$1&writeKey=wk_mail_1234'),
    ],
  ]
  for (const [what, url] of bad) {
    it(`${what} is shown, rejected and kept`, async (t) => {
      const stage = await open(t)
      assert.equal(await show(stage, url), 200)
      assert.deepEqual(stage.counts, { accepted: 0, rejected: 1 })
      assert.equal((await keptOf(stage))[0]?.reason, 'signature-wrong')
    })
  }

  it('is asked for again where the secret cannot be read', async (t) => {
    const stage = await open(t)
    assert.equal(await show(stage, given.replace('mail', 'lost')), 503)
    assert.deepEqual(stage.refusals, ['503 secret-unreadable'])
  })
})

describe('any query', () => {
  it('ends in the GIF, and as one event or one reason', async (t) => {
    const stage = await open(t)
    const name = fc.oneof(
      fc.constantFrom('event', 'userId', 'anonymousId', 'messageId', 'timestamp', 'properties'),
      fc.constantFrom('p.a', 'p.__proto__', 'a[]', 'a[__proto__]', 'constructor', 'sig', 'url'),
      fc.string({ unit: 'binary', maxLength: 20 }),
    )
    const value = fc.oneof(
      fc.constantFrom('A', 'ada', 'null', '{"a":1}', '{"__proto__":{"a":1}}', '[', '%ff', '%'),
      fc.json({ maxDepth: 3 }),
      fc.string({ unit: 'binary', maxLength: 300 }),
    )
    const pair = fc.tuple(name, value, fc.boolean()).map(([key, text, isRaw]) => {
      const coded = `${encodeURIComponent(key.toWellFormed())}=`
      return (
        coded + (isRaw ? text.replace(/[^!-~]|[#&]/g, '') : encodeURIComponent(text.toWellFormed()))
      )
    })
    const start = fc.constantFrom([], ['event=A&userId=ada'])
    const query = fc
      .tuple(start, fc.array(pair, { maxLength: 6 }))
      .map(([known, pairs]) => [...known, ...pairs].join('&'))
    let sentCount = 0
    const property = fc.asyncProperty(query, async (text) => {
      sentCount++
      const status = await show(stage, `/v1/pixel/track?writeKey=${writeKey}&${text}`)
      assert.equal(status, 200)
      assert.equal(stage.counts.accepted + stage.counts.rejected, sentCount)
      assert.equal(await stage.log.end(0), stage.counts.accepted)
      assert.equal(await stage.rejected.end(0), stage.counts.rejected)
    })
    await fc.assert(property, { numRuns: 300 })
    assert.equal(Object.hasOwn(Object.prototype, 'a'), false)
    assert.ok(stage.counts.accepted > 0, 'some of it is good')
    assert.ok(stage.counts.rejected > 0, 'some of it is bad')
  })
})

function decodeLatin(text: string): string {
  return text.replaceAll(/%([57][BDbd]|22)/g, (code) => decodeURIComponent(code))
}
