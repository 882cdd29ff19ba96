import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Event } from '../../event/event.ts'
import type { JsonObject } from '../../lib/json.ts'
import { channels } from './channel.ts'
import { decodeTouch, encodeTouch, readTouch, touchBytesMax } from './touch.ts'

function touchOf(page: JsonObject, campaign?: JsonObject): ReturnType<typeof readTouch> {
  const context = { page, ...(campaign === undefined ? {} : { campaign }) }
  return readTouch(anEvent({ context }))
}

function anEvent(given: Partial<Event>): Event {
  const times = { occurredAtMs: 0, receivedAtMs: 0 }
  return { eventId: 'e', sourceId: 'web', type: 'track', name: 'x', ...times, ...given }
}

const url = 'https://www.shop.example/lamps?id=7'

describe('a touch', () => {
  it('has a channel by the first that says one: click id, tags, referrer', () => {
    const cases: readonly (readonly [string, string, string])[] = [
      ['', '', 'direct'],
      ['https://www.google.co.uk/', '', 'search'],
      ['https://duckduckgo.com/', '', 'search'],
      ['https://search.brave.com/search', '', 'search'],
      ['https://mail.google.com/mail/u/0', '', 'email'],
      ['android-app://com.google.android.gm/', '', 'email'],
      ['https://l.instagram.com/?u=1', '', 'social'],
      ['https://t.co/abc', '', 'social'],
      ['https://blog.example/post', '', 'referral'],
      ['https://notgoogle.example/', '', 'referral'],
      ['https://www.google.com/', '&gclid=1', 'paid'],
      ['', '&msclkid=1', 'paid'],
      ['', '&fbclid=1', 'social'],
      ['', '&fbclid=1&utm_source=facebook&utm_medium=paid_social', 'paid'],
      ['https://www.google.com/', '&utm_source=spring&utm_medium=email', 'email'],
      ['', '&utm_source=newsletter', 'email'],
      ['', '&utm_source=google&utm_medium=cpc', 'paid'],
      ['', '&utm_source=google&utm_medium=organic', 'search'],
      ['', '&utm_medium=social-network', 'social'],
      ['', '&utm_medium=affiliate', 'referral'],
      ['https://www.google.com/', '&utm_source=poster', 'other'],
    ]
    for (const [referrer, query, channel] of cases) {
      const touch = touchOf({ url: url + query, referrer })
      assert.equal(touch?.channel, channel, `${referrer} ${query}`)
    }
  })

  it('has no referrer where that is the site itself', () => {
    for (const referrer of [
      'https://shop.example/',
      'https://checkout.shop.example/pay',
      '$direct',
    ]) {
      assert.deepEqual(touchOf({ url, referrer }), { channel: 'direct', landingPage: '/lamps' })
    }
    assert.equal(touchOf({ url, referrer: 'https://othershop.example/' })?.channel, 'referral')
  })

  it('takes tags of the context before those of the address', () => {
    const tagged = { url: `${url}&utm_campaign=old&utm_term=lamp&utm_source=x` }
    const tags = { name: 'spring', source: 'news', medium: 'e-mail', content: 'top' }
    assert.deepEqual(touchOf(tagged, tags), {
      channel: 'email',
      ...{ source: 'news', medium: 'e-mail', campaign: 'spring', content: 'top', term: 'lamp' },
      landingPage: '/lamps',
    })
  })

  it('is read off a page call that says it in its properties', () => {
    const properties = { url, referrer: 'https://www.bing.com/' }
    const touch = readTouch(anEvent({ type: 'page', properties }))
    const expected = { channel: 'search', referrer: 'bing.com', landingPage: '/lamps' }
    assert.deepEqual(touch, expected)
    assert.equal(readTouch(anEvent({ properties })), undefined, 'those of other calls mean an item')
  })

  it('is none where an event names neither page nor campaign, and of any values', () => {
    assert.equal(touchOf({ title: 'x' }), undefined)
    assert.equal(readTouch(anEvent({})), undefined)
    fc.assert(
      fc.property(
        fc.jsonValue(),
        fc.jsonValue(),
        fc.webUrl({ withQueryParameters: true }),
        (a, b, at) => {
          const page = { url: at, referrer: a, path: b } as JsonObject
          const touch = touchOf(page, { name: a, source: b } as JsonObject)
          if (touch !== undefined) assert.ok(encodeTouch(touch).length <= touchBytesMax)
        },
      ),
    )
  })

  it('keeps no query of an address, and comes back from its bytes', () => {
    const touch = touchOf({ url: `${url}&token=secret`, referrer: 'https://a.example/?q=mine' })
    assert.doesNotMatch(JSON.stringify(touch), /secret|mine|token/)
    const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 6 })
    const some = fc.record(
      { channel: fc.constantFrom(...channels), referrer: text, source: text, landingPage: text },
      { requiredKeys: ['channel'] },
    )
    fc.assert(
      fc.property(some, (each) => assert.deepEqual(decodeTouch(encodeTouch(each)), { ...each })),
    )
  })
})
