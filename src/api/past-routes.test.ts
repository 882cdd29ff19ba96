import { deepStrictEqual, equal, match, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createProfileFastPath } from './profile-fast-path.ts'
import { adaShops, openWorld, viewOf, type World } from './world.fixture.ts'

interface Change {
  readonly version: number
  readonly at: string
  readonly cause: { readonly kind: string; readonly name?: string }
  readonly changed: readonly { readonly path: string; readonly before?: string }[]
}

async function get(world: World, path: string) {
  const answer = await world.app.inject({
    url: `/api/v1/profiles/${path}`,
    headers: world.keys.read,
  })
  return { status: answer.statusCode, body: answer.json(), headers: answer.headers }
}

async function feedOf(world: World, query: string) {
  const url = `/api/v1/changes${query}`
  const answer = await world.app.inject({ url, headers: world.keys.read })
  equal(answer.statusCode, 200, answer.body)
  return answer.json() as {
    readonly changes: readonly (Change & { readonly id: string })[]
    readonly cursor: string
    readonly hasMore: boolean
  }
}

/** All changes, in pages of `count`. */
async function changesOf(world: World, id: string, count: number): Promise<readonly Change[]> {
  const all: Change[] = []
  for (let since = ''; ; ) {
    const { status, body } = await get(world, `${id}/changes?count=${count}${since}`)
    equal(status, 200, JSON.stringify(body))
    ok(body.changes.length <= count)
    all.push(...body.changes)
    since = `&since=${body.cursor}`
    if (!body.hasMore) return all
  }
}

describe('the past of a profile', () => {
  it('shows each version as it was, by version and by time', async (t) => {
    const world = await openWorld(t)
    await world.happen(adaShops())
    await world.acceptedMessage('user:ada')
    await world.settle()
    const now = (await get(world, 'ada')).body
    for (let version = 1; version <= now.version; version++) {
      const { body } = await get(world, `ada?version=${version}`)
      equal(body.version, version, JSON.stringify(body))
      const at = await get(world, `ada?at=${encodeURIComponent(body.at)}`)
      deepStrictEqual(at.body, body)
    }
    const { asOf: _asOf, ageMs: _ageMs, ...shown } = now
    const {
      at: _at,
      cause: _cause,
      ...newest
    } = (await get(world, `ada?version=${now.version}`)).body
    deepStrictEqual(newest, shown)
    const first = (await get(world, 'ada?version=1')).body
    deepStrictEqual(first.cart, [])
    equal(first.traits.email.value, 'ada@person.example')
    deepStrictEqual(first.cause, { kind: 'event', name: 'identify', offset: first.cause.offset })
  })

  it('lists what made each version and what it changed, in pages', async (t) => {
    const world = await openWorld(t)
    await world.happen(adaShops())
    await world.acceptedMessage('user:ada')
    await world.settle()
    const changes = await changesOf(world, 'ada', 100)
    deepStrictEqual(await changesOf(world, 'ada', 2), changes)
    deepStrictEqual(
      changes.map(({ version }) => version),
      changes.map((_, index) => index + 1),
    )
    const names = changes.map(({ cause }) => cause.name ?? cause.kind)
    deepStrictEqual(names.slice(0, 5), [
      ...['identify', 'Product Viewed', 'Product Viewed', 'Order Completed', 'Product Added'],
    ])
    ok(names.includes('result'), names.join())
    const order = changes.find(({ cause }) => cause.name === 'Order Completed')
    ok(
      order?.changed.some(({ path }) => path === '/segments/0'),
      JSON.stringify(order),
    )
    const { body } = await get(world, 'ada/diff?from=1&to=3')
    deepStrictEqual([body.from.version, body.to.version], [1, 3])
    ok(body.changed.every(({ path }: { path: string }) => !path.startsWith('/traits')))
    ok(body.changed.some(({ path }: { path: string }) => path.startsWith('/totals')))
    deepStrictEqual((await get(world, 'ada/diff?from=2&to=2')).body.changed, [])
  })

  it('follows a device to its user as of then', async (t) => {
    const world = await openWorld(t)
    const viewed = { ...viewOf('', '1'), userId: undefined as unknown as string, anonymousId: 'a1' }
    await world.happen([viewed])
    const { body: device } = await get(world, 'anonymous:a1?version=1')
    await world.happen([{ type: 'identify', name: 'identify', userId: 'ada', anonymousId: 'a1' }])
    await world.happen([viewOf('ada', '2')])
    await world.settle()
    const then = await get(world, `anonymous:a1?at=${encodeURIComponent(device.at)}`)
    equal(then.body.id, 'anonymous:a1')
    const now = await get(world, 'anonymous:a1')
    equal(now.body.id, 'user:ada')
    const merged = await changesOf(world, 'anonymous:a1', 50)
    ok(merged.some(({ cause }) => cause.kind === 'identity-part'))
    const last = await get(world, `ada?version=${now.body.version}`)
    equal(last.body.totals['Product Viewed'].count, 2)
  })

  it('goes by an unsubscribed link, too', async (t) => {
    const world = await openWorld(t)
    await world.happen(adaShops())
    const message = await world.acceptedMessage('user:ada')
    const { personKey: key, messageId } = message
    const [template] = await world.log.read(0, 0, 1)
    if (template === undefined) throw new Error('the log holds records')
    for (const outcome of ['opened', 'unsubscribed']) {
      // A message's id begins with its partition.
      const partition = Number.parseInt(messageId.slice(0, 2), 36)
      const skeleton = { messageId, outcome, atMs: Date.parse('2026-11-01') }
      const id = new Uint8Array(16).fill(outcome.length)
      await world.append([{ ...template, partition, key, kind: 'outcome', id, skeleton }])
    }
    await world.settle()
    const changes = await changesOf(world, 'ada', 100)
    const outcomes = changes.filter(({ cause }) => cause.kind === 'outcome')
    deepStrictEqual(
      outcomes.map(({ cause }) => cause.name),
      ['opened', 'unsubscribed'],
    )
    const last = (await get(world, `ada?version=${changes.length}`)).body
    deepStrictEqual(last.withdrawn, ['orders'])
  })

  it('follows all people by a cursor, each change once, and in order', async (t) => {
    const world = await openWorld(t)
    const begun = await feedOf(world, '')
    deepStrictEqual(begun.changes, [])
    await world.happen(adaShops())
    await world.acceptedMessage('user:ada')
    for (const userId of ['bob', 'cyd', 'dan']) await world.happen([viewOf(userId, '1')])
    await world.settle()
    const all = new Map<string, number[]>()
    let pages = 0
    for (let since = begun.cursor; ; pages++) {
      const { changes, cursor, hasMore } = await feedOf(world, `?count=3&since=${since}`)
      ok(changes.length <= 3)
      for (const { id, version } of changes) all.set(id, [...(all.get(id) ?? []), version])
      since = cursor
      if (!hasMore) break
    }
    ok(pages >= 3)
    for (const id of ['user:ada', 'user:bob', 'user:cyd', 'user:dan']) {
      const { version } = (await get(world, id)).body
      deepStrictEqual(
        all.get(id),
        Array.from({ length: version }, (_, index) => index + 1),
        id,
      )
    }
    equal(all.size, 4)
    const one = await feedOf(world, `?count=500&since=${begun.cursor}`)
    equal(one.changes.length, [...all.values()].flat().length)
    const bad = await world.app.inject({ url: '/api/v1/changes?since=x', headers: world.keys.read })
    equal(bad.json().code, 'cursor-invalid')
    for (const partition of [0, 1, 2, 3]) world.log.trim(partition, 1000)
    const lost = `/api/v1/changes?since=${begun.cursor}`
    const trimmed = await world.app.inject({ url: lost, headers: world.keys.read })
    equal(trimmed.json().code, 'history-trimmed')
  })

  it('leaves computed traits out, and tells nothing where a segment saw one', async (t) => {
    const views = 'kind: count\nevent: Product Viewed\n'
    const counting = { files: new Map([['traits/views.yaml', views]]) }
    const world = await openWorld(t, counting)
    await world.happen(adaShops())
    await world.settle()
    const now = (await get(world, 'ada')).body
    ok('views' in now.computedTraits)
    const { status, body } = await get(world, `ada?version=${now.version}`)
    deepStrictEqual(
      [status, body.leftOut, 'computedTraits' in body],
      [200, ['computedTraits'], false],
    )
    deepStrictEqual([body.traits, body.segments], [now.traits, now.segments])
    const keen = 'name: keen\nrule: {trait: views, atLeast: 1}\n'
    const files = new Map([...counting.files, ['segments/keen.yaml', keen]])
    const seeing = await openWorld(t, { files })
    await seeing.happen(adaShops())
    await seeing.settle()
    const refused = await get(seeing, 'ada?version=2')
    deepStrictEqual([refused.status, refused.body.code], [410, 'history-computed'])
  })

  it('says why it cannot tell', async (t) => {
    const world = await openWorld(t)
    await world.happen(adaShops())
    const refusals: readonly (readonly [string, number, string])[] = [
      ['ada?version=0', 404, 'history-unknown'],
      ['ada?version=9999', 404, 'history-unknown'],
      ['ada?at=2020-01-01', 404, 'history-before'],
      ['ada?at=2999-01-01', 400, 'time-invalid'],
      ['ada?at=yesterday', 400, 'time-invalid'],
      ['ada?at=2026-11-01T10:00:00', 400, 'time-invalid'],
      ['ada?at=2026-11-01&version=1', 400, 'past-ambiguous'],
      ['ada?version=x', 400, 'invalid'],
      ['nobody?version=1', 404, 'history-before'],
      ['nobody/changes', 404, 'history-before'],
      ['ada/diff?from=1&to=9999', 404, 'history-unknown'],
      ['ada/diff?from=1', 400, 'invalid'],
      ['ada/changes?since=x', 400, 'invalid'],
    ]
    for (const [path, status, code] of refusals) {
      const answer = await get(world, path)
      equal(answer.status, status, `${path}: ${JSON.stringify(answer.body)}`)
      match(String(answer.body.code), new RegExp(code), path)
    }
    // The fast path leaves the past to the route.
    const fast = createProfileFastPath(world.deps, 0)
    const request = { method: 'GET', url: '/api/v1/profiles/ada?version=1', headers: {} }
    equal(fast(request as never, {} as never), false)
    for (const partition of [0, 1, 2, 3]) world.log.trim(partition, 1000)
    equal((await get(world, 'ada?version=2')).body.code, 'history-trimmed')
  })
})
