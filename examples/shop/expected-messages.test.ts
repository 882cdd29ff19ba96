import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { countMessagesDue, type SentCall } from './expected-messages.ts'

const times = { cartWaitMs: 100, thankYouWaitMs: 1_000, loyalWaitMs: 50 }
const dayMs = 24 * 3_600_000
let lastId = 0

function sent(sentAtMs: number, call: Partial<SentCall['call']>, isBackfill = false): SentCall {
  lastId++
  return {
    sentAtMs,
    isBackfill,
    call: { type: 'track', messageId: `m${lastId}`, userId: 'ada', ...call },
  }
}

const named = (atMs: number, userId = 'ada') =>
  sent(atMs, { type: 'identify', userId, traits: { email: `${userId}@shopper.example` } })
const added = (atMs: number, userId = 'ada') =>
  sent(atMs, {
    event: 'Product Added',
    userId,
    properties: { product_id: '85123A', quantity: 1 },
  })
const ordered = (atMs: number, isBackfill = false) =>
  sent(
    atMs,
    {
      event: 'Order Completed',
      properties: { order_id: `o${atMs}`, products: [{ product_id: '85123A', quantity: 1 }] },
    },
    isBackfill,
  )

describe('countMessagesDue', () => {
  it('counts one reminder for an abandoned cart, however many items were added', () => {
    const expected = countMessagesDue([named(0), added(10), added(20), added(30)], times)
    assert.equal(expected.messagesDue, 1)
    assert.equal(expected.byPerson.get('ada')?.[0]?.dueAtMs, 110)
    assert.equal(expected.tightestMs, 80)
  })

  it('counts no reminder where the order came before the wait ended', () => {
    const expected = countMessagesDue([named(0), added(10), ordered(60)], times)
    assert.deepEqual(expected.byCampaign, {
      'cart-reminder': 0,
      'thank-you': 1,
      'loyal-welcome': 0,
    })
  })

  it('counts the reminder and the thanks where the order came after the email', () => {
    const expected = countMessagesDue([named(0), added(10), ordered(300)], times)
    const due = expected.byPerson.get('ada') ?? []
    assert.deepEqual(
      due.map(({ campaign, exitAtMs }) => [campaign, exitAtMs]),
      [
        ['cart-reminder', 300],
        ['thank-you', undefined],
      ],
    )
  })

  it('starts again after the first passage has ended, by message or by exit', () => {
    const twice = countMessagesDue([named(0), added(10), added(400)], times)
    assert.equal(twice.byCampaign['cart-reminder'], 2)
    const afterExit = countMessagesDue([named(0), added(10), ordered(40), added(60)], times)
    assert.equal(afterExit.byCampaign['cart-reminder'], 1)
  })

  it('ignores a second order while the thanks for the first are waiting', () => {
    const expected = countMessagesDue([named(0), ordered(10), ordered(500), ordered(1_500)], times)
    assert.equal(expected.byCampaign['thank-you'], 2)
  })

  it('starts nothing for orders of the past, and counts them towards loyalty', () => {
    const past = [ordered(-9 * dayMs, true), ordered(-8 * dayMs, true)]
    assert.equal(countMessagesDue([named(-10 * dayMs), ...past], times).messagesDue, 0)
    const expected = countMessagesDue([...past, named(0), ordered(10)], times)
    assert.equal(expected.byCampaign['loyal-welcome'], 1)
  })

  it('welcomes nobody who was loyal before, nor for an order of more than a year ago', () => {
    const three = [7, 8, 9].map((days) => ordered(-days * dayMs, true))
    assert.equal(
      countMessagesDue([...three, named(0), ordered(10)], times).byCampaign['loyal-welcome'],
      0,
    )
    const old = [ordered(-366 * dayMs, true), ordered(-8 * dayMs, true)]
    assert.equal(
      countMessagesDue([...old, named(0), ordered(10)], times).byCampaign['loyal-welcome'],
      0,
    )
  })

  it('counts nothing for people without an address or without a name', () => {
    const anonymous = sent(0, {
      event: 'Product Added',
      anonymousId: 'browser-1',
      properties: { product_id: '85123A', quantity: 1 },
    })
    const { userId: _, ...call } = anonymous.call
    assert.equal(countMessagesDue([added(10), { sentAtMs: 0, call }], times).messagesDue, 0)
  })

  it('leaves out duplicates and invalid events, and counts them', () => {
    const first = added(10)
    const bad = [
      sent(0, { event: 'Product Added', properties: { quantity: 1 } }),
      sent(0, { properties: { product_id: '85123A' } }),
      sent(0, { userId: '', event: 'Product Viewed', properties: { product_id: '85123A' } }),
    ]
    const again = { ...first, sentAtMs: 500 }
    const expected = countMessagesDue([...bad, named(0), first, again], times)
    assert.equal(expected.invalid, 3)
    assert.equal(expected.duplicates, 1)
    assert.equal(expected.messagesDue, 1)
  })

  it('keeps people apart, and leaves out what is due after the end', () => {
    const calls = [named(0), named(0, 'bo'), added(10), added(200, 'bo')]
    assert.equal(countMessagesDue(calls, times).messagesDue, 2)
    assert.equal(countMessagesDue(calls, { ...times, untilMs: 250 }).messagesDue, 1)
  })
})
