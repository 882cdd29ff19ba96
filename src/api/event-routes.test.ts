import { deepStrictEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { systemClock } from '../lib/clock.ts'
import { silentLogger } from '../lib/logger.ts'
import type { EventLog } from '../log/event-log.ts'
import { createEventStream } from './event-stream.ts'
import { eventRecord, openWorld, until, viewOf, type World } from './world.fixture.ts'

/** Opens the stream over HTTP; `text` grows as it comes. */
async function follow(world: World, query: string) {
  if (!world.app.server.listening) await world.app.listen({ port: 0, host: '127.0.0.1' })
  const address = world.app.server.address()
  const port = typeof address === 'object' ? address?.port : 0
  const stop = new AbortController()
  const url = `http://127.0.0.1:${port}/api/v1/events/stream${query}`
  const answer = await fetch(url, { headers: world.keys.read, signal: stop.signal })
  const seen = { status: answer.status, text: '', stop: () => stop.abort() }
  const decoder = new TextDecoder()
  const readAll = async (): Promise<void> => {
    for await (const chunk of answer.body ?? []) seen.text += decoder.decode(chunk)
  }
  readAll().catch(() => undefined)
  await until(() => seen.text !== '')
  // The reader starts from the ends of the logs, which it looks up first.
  await systemClock.sleep(20)
  return seen
}

function recordsIn(text: string): readonly Record<string, unknown>[] {
  return [...text.matchAll(/^event: record\ndata: (.*)$/gm)].map(
    ([, json = '']) => JSON.parse(json) as Record<string, unknown>,
  )
}

describe('GET /api/v1/events/stream', () => {
  it('shows what became of rejected events as what it is', async (t) => {
    const world = await openWorld(t)
    const seen = await follow(world, '?kind=rejected,resolution')
    const bytes = Buffer.from('{"event":"Seen"}')
    const body: unknown = JSON.parse(bytes.toString())
    const call = { kind: 'single', type: 'track', isBackfill: false, body, bytes } as const
    await world.collector.collect('web', call)
    const limits = { countMax: 10, says: 'a test of ours' }
    await world.deps.workList.dismiss({ source: 'web' }, limits)
    await until(() => recordsIn(seen.text).length === 2)
    const [rejected, resolution] = recordsIn(seen.text)
    equal(rejected?.['reason'], 'id-missing')
    equal(resolution?.['kind'], 'resolution')
    equal(resolution?.['name'], 'dismissed')
    equal(resolution?.['reason'], undefined)
    seen.stop()
  })

  it('shows new records of both logs to each client by the kinds it asked for', async (t) => {
    const world = await openWorld(t)
    const events = await follow(world, '?kind=event,rejected')
    const items = await follow(world, '?kind=item')
    await world.append([eventRecord(viewOf('ada', '1'))])
    await world.rejected.append([
      {
        ...eventRecord(viewOf('ada', '2')),
        key: 'source:web',
        skeleton: {
          sourceId: 'web',
          reason: 'plan-violated',
          path: '/properties',
          receivedAtMs: 1,
        },
      },
    ])
    await until(() => recordsIn(events.text).length === 2)
    const [seen, refused] = recordsIn(events.text).toSorted((left) =>
      left['kind'] === 'event' ? -1 : 1,
    )
    equal(seen?.['name'], 'Product Viewed')
    equal(seen?.['key'], 'user:ada')
    ok(Number(seen?.['offset']) > 0)
    equal(refused?.['kind'], 'rejected')
    equal(refused?.['reason'], 'plan-violated')
    equal(refused?.['path'], '/properties')
    deepStrictEqual(recordsIn(items.text), [])
    events.stop()
    items.stop()
  })

  it('lets no more clients in than allowed, and lets one in when another leaves', async (t) => {
    const world = await openWorld(t, { options: { streamClientCountMax: 1 } })
    const first = await follow(world, '')
    const second = await follow(world, '')
    equal(second.status, 503)
    first.stop()
    await until(async () => {
      const third = await follow(world, '')
      third.stop()
      return third.status === 200
    })
  })
})

describe('createEventStream', () => {
  it('tells a slow client how many it missed, and does not slow another', async (t) => {
    const world = await openWorld(t)
    const { log, rejected } = world
    const deps = { log, rejected, clock: systemClock, logger: silentLogger }
    const stream = createEventStream(deps, { pauseMs: 1, countMax: 50 })
    t.after(() => stream.close())
    let hasRoom = false
    const slow: string[] = []
    const fast: string[] = []
    const accepts = (kind: string): boolean => kind === 'event'
    stream.add({ accepts, take: (text) => hasRoom && slow.push(text) > 0 })
    stream.add({ accepts, take: (text) => fast.push(text) > 0 })
    await systemClock.sleep(20)
    for (let count = 0; count < 5; count++) await world.append([eventRecord(viewOf('ada', '1'))])
    await until(() => fast.length === 5)
    deepStrictEqual(slow, [])
    hasRoom = true
    await world.append([eventRecord(viewOf('ada', '2'))])
    await until(() => slow.length === 2)
    equal(slow[0], 'event: missed\ndata: {"count":5}\n\n')
  })

  it('shows later what a log elsewhere has not brought yet', async (t) => {
    const world = await openWorld(t)
    let askedCount = 0
    const log: EventLog = {
      ...world.log,
      read: async (...given) => (askedCount++ < 3 ? [] : await world.log.read(...given)),
    }
    const deps = { log, rejected: world.rejected, clock: systemClock, logger: silentLogger }
    const stream = createEventStream(deps, { pauseMs: 1, countMax: 10 })
    t.after(() => stream.close())
    const seen: string[] = []
    stream.add({ accepts: (kind) => kind === 'event', take: (text) => seen.push(text) > 0 })
    await systemClock.sleep(20)
    await world.append([eventRecord(viewOf('ada', '1'))])
    await until(() => askedCount > 3 && seen.length === 1)
    equal(recordsIn(seen.join('')).length, 1)
  })

  it('passes over what is more than it may show, and says so', async (t) => {
    const world = await openWorld(t)
    const { log, rejected } = world
    const deps = { log, rejected, clock: systemClock, logger: silentLogger }
    const stream = createEventStream(deps, { pauseMs: 1, countMax: 10 })
    t.after(() => stream.close())
    const seen: string[] = []
    stream.add({ accepts: (kind) => kind === 'event', take: (text) => seen.push(text) > 0 })
    await systemClock.sleep(20)
    await world.append(Array.from({ length: 30 }, () => eventRecord(viewOf('ada', '1'))))
    await until(() => recordsIn(seen.join('')).length === 10)
    equal(seen[0], 'event: missed\ndata: {"count":20}\n\n')
  })
})
