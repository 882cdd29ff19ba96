/** Bad bodies: their bytes, their JSON, their compression, their size. */

import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import type { Random } from '../../src/lib/random.ts'
import {
  anEvent,
  anyText,
  anyValue,
  type BadClass,
  damage,
  fixed,
  pick,
  pickIndex,
  post,
  postBatch,
  type SentRequest,
} from './bad-input.ts'

const kib = 1024
const goodText = JSON.stringify(anEvent())

/** Returns JSON with one text so long that the whole has just `bytes`. */
function ofSize(bytes: number): string {
  const [head, tail] = ['{"type":"track","event":"E","userId":"ada","properties":{"pad":["', '"]}}']
  const rest = bytes - head.length - tail.length
  const texts = Array.from({ length: Math.ceil(rest / 8_000) }, (_, index) =>
    'x'.repeat(Math.min(8_000, rest - index * 8_000)),
  )
  // Between two texts stand three characters more, which the last one gives back.
  const joined = texts.join('","')
  return head + joined.slice(0, rest) + tail
}

function nested(levels: number, open: string, close: string): string {
  return open.repeat(levels) + close.repeat(levels)
}

function withEncoding(bytes: Uint8Array, encoding: string): SentRequest {
  return post(bytes, { extra: [['content-encoding', encoding]] })
}

function manyEvents(count: number): unknown[] {
  return Array.from({ length: count }, (_, index) => ({
    ...{ type: 'track', event: 'E', userId: 'u', messageId: `b${index}` },
  }))
}

/** The 10 to the 308 and more that JSON can write and a number cannot hold. */
const hugeNumber = '1e400'

export const bodyClasses: readonly BadClass[] = [
  {
    number: 1,
    name: 'empty body, null, bare scalar',
    fixed: [
      fixed('nothing', post(''), '400 body-empty'),
      fixed('white space', post(' \n'), '400 body-empty'),
      fixed('null', post('null'), '400 body-not-an-object'),
      fixed('a number', post('7'), '400 body-not-an-object'),
      fixed('an array', post('[]'), '400 body-not-an-object'),
    ],
    generate: (random) => post(JSON.stringify(anyValue(random, 1))),
  },
  {
    number: 2,
    name: 'malformed JSON',
    fixed: [
      fixed('cut in a token', post(goodText.slice(0, -9)), '400 body-not-json'),
      fixed('something behind it', post(`${goodText}x`), '400 body-not-json'),
      fixed('two values', post(goodText + goodText), '400 body-not-json'),
    ],
    generate: (random) => post(damage(random, Buffer.from(goodText))),
  },
  {
    number: 3,
    name: 'size of the body around its limit',
    fixed: [
      fixed('one byte less', post(ofSize(32 * kib - 1)), 'accepted'),
      fixed('as large as may be', post(ofSize(32 * kib)), 'accepted'),
      fixed('one byte more', post(ofSize(32 * kib + 1)), '413 body-too-large'),
    ],
    generate: (random) => post(ofSize(32 * kib - 50 + pickIndex(random, 100))),
  },
  {
    number: 4,
    name: 'one large event in a small batch',
    fixed: [
      fixed(
        'a good one beside it is kept',
        postBatch([anEvent(), JSON.parse(ofSize(33 * kib)) as unknown]),
        'mixed 1/1',
      ),
    ],
    generate: (random) =>
      postBatch([anEvent(), JSON.parse(ofSize(kib + pickIndex(random, 40 * kib))) as unknown]),
  },
  {
    number: 5,
    name: 'count of a batch around its limits',
    fixed: [
      fixed('none', postBatch([]), '400 batch-empty'),
      fixed('one', postBatch(manyEvents(1)), 'accepted'),
      fixed('2,500', postBatch(manyEvents(2_500)), 'accepted'),
      fixed('2,501', postBatch(manyEvents(2_501)), '413 batch-too-long'),
      fixed('no array', postBatch('many'), '400 batch-missing'),
    ],
    generate: (random) => postBatch(manyEvents(pickIndex(random, 12))),
  },
  {
    number: 6,
    name: 'good and bad events in one batch',
    fixed: [
      fixed(
        'each is judged alone',
        postBatch([anEvent(), null, 7, anEvent({ userId: '' }), anEvent({ type: 'x' })]),
        'mixed 1/4',
      ),
    ],
    generate: (random) =>
      postBatch(
        Array.from({ length: 1 + pickIndex(random, 6) }, () =>
          random.unit() < 0.5 ? anEvent() : anyValue(random, 3),
        ),
      ),
  },
  {
    number: 7,
    name: 'nesting',
    fixed: [
      fixed('64 levels', post(anEvent({ properties: deep(64) })), 'rejected too-deep'),
      fixed('10,000 levels', post(nested(10_000, '[', ']')), '400 body-not-an-object'),
      fixed('4,000 levels in an event', post(deepText(4_000)), 'rejected too-deep'),
    ],
    generate: (random) => post(deepText(1 + pickIndex(random, 4_000))),
  },
  {
    number: 8,
    name: 'many names, long names',
    fixed: [
      fixed(
        '1,001 names',
        post(anEvent({ properties: withNames(1_001) })),
        'rejected too-many-keys',
      ),
      fixed(
        'a name of 257 characters',
        post(anEvent({ properties: { ['k'.repeat(257)]: 1 } })),
        'rejected key-invalid',
      ),
    ],
    generate: (random) => post(anEvent({ properties: withNames(pickIndex(random, 1_500)) })),
  },
  {
    number: 9,
    name: 'a name twice: the last one counts, as in every browser',
    fixed: [
      fixed('two userIds', post(goodText.replace('{', '{"userId":"eve",')), 'accepted'),
      fixed(
        'the last is bad',
        post(`${goodText.slice(0, -1)},"userId":"null"}`),
        'rejected id-invalid',
      ),
    ],
    generate: (random) => {
      const name = pick(random, ['userId', 'type', 'event', 'properties', 'messageId'])
      return post(`${goodText.slice(0, -1)},"${name}":${JSON.stringify(anyValue(random, 1))}}`)
    },
  },
  {
    number: 10,
    name: 'names that an object of the language has',
    fixed: [
      fixed(
        '__proto__',
        post(`{"__proto__":{"polluted":1},${goodText.slice(1)}`),
        'rejected key-forbidden',
      ),
      fixed(
        'constructor, nested',
        post(anEvent({ properties: { a: [{ constructor: { prototype: { polluted: 1 } } }] } })),
        'rejected key-forbidden',
      ),
      fixed(
        'toString is a name like others',
        post(anEvent({ properties: { toString: 1 } })),
        'accepted',
      ),
    ],
    generate: (random) => {
      const name = pick(random, ['__proto__', 'constructor', 'prototype', 'toString', 'valueOf'])
      const value = JSON.stringify({ polluted: anyValue(random, 2) })
      const at = pick(random, ['properties', 'traits', 'context'])
      return post(goodText.replace('{', `{"${at}":{"${name}":${value}},"${name}":${value},`))
    },
  },
  {
    number: 11,
    name: 'numbers that cannot be held',
    fixed: [
      fixed('1e400', post(`{"n":${hugeNumber},${goodText.slice(1)}`), 'rejected number-not-finite'),
      fixed(
        'an id over 2^53',
        post(goodText.replace('"ada"', '9007199254740993')),
        'rejected id-invalid',
      ),
      fixed('-0 and 1e-400 are zero', post(anEvent({ properties: { a: -0, b: 0 } })), 'accepted'),
    ],
    generate: (random) => {
      const number = `${pickIndex(random, 99)}${pick(random, ['e400', 'e-400', 'e15', '.5e3', ''])}`
      return post(`{"properties":{"price":${number}},${goodText.slice(1)}`)
    },
  },
  {
    number: 12,
    name: 'what JSON does not know',
    fixed: ['NaN', 'Infinity', '0x1f', '017', "'a'", '1,', '/* a */1'].map((text) =>
      fixed(text, post(`{"n":${text},${goodText.slice(1)}`), '400 body-not-json'),
    ),
    generate: (random) => post(`{"n":${anyText(random, 6)},${goodText.slice(1)}`),
  },
  {
    number: 16,
    name: 'bytes that are no UTF-8',
    fixed: [
      fixed('0xFF', post(Buffer.from([0x22, 0xff, 0x22])), '400 body-not-utf8'),
      fixed('overlong', post(Buffer.from([0x22, 0xc0, 0xaf, 0x22])), '400 body-not-utf8'),
      fixed('cut', post(Buffer.from([0x22, 0xe2, 0x82])), '400 body-not-utf8'),
      fixed(
        'half a character',
        post(Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])),
        '400 body-not-utf8',
      ),
    ],
    generate: (random) => {
      const [head = '', tail = ''] = goodText.split('ada')
      const bytes = random.bytes(1 + pickIndex(random, 8))
      return post(Buffer.concat([Buffer.from(head), bytes, Buffer.from(tail)]))
    },
  },
  {
    number: 17,
    name: 'byte order mark, UTF-16',
    fixed: [
      fixed('a mark before UTF-8 is read over', post(`\ufeff${goodText}`), 'accepted'),
      fixed('UTF-16', post(Buffer.from(`\ufeff${goodText}`, 'utf16le')), '400 body-not-utf8'),
    ],
    generate: (random) => post(Buffer.from(goodText, pick(random, ['utf16le', 'latin1', 'utf8']))),
  },
  {
    number: 22,
    name: 'content types: clients send many, the body decides',
    fixed: [
      fixed('text', withType('text/plain'), 'accepted'),
      fixed('a form', withType('application/x-www-form-urlencoded'), 'accepted'),
      fixed(
        'parts',
        post('--b\r\n\r\na\r\n--b--', typed('multipart/form-data')),
        '400 body-not-json',
      ),
    ],
    generate: (random) => withType(anyText(random, 20).replace(/[^\x20-\x7e]/g, '') || 'none'),
  },
  {
    number: 23,
    name: 'content encodings',
    fixed: [
      fixed('unknown', withEncoding(Buffer.from(goodText), 'zip'), '415 encoding-unknown'),
      fixed('two', withEncoding(gzipSync(goodText), 'gzip, gzip'), '415 encoding-unknown'),
      fixed(
        'not what it says',
        withEncoding(Buffer.from(goodText), 'gzip'),
        '400 body-not-inflatable',
      ),
      fixed('gzip', withEncoding(gzipSync(goodText), 'gzip'), 'accepted'),
      fixed('deflate', withEncoding(deflateSync(goodText), 'deflate'), 'accepted'),
      fixed('brotli', withEncoding(brotliCompressSync(goodText), 'br'), 'accepted'),
    ],
    generate: (random) => {
      const encoding = pick(random, ['gzip', 'deflate', 'br', 'zstd', 'GZIP', 'identity', 'x-gzip'])
      const bytes = pick(random, [gzipSync, deflateSync, brotliCompressSync])(goodText)
      return withEncoding(bytes, encoding)
    },
  },
  {
    number: 24,
    name: 'what inflates without an end',
    fixed: [
      fixed(
        'gzip',
        withEncoding(gzipSync(Buffer.alloc(8 * kib * kib)), 'gzip'),
        '413 body-too-large',
      ),
      fixed(
        'brotli',
        withEncoding(brotliCompressSync(Buffer.alloc(8 * kib * kib)), 'br'),
        '413 body-too-large',
      ),
    ],
    generate: bomb(),
  },
  {
    number: 25,
    name: 'damaged compression',
    fixed: [
      fixed(
        'cut',
        withEncoding(gzipSync(goodText).subarray(0, 40), 'gzip'),
        '400 body-not-inflatable',
      ),
      fixed('bytes behind it', trailing(), '400 body-not-inflatable'),
    ],
    generate: (random) => withEncoding(damage(random, gzipSync(goodText)), 'gzip'),
  },
]

function deep(levels: number): unknown {
  let value: unknown = 1
  for (let level = 0; level < levels; level++) value = { a: value }
  return value
}

function deepText(levels: number): string {
  return goodText.replace('{', `{"properties":${nested(levels, '{"a":', '}').replace('}', '1}')},`)
}

function withNames(count: number): Record<string, number> {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, 1]))
}

function typed(type: string): { readonly extra: readonly (readonly [string, string])[] } {
  return { extra: [['content-type', type]] }
}

function withType(type: string): SentRequest {
  const sent = post(goodText)
  return { ...sent, headers: [...sent.headers.slice(0, 1), ['content-type', type]] }
}

function trailing(): SentRequest {
  return withEncoding(Buffer.concat([gzipSync(goodText), Buffer.from('behind')]), 'gzip')
}

/** One bomb is made once; the generator sends more or less of it. */
function bomb(): (random: Random) => SentRequest {
  const bytes = gzipSync(Buffer.alloc(4 * kib * kib))
  return (random) => withEncoding(bytes.subarray(0, pickIndex(random, bytes.length + 1)), 'gzip')
}
