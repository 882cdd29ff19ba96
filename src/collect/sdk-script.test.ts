import assert from 'node:assert/strict'
import { createServer, type IncomingHttpHeaders, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { Script } from 'node:vm'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { createSdkRoutes, makeSdkScript } from './sdk-script.ts'

/** What a shop pays for it, on the wire. */
const gzippedBytesMax = 4096

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

describe('the served SDK', () => {
  const route = createSdkRoutes()
  const server = createServer((asked, answer) => {
    if (!route(asked, answer)) answer.writeHead(404).end()
  })
  before(() => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)))
  after(() => server.close())

  const ask = (
    path: string,
    headers: Readonly<Record<string, string>> = {},
    method = 'GET',
  ): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const { port } = server.address() as AddressInfo
      const given = { host: '127.0.0.1', port, path, method, headers, agent: false } as const
      const asked = request(given, (answer) => {
        const chunks: Buffer[] = []
        answer.on('data', (chunk: Buffer) => chunks.push(chunk))
        answer.on('end', () => {
          const { statusCode: status = 0, headers: told } = answer
          resolve({ status, headers: told, body: Buffer.concat(chunks) })
        })
      })
      asked.on('error', reject)
      asked.end()
    })
  const path = '/sdk/v1/attune.js'

  it('has at most 4 KiB as browsers get it', async () => {
    const { headers, body } = await ask(path, { 'accept-encoding': 'gzip, deflate' })
    assert.equal(headers['content-encoding'], 'gzip')
    assert.ok(body.length <= gzippedBytesMax, `${body.length} bytes`)
    assert.equal(gunzipSync(body).toString(), makeSdkScript())
    const brotli = await ask(path, { 'accept-encoding': 'gzip, br;q=0.9' })
    assert.equal(brotliDecompressSync(brotli.body).toString(), makeSdkScript())
    assert.ok(brotli.body.length < body.length)
  })

  it('is one script that leaves no name behind', () => {
    const script = makeSdkScript()
    assert.doesNotThrow(() => new Script(script))
    assert.match(script, /^\(\(\)=>\{'use strict'\n/)
    assert.match(script, /\}\)\(\)\n$/)
    assert.doesNotMatch(script, /\/\*|^\s*\/\/|\bimport\b|\bexport\b/m)
    assert.doesNotMatch(script, /\beval\b|\bFunction\(|innerHTML|document\.write/)
    const names = [...script.matchAll(/^(?:const|function|let) ?(\w+)/gm)].map(([, name]) => name)
    const top = names.filter((name) => script.includes(`function ${name}(`))
    assert.equal(new Set(top).size, top.length, 'the modules share one scope')
  })

  it('may be kept by any cache and read by any page', async () => {
    const plain = await ask(path, { 'accept-encoding': 'gzip;q=0' })
    assert.equal(plain.body.toString(), makeSdkScript())
    assert.equal(plain.headers['content-type'], 'text/javascript; charset=utf-8')
    assert.equal(plain.headers['content-encoding'], undefined)
    assert.equal(plain.headers['x-content-type-options'], 'nosniff')
    assert.equal(plain.headers['access-control-allow-origin'], '*')
    assert.equal(plain.headers['cross-origin-resource-policy'], 'cross-origin')
    assert.equal(plain.headers.vary, 'accept-encoding')
    assert.match(plain.headers['cache-control'] ?? '', /^public, max-age=3600,/)
    const zipped = await ask(path, { 'accept-encoding': 'gzip' })
    assert.notEqual(zipped.headers.etag, plain.headers.etag)
    const known = { 'accept-encoding': 'gzip', 'if-none-match': `"a", W/${zipped.headers.etag}` }
    const again = await ask(path, known)
    assert.deepEqual([again.status, again.body.length], [304, 0])
    assert.equal(again.headers.etag, zipped.headers.etag)
  })

  it('answers GET, HEAD and preflights of its own path alone', async () => {
    assert.equal((await ask(`${path}?v=2`)).status, 200)
    const head = await ask(path, {}, 'HEAD')
    assert.deepEqual([head.status, head.body.length], [200, 0])
    assert.equal(head.headers['content-length'], String(makeSdkScript().length))
    assert.equal((await ask(path, {}, 'OPTIONS')).status, 204)
    const posted = await ask(path, {}, 'POST')
    assert.deepEqual([posted.status, posted.headers.allow], [405, 'GET, HEAD, OPTIONS'])
    for (const other of ['/sdk/v1/attune.json', '/sdk/v1/', '/sdk/v1/boot.js']) {
      assert.equal((await ask(other)).status, 404, other)
    }
  })
})
