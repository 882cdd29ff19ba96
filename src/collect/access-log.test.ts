import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type AccessMapping, createAccessReader, plainAccess } from './access-event.ts'
import { defaultAccessFields, parseAccessJson } from './access-json.ts'
import { parseAccessLine } from './access-log.ts'
import { createAccessLineReader } from './import-access.ts'
import { createLineReader } from './import-lines.ts'
import { parseImportMap } from './import-map.ts'
import { type ImportRow, rowBytesMax } from './import-row.ts'

const browser = 'Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0'
const key = Buffer.alloc(32, 7)
const atText = '26/Nov/2026:18:32:36 +0200'
const atMs = Date.UTC(2026, 10, 26, 16, 32, 36)

const lineOf = (request: string, status = 200, userAgent = browser, behind = ''): string =>
  `192.0.2.7 - ada [${atText}] "${request}" ${status} 512 "-" "${userAgent}"${behind}`

const requestOf = (line: string, extras: readonly string[] = []) => {
  const parsed = parseAccessLine(line, extras)
  assert.equal(parsed.kind, 'request', JSON.stringify(parsed))
  return (parsed as Extract<typeof parsed, { kind: 'request' }>).request
}

const mapOf = (input: unknown): AccessMapping => {
  const parsed = parseImportMap(input)
  assert.equal(parsed.kind, 'map', JSON.stringify(parsed))
  return (parsed as Extract<typeof parsed, { kind: 'map' }>).map.access
}

const eventOf = (line: string, mapping: AccessMapping = plainAccess) =>
  createAccessReader(mapping, key)(requestOf(line), 'id')

const itemOf = (line: string, mapping: AccessMapping = plainAccess) => {
  const event = eventOf(line, mapping)
  assert.equal(event.kind, 'event', JSON.stringify(event))
  return (event as Extract<typeof event, { kind: 'event' }>).item
}

describe('access log', () => {
  it('reads the combined format, its escapes, and fields behind it', () => {
    const line =
      `2001:db8::1 - - [${atText}] "GET /a?x=\\x22\\"q\\" HTTP/2.0" 304 0 ` +
      `"https://g.example/?q=\\\\" "${browser}" "cookie-1" 0.012`
    assert.deepEqual(requestOf(line, ['uid', 'seconds']), {
      atMs,
      ip: '2001:db8::1',
      method: 'GET',
      target: '/a?x=""q"',
      status: 304,
      userAgent: browser,
      referrer: 'https://g.example/?q=\\',
      fields: { uid: 'cookie-1', seconds: '0.012' },
    })
  })

  it('reads the common format, and a user name', () => {
    const request = requestOf(`host.example - ada [${atText}] "POST / HTTP/1.1" 201 -`)
    assert.equal(request.userAgent, undefined)
    assert.deepEqual(request.fields, { user: 'ada' })
    assert.equal(request.status, 201)
  })

  it('says what is wrong with a line', () => {
    const says = (line: string): string => {
      const parsed = parseAccessLine(line, [])
      return parsed.kind === 'refused' ? `${parsed.path}|${parsed.says}` : 'not refused'
    }
    assert.match(says('nothing'), /^\|The line is not in the common/)
    assert.match(says(lineOf('GET / HTTP/1.1').replace('Nov', 'Nix')), /^time\|/)
    assert.match(says(lineOf('\\x16\\x03\\x01')), /^request\|The request is not METHOD/)
    assert.match(says(lineOf('GET / HTTP/1.1').replace(' 200 ', ' 2x0 ')), /^status\|/)
    assert.match(says(lineOf('GET / HTTP/1.1').slice(0, -1)), /quote of a field is not closed/)
  })

  it('reads JSON lines by the names of variables and by paths', () => {
    const nginx = JSON.stringify({
      ...{ time_iso8601: '2026-11-26T18:32:36+02:00', remote_addr: '192.0.2.7' },
      ...{ request_method: 'GET', request_uri: '/a', status: '200', http_user_agent: browser },
    })
    const parsed = parseAccessJson(nginx, defaultAccessFields)
    assert.equal(parsed.kind === 'request' && parsed.request.atMs, atMs)
    const caddy = JSON.stringify({
      ts: atMs / 1000,
      status: 200,
      request: {
        remote_ip: '192.0.2.7',
        uri: '/b',
        method: 'GET',
        headers: { 'User-Agent': ['x'] },
      },
    })
    const fields = { ...defaultAccessFields, userAgent: ['request.headers.User-Agent'] }
    const other = parseAccessJson(caddy, fields)
    assert.deepEqual(other.kind === 'request' && [other.request.userAgent, other.request.target], [
      'x',
      '/b',
    ])
    assert.equal(parseAccessJson('[]', defaultAccessFields).kind, 'refused')
    assert.equal(parseAccessJson('{"time":"?"}', defaultAccessFields).kind, 'refused')
  })
})

describe('what a request means', () => {
  it('is a page view of a visitor whom only the key can tell', () => {
    const item = itemOf(lineOf('GET /list?page=2 HTTP/1.1'))
    const { anonymousId, ...rest } = item
    assert.match(String(anonymousId), /^visitor_[\w-]{22}$/)
    assert.ok(!JSON.stringify(item).includes('192.0.2.7'))
    assert.deepEqual(rest, {
      type: 'page',
      messageId: 'id',
      timestamp: atMs,
      properties: { path: '/list', search: '?page=2' },
      context: { userAgent: browser },
    })
    const again = itemOf(lineOf('GET /other HTTP/1.1'))
    assert.equal(again['anonymousId'], anonymousId)
    const elsewhere = itemOf(lineOf('GET / HTTP/1.1').replace('192.0.2.7', '192.0.2.8'))
    assert.notEqual(elsewhere['anonymousId'], anonymousId)
  })

  it('is nothing for robots, files of a page, other methods and answers', () => {
    const reasonOf = (line: string): unknown => {
      const event = eventOf(line)
      return event.kind === 'dropped' ? event.reason : event
    }
    assert.equal(reasonOf(lineOf('GET /a.CSS?v=2 HTTP/1.1')), 'static-file')
    assert.equal(reasonOf(lineOf('POST /login HTTP/1.1')), 'method')
    assert.equal(reasonOf(lineOf('GET /gone HTTP/1.1', 404)), 'status')
    assert.equal(reasonOf(lineOf('GET / HTTP/1.1', 301)), 'status')
    for (const robot of [
      'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)',
      'curl/8.5.0',
      'python-requests/2.32',
      'Mozilla/5.0 HeadlessChrome/120',
      '-',
    ]) {
      assert.equal(reasonOf(lineOf('GET / HTTP/1.1', 200, robot)), 'robot', robot)
    }
  })

  it('is what the first rule says that fits', () => {
    const mapping = mapOf({
      anonymousId: 'uid',
      extraFields: ['uid'],
      site: 'https://shop.example',
      rules: [
        { path: '/products/:id', event: 'Product Viewed', properties: { product_id: ':id' } },
        {
          ...{ path: '/cart/add', method: 'POST', event: 'Product Added' },
          properties: { product_id: '?sku', quantity: 1 },
        },
        { path: '/admin/**', drop: true },
        { path: '/img/*', properties: { kind: 'image' } },
      ],
    })
    const viewed = itemOf(lineOf('GET /products/cup%20blue HTTP/1.1'), mapping)
    assert.equal(viewed['event'], 'Product Viewed')
    assert.deepEqual(viewed['properties'], {
      path: '/products/cup%20blue',
      url: 'https://shop.example/products/cup%20blue',
      product_id: 'cup blue',
    })
    // A form is answered with a redirect.
    const added = itemOf(lineOf('POST /cart/add?sku=cup HTTP/1.1', 303), mapping)
    assert.equal((added['properties'] as Record<string, unknown>)['product_id'], 'cup')
    assert.deepEqual(eventOf(lineOf('GET /admin/a/b HTTP/1.1'), mapping), {
      kind: 'dropped',
      reason: 'rule',
    })
    assert.equal(itemOf(lineOf('GET /img/a.png HTTP/1.1'), mapping)['type'], 'page')
    assert.equal(eventOf(lineOf('GET /products/a/b HTTP/1.1'), mapping).kind, 'event')
    const named = requestOf(lineOf('GET / HTTP/1.1', 200, browser, ' "cookie-1"'), ['uid'])
    const event = createAccessReader(mapping, key)(named, 'id')
    assert.equal(event.kind === 'event' && event.item['anonymousId'], 'cookie-1')
  })
})

describe('lines', () => {
  const read = (bytes: Buffer, cuts: readonly number[]): readonly ImportRow[] => {
    const parse = (line: string) => parseAccessLine(line, ['uid'])
    const readEvent = createAccessReader(plainAccess, key)
    const readLine = createAccessLineReader('file', parse, readEvent)
    const reader = createLineReader({ offset: 0, line: 1 }, readLine)
    const ordered = [...new Set([0, ...cuts, bytes.length])]
      .filter((cut) => cut <= bytes.length)
      .sort((left, right) => left - right)
    const rows = ordered.flatMap((place, index) => {
      const end = ordered[index + 1]
      return end === undefined ? [] : reader.push(bytes.subarray(place, end))
    })
    return [...rows, ...reader.end()]
  }

  it('end every byte of anything in exactly one row, and never throw', () => {
    const good = lineOf('GET /p HTTP/1.1')
    const piece = fc.oneof(
      fc.constantFrom('\n', '\r\n', '"', '\\', '[', '] "', ' ', '-', atText, '\\x4', '\u00e9'),
      fc.constant(`${good}\n`),
      fc.nat(good.length).map((length) => good.slice(0, length)),
    )
    const cuts = fc.array(fc.nat(600), { maxLength: 6 })
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), cuts, (pieces, places) => {
        const bytes = Buffer.from(pieces.join(''))
        const whole = read(bytes, [])
        assert.deepEqual(read(bytes, places), whole)
        assert.equal(whole.at(-1)?.endOffset ?? 0, bytes.length)
        assert.deepEqual(
          whole.map(({ line }) => line),
          whole.map((_row, index) => index + 1),
        )
        const count = bytes.toString().split('\n').length - (bytes.at(-1) === 10 ? 1 : 0)
        assert.equal(whole.length, bytes.length === 0 ? 0 : count)
      }),
      { numRuns: 500 },
    )
  })

  it('pass over a line that is too long, and are counted right behind it', () => {
    const long = 'x'.repeat(rowBytesMax * 2)
    const bytes = Buffer.from(`${long}\n${lineOf('GET /p HTTP/1.1')}\n`)
    const cuts = Array.from({ length: 100 }, (_, index) => index * 10_000)
    for (const places of [[], cuts]) {
      const rows = read(bytes, places)
      assert.deepEqual(
        rows.map(({ outcome, line }) => [outcome.kind, line]),
        [
          ['refused', 1],
          ['events', 2],
        ],
      )
      assert.equal(rows[1]?.endOffset, bytes.length)
    }
  })
})
