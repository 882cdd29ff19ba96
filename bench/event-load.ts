/**
 * The events that the benches send: a shop's, in the mix 90 views, 8 additions to a cart, 2 orders,
 * of a person and an item drawn uniformly. All are checked by the tracking plan of examples/shop.
 */

import { writeKey } from './attune-server.ts'
import type { Digits, RequestTemplate } from './load-plan.ts'

const eventDigits = 9
const userDigits = 7
const itemDigits = 5
export const itemCount = 5000
/** Of 50 events: 45 views, 4 additions, 1 order. */
const mixCount = 50

const marks = {
  event: '#'.repeat(eventDigits),
  user: '@'.repeat(userDigits),
  item: '~'.repeat(itemDigits),
}

export const userIdOf = (index: number): string =>
  `customer-${String(index).padStart(userDigits, '0')}`

export const itemIdOf = (index: number): string => `item-${String(index).padStart(itemDigits, '0')}`

/** Returns requests of one event each, to be sent in turn. */
export function singleRequests(): readonly RequestTemplate[] {
  return Array.from({ length: mixCount }, (_, index) =>
    toTemplate(post('/v1/track', JSON.stringify(eventOf(index)))),
  )
}

/** Returns requests of `count` events each. */
export function batchRequests(count: number): readonly RequestTemplate[] {
  const batch = Array.from({ length: count }, (_, index) => ({ ...eventOf(index), type: 'track' }))
  return [toTemplate(post('/v1/batch', JSON.stringify({ batch })))]
}

/** Returns one GET of a profile, or of what lies below it. */
export function profileRequests(apiKey: string, below = ''): readonly RequestTemplate[] {
  const head = [
    `GET /api/v1/profiles/customer-${marks.user}${below} HTTP/1.1`,
    'Host: 127.0.0.1',
    `Authorization: Bearer ${apiKey}`,
  ]
  return [toTemplate(`${head.join('\r\n')}\r\n\r\n`)]
}

/** Returns how many bytes of JSON one event has on average. */
export function eventBytesMean(): number {
  const sizes = Array.from(
    { length: mixCount },
    (_, index) => JSON.stringify(eventOf(index)).length,
  )
  return sizes.reduce((sum, size) => sum + size, 0) / mixCount
}

function eventOf(index: number): Record<string, unknown> {
  const place = index % mixCount
  const isAddition = place % 12 === 5
  const event = place === 49 ? 'Order Completed' : isAddition ? 'Product Added' : 'Product Viewed'
  const line = { product_id: `item-${marks.item}`, price: 4.95, quantity: 1 }
  const properties =
    event === 'Order Completed'
      ? { order_id: `order-${marks.event}`, total: 9.9, currency: 'GBP', products: [line, line] }
      : { ...line, name: 'Pack of 12 wooden pegs', category: 'Garden', currency: 'GBP' }
  return {
    messageId: `bench-${marks.event}`,
    userId: `customer-${marks.user}`,
    event,
    properties,
    context: {
      page: { url: `https://shop.example/item/${marks.item}`, title: 'Pack of 12 wooden pegs' },
      userAgent: 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
      locale: 'en-GB',
    },
  }
}

export function post(path: string, body: string): string {
  const head = [
    `POST ${path} HTTP/1.1`,
    'Host: 127.0.0.1',
    'Content-Type: application/json',
    `Authorization: Basic ${Buffer.from(`${writeKey}:`).toString('base64')}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
  ]
  return `${head.join('\r\n')}\r\n\r\n${body}`
}

function toTemplate(text: string): RequestTemplate {
  const digits: Digits[] = []
  for (const kind of ['event', 'user', 'item'] as const) {
    const mark = marks[kind]
    for (let at = text.indexOf(mark); at >= 0; at = text.indexOf(mark, at + mark.length)) {
      digits.push({ at, count: mark.length, kind })
    }
  }
  return { bytes: Buffer.from(text, 'latin1'), digits }
}
