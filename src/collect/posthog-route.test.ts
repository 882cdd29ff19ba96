import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { openStage, writeKey } from './collect-stage.fixture.ts'
import { posthogRoute } from './posthog-route.ts'
import { decodeRejected } from './rejected-record.ts'

const seen = { event: 'Seen', distinct_id: 'ada', uuid: 'u1' }

describe('posthogRoute', () => {
  it('takes a batch, an event and a list on the paths of its clients', async (t) => {
    const stage = await openStage(t, { adapted: [posthogRoute] })
    const post = (path: string, body: unknown): Promise<Response> =>
      fetch(stage.url + path, { method: 'POST', body: JSON.stringify(body) })
    const paths = ['/batch', '/batch/', '/capture', '/capture/', '/e', '/e/?ip=0', '/i/v0/e/']
    for (const path of paths) {
      const bodies = [
        { api_key: writeKey, batch: [seen] },
        { ...seen, api_key: writeKey },
        [{ ...seen, properties: { token: writeKey } }],
      ]
      for (const body of bodies) {
        const answer = await post(path, body)
        assert.deepEqual([answer.status, await answer.json()], [200, { status: 'Ok' }], path)
      }
    }
    assert.deepEqual(stage.counts, { accepted: 3 * paths.length, rejected: 0 })
    const [first] = await stage.log.read(0, 0, 1)
    assert.equal(first?.key, 'user:ada')
  })

  it('inflates what a browser compresses without saying so in a header', async (t) => {
    const stage = await openStage(t, { adapted: [posthogRoute] })
    const body = gzipSync(JSON.stringify([{ ...seen, properties: { token: writeKey } }]))
    const path = '/e/?compression=gzip-js'
    const headers = { 'content-type': 'text/plain' }
    const answer = await fetch(stage.url + path, { method: 'POST', body, headers })
    assert.equal(answer.status, 200)
    assert.equal(stage.counts.accepted, 1)
  })

  it('reads the form that a page sends while it is left', async (t) => {
    const stage = await openStage(t, { adapted: [posthogRoute] })
    const statusOf = async (text: string): Promise<number> => {
      const body = new URLSearchParams({ data: Buffer.from(text).toString('base64') })
      const url = `${stage.url}/e/?compression=base64`
      return (await fetch(url, { method: 'POST', body })).status
    }
    const batch = [{ ...seen, properties: { title: 'Caf\u00e9 ?>' } }]
    assert.equal(await statusOf(JSON.stringify({ api_key: writeKey, batch })), 200)
    const [record] = await stage.log.read(0, 0, 1)
    assert.match(Buffer.from(record?.body ?? []).toString(), /"title":"Caf\u00e9 \?>"/)
    assert.equal(await statusOf('{"api_key":'), 401, 'of nobody, since nothing can be read')
    assert.equal(await statusOf('7'), 401)
    assert.deepEqual(stage.counts, { accepted: 1, rejected: 0 })
  })

  it('keeps what makes no event as it was sent, and refuses what holds none', async (t) => {
    const stage = await openStage(t, { adapted: [posthogRoute] })
    const statusOf = async (body: unknown): Promise<number> => {
      const answer = await fetch(`${stage.url}/batch/`, {
        method: 'POST',
        body: JSON.stringify(body),
      })
      return answer.status
    }
    const nameless = { distinct_id: 'ada' }
    assert.equal(await statusOf({ api_key: writeKey, batch: [seen, nameless] }), 200)
    assert.deepEqual(stage.counts, { accepted: 1, rejected: 1 })
    const [kept] = await stage.rejected.read(0, 0, 10)
    const bytes = kept === undefined ? '' : Buffer.from(decodeRejected(kept).bytes).toString()
    assert.deepEqual(JSON.parse(bytes), nameless)
    assert.match(JSON.stringify(kept?.skeleton), /"format":"posthog"/)
    assert.equal(await statusOf({ api_key: writeKey, batch: [] }), 400)
    assert.equal(await statusOf({ api_key: writeKey }), 400)
    assert.equal(await statusOf({ api_key: writeKey, batch: Array(2501).fill(seen) }), 413)
    assert.equal(await statusOf({ api_key: 'phc_of_nobody', batch: [seen] }), 401)
    assert.equal(await statusOf({ batch: [seen] }), 401)
  })
})
