import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { OperatingError } from '../lib/errors.ts'
import { basic, openStage, type Stage, writeKey } from './collect-stage.fixture.ts'

const view = { type: 'track', event: 'Product Viewed', userId: 'ada', messageId: 'm1' }

function post(
  stage: Stage,
  path: string,
  body: unknown,
  headers: Record<string, string> = basic,
): Promise<Response> {
  const isRaw = typeof body === 'string' || body instanceof Uint8Array
  const sent = (isRaw ? body : JSON.stringify(body)) as string
  return fetch(stage.url + path, { method: 'POST', body: sent, headers })
}

/** Writes `text` to a socket of its own and returns all that comes back until it closes. */
function exchangeRaw(port: number, text: string, shouldEnd: boolean): Promise<string> {
  return new Promise((resolve) => {
    let answer = ''
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(text)
      if (shouldEnd) socket.destroySoon()
    })
    socket.on('data', (chunk) => (answer += chunk.toString()))
    socket.on('error', () => resolve(answer))
    socket.on('close', () => resolve(answer))
  })
}

async function codeOf(response: Response): Promise<string> {
  assert.match(response.headers.get('content-type') ?? '', /^application\/problem\+json/)
  const problem = (await response.json()) as { code: string; status: number }
  assert.equal(problem.status, response.status)
  return `${response.status} ${problem.code}`
}

after(() => assert.equal(({} as { polluted?: unknown }).polluted, undefined))

describe('collecting over HTTP', () => {
  it('takes each call on its long, short and Jitsu path', async (t) => {
    const stage = await openStage(t)
    const body = { ...view, previousId: 'a', groupId: 'g' }
    for (const type of ['track', 'identify', 'page', 'screen', 'group', 'alias']) {
      for (const path of [
        `/v1/${type}`,
        `/v1/${type[0]}`,
        `/api/s/${type}`,
        `/api/s/s2s/${type}`,
      ]) {
        const response = await post(stage, path, body)
        assert.equal(response.status, 200, path)
        assert.deepEqual(await response.json(), { success: true })
      }
    }
    for (const path of ['/v1/batch', '/v1/b', '/v1/import']) {
      assert.equal((await post(stage, path, { batch: [view] })).status, 200)
    }
    const records = await stage.log.read(0, 0, 100)
    assert.equal(records.length, 27)
    assert.deepEqual(records.map((record) => record.isBackfill).slice(-3), [false, false, true])
    assert.deepEqual(stage.counts, { accepted: 27, rejected: 0 })
  })

  it('leaves other paths alone, and names the method of its own', async (t) => {
    const stage = await openStage(t)
    for (const path of [
      '/',
      '/v1',
      '/v1/x',
      '/v1//track',
      '/v1/%74rack',
      '/V1/track',
      '/v1/track;a',
    ]) {
      const response = await post(stage, path, view)
      assert.equal(await response.text(), 'not ours', path)
    }
    const read = await fetch(`${stage.url}/v1/track`)
    assert.equal(read.headers.get('allow'), 'POST, OPTIONS')
    assert.equal(await codeOf(read), '405 method-not-allowed')
  })

  it('finds the write key in each place that clients use', async (t) => {
    const stage = await openStage(t)
    const base64 = (text: string) => Buffer.from(text).toString('base64')
    const keyed = { ...view, writeKey }
    assert.equal((await post(stage, '/v1/track', view)).status, 200)
    const bare = { authorization: `Basic ${base64(writeKey)}` }
    assert.equal((await post(stage, '/v1/track', view, bare)).status, 200)
    assert.equal(
      (await post(stage, '/v1/track', view, { 'x-write-key': 'id:secret1' })).status,
      200,
    )
    assert.equal((await post(stage, '/v1/track', keyed, {})).status, 200)
    const bearer = { authorization: 'Bearer some.jwt.token' }
    assert.equal((await post(stage, '/v1/track', keyed, bearer)).status, 200)
    assert.equal(stage.counts.accepted, 5)
  })

  it('refuses an unknown write key and keeps nothing of it', async (t) => {
    const stage = await openStage(t)
    const wrong = { authorization: `Basic ${Buffer.from('nobody:').toString('base64')}` }
    assert.equal(await codeOf(await post(stage, '/v1/track', view, wrong)), '401 source-unknown')
    assert.equal(await codeOf(await post(stage, '/v1/track', view, {})), '401 source-unknown')
    assert.equal(await codeOf(await post(stage, '/v1/track', '{', {})), '400 body-not-json')
    assert.equal(await stage.log.end(0), 0)
    assert.equal(await stage.rejected.end(0), 0)
  })

  it('reads any content type as JSON, with or without a byte order mark', async (t) => {
    const stage = await openStage(t)
    const types = [
      'text/plain',
      'application/x-www-form-urlencoded',
      'application/json; charset=utf-8',
    ]
    for (const type of types) {
      const headers = { ...basic, 'content-type': type }
      assert.equal((await post(stage, '/v1/track', JSON.stringify(view), headers)).status, 200)
    }
    const marked = Buffer.from(`\ufeff${JSON.stringify(view)}`)
    assert.equal((await post(stage, '/v1/track', marked)).status, 200)
    assert.equal(stage.counts.accepted, 4)
  })

  it('inflates a body, and refuses encodings it does not know', async (t) => {
    const stage = await openStage(t)
    const send = (bytes: Uint8Array, encoding: string) =>
      post(stage, '/v1/batch', bytes, { ...basic, 'content-encoding': encoding })
    const zipped = gzipSync(JSON.stringify({ batch: [view] }))
    assert.equal((await send(zipped, 'gzip')).status, 200)
    assert.equal(await codeOf(await send(zipped, 'compress')), '415 encoding-unknown')
    assert.equal(await codeOf(await send(zipped, 'gzip, gzip')), '415 encoding-unknown')
    assert.deepEqual(stage.counts, { accepted: 1, rejected: 0 })
  })

  it('stops a bomb while it inflates, and keeps it as it came', async (t) => {
    const stage = await openStage(t)
    const bomb = gzipSync(Buffer.alloc(60 * 1024 * 1024, 0x20))
    const response = await post(stage, '/v1/batch', bomb, { ...basic, 'content-encoding': 'gzip' })
    assert.equal(await codeOf(response), '413 body-too-large')
    const [kept] = await stage.rejected.read(0, 0, 10)
    assert.deepEqual(Buffer.from(kept?.body ?? []), bomb.subarray(0, 64 * 1024))
    assert.deepEqual(stage.counts, { accepted: 0, rejected: 1 })
  })

  it('refuses and keeps bodies that cannot be read', async (t) => {
    const stage = await openStage(t)
    const bodies: readonly [string | Uint8Array, string][] = [
      ['', '400 body-empty'],
      [' \n', '400 body-empty'],
      ['null', '400 body-not-an-object'],
      ['7', '400 body-not-an-object'],
      ['[]', '400 body-not-an-object'],
      ['{"type":', '400 body-not-json'],
      ['{} trailing', '400 body-not-json'],
      ['{"a":NaN}', '400 body-not-json'],
      ["{'a':1}", '400 body-not-json'],
      [Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), '400 body-not-utf8'],
      [Buffer.from([0x22, 0xc0, 0xaf, 0x22]), '400 body-not-utf8'],
      [Buffer.from('{"a":1}', 'utf16le'), '400 body-not-json'],
    ]
    for (const [body, code] of bodies) {
      assert.equal(await codeOf(await post(stage, '/v1/track', body)), code)
    }
    assert.deepEqual(stage.counts, { accepted: 0, rejected: bodies.length })
    assert.equal((await stage.rejected.read(0, 0, 100)).length, bodies.length)
  })

  it('takes a single body of 32 KiB and refuses one more byte, declared or not', async (t) => {
    const stage = await openStage(t)
    const ofBytes = (count: number): string => {
      const json = JSON.stringify({
        ...view,
        properties: { a: 'x'.repeat(10_000), c: 'x'.repeat(10_000), b: '' },
      })
      const filled = json.replace('"b":""', `"b":"${'y'.repeat(count - json.length)}"`)
      assert.equal(filled.length, count)
      return filled
    }
    const limit = 32 * 1024
    assert.equal((await post(stage, '/v1/track', ofBytes(limit))).status, 200)
    assert.equal(
      await codeOf(await post(stage, '/v1/track', ofBytes(limit + 1))),
      '413 body-too-large',
    )
    const chunk = 'x'.repeat(40_000)
    const head = `POST /v1/track HTTP/1.1\r\nhost: a\r\nauthorization: ${basic.authorization}\r\n`
    const chunked = `${head}transfer-encoding: chunked\r\nconnection: close\r\n\r\n9c40\r\n${chunk}`
    const answer = await exchangeRaw(stage.port, `${chunked}\r\n0\r\n\r\n`, false)
    assert.match(answer, /^HTTP\/1\.1 413 /)
    const endless = `${head}content-length: 100000000\r\n\r\n${'x'.repeat(1_200_000)}`
    assert.match(
      await exchangeRaw(stage.port, endless, false),
      /^HTTP\/1\.1 413 [\s\S]*connection: close/i,
    )
    assert.deepEqual(stage.counts, { accepted: 1, rejected: 3 })
  })

  it('shows what became of each event to those who ask', async (t) => {
    const stage = await openStage(t)
    const body = { batch: [view, { type: 'page' }] }
    const shown = {
      success: true,
      accepted: 1,
      rejected: 1,
      results: [
        { status: 'accepted', eventId: 'm1' },
        {
          status: 'rejected',
          reason: 'id-missing',
          path: '',
          says: 'An event needs a userId or an anonymousId.',
        },
      ],
    }
    const asked = await post(stage, '/v1/batch?a=1&verbose=1', body)
    assert.deepEqual(await asked.json(), shown)
    const preferred = await post(stage, '/v1/batch', body, {
      ...basic,
      prefer: 'return=representation',
    })
    assert.deepEqual(await preferred.json(), shown)
  })

  it('finds a control and half a character in single events and in batches', async (t) => {
    const stage = await openStage(t)
    for (const text of ['a\u0000b', 'a\b', '\ud800', '\udc00b']) {
      for (const properties of [{ name: text }, { [text]: 1 }]) {
        const event = { ...view, properties }
        for (const [path, body] of [
          ['/v1/track', event],
          ['/v1/batch', { batch: [event] }],
        ] as const) {
          const answer = await post(stage, `${path}?verbose=1`, body)
          const { results } = (await answer.json()) as { results: { reason?: string }[] }
          assert.match(results[0]?.reason ?? '', /^(text|key)-invalid$/, JSON.stringify(body))
        }
      }
    }
    const honest = { ...view, properties: { name: 'a "quoted"\tname \\ \u0085' } }
    await post(stage, '/v1/track', honest)
    assert.deepEqual(stage.counts, { accepted: 1, rejected: 16 })
  })

  it('answers a preflight, and lets only the origins of a source send', async (t) => {
    const stage = await openStage(t)
    const origin = 'https://evil.example'
    const preflight = await fetch(`${stage.url}/v1/t`, { method: 'OPTIONS', headers: { origin } })
    assert.equal(preflight.status, 204)
    assert.equal(preflight.headers.get('access-control-allow-origin'), '*')
    assert.equal(preflight.headers.get('access-control-max-age'), '86400')
    assert.match(preflight.headers.get('access-control-allow-headers') ?? '', /authorization/)
    const shop = { 'x-write-key': 'wk_shop_1234' }
    const send = (from: string, headers: Record<string, string>, body: object) =>
      post(stage, '/v1/t', body, { ...headers, origin: from })
    assert.equal(await codeOf(await send(origin, shop, view)), '403 origin-not-allowed')
    const inBody = { ...view, writeKey: 'wk_shop_1234' }
    assert.equal(await codeOf(await send(origin, {}, inBody)), '403 origin-not-allowed')
    assert.equal((await send('https://shop.example', shop, view)).status, 200)
    assert.equal((await post(stage, '/v1/t', view, shop)).status, 200)
    const any = await send(origin, basic, view)
    assert.equal(any.headers.get('access-control-allow-origin'), '*')
    assert.equal(stage.counts.accepted, 3)
  })

  it('serves the settings that the browser client loads', async (t) => {
    const stage = await openStage(t)
    const response = await fetch(`${stage.url}/v1/projects/${writeKey}/settings`)
    const settings = (await response.json()) as { integrations: Record<string, object> }
    assert.equal(response.status, 200)
    assert.partialDeepStrictEqual(settings.integrations['Segment.io'] ?? {}, {
      apiKey: writeKey,
      apiHost: 'in.example/v1',
      protocol: 'https',
    })
    const unknown = await fetch(`${stage.url}/v1/projects/nobody/settings`)
    assert.equal(await codeOf(unknown), '404 source-unknown')
  })

  it('asks to send again later when the log cannot take more', async (t) => {
    const failures: readonly [unknown, string, string | null][] = [
      [new OperatingError('LOG_OVERLOADED', 'append'), '429 overloaded', '1'],
      [new OperatingError('DISK_FULL', 'append'), '503 DISK_FULL', '10'],
      [new OperatingError('STORE_IO', 'append'), '503 STORE_IO', '5'],
      [new Error('broken belief: test'), '500 internal', null],
    ]
    for (const [error, code, retryAfter] of failures) {
      const stage = await openStage(t, { append: () => Promise.reject(error) })
      const response = await post(stage, '/v1/batch', { batch: [view] })
      assert.equal(response.headers.get('retry-after'), retryAfter)
      assert.equal(await codeOf(response), code)
      assert.deepEqual(stage.counts, { accepted: 0, rejected: 0 })
      assert.deepEqual(stage.refusals, [code])
    }
  })

  it('takes nothing while intake is closed', async (t) => {
    const lag = await openStage(t, {
      intake: { kind: 'closed', reason: 'lag', retryAfterSeconds: 7 },
    })
    const late = await post(lag, '/v1/track', view)
    assert.deepEqual([late.status, late.headers.get('retry-after')], [429, '7'])
    const intake = { kind: 'closed', reason: 'clock', retryAfterSeconds: 3 } as const
    const clock = await openStage(t, { intake })
    assert.equal(await codeOf(await post(clock, '/v1/track', view)), '503 intake-clock')
    assert.equal(await clock.log.end(0), 0)
  })

  it('answers 429 when the bodies in hand are too many, and gives their bytes back', async (t) => {
    const stage = await openStage(t, { http: { bodyBytesInFlightMax: 1_000 } })
    for (let round = 0; round < 20; round++) {
      assert.equal((await post(stage, '/v1/track', view)).status, 200)
    }
    const long = { ...view, properties: { a: 'x'.repeat(2_000) } }
    assert.equal(await codeOf(await post(stage, '/v1/track', long)), '429 overloaded')
    assert.equal((await post(stage, '/v1/track', view)).status, 200)
  })

  it('ends a slow body, and takes nothing of one that is cut off', async (t) => {
    const stage = await openStage(t, { requestTimeoutMs: 200 })
    const head = `POST /v1/track HTTP/1.1\r\nhost: a\r\nauthorization: ${basic.authorization}\r\n`
    const slow = await exchangeRaw(stage.port, `${head}content-length: 500\r\n\r\n{"type"`, false)
    assert.match(slow, /^(HTTP\/1\.1 408 |$)/)
    await exchangeRaw(stage.port, `${head}content-length: 500\r\n\r\n${JSON.stringify(view)}`, true)
    assert.equal((await post(stage, '/v1/track', view)).status, 200)
    assert.deepEqual(stage.counts, { accepted: 1, rejected: 0 })
  })
})
