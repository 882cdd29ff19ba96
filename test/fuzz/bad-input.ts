/**
 * What a bad input is, to the fuzz run and to its fixed cases: one request as bytes, and what must
 * become of it.
 *
 * Classes are numbered as in the table of docs/reference/bad-input.md. Each has fixed cases, whose
 * outcome is known, and a generator, whose outcome is only bounded by the invariants of the run.
 */

import type { Random } from '../../src/lib/random.ts'
import { writeKey } from '../faults/small-shop.ts'

export interface SentRequest {
  readonly method: string
  readonly path: string
  readonly headers: readonly (readonly [string, string])[]
  readonly body: Uint8Array
  /** Written instead of method, path, headers and body, where the request itself is broken. */
  readonly raw?: Uint8Array
}

/**
 * What became of a request: `accepted`, `rejected <reason>`, `mixed <accepted>/<rejected>`,
 * `<status> <code>` for a problem, `<status>` for any other answer, `closed` for none.
 */
export type Outcome = string

export interface FixedCase {
  readonly says: string
  readonly sent: SentRequest
  readonly outcome: Outcome
}

export interface BadClass {
  readonly number: number
  readonly name: string
  readonly fixed: readonly FixedCase[]
  generate(random: Random): SentRequest
}

export const authorization = `Basic ${Buffer.from(`${writeKey}:`).toString('base64')}`

/** A sound event; what a case sets is what the case is about. */
export function anEvent(given: object = {}): Record<string, unknown> {
  return { type: 'track', event: 'Product Viewed', userId: 'ada', messageId: 'm1', ...given }
}

type Given = Partial<SentRequest> & { readonly extra?: readonly (readonly [string, string])[] }

/** A request with a body as it is: text, bytes, or a value to be written as JSON. */
export function post(body: unknown, given: Given = {}): SentRequest {
  const { extra = [], ...rest } = given
  const isRaw = typeof body === 'string' || body instanceof Uint8Array
  return {
    method: 'POST',
    path: '/v1/track?verbose=1',
    headers: [['authorization', authorization], ['content-type', 'application/json'], ...extra],
    body: Buffer.from(isRaw ? body : JSON.stringify(body)),
    ...rest,
  }
}

export function postBatch(items: unknown, given: Given = {}): SentRequest {
  return post({ batch: items }, { path: '/v1/batch?verbose=1', ...given })
}

export function fixed(says: string, sent: SentRequest, outcome: Outcome): FixedCase {
  return { says, sent, outcome }
}

/** Returns a whole number of 0 to `count` - 1. */
export function pickIndex(random: Random, count: number): number {
  return Math.floor(random.unit() * count)
}

export function pick<Value>(random: Random, values: readonly Value[]): Value {
  return values[pickIndex(random, values.length)] as Value
}

/** Returns a text of up to `lengthMax` characters from all that UTF-16 can hold, halves too. */
export function anyText(random: Random, lengthMax: number): string {
  const alphabets = [
    () => 0x20 + pickIndex(random, 0x5f),
    () => pickIndex(random, 0x20),
    () => 0x80 + pickIndex(random, 0x700),
    () => pick(random, [0x200b, 0x200d, 0x202e, 0x2028, 0xfeff, 0xfdfa, 0x0301, 0xd800, 0xdfff]),
    () => pickIndex(random, 0x10000),
  ]
  const alphabet = pick(random, alphabets)
  const length = pickIndex(random, lengthMax + 1)
  return String.fromCharCode(...Array.from({ length }, alphabet))
}

const scalars: readonly unknown[] = [
  ...[null, true, false, 0, -0, 1, -1, 1e308, 1e-308, 2 ** 53, '', ' ', '0', 'null', 'true'],
  ...['{{ 1 }}', '{% for %}', '<script>', '=1+1', '\u001b[31m', 'a\nb', 'javascript:alert(1)'],
]

/** Returns a value of JSON of any kind, nested at most `depth` levels. */
export function anyValue(random: Random, depth: number): unknown {
  const draw = random.unit()
  if (depth === 0 || draw < 0.4) return pick(random, scalars)
  if (draw < 0.5) return anyText(random, 40)
  const count = pickIndex(random, 5)
  if (draw < 0.7) return Array.from({ length: count }, () => anyValue(random, depth - 1))
  return Object.fromEntries(
    Array.from({ length: count }, () => [anyName(random), anyValue(random, depth - 1)]),
  )
}

const names: readonly string[] = [
  ...['type', 'event', 'userId', 'anonymousId', 'messageId', 'timestamp', 'sentAt', 'properties'],
  ...['traits', 'context', 'products', 'product_id', 'price', 'currency', 'groupId', 'previousId'],
  ...['toString', 'hasOwnProperty', 'constructor', 'prototype', 'length', '', ' ', 'a.b', '$ref'],
]

function anyName(random: Random): string {
  return random.unit() < 0.8 ? pick(random, names) : anyText(random, 12)
}

/** Returns the bytes with some of them changed, taken out, doubled or put in. */
export function damage(random: Random, bytes: Uint8Array): Uint8Array {
  let damaged = Buffer.from(bytes)
  for (let count = 1 + pickIndex(random, 4); count > 0; count--) {
    const at = pickIndex(random, damaged.length + 1)
    const length = pickIndex(random, 8)
    const [before, after] = [damaged.subarray(0, at), damaged.subarray(at)]
    const draw = random.unit()
    if (draw < 0.3) damaged = Buffer.concat([before, random.bytes(length), after])
    else if (draw < 0.6) damaged = Buffer.concat([before, after.subarray(length)])
    else if (draw < 0.8) damaged = Buffer.concat([before, after.subarray(0, length), after])
    else damaged = Buffer.from(damaged.subarray(0, at))
  }
  return damaged
}
