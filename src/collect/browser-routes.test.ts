import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import {
  findBrowserClient,
  openBrowserClient,
  packageName,
  packageVersion,
} from './browser-client.ts'
import { createBrowserRoutes } from './browser-routes.ts'
import { createSourceDirectory } from './source-directory.ts'

const script = '/analytics.js/v1/wk_12345678/analytics.min.js'
const folder = findBrowserClient() ?? ''
const bytesOf = (name: string): Buffer => readFileSync(join(folder, name))

async function openStage(
  t: TestContext,
  from: string | undefined = folder,
): Promise<{ readonly url: string; readonly refusals: readonly string[] }> {
  const refusals: string[] = []
  const source = { sourceId: 'web', writeKeys: ['wk_12345678', 'id:secret1'] }
  const routes = createBrowserRoutes({
    client: openBrowserClient(from),
    sources: createSourceDirectory([{ source }]),
    metrics: { refused: (status, code) => refusals.push(`${status} ${code}`) },
  })
  const server = createServer((request, response) => {
    if (!routes(request, response)) response.writeHead(404).end('not ours')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, refusals }
}

function makePackage(t: TestContext, license: string): string {
  const made = mkdtempSync(join(tmpdir(), 'attune-package-'))
  t.after(() => rmSync(made, { recursive: true }))
  mkdirSync(join(made, 'dist/umd'), { recursive: true })
  writeFileSync(join(made, 'package.json'), JSON.stringify({ license }))
  writeFileSync(join(made, 'LICENSE.MD'), 'a licence')
  writeFileSync(join(made, 'dist/umd/standalone.js'), 'one()')
  writeFileSync(join(made, 'dist/umd/secret.js'), 'two()')
  return made
}

describe('routes for browser clients', () => {
  it('serves the script of the installed package, unchanged', async (t) => {
    const { url } = await openStage(t)
    const plain = { headers: { 'accept-encoding': 'identity' } }
    const answer = await fetch(url + script, plain)
    assert.equal(answer.status, 200)
    assert.equal(answer.headers.get('content-type'), 'text/javascript; charset=utf-8')
    assert.equal(answer.headers.get('cache-control'), 'public, max-age=300')
    assert.equal(answer.headers.get('access-control-allow-origin'), '*')
    const expected = bytesOf('dist/umd/standalone.js')
    assert.deepEqual(Buffer.from(await answer.arrayBuffer()), expected)
    const compressed = await fetch(url + script)
    assert.equal(compressed.headers.get('content-encoding'), 'gzip')
    assert.ok(Number(compressed.headers.get('content-length')) < expected.length / 3)
    assert.deepEqual(Buffer.from(await compressed.arrayBuffer()), expected)
    assert.notEqual(compressed.headers.get('etag'), answer.headers.get('etag'))
    const refused = await fetch(url + script, { headers: { 'accept-encoding': 'gzip;q=0' } })
    assert.equal(refused.headers.get('content-encoding'), null)
    const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as {
      readonly devDependencies: Readonly<Record<string, string>>
    }
    assert.equal(manifest.devDependencies[packageName], packageVersion, 'the version it names')
  })

  it('answers 304 to a browser that has it, and HEAD without the bytes', async (t) => {
    const { url } = await openStage(t)
    const etag = (await fetch(url + script)).headers.get('etag') ?? ''
    for (const header of [etag, `W/${etag}`, `"other", ${etag}`]) {
      const answer = await fetch(url + script, { headers: { 'if-none-match': header } })
      assert.equal(answer.status, 304)
      assert.equal(answer.headers.get('etag'), etag)
    }
    const other = await fetch(url + script, { headers: { 'if-none-match': '"other"' } })
    assert.equal(other.status, 200)
    const head = await fetch(url + script, { method: 'HEAD' })
    assert.deepEqual([head.status, (await head.arrayBuffer()).byteLength], [200, 0])
  })

  it('serves the chunks it loads, for ever, and the licence it is under', async (t) => {
    const { url } = await openStage(t)
    const name = 'queryString.bundle.34b193ada8fe288d1bd1.js'
    const chunk = await fetch(`${url}/analytics-next/bundles/${name}`)
    assert.equal(chunk.headers.get('cache-control'), 'public, max-age=31536000, immutable')
    assert.deepEqual(Buffer.from(await chunk.arrayBuffer()), bytesOf(`dist/umd/${name}`))
    const link = chunk.headers.get('link') ?? ''
    const licence = await fetch(url + (/^<([^>]+)>; rel="license"$/.exec(link)?.[1] ?? ''))
    assert.match(await licence.text(), /MIT License[\s\S]*Segment/)
    const other = await fetch(`${url}/analytics-next/bundles/${name.replace('34', '35')}`)
    assert.equal(other.status, 404)
  })

  it('answers 404 for an unknown key, and says what to install', async (t) => {
    const { url, refusals } = await openStage(t)
    assert.equal((await fetch(url + script.replace('1234', '4321'))).status, 404)
    assert.equal((await fetch(`${url}/analytics.js/v1/id%3Asecret1/analytics.min.js`)).status, 200)
    assert.equal((await fetch(url + script, { method: 'POST' })).status, 405)
    assert.deepEqual(refusals, ['404 source-unknown', '405 method-not-allowed'])
    const none = join(tmpdir(), 'attune-no-such-package')
    for (const from of [none, makePackage(t, 'UNLICENSED')]) {
      const bare = await openStage(t, from)
      const answer = await fetch(bare.url + script)
      assert.equal(answer.status, 404)
      const problem = (await answer.json()) as { readonly code: string; readonly detail: string }
      assert.equal(problem.code, 'browser-client-missing')
      assert.match(problem.detail, /npm install @segment\/analytics-next@\d/)
      assert.equal((await fetch(bare.url + script.replace('1234', '4321'))).status, 404)
      assert.deepEqual(bare.refusals, ['404 browser-client-missing', '404 source-unknown'])
    }
  })

  it('reads nothing else of the package', async (t) => {
    const { url } = await openStage(t, makePackage(t, 'MIT'))
    assert.equal(await (await fetch(url + script)).text(), 'one()')
    for (const name of [
      'secret.js',
      'package.json',
      '..',
      '..%2fpackage.json',
      'standalone.js.map',
    ]) {
      const answer = await fetch(`${url}/analytics-next/bundles/${name}`)
      assert.equal(answer.status, 404, name)
    }
  })

  it('takes and drops metrics, and turns no flag on', async (t) => {
    const { url } = await openStage(t)
    const series = {
      method: 'POST',
      body: '{"series":[]}',
      headers: { origin: 'https://a.example' },
    }
    const metrics = await fetch(`${url}/v1/m`, series)
    assert.deepEqual([metrics.status, await metrics.json()], [200, { success: true }])
    assert.equal(metrics.headers.get('access-control-allow-origin'), '*')
    const long = await fetch(`${url}/v1/m`, { ...series, body: 'x'.repeat(64 * 1024 + 1) })
    assert.deepEqual([long.status, long.headers.get('connection')], [200, 'close'])
    for (const path of ['/flags', '/flags/?v=2', '/decide/?v=3', '/decide']) {
      const answer = await fetch(url + path, { method: 'POST', body: '{}' })
      const { featureFlags, flags } = (await answer.json()) as Record<string, unknown>
      assert.deepEqual([answer.status, featureFlags, flags], [200, {}, {}])
    }
    const config = await fetch(`${url}/array/wk_12345678/config`)
    const { hasFeatureFlags } = (await config.json()) as Record<string, unknown>
    assert.deepEqual([config.status, hasFeatureFlags], [200, false])
    assert.equal((await fetch(`${url}/array/wk_87654321/config`)).status, 404)
    assert.equal((await fetch(`${url}/v1/m`)).status, 405)
    assert.equal((await fetch(`${url}/v1/metrics`)).status, 404)
  })
})
