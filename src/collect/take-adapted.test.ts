import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { OperatingError } from '../lib/errors.ts'
import { isJsonObject } from '../lib/json.ts'
import type { AdaptedItem } from './adapted-item.ts'
import type { AdaptedRoute, Ask } from './adapter.ts'
import { answerJson } from './collect-answer.ts'
import { keyProblem } from './collect-problem.ts'
import { keptOf, openStage, type Stage, writeKey } from './collect-stage.fixture.ts'
import { createAdaptedTable } from './take-adapted.ts'

/** A format of one line for each event: `name person`. The key is in the path, or in the body. */
const lines: AdaptedRoute = {
  format: 'lines',
  paths: ['/lines', '/lines/:key'],
  method: 'POST',
  size: 'single',
  findSource: ({ parameters: { key } }, sources) =>
    key === undefined ? 'in-body' : (sources.byWriteKey(key) ?? keyProblem),
  sourceOfBody: ({ body }, sources) =>
    isJsonObject(body) && typeof body.key === 'string' ? sources.byWriteKey(body.key) : undefined,
  adapt({ body }) {
    const given = isJsonObject(body) ? body.lines : undefined
    if (!Array.isArray(given)) {
      return { kind: 'refused', reason: 'batch-missing', says: 'No lines.', count: 3 }
    }
    const items = given.map((original: unknown): AdaptedItem => {
      if (typeof original !== 'string') {
        const says = 'A line is a text.'
        return { original, refusal: { reason: 'item-unreadable', path: '', says } }
      }
      const [event = '', userId = ''] = original.split(' ')
      return { original, event: { type: 'track', event, userId } }
    })
    return { kind: 'events', items }
  },
  answer: (response, taken) => answerJson(response, taken, 'no-store'),
}

function send(stage: Stage, path: string, body: unknown): Promise<Response> {
  return fetch(stage.url + path, { method: 'POST', body: JSON.stringify(body) })
}

describe('a format other than Segment', () => {
  it('takes its items as events, and keeps what is rejected as it was sent', async (t) => {
    const stage = await openStage(t, { adapted: [lines] })
    const body = { lines: ['Opened ada', 'Opened', 7, 'Closed bob'] }
    const answer = await send(stage, `/lines/${writeKey}`, body)
    assert.equal(answer.status, 200)
    const { results } = (await answer.json()) as { results: readonly { status: string }[] }
    const statuses = results.map(({ status }) => status)
    assert.deepEqual(statuses, ['accepted', 'rejected', 'rejected', 'accepted'])
    assert.deepEqual(await keptOf(stage), [
      { reason: 'id-missing', path: '', format: 'lines', text: '"Opened"' },
      { reason: 'item-unreadable', path: '', format: 'lines', text: '7' },
    ])
    assert.deepEqual(stage.counts, { accepted: 2, rejected: 2 })
    assert.equal(await stage.log.end(0), 2)
  })

  it('finds the sender in the body where the path does not name it', async (t) => {
    const stage = await openStage(t, { adapted: [lines] })
    const body = { key: writeKey, lines: ['Opened ada'] }
    assert.equal((await send(stage, '/lines', body)).status, 200)
    assert.equal((await send(stage, '/lines', { ...body, key: 'stranger' })).status, 401)
    assert.equal((await send(stage, '/lines/stranger', body)).status, 401)
    assert.deepEqual(stage.counts, { accepted: 1, rejected: 0 })
    assert.deepEqual(stage.refusals, ['401 source-unknown', '401 source-unknown'])
  })

  it('keeps a request that cannot be read, and nothing of strangers', async (t) => {
    const stage = await openStage(t, { adapted: [lines], http: { singleBytesMax: 100 } })
    const post = (path: string, body: string, headers = {}): Promise<Response> =>
      fetch(stage.url + path, { method: 'POST', body, headers })
    const known = `/lines/${writeKey}`
    assert.equal((await post(known, '{')).status, 400)
    assert.equal((await post(known, '')).status, 400)
    assert.equal((await post(known, '{}')).status, 400)
    assert.equal((await post(known, 'x'.repeat(101))).status, 413)
    assert.equal((await post(known, '{}', { 'content-encoding': 'gzip' })).status, 400)
    assert.equal((await post(known, '{}', { 'content-encoding': 'gzip, gzip' })).status, 415)
    assert.equal((await post('/lines', '{')).status, 400)
    assert.equal((await post('/lines', 'x'.repeat(101))).status, 413)
    const kept = (await keptOf(stage)).map(({ reason, format }) => [reason, format])
    const reasons = ['body-not-json', 'body-empty', 'batch-missing']
    assert.deepEqual(
      kept,
      [...reasons, 'body-too-large', 'body-not-inflatable'].map((reason) => [reason, 'lines']),
    )
    assert.deepEqual(stage.counts, { accepted: 0, rejected: 4 + 3 })
  })

  it('refuses more items than a batch may have, as one', async (t) => {
    const stage = await openStage(t, { adapted: [lines] })
    const body = { lines: Array.from({ length: 2_501 }, () => 'A b') }
    assert.equal((await send(stage, `/lines/${writeKey}`, body)).status, 413)
    assert.deepEqual(stage.counts, { accepted: 0, rejected: 2_501 })
    assert.equal(await stage.rejected.end(0), 1)
  })

  it('keeps to the origins of the source, to the gate, and to its method', async (t) => {
    const intake = { kind: 'closed', reason: 'lag', retryAfterSeconds: 3 } as const
    const stage = await openStage(t, { adapted: [lines], intake })
    const answer = await send(stage, `/lines/${writeKey}`, { lines: ['A b'] })
    assert.deepEqual([answer.status, answer.headers.get('retry-after')], [429, '3'])
    const headers = { origin: 'https://evil.example' }
    const foreign = await fetch(`${stage.url}/lines/wk_shop_1234`, { method: 'POST', headers })
    assert.equal(foreign.status, 403)
    const got = await fetch(`${stage.url}/lines`)
    assert.deepEqual([got.status, got.headers.get('allow')], [405, 'POST, OPTIONS'])
    assert.equal((await fetch(`${stage.url}/lines`, { method: 'OPTIONS' })).status, 204)
    assert.equal(await stage.rejected.end(0), 0)
  })

  it('answers 503 and remembers nothing where the log fails', async (t) => {
    const remembered: unknown[] = []
    const append = (): Promise<never> => Promise.reject(new OperatingError('DISK_FULL', 'append'))
    const route = { ...lines, remember: (ask: Ask): unknown => remembered.push(ask.body) }
    const failing = await openStage(t, { adapted: [route], append })
    const body = { lines: ['A b'] }
    assert.equal((await send(failing, `/lines/${writeKey}`, body)).status, 503)
    assert.deepEqual([remembered.length, failing.counts.accepted], [0, 0])
    const sound = await openStage(t, { adapted: [route] })
    assert.equal((await send(sound, `/lines/${writeKey}`, body)).status, 200)
    assert.deepEqual(remembered, [body])
  })

  it('lets a route read the bytes before anything else does', async (t) => {
    const verify: AdaptedRoute['verify'] = ({ bytes }) => {
      const text = Buffer.from(bytes).toString()
      if (text === 'ping') return Promise.resolve({ kind: 'done', outcome: 'dropped' })
      if (text.includes('ada')) return Promise.resolve({ kind: 'go' })
      return Promise.resolve({ kind: 'refused', problem: keyProblem })
    }
    const stage = await openStage(t, { adapted: [{ ...lines, verify }] })
    const post = async (body: string): Promise<number> =>
      (await fetch(`${stage.url}/lines/${writeKey}`, { method: 'POST', body })).status
    assert.equal(await post('ping'), 200)
    assert.equal(await post('{'), 401)
    assert.equal(await post('{"lines": ["A ada"]}'), 200)
    assert.deepEqual(stage.counts, { accepted: 1, rejected: 0 })
    assert.equal(await stage.rejected.end(0), 0)
  })
})

describe('the table of formats', () => {
  const find = createAdaptedTable([lines, { ...lines, format: 'deep', paths: ['/a/:b/c/:d'] }])
  const cases: readonly (readonly [string, string | undefined, Record<string, string>])[] = [
    ['/lines', 'lines', {}],
    ['/lines/a%20b', 'lines', { key: 'a b' }],
    ['/lines/a%2Fb', 'lines', { key: 'a/b' }],
    ['/a/1/c/2', 'deep', { b: '1', d: '2' }],
    ['/lines/', undefined, {}],
    ['//lines', undefined, {}],
    ['/lines/%', undefined, {}],
    ['/lines/%ff', undefined, {}],
    [`/lines/${'x'.repeat(201)}`, undefined, {}],
    ['/a/1/b/2', undefined, {}],
    ['/a/1/c', undefined, {}],
  ]
  for (const [path, format, parameters] of cases) {
    it(`reads ${path.slice(0, 20)} as ${format ?? 'none of them'}`, () => {
      const found = find(path)
      assert.equal(found?.route.format, format)
      assert.deepEqual(found?.parameters ?? {}, parameters)
    })
  }
})
