import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import { OperatingError } from '../lib/errors.ts'
import { createRemoteWorkList, readTarget } from './remote-work-list.ts'

interface Asked {
  readonly method: string | undefined
  readonly url: string | undefined
  readonly authorization: string | undefined
  readonly body: string
}

/** Gives the answers in their order, the last one again and again. */
async function openServer(t: TestContext, answers: readonly (readonly [number, object])[]) {
  const asked: Asked[] = []
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (bytes: Buffer) => {
      body += bytes.toString()
    })
    request.on('end', () => {
      const [status, answer] = answers[Math.min(asked.length, answers.length - 1)] ?? [500, {}]
      const { method, url, headers } = request
      asked.push({ method, url, authorization: headers.authorization, body })
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(JSON.stringify(answer))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const slept: number[] = []
  const clock = {
    nowMs: () => 0,
    monotonicMs: () => 0,
    sleep: (ms: number) => Promise.resolve(void slept.push(ms)),
  }
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { asked, slept, list: createRemoteWorkList({ clock }, { url, key: 'atk_x' }) }
}

const isRefused = (error: unknown): boolean =>
  error instanceof OperatingError && error.code === 'SERVER_REFUSED'

describe('createRemoteWorkList', () => {
  it('reads all pages of the list', async (t) => {
    const group = { source: 'web', reason: 'id-missing', path: '', event: 'A', count: 2 }
    const counts = { openCount: 3, otherCount: 0, oldestMs: 5 }
    const { list, asked } = await openServer(t, [
      [200, { ...counts, groups: [group], cursor: 'a=' }],
      [200, { ...counts, groups: [{ ...group, event: 'B' }] }],
    ])
    const answer = await list.list()
    assert.deepEqual(answer, { ...counts, groups: [group, { ...group, event: 'B' }] })
    const paths = ['/api/v1/rejected?count=1000', '/api/v1/rejected?count=1000&cursor=a%3D']
    assert.deepEqual(
      asked.map(({ url }) => url),
      paths,
    )
    assert.equal(asked[0]?.authorization, 'Bearer atk_x')
  })

  it('sends the repair as it was written', async (t) => {
    const { list, asked } = await openServer(t, [[200, {}]])
    const repair = { steps: [], written: { steps: ['as it was'] } }
    await list.replay({ source: 'web' }, repair, { isLive: true, countMax: 5, cursor: undefined })
    assert.deepEqual(JSON.parse(asked[0]?.body ?? ''), {
      ...{ selection: { source: 'web' }, repair: repair.written, isLive: true, countMax: 5 },
    })
  })

  it('asks again while the server cannot, and gives up after some times', async (t) => {
    const busy = [503, { detail: 'later' }] as const
    const once = await openServer(t, [busy, [429, {}], [200, { dismissedCount: 1 }]])
    const options = { says: 'why', countMax: 5 }
    assert.deepEqual(await once.list.dismiss({ source: 'web' }, options), { dismissedCount: 1 })
    assert.deepEqual(once.slept, [1_000, 1_000])
    const never = await openServer(t, [busy])
    await assert.rejects(never.list.dismiss({ source: 'web' }, options), isRefused)
    assert.equal(never.asked.length, 5)
  })

  it('says what was wrong, and nothing that a terminal would obey', async (t) => {
    const faults = [{ path: '/repair/steps/0', says: 'Must be' }]
    const { list } = await openServer(t, [[400, { detail: 'It \u001b[2J is bad.', faults }]])
    await assert.rejects(list.list(), (error: Error) => {
      assert.match(error.message, /400: It \\u\{1b\}\[2J is bad\.\n {2}\/repair\/steps\/0 Must be/)
      return isRefused(error)
    })
    const gone = await openServer(t, [[404, { code: 'not-found' }]])
    await assert.rejects(gone.list.find('1-1-00000000'), isRefused)
    const unknown = await openServer(t, [[404, { code: 'rejected-unknown' }]])
    assert.equal(await unknown.list.find('1-1-00000000'), undefined)
  })

  it('is no way to send a key in the clear', async () => {
    const keyFile = 'package.json'
    for (const url of ['http://shop.example', 'http://127.evil.example', 'ftp://localhost', 'x']) {
      await assert.rejects(readTarget({ url, keyFile }), /must be https/, url)
    }
    for (const url of ['https://shop.example/x', 'http://127.0.0.1:80', 'http://[::1]:80']) {
      assert.ok(await readTarget({ url, keyFile }), url)
    }
    assert.equal(await readTarget({}), undefined)
  })
})
