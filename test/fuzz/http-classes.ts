/** Bad requests: their framing, their headers, their paths and queries. */

import type { Random } from '../../src/lib/random.ts'
import {
  anEvent,
  anyText,
  type BadClass,
  damage,
  fixed,
  pick,
  pickIndex,
  post,
  type SentRequest,
} from './bad-input.ts'
import { writeRequest } from './wire.ts'

const good = post(anEvent())
const goodHead = writeRequest(good).toString('latin1')

function raw(text: string | Uint8Array): SentRequest {
  return { ...good, raw: typeof text === 'string' ? Buffer.from(text, 'latin1') : text }
}

const bodyBytesMax = 100_000

/** Returns `bytes` with an end of the head, and with as much of a body as it promises. */
function whole(bytes: Uint8Array): Uint8Array {
  const text = Buffer.from(bytes).toString('latin1')
  const [head = '', ...rest] = text.split('\r\n\r\n')
  const body = rest.join('\r\n\r\n')
  const promised = Number(/content-length: *(\d+)/i.exec(head)?.[1] ?? 0)
  const missing = Math.max(0, Math.min(promised, bodyBytesMax) - body.length)
  return Buffer.from(`${head}\r\n\r\n${body}${' '.repeat(missing)}`, 'latin1')
}

/** Returns the sound request with a line put in behind the first. */
function withLine(line: string): SentRequest {
  return raw(goodHead.replace('\r\n', `\r\n${line}\r\n`))
}

function withAuthorization(value: string): SentRequest {
  return { ...good, headers: [['authorization', value]] }
}

/** Characters that a header line may hold. */
function headerText(random: Random, lengthMax: number): string {
  return anyText(random, lengthMax).replace(/[^\x20-\x7e\x80-\xff]/g, '')
}

export const httpClasses: readonly BadClass[] = [
  {
    number: 26,
    name: 'lengths that lie',
    fixed: [
      fixed('two lengths', withLine('Content-Length: 3'), '400'),
      fixed('a length and chunks', withLine('Transfer-Encoding: chunked'), '400'),
      fixed(
        'a length that is no number',
        raw(goodHead.replace(/content-length: \d+/, 'content-length: x')),
        '400',
      ),
      fixed(
        'a negative one',
        raw(goodHead.replace(/content-length: \d+/, 'content-length: -1')),
        '400',
      ),
    ],
    generate: (random) =>
      raw(
        goodHead.replace(
          /content-length: \d+/,
          `content-length: ${pick(random, ['0', '+5', '5 5', '1e3', ''])}`,
        ),
      ),
  },
  {
    number: 27,
    name: 'lines that HTTP does not allow',
    fixed: [
      fixed('a folded header', withLine('a: b\r\n c'), '400'),
      fixed('NUL in a header', withLine('a: b\0c'), '400'),
      fixed('no host', raw(goodHead.replace(/host: [^\r]*\r\n/, '')), '400'),
      fixed('a header of 20 KB', withLine(`a: ${'b'.repeat(20_000)}`), '431'),
      fixed('no HTTP', raw('hello\r\n\r\n'), '400'),
    ],
    generate: (random) => raw(whole(damage(random, Buffer.from(goodHead)))),
  },
  {
    number: 29,
    name: 'who sends it',
    fixed: [
      fixed('nobody', { ...good, headers: [] }, '401 source-unknown'),
      fixed('a stranger', withAuthorization('Basic c3RyYW5nZXI6'), '401 source-unknown'),
      fixed('not Basic', withAuthorization('Bearer abc'), '401 source-unknown'),
      fixed('no base64', withAuthorization('Basic \u00e9\u00e9'), '401 source-unknown'),
      fixed('8 KB', withAuthorization(`Basic ${'QUFB'.repeat(2_000)}`), '401 source-unknown'),
    ],
    generate: (random) => withAuthorization(headerText(random, 60) || 'Basic'),
  },
  {
    number: 30,
    name: 'paths',
    fixed: [
      fixed('two slashes', { ...good, path: '//v1/track' }, '404 not-found'),
      fixed('dots', { ...good, path: '/v1/%2e%2e/track' }, '404 not-found'),
      fixed('NUL', { ...good, path: '/v1/track%00' }, '404 not-found'),
      fixed('capitals', { ...good, path: '/V1/TRACK' }, '404 not-found'),
      fixed('8 KB', { ...good, path: `/v1/${'a'.repeat(8_000)}` }, '404 not-found'),
      fixed('another method', { ...good, method: 'PUT' }, '405 method-not-allowed'),
    ],
    generate: (random) => {
      const tail = encodeURIComponent(anyText(random, 12).toWellFormed())
      const root = pick(random, ['/v1/', '/v1//', '/api/s/', '/', '/e/c/'])
      // One letter may be a short path of browsers, which says what became of the event if asked.
      return { ...good, path: `${root}${tail}?verbose=1` }
    },
  },
  {
    number: 31,
    name: 'queries',
    fixed: [
      fixed('a name twice', { ...good, path: '/v1/track?verbose=1&verbose=0' }, 'accepted'),
      fixed('a prototype', { ...good, path: '/v1/track?verbose=1&a[__proto__]=1' }, 'accepted'),
      fixed('bad escapes', { ...good, path: '/v1/track?verbose=1&a=%zz%' }, 'accepted'),
    ],
    generate: (random) => {
      const pairs = Array.from({ length: pickIndex(random, 30) }, () => {
        const [name, value] = [anyText(random, 6), anyText(random, 6)].map((text) =>
          encodeURIComponent(text.toWellFormed()),
        )
        return `${name}=${value}`
      })
      return { ...good, path: `/v1/track?${['verbose=1', ...pairs].join('&')}` }
    },
  },
  {
    number: 52,
    name: 'addresses that others claim',
    fixed: [
      fixed('a long list', withLine(`x-forwarded-for: ${'1.1.1.1, '.repeat(500)}x`), 'accepted'),
      fixed('no address', withLine('x-forwarded-for: unknown, ::1%eth0, _hidden'), 'accepted'),
    ],
    generate: (random) => withLine(`x-forwarded-for: ${headerText(random, 60)}`),
  },
  {
    number: 53,
    name: 'long headers of the browser',
    fixed: [fixed('12 KB', withLine(`user-agent: ${'Mozilla/5.0 ('.repeat(900)}`), 'accepted')],
    generate: (random) => withLine(`user-agent: ${headerText(random, 200)}`),
  },
]
