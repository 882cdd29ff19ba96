/**
 * What the fold makes of a person's habits over several partitions: devices and users that join, in
 * whatever order records come and however often, against a count of all events at once.
 */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createSeededRandom, type Random } from '../lib/random.ts'
import { emptyPack } from '../profile/activity-pack.ts'
import { decodeComputed } from '../profile/computed/computed-pack.ts'
import { sessionId, sessionKind } from '../profile/computed/computed-trait.ts'
import { actionWeights } from '../profile/habit/affinity-pack.ts'
import { sessionsOf } from '../profile/habit/fold-sessions.ts'
import { openHabits } from '../profile/habit/habit-pack.ts'
import { decodeSessions, sessionCountMax } from '../profile/habit/session-pack.ts'
import { viewHabits } from '../profile/habit/view-habits.ts'
import type { Person } from '../profile/person.ts'
import { interactionKindOf } from '../recommend/advice-request.ts'
import { kindWeights } from '../recommend/own-items.ts'
import { hashPartition } from '../state/dump.ts'
import {
  compileGiven,
  type GivenEvent,
  leaderOf,
  Partitions,
  partitionCount,
  pick,
} from './partitions.fixture.ts'

const minuteMs = 60_000
const idleMs = 30 * minuteMs
const definitions = compileGiven({
  sources: [
    { name: 'app', writeKeys: ['wk_of_the_app'], sessionIdleMinutes: 10 },
    { name: 'till', writeKeys: ['wk_of_the_till'], sessionIdleMinutes: 0 },
    { name: 'hook', webhook: { kind: 'shopify', secretFile: '/secret' } },
  ],
  traits: [{ name: 'in_session', content: { kind: 'count', within: 'session' } }],
})

interface Planned {
  readonly event: GivenEvent & { readonly eventId: string }
  readonly atMs: number
}

/** One person with three devices, in an hour: three sessions at most, so that all are kept. */
function planVisits(random: Random): readonly Planned[] {
  const count = 10 + Math.floor(random.unit() * 20)
  const times = Array.from({ length: count }, () => Math.floor(random.unit() * 60 * minuteMs))
  return times
    .sort((left, right) => left - right)
    .map((atMs, index): Planned => {
      const eventId = `e${index}`
      const device = { anonymousId: pick(random, ['d1', 'd2', 'd3']) }
      const draw = random.unit()
      const who = draw < 0.2 ? { userId: 'u' } : draw < 0.4 ? { userId: 'u', ...device } : device
      const product = { product_id: 'p', category: pick(random, ['lamps', 'rugs']), price: 12 }
      const name = pick(random, ['Product Viewed', 'Product Added', 'Product Clicked'])
      const url = `https://shop.example/?utm_source=s${index}`
      const context = random.unit() < 0.3 ? { context: { page: { url } } } : {}
      const event = { type: 'track', name, eventId, ...who, properties: product, ...context }
      return { event: event as Planned['event'], atMs }
    })
}

/** Named at last, so that all devices are the person's. */
const logins: readonly Planned[] = ['d1', 'd2', 'd3'].map((anonymousId, index) => ({
  event: { type: 'identify', name: 'identify', eventId: `i${index}`, userId: 'u', anonymousId },
  atMs: 61 * minuteMs + index,
}))

async function play(visits: readonly Planned[], random: Random): Promise<Partitions> {
  const world = await new Partitions(definitions).open()
  for (const { event, atMs } of [...visits, ...logins]) {
    await world.event(event, atMs)
    if (random.unit() < 0.1) await world.event(event, atMs)
    const stepCount = Math.floor(6 * random.unit())
    for (let step = 0; step < stepCount; step++) await world.step(random)
  }
  await world.settle(random)
  return world
}

describe('habits over partitions', () => {
  it('are those of all events of the person, and the same after a rebuild', async (t) => {
    const firstSeed = Number(process.env['ATTUNE_TEST_SEED'] ?? 1)
    t.diagnostic(`first seed ${firstSeed}`)
    for (let seed = firstSeed; seed < firstSeed + 12; seed++) {
      const random = createSeededRandom(seed)
      const visits = planVisits(random)
      const world = await play(visits, random)
      const people = await world.people()
      assert.equal(leaderOf(people, 'anonymous:d1'), 'user:u')
      const view = viewHabits(people.get('user:u')?.parts ?? [])
      const says = `seed ${seed}`
      checkSessions(view, visits, says)
      checkComputed(people.get('user:u'), says)
      const sums = new Map<string, number>()
      for (const { event } of visits) {
        const { category } = event.properties as { readonly category: string }
        const action = { 'Product Viewed': 1, 'Product Added': 6 }[event.name] ?? 0
        if (action > 0) sums.set(category, (sums.get(category) ?? 0) + action)
      }
      // An hour is too short for a weight to age by more than a thousandth.
      const shown = view.affinities.category
      assert.equal(shown.length, sums.size, says)
      for (const { name, weight } of shown) {
        assert.ok(Math.abs(weight / (sums.get(name) ?? 0) - 1) < 2e-3, `${says}: ${name}`)
      }
      await checkRebuild(world, says)
    }
  })

  it('weigh what was done as recommendations do', () => {
    const weights = Object.entries(interactionKindOf).map(([name, kind]) => [
      name,
      kindWeights[kind],
    ])
    assert.deepEqual(actionWeights, Object.fromEntries(weights))
  })

  it('of two who join keep the newest sessions alone, and count all', async () => {
    const world = await new Partitions(definitions).open()
    const random = createSeededRandom(1)
    for (let hour = 0; hour < 6; hour++) {
      const anonymousId = hour % 2 === 0 ? 'd1' : 'd2'
      const event = { type: 'track', name: 'Product Viewed', anonymousId } as const
      await world.event({ ...event, eventId: `e${hour}` }, hour * 60 * minuteMs)
    }
    for (const { event, atMs } of logins) await world.event(event, atMs + 360 * minuteMs)
    await world.settle(random)
    const { parts = [] } = (await world.people()).get('user:u') ?? {}
    assert.equal(viewHabits(parts).sessionCount, 6)
    const spans = parts.flatMap(({ habits }) => decodeSessions(openHabits(habits).sessions).spans)
    assert.equal(spans.length, sessionCountMax)
  })

  it('count visits by the pause of their source, and none of tills, hooks and emails', async () => {
    const world = await new Partitions(definitions).open()
    const visit = { type: 'track', name: 'Product Viewed', userId: 'u' } as const
    const given: readonly (readonly [string, number])[] = [
      ['app', 0],
      ['app', 9],
      ['app', 19],
      ['till', 25],
      ['hook', 27],
      ['delivery', 28],
      ['web', 30],
      ['app', 59],
      ['web', 68],
      ['web', 98],
    ]
    for (const [sourceId, minutes] of given) {
      const properties = { product_id: 'p', brand: sourceId }
      const eventId = `${sourceId}${minutes}`
      await world.event({ ...visit, sourceId, eventId, properties }, minutes * minuteMs)
    }
    await world.settle(createSeededRandom(1))
    const person = (await world.people()).get('user:u')
    checkComputed(person, 'by source')
    const { sessionCount, session, affinities } = viewHabits(person?.parts ?? [])
    // 0 and 9; 19; 30, 59 and 68; 98, exactly half an hour later.
    assert.equal(sessionCount, 4)
    assert.equal(session?.eventCount, 1)
    const brands = affinities.brand.map(({ name }) => name)
    assert.deepEqual(brands.sort(), ['app', 'delivery', 'hook', 'till', 'web'])
  })
})

function checkSessions(
  view: ReturnType<typeof viewHabits>,
  visits: readonly Planned[],
  says: string,
): void {
  const sessions: Planned[][] = []
  for (const visit of visits) {
    const before = sessions.at(-1)?.at(-1)
    if (before === undefined || visit.atMs - before.atMs >= idleMs) sessions.push([])
    sessions.at(-1)?.push(visit)
  }
  const sourceOf = ({ event }: Planned): string => `s${event.eventId.slice(1)}`
  const entries = visits.filter(({ event }) => event.context !== undefined)
  const led = sessions.flatMap((some) => some.find(({ event }) => event.context) ?? [])
  assert.equal(view.sessionCount, sessions.length, says)
  assert.equal(view.session?.eventCount, sessions.at(-1)?.length, says)
  assert.equal(view.firstTouch?.source, entries[0] && sourceOf(entries[0]), says)
  const last = led.at(-1)
  assert.equal(view.lastTouch?.source, last && sourceOf(last), says)
}

/** A computed trait of the session looks at the same sessions. */
function checkComputed(person: Person | undefined, says: string): void {
  const { parts } = person ?? assert.fail('nobody')
  const spans = parts.flatMap(({ computed = emptyPack }) =>
    decodeComputed(computed).flatMap(({ id, state }) => (id === sessionId ? [state] : [])),
  )
  const computed = sessionKind.open(spans)
  const kept = parts.map(({ key, habits }) => ({
    key,
    sessions: decodeSessions(openHabits(habits).sessions),
  }))
  for (const { startMs: fromMs, endMs } of sessionsOf(kept)) {
    const at = (nowMs: number) => computed.answerAt(nowMs, -Infinity).value
    for (const inMs of [fromMs, endMs - 1]) assert.deepEqual(at(inMs), [fromMs, endMs], says)
    for (const outMs of [fromMs - 1, endMs]) assert.notDeepEqual(at(outMs), [fromMs, endMs], says)
    assert.equal(computed.nextChangeAt(fromMs, Infinity), endMs, says)
  }
}

async function checkRebuild(world: Partitions, says: string): Promise<void> {
  const again = await new Partitions(world.definitions).open(world.log)
  for (let partition = 0; partition < partitionCount; partition++) {
    const hashes = await Promise.all(
      [world.state, again.state].map((state) => hashPartition(state, partition)),
    )
    assert.equal(hashes[0], hashes[1], `${says}: the log alone gives the same state`)
  }
}
