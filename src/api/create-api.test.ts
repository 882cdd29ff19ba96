import { deepStrictEqual, equal, ok } from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, it } from 'node:test'
import { OperatingError } from '../lib/errors.ts'
import { apiDefaults } from './api-options.ts'
import { authorize, routeScopes, scopeOf } from './authorize.ts'
import { createApi } from './create-api.ts'
import { adaShops, openWorld } from './world.fixture.ts'

describe('authorization', () => {
  it('declares a scope for every route that is served, and for no other', async (t) => {
    const world = await openWorld(t)
    const served = new Set<string>()
    const app = createApi(world.deps, apiDefaults)
    // Routes are printed with all their methods once the application is ready.
    await app.ready()
    for (const name of Object.keys(routeScopes)) {
      const [method = '', url = ''] = name.split(' ')
      if (app.hasRoute({ method: method as 'GET', url })) served.add(name)
    }
    deepStrictEqual([...served].sort(), Object.keys(routeScopes).sort())
    deepStrictEqual(namesOf(app.printRoutes({ commonPrefix: false })), [...served].sort())
    await app.close()
  })

  it('refuses everybody where a route has no scope', async (t) => {
    const world = await openWorld(t)
    const access = { scope: scopeOf('GET', '/api/v1/forgotten'), ...world.keys.admin }
    const problem = await authorize(world.deps.apiKeys, access)
    equal(problem?.status, 403)
    equal(problem?.code, 'route-closed')
  })

  it('answers 401 without a known key, 403 without the scope, and lets admin do all', async (t) => {
    const world = await openWorld(t)
    for (const [name, scope] of Object.entries(routeScopes)) {
      if (scope === 'public' || name.endsWith('/stream')) continue
      const [method = 'GET', pattern = ''] = name.split(' ')
      const url = pattern.replace(':id', 'x')
      const call = async (headers: Record<string, string>) =>
        (await world.app.inject({ method: method as 'GET', url, headers })).statusCode
      equal(await call({}), 401, name)
      equal(await call({ authorization: 'Basic abc' }), 401, name)
      equal(await call({ authorization: `Bearer atk_${'x'.repeat(43)}` }), 401, name)
      const wrong = scope === 'read' ? world.keys.write : world.keys.read
      equal(await call(wrong), 403, name)
      ok(![401, 403].includes(await call(world.keys[scope])), name)
      ok(![401, 403].includes(await call(world.keys.admin)), name)
    }
  })

  it('takes a key as the password of Basic, by any user, where a route only reads', async (t) => {
    const world = await openWorld(t)
    const keyOf = (scope: 'read' | 'admin' | 'write'): string =>
      world.keys[scope].authorization.slice('Bearer '.length)
    const call = async (credentials: string, scheme = 'Basic', method: 'GET' | 'POST' = 'GET') => {
      const authorization = `${scheme} ${Buffer.from(credentials).toString('base64')}`
      const url = method === 'GET' ? '/api/v1/recommendations/trending' : '/api/v1/items'
      return await world.app.inject({ method, url, headers: { authorization }, payload: [] })
    }
    for (const user of ['x', '', 'esp', 'f\u00fcr']) {
      equal((await call(`${user}:${keyOf('read')}`)).statusCode, 200)
    }
    equal((await call(`x:${keyOf('read')}`, 'basic')).statusCode, 200)
    equal((await call(`x:${keyOf('write')}`)).statusCode, 403)
    // No user has a colon, a password may.
    const wrong = [`x:y:${keyOf('read')}`, keyOf('read'), `${keyOf('read')}:`, 'x:', ':', '']
    for (const credentials of wrong) {
      const refused = await call(credentials)
      equal(refused.statusCode, 401, credentials)
      ok(
        String(refused.headers['www-authenticate']).endsWith(
          'Basic realm="attune", charset="UTF-8"',
        ),
      )
    }
    const written = await call(`x:${keyOf('admin')}`, 'Basic', 'POST')
    equal(written.statusCode, 401)
    equal(written.headers['www-authenticate'], 'Bearer realm="attune"')
  })

  it('says how to authenticate', async (t) => {
    const world = await openWorld(t)
    const missing = await world.app.inject('/api/v1/status')
    const both = 'Bearer realm="attune", Basic realm="attune", charset="UTF-8"'
    equal(missing.headers['www-authenticate'], both)
    equal(missing.json().code, 'key-missing')
    const lacking = await world.app.inject({ url: '/api/v1/status', headers: world.keys.render })
    ok(String(lacking.headers['www-authenticate']).includes('insufficient_scope'))
  })
})

/** Reads `GET /a/b (GET, HEAD)` lines of the printed tree of routes. */
function namesOf(printed: string): readonly string[] {
  const names: string[] = []
  const path: string[] = []
  for (const line of printed.split('\n')) {
    const match = /^([\s\u2502]*)[\u251c\u2514]\u2500\u2500 (\S*)(?: \(([A-Z, ]+)\))?$/.exec(line)
    if (match === null) continue
    const depth = (match[1] ?? '').length / 4
    path.length = depth
    path[depth] = match[2] ?? ''
    for (const method of match[3]?.split(', ') ?? []) names.push(`${method} ${path.join('')}`)
  }
  return names.sort()
}

describe('errors', () => {
  it('answers problems without a stack for what is missing or cannot be read', async (t) => {
    const world = await openWorld(t)
    const nowhere = await world.app.inject('/nowhere')
    equal(nowhere.statusCode, 404)
    equal(nowhere.json().code, 'not-found')
    const garbled = await world.app.inject('/api/v1/items/%zz')
    equal(garbled.statusCode, 400)
    equal(garbled.json().code, 'invalid')
    const headers = { ...world.keys.write, 'content-type': 'application/json' }
    const broken = await world.app.inject({
      method: 'POST',
      url: '/api/v1/items',
      headers,
      payload: '{"secret": oops',
    })
    equal(broken.statusCode, 400)
    ok(!broken.body.includes('secret'))
    const large = await world.app.inject({
      method: 'POST',
      url: '/api/v1/suppressions',
      headers,
      payload: JSON.stringify({ address: 'x'.repeat(apiDefaults.bodyBytesMax) }),
    })
    equal(large.statusCode, 413)
    equal(large.json().code, 'body-too-large')
  })

  it('names the paths of what is wrong with a body', async (t) => {
    const world = await openWorld(t)
    const answer = await world.app.inject({
      method: 'POST',
      url: '/api/v1/render',
      headers: world.keys.render,
      payload: { profile: 'ada', template: 'thanks', recommendations: '4', extra: 1 },
    })
    equal(answer.statusCode, 400)
    deepStrictEqual(
      answer.json().faults.map(({ path }: { path: string }) => path),
      ['', '/recommendations'],
    )
  })

  it('answers 503 with the code for a broken world and 500 for a bug', async (t) => {
    const world = await openWorld(t)
    const failWith = (error: Error) =>
      createApi({ ...world.deps, health: () => Promise.reject(error) }, apiDefaults)
    const broken = failWith(new OperatingError('DISK_FULL', 'append 1 records'))
    const unavailable = await broken.inject('/readyz')
    equal(unavailable.statusCode, 503)
    equal(unavailable.json().code, 'DISK_FULL')
    ok(unavailable.headers['retry-after'])
    const buggy = failWith(new TypeError('cannot read x of undefined'))
    const internal = await buggy.inject('/readyz')
    equal(internal.statusCode, 500)
    deepStrictEqual(internal.json(), {
      type: 'urn:attune:problem:internal',
      title: 'Internal Server Error',
      status: 500,
      detail: 'The fault is here, not in the request.',
      code: 'internal',
    })
  })
})

describe('health and figures', () => {
  it('is alive, and ready only while nothing speaks against it', async (t) => {
    const world = await openWorld(t)
    equal((await world.app.inject('/healthz')).statusCode, 200)
    equal((await world.app.inject('/readyz')).statusCode, 200)
    world.health = { ...world.health, unready: ['partition 3 stopped'] }
    const unready = await world.app.inject('/readyz')
    equal(unready.statusCode, 503)
    deepStrictEqual(unready.json().reasons, ['partition 3 stopped'])
  })

  it('shows metrics with requests by route pattern, without a key', async (t) => {
    const world = await openWorld(t)
    await world.app.inject({ url: '/api/v1/profiles/ada', headers: world.keys.read })
    const { body } = await world.app.inject('/metrics')
    ok(body.includes('route="/api/v1/profiles/:id",status="404"'))
  })

  it('sums what partitions count, by campaign and in all', async (t) => {
    const world = await openWorld(t)
    await world.happen(adaShops())
    await world.acceptedMessage('user:ada')
    const headers = world.keys.read
    const { campaigns } = (await world.app.inject({ url: '/api/v1/campaigns', headers })).json()
    equal(campaigns.length, 1)
    equal(campaigns[0].name, 'thanks')
    equal(campaigns[0].counts.accepted, 1)
    const status = (await world.app.inject({ url: '/api/v1/status', headers })).json()
    equal(status.counts.people, 1)
    deepStrictEqual(status.definitions, { versionMin: 1, versionMax: 1 })
  })
})

describe('createApi with a server of the caller', () => {
  it('answers behind the routes that the caller puts in front', async (t) => {
    const world = await openWorld(t)
    let server = createServer()
    const app = createApi(world.deps, apiDefaults, (handler) => {
      server = createServer((request, response) => {
        if (request.url === '/v1/track') response.end('collected')
        else handler(request, response)
      })
      return server
    })
    await app.ready()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    t.after(async () => {
      await app.close()
      server.closeAllConnections()
      server.close()
    })
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    equal(await (await fetch(`${origin}/v1/track`)).text(), 'collected')
    equal(await (await fetch(`${origin}/healthz`)).text(), 'ok\n')
  })
})
