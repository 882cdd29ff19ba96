import { deepStrictEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Event } from '../event/event.ts'
import { systemClock } from '../lib/clock.ts'
import { timeText } from '../lib/time-text.ts'
import { openWorld, type World } from './world.fixture.ts'

type Given = Partial<Event> & Pick<Event, 'type' | 'name'>

const minuteMs = 60_000

/** A visit of yesterday by an email, one of now on a phone that becomes Ada's. */
function adaReturns(nowMs: number): readonly Given[] {
  const url = 'https://shop.example/spring?utm_source=news&utm_medium=email&utm_campaign=spring'
  const yesterdayMs = nowMs - 1440 * minuteMs
  const lamp = { product_id: '1', price: 30, category: 'lamps', brand: 'Oak' }
  const rug = { product_id: '2', price: 120, category: 'rugs', brand: 'Oak' }
  const track = { type: 'track' } as const
  const onPhone = { anonymousId: 'phone' }
  return [
    {
      type: 'page',
      name: 'Page Viewed',
      userId: 'ada',
      occurredAtMs: yesterdayMs,
      context: { page: { url } },
    },
    {
      ...{ ...track, name: 'Product Viewed', properties: lamp, occurredAtMs: nowMs - 3 * minuteMs },
      ...{ ...onPhone, context: { page: { path: '/p/1' } } },
    },
    {
      ...{ ...track, name: 'Product Added', properties: { ...rug, quantity: 2 } },
      ...{ ...onPhone, occurredAtMs: nowMs - 2 * minuteMs },
    },
    {
      ...{ ...track, name: 'Product Added', properties: lamp },
      ...{ userId: 'ada', ...onPhone, occurredAtMs: nowMs - minuteMs },
    },
    { ...track, name: 'Product Removed', properties: lamp, userId: 'ada', occurredAtMs: nowMs },
  ]
}

async function profileOf(world: World, id: string) {
  const answer = await world.app.inject({
    url: `/api/v1/profiles/${id}`,
    headers: world.keys.read,
  })
  equal(answer.statusCode, 200)
  return answer.json()
}

describe('the profile', () => {
  it('shows sessions over all keys, touches, the state of the cart and affinities', async (t) => {
    const world = await openWorld(t)
    const nowMs = Math.floor(systemClock.nowMs())
    await world.happen(adaReturns(nowMs))
    const { sessions, firstTouch, lastTouch, cartState, cart, affinities } = await profileOf(
      world,
      'ada',
    )
    equal(sessions.count, 2)
    const { id, ...newest } = sessions.newest
    ok(id.length > 0)
    deepStrictEqual(newest, {
      number: 2,
      startedAt: timeText(nowMs - 3 * minuteMs),
      lastEventAt: timeText(nowMs),
      endsAt: timeText(nowMs + 30 * minuteMs),
      eventCount: 4,
      entry: { at: timeText(nowMs - 3 * minuteMs), channel: 'direct', landingPage: '/p/1' },
    })
    const tags = { source: 'news', medium: 'email', campaign: 'spring' }
    const came = { at: timeText(nowMs - 1440 * minuteMs), channel: 'email', ...tags }
    deepStrictEqual(firstTouch, { ...came, landingPage: '/spring' })
    deepStrictEqual(lastTouch, firstTouch, 'coming by oneself is not what led there')
    deepStrictEqual(
      cart.map(({ itemId }: { itemId: string }) => itemId),
      ['2'],
    )
    deepStrictEqual(cartState, {
      value: 240,
      removed: [{ itemId: '1', removedAt: timeText(nowMs) }],
      changedAt: timeText(nowMs),
      abandonedAt: timeText(nowMs + 60 * minuteMs),
      orderedAt: null,
    })
    const shown = (list: readonly { name: string; weight: number }[]) =>
      list.map(({ name, weight }) => [name, Math.round(weight)])
    deepStrictEqual(shown(affinities.categories), [
      ['lamps', 7],
      ['rugs', 6],
    ])
    deepStrictEqual(shown(affinities.brands), [['Oak', 13]])
    deepStrictEqual(shown(affinities.priceBands), [
      ['20-50', 7],
      ['100-200', 6],
    ])
    equal(affinities.at, timeText(nowMs - minuteMs))
  })

  it('says that nothing is known where nothing is', async (t) => {
    const world = await openWorld(t)
    await world.happen([{ type: 'identify', name: 'identify', userId: 'eve', traits: { a: 1 } }])
    const { sessions, firstTouch, lastTouch, cartState, affinities } = await profileOf(world, 'eve')
    deepStrictEqual(sessions, { count: 0, newest: null })
    deepStrictEqual(
      [firstTouch, lastTouch, cartState.abandonedAt, affinities.at],
      [null, null, null, null],
    )
  })
})
