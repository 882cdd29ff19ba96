/**
 * Sessions, entries and affinities against a naive reading that has all events at once: whatever
 * the order in which they come, over however many keys, and however keys join.
 */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  affinityCountMax,
  affinityHalfLifeMs,
  affinityKinds,
  priceBandOf,
  type Taste,
  weightAt,
} from './affinity-pack.ts'
import {
  addHabits,
  type HabitPart,
  habitBytesMax,
  mergeHabits,
  settleHabits,
} from './habit-pack.ts'
import { sessionCountMax } from './session-pack.ts'
import type { Touch } from './touch.ts'
import { agedWeight, type HabitView, viewHabits } from './view-habits.ts'

const minuteMs = 60_000
const startMs = 1_790_000_000_000
const nowMs = startMs + 90 * 86_400_000

interface Given {
  readonly key: string
  readonly atMs: number
  readonly order: number
  readonly idleMs: number
  readonly touch?: Touch | undefined
  readonly taste: Taste
  readonly weight: number
}

const touch: fc.Arbitrary<Touch | undefined> = fc.oneof(
  { weight: 2, arbitrary: fc.constant(undefined) },
  fc.record({
    channel: fc.constantFrom('direct', 'search', 'email', 'paid'),
    landingPage: fc.constantFrom('/', '/lamps', '/zäune'),
  }),
  fc.record({ channel: fc.constantFrom('direct', 'other'), campaign: fc.constantFrom('a', 'b') }),
)
/** Few instants, so that pauses of exactly the limit and repeats of one instant are met. */
function given(spanMinutes: number, nameCount: number): fc.Arbitrary<Given> {
  const names = Array.from({ length: nameCount }, (_, index) => `name${index}`)
  return fc.record({
    key: fc.constantFrom('user:a', 'anonymous:b', 'anonymous:c'),
    atMs: fc.integer({ min: 0, max: spanMinutes / 5 }).map((step) => startMs + step * 5 * minuteMs),
    order: fc.nat(3),
    idleMs: fc.constantFrom(10, 30, 30, 30).map((minutes) => minutes * minuteMs),
    touch,
    taste: fc.record(
      { category: fc.constantFrom(...names), brand: fc.constantFrom(...names) },
      { requiredKeys: [] },
    ),
    weight: fc.constantFrom(1, 3, 6),
  })
}

function fold(events: readonly Given[]): HabitPart[] {
  const parts: HabitPart[] = []
  for (const one of events) addOne(parts, one)
  return parts
}

function addOne(parts: HabitPart[], one: Given): void {
  let part = parts.find(({ key }) => key === one.key)
  if (part === undefined) {
    part = { key: one.key }
    parts.push(part)
  }
  // As it comes from the store.
  if (part.habits !== undefined) part.habits = Buffer.from(part.habits)
  const held = part.habits
  const before = held === undefined ? undefined : Buffer.from(held)
  const { atMs, order, idleMs, taste, weight } = one
  const visit = { atMs, order, idleMs, readTouch: () => one.touch }
  addHabits(parts, part, { visit, atMs, tastes: [taste], action: weight })
  assert.deepEqual(held, before, 'bytes that others hold do not change')
}

/** All sessions with their first touch, oldest first. */
function naiveSessions(events: readonly Given[]): readonly (readonly Given[])[] {
  const sessions: Given[][] = []
  let endMs = -Infinity
  for (const event of events.toSorted(compareGiven)) {
    if (event.atMs >= endMs) sessions.push([])
    sessions.at(-1)?.push(event)
    endMs = Math.max(endMs, event.atMs + event.idleMs)
  }
  return sessions
}

/** One instant and order stands for one event: its touch is that of all of them. */
function compareGiven(one: Given, other: Given): number {
  return one.atMs - other.atMs || one.order - other.order
}

function uniqueTouches(events: readonly Given[]): readonly Given[] {
  const touches = new Map<string, Touch | undefined>()
  return events.map((event) => {
    const name = `${event.atMs}/${event.order}`
    if (!touches.has(name)) touches.set(name, event.touch)
    return { ...event, touch: touches.get(name) }
  })
}

type Visits = Omit<HabitView, 'affinities' | 'affinitiesAtMs'>

function naiveView(events: readonly Given[]): Visits {
  const sessions = naiveSessions(events)
  const entryOf = (session: readonly Given[]) => session.find((event) => event.touch !== undefined)
  const show = (event: Given | undefined) =>
    event?.touch === undefined ? undefined : { ...event.touch, atMs: event.atMs }
  const entries = sessions.flatMap((session) => entryOf(session) ?? [])
  const led = entries.filter((event) => event.touch?.channel !== 'direct')
  const newest = sessions.at(-1)
  const session = newest && {
    id: (newest[0]?.atMs ?? 0).toString(36),
    number: sessions.length,
    startedAtMs: newest[0]?.atMs ?? 0,
    lastEventAtMs: newest.at(-1)?.atMs ?? 0,
    endsAtMs: Math.max(...newest.map((event) => event.atMs + event.idleMs)),
    eventCount: newest.length,
    entry: show(entryOf(newest)),
  }
  return clean({
    sessionCount: sessions.length,
    session,
    firstTouch: show(entries[0]),
    lastTouch: show(led.at(-1) ?? entries.at(-1)),
  }) as Visits
}

function clean(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value))
}

function checkVisits(parts: readonly HabitPart[], events: readonly Given[]): void {
  const { affinities: _, affinitiesAtMs: __, ...view } = viewHabits(parts)
  assert.deepEqual(clean(view), naiveView(events))
}

describe('habits', () => {
  it('are those of a naive reading while no event is older than what is kept', () => {
    // Three pauses at least: the newest sessions alone can be meant.
    const spanMinutes = 60
    const few = fc.array(given(spanMinutes, 4), { minLength: 1, maxLength: 40, size: 'max' })
    fc.assert(
      fc.property(few, (events) => {
        const unique = uniqueTouches(events).map((event) => ({ ...event, idleMs: 30 * minuteMs }))
        checkVisits(fold(unique), unique)
      }),
    )
  })

  it('count every session of events that come in order, however many keys they have', () => {
    const many = fc.array(given(20_000, 4), { minLength: 1, maxLength: 80, size: 'max' })
    let folded = 0
    fc.assert(
      fc.property(many, (events) => {
        const ordered = uniqueTouches(events).toSorted(compareGiven)
        const parts = fold(ordered)
        checkVisits(parts, ordered)
        folded = Math.max(folded, viewHabits(parts).sessionCount)
      }),
    )
    assert.ok(folded > 5 * sessionCountMax)
  })

  it('are the same where an event comes late by less than two pauses', () => {
    const drawn = fc.tuple(given(6_000, 4), fc.nat(59))
    const many = fc.array(drawn, { minLength: 1, maxLength: 60, size: 'max' })
    fc.assert(
      fc.property(many, (events) => {
        const late = events.map(([event, lateMinutes]) => ({
          ...event,
          idleMs: 30 * minuteMs,
          arrivesAtMs: event.atMs + lateMinutes * minuteMs,
        }))
        const unique = uniqueTouches(late) as typeof late
        const arriving = unique.toSorted((one, other) => one.arrivesAtMs - other.arrivesAtMs)
        checkVisits(fold(arriving), arriving)
      }),
    )
  })

  it('of two persons who join are those of one, in whatever order they join', () => {
    const few = fc.array(given(60, 4), { maxLength: 30, size: 'max' })
    const cut = fc.array(fc.nat(2), { minLength: 30, maxLength: 30 })
    fc.assert(
      fc.property(few, cut, fc.boolean(), (events, whose, isReversed) => {
        const unique = uniqueTouches(events).map((event) => ({ ...event, idleMs: 30 * minuteMs }))
        const people = [0, 1, 2].map((person) =>
          fold(unique.filter((_, index) => whose[index] === person)),
        )
        if (isReversed) people.reverse()
        const [first = [], ...others] = people
        for (const other of others) joinPeople(first, other)
        checkVisits(first, unique)
        checkAffinities(first, unique)
      }),
    )
  })

  it('keep to one key what is known of it when it is taken out', () => {
    const few = fc.array(given(60, 4), { minLength: 1, maxLength: 30 })
    fc.assert(
      fc.property(few, (events) => {
        const unique = uniqueTouches(events).map((event) => ({ ...event, idleMs: 30 * minuteMs }))
        for (const part of fold(unique)) {
          checkVisits(
            [part],
            unique.filter(({ key }) => key === part.key),
          )
        }
      }),
    )
  })
})

function joinPeople(parts: HabitPart[], others: readonly HabitPart[]): void {
  for (const other of others) {
    const known = parts.find(({ key }) => key === other.key)
    if (known === undefined) parts.push(other)
    else {
      const merged = mergeHabits(known.habits, other.habits)
      const turned = mergeHabits(other.habits, known.habits)
      const key = 'x'
      const one = viewHabits([{ key, habits: merged ?? new Uint8Array(0) }])
      const two = viewHabits([{ key, habits: turned ?? new Uint8Array(0) }])
      assert.deepEqual(one, two, 'either way round')
      if (merged !== undefined) known.habits = merged
    }
  }
  settleHabits(parts)
}

function checkAffinities(parts: readonly HabitPart[], events: readonly Given[]): void {
  const { affinities, affinitiesAtMs } = viewHabits(parts)
  for (const kind of affinityKinds) {
    const naive = new Map<string, number>()
    for (const { taste, weight, atMs } of events) {
      const name = taste[kind]
      if (name === undefined) continue
      const aged = weight * 2 ** ((atMs - nowMs) / affinityHalfLifeMs)
      naive.set(name, (naive.get(name) ?? 0) + aged)
    }
    const total = [...naive.values()].reduce((sum, each) => sum + each, 0)
    const shown = affinities[kind]
    assert.deepEqual(new Set(shown.map(({ name }) => name)), new Set(naive.keys()))
    for (const [index, { name, weight, share }] of shown.entries()) {
      const expected = naive.get(name) ?? 0
      const aged = agedWeight(weight, nowMs - affinitiesAtMs)
      assert.ok(Math.abs(aged - expected) <= 1e-9 * expected, `weight of ${name}`)
      assert.ok(Math.abs(share - expected / total) <= 1e-9, `share of ${name}`)
      assert.ok(weight <= (shown[index - 1]?.weight ?? Infinity), 'the heaviest first')
    }
  }
}

describe('affinities', () => {
  it('are decayed sums, in whatever order events come', () => {
    const many = fc.array(given(129_600, affinityCountMax), {
      minLength: 1,
      maxLength: 60,
      size: 'max',
    })
    fc.assert(fc.property(many, (events) => checkAffinities(fold(events), events)))
  })

  it('beyond their number keep what is heavier than all new ones, and are never too heavy', () => {
    const many = fc.array(given(600, 60), { minLength: 60, maxLength: 150 })
    fc.assert(
      fc.property(many, (events) => {
        const loved = { key: 'user:a', touch: undefined, taste: { category: 'loved' }, order: 0 }
        const all = events.flatMap((event) => [
          { ...event, key: 'user:a' },
          { ...loved, atMs: event.atMs, idleMs: minuteMs, weight: 6 },
        ])
        const parts = fold(all)
        const { affinities, affinitiesAtMs } = viewHabits(parts)
        const { category } = affinities
        assert.ok(category.length <= affinityCountMax)
        assert.equal(category[0]?.name, 'loved')
        for (const { name, weight } of category) {
          const sum = all
            .filter(({ taste }) => taste.category === name)
            .reduce((added, event) => added + event.weight * weightAt(event.atMs), 0)
          assert.ok(weight * weightAt(affinitiesAtMs) <= sum * (1 + 1e-9), `weight of ${name}`)
        }
      }),
      { numRuns: 20 },
    )
  })

  it('have price bands whose bounds are 1, 2 and 5 times a power of ten', () => {
    const price = fc.double({ min: 0, max: 999_999_999, noNaN: true })
    fc.assert(
      fc.property(price, (each) => {
        const [from = NaN, to = NaN] = (priceBandOf(each) ?? '').split('-').map(Number)
        assert.ok(from <= each && each < to)
        assert.match(String(from), /^(0|[125]0*)$/)
      }),
    )
    const bands = [0, 0.99, 1, 2, 4.99, 5, 9.99, 10, 20, 49.99, 999.99, 1000].map(priceBandOf)
    assert.deepEqual(bands, [
      ...['0-1', '0-1', '1-2', '2-5', '2-5', '5-10', '5-10', '10-20', '20-50', '20-50'],
      ...['500-1000', '1000-2000'],
    ])
    assert.deepEqual([-1, NaN, Infinity, 1e9].map(priceBandOf), Array(4).fill(undefined))
  })
})

describe('the bytes of habits', () => {
  it('are bounded for one key, and over all of a person', () => {
    const long = (text: string): string => `${text}${'ü'.repeat(200)}`
    const parts: HabitPart[] = []
    for (let key = 0; key < 32; key++) {
      for (let index = 0; index < 40; index++) {
        const text = long(String(index))
        const touch: Touch = {
          channel: 'other',
          ...{ referrer: text, source: text, medium: text, campaign: text, landingPage: text },
        }
        const taste = { category: text, brand: text, priceBand: '100000-200000' }
        const atMs = startMs + index * 86_400_000 + key
        const shared = { order: 0, idleMs: minuteMs, weight: 1 }
        addOne(parts, { key: `anonymous:${key}`, atMs, touch, taste, ...shared })
        if (key === 0) assert.ok((parts[0]?.habits?.length ?? 0) <= 2_500)
      }
    }
    const bytes = parts.reduce((sum, { habits }) => sum + (habits?.length ?? 0), 0)
    assert.ok(bytes <= habitBytesMax, `${bytes} bytes`)
    assert.equal(viewHabits(parts).lastTouch?.landingPage, undefined, 'what has no room goes')
  })
})
