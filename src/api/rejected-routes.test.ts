import { deepStrictEqual, equal, match, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Replay, Trial } from '../collect/work-list.ts'
import { openWorld, type World } from './world.fixture.ts'

const cast = { steps: [{ cast: { at: '/userId', to: 'text' } }] }
const email = 'ada@person.example'
const bad = { type: 'identify', userId: { id: 'ada' }, traits: { email } }

async function send(world: World, ...batch: readonly unknown[]): Promise<void> {
  const bytes = Buffer.from(JSON.stringify({ batch }))
  const body: unknown = JSON.parse(bytes.toString())
  await world.collector.collect('web', { kind: 'batch', isBackfill: false, body, bytes })
}

async function get(world: World, path: string) {
  return await world.app.inject({ url: `/api/v1/rejected${path}`, headers: world.keys.read })
}

async function post<Answer>(world: World, path: string, payload: object) {
  const url = `/api/v1/rejected/${path}`
  const headers = world.keys.repair
  const answer = await world.app.inject({ method: 'POST', url, headers, payload })
  return { status: answer.statusCode, body: answer.json() as Answer & { code: string } }
}

interface ListBody {
  readonly groups: readonly { readonly event: string; readonly count: number; lastId: string }[]
  readonly openCount: number
  readonly cursor?: string
}

describe('/api/v1/rejected', () => {
  it('lists groups by pages, and one group by its names', async (t) => {
    const world = await openWorld(t)
    const nameless = ['a', 'b', 'c', 'd', 'e'].map((event) => ({ type: 'track', event }))
    await send(world, ...nameless, { type: 'track', event: 'c' })
    const seen: string[] = []
    let cursor = ''
    for (let pages = 0; pages < 3; pages++) {
      const answer = await get(world, `?count=2${cursor === '' ? '' : `&cursor=${cursor}`}`)
      const body = answer.json<ListBody>()
      equal(body.openCount, 6)
      seen.push(...body.groups.map(({ event }) => event))
      cursor = body.cursor ?? ''
    }
    equal(cursor, '')
    deepStrictEqual(seen, ['a', 'b', 'c', 'd', 'e'])
    const one = (await get(world, '?source=web&reason=id-missing&event=c')).json<ListBody>()
    deepStrictEqual(
      one.groups.map(({ count }) => count),
      [2],
    )
    equal((await get(world, '?source=app')).json<ListBody>().groups.length, 0)
    for (const query of ['?cursor=x', '?count=0', '?count=1e9', '?cursor=WzFd']) {
      equal((await get(world, query)).statusCode, 400, query)
    }
  })

  it('shows the bytes of one as text that nothing obeys, to no cache', async (t) => {
    const world = await openWorld(t)
    await send(world, { type: 'track', event: 'x\u001b[31m', userId: 'ada' })
    const { groups } = (await get(world, '')).json<ListBody>()
    const answer = await get(world, `/${groups[0]?.lastId}`)
    equal(answer.statusCode, 200)
    equal(answer.headers['cache-control'], 'private, no-store')
    match(String(answer.headers['content-type']), /^application\/json/)
    ok(!answer.body.includes('\u001b'))
    const shown = answer.json<{ text: string; bytes: string; isOpen: boolean; at: string }>()
    equal(shown.text, Buffer.from(shown.bytes, 'base64').toString())
    equal(shown.at, '/event')
    equal(shown.isOpen, true)
    for (const id of ['0-1-00000000', '9999-1-00000000', 'x', `${groups[0]?.lastId}0`]) {
      equal((await get(world, `/${id}`)).statusCode, 404, id)
    }
  })

  it('tries, replays to a profile, and replays again without effect', async (t) => {
    const world = await openWorld(t)
    await send(world, bad, { ...bad, traits: { email: 'b@person.example' } })
    const selection = { source: 'web', reason: 'id-invalid' }
    const none = await post<Trial>(world, 'repair', { selection, repair: cast })
    equal(none.body.failedCount, 2)
    const repair = { steps: [{ set: { at: '/userId', to: 'ada' } }] }
    const trial = await post<Trial>(world, 'repair', { selection, repair, exampleCount: 1 })
    deepStrictEqual([trial.body.acceptedCount, trial.body.examples.length], [2, 1])
    equal((await get(world, '')).json<ListBody>().openCount, 2)
    const first = await post<Replay>(world, 'replay', { selection, repair, countMax: 1 })
    deepStrictEqual([first.body.acceptedCount, first.body.eventCount], [1, 1])
    const { cursor } = first.body
    const second = await post<Replay>(world, 'replay', { selection, repair, cursor })
    equal(second.body.acceptedCount, 1)
    equal(second.body.cursor, undefined)
    await world.settle()
    const url = '/api/v1/profiles/ada'
    const profile = await world.app.inject({ url, headers: world.keys.read })
    equal(profile.statusCode, 200)
    const again = await post<Replay>(world, 'replay', { selection, repair })
    deepStrictEqual([again.body.acceptedCount, again.body.eventCount], [0, 0])
    await world.settle()
    const same = await world.app.inject({ url, headers: world.keys.read })
    equal(same.headers['etag'], profile.headers['etag'])
    equal((await get(world, '')).json<ListBody>().openCount, 0)
  })

  it('dismisses with a reason', async (t) => {
    const world = await openWorld(t)
    await send(world, bad)
    const selection = { source: 'web' }
    equal((await post(world, 'dismiss', { selection })).status, 400)
    equal((await post(world, 'dismiss', { selection, says: 'a\nb c' })).status, 400)
    const answer = await post<{ dismissedCount: number }>(world, 'dismiss', {
      ...{ selection, says: 'sent by a test' },
    })
    equal(answer.body.dismissedCount, 1)
    equal((await get(world, '')).json<ListBody>().openCount, 0)
  })

  it('refuses what names nothing, is too much or cannot be read, and says where', async (t) => {
    const world = await openWorld(t)
    const selection = { source: 'web' }
    for (const path of ['repair', 'replay'] as const) {
      equal((await post(world, path, { selection: {} })).status, 400)
      equal((await post(world, path, {})).status, 400)
      equal((await post(world, path, { selection: { all: true } })).status, 400)
      equal((await post(world, path, { selection, more: 1 })).status, 400)
      const repair = { steps: [{ fix: {} }, { remove: { at: 'x' } }] }
      const faulty = await post<{ faults: readonly { path: string }[] }>(world, path, {
        ...{ selection, repair },
      })
      equal(faulty.body.code, 'repair-invalid')
      const paths = faulty.body.faults.map(({ path: at }) => at)
      deepStrictEqual(paths, ['/repair/steps/0', '/repair/steps/1/remove/at'])
    }
    equal((await post(world, 'repair', { selection, sampleCount: 201 })).status, 400)
    equal((await post(world, 'replay', { selection, countMax: 201 })).status, 400)
    equal((await post(world, 'replay', { selection, cursor: '1-1-1' })).body.code, 'cursor-invalid')
  })
})
