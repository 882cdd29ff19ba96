import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { SessionStore, sessionGapMs } from './session-store.ts'

const limits = { sessions: 4, events: 24 }
const someStep = fc.record({
  profile: fc.integer({ min: 0, max: 3 }),
  key: fc.integer({ min: 0, max: 6 }),
  isLater: fc.integer({ min: 0, max: 9 }).map((chance) => chance === 0),
})

interface PlainSession {
  readonly profile: number
  readonly keys: number[]
  lastAtMs: number
}

describe('SessionStore', () => {
  it('holds what a plain list of sessions holds, within both limits (property)', () => {
    fc.assert(
      fc.property(fc.array(someStep, { maxLength: 120 }), (steps) => {
        const store = new SessionStore(limits.sessions, limits.events)
        const held: PlainSession[] = []
        let atMs = 1_000
        for (const { profile, key, isLater } of steps) {
          if (isLater) atMs += sessionGapMs + 1
          const number = store.append(`p${profile}`, key, atMs)
          const session = appendPlainly(held, { profile, key, atMs }, store)
          assert.equal(store.ageOf(number), held.length - held.indexOf(session))
        }
        for (const [index, session] of held.entries()) {
          const age = held.length - index
          assert.deepEqual(readOf(store, age, true), newestFirst(session.keys))
          assert.deepEqual(readOf(store, age, false), [...new Set(session.keys)].reverse())
          assert.equal(store.lengthOf(store.placeOf(store.sessionOfAge(age))), session.keys.length)
        }
        assert.equal(store.ageOf(store.sessionOfAge(held.length + 1)), undefined)
      }),
      { numRuns: 500 },
    )
  })

  it('finds every session again when its ring grows after some were forgotten', () => {
    const eventCountMax = 2_400
    const store = new SessionStore(4_096, eventCountMax)
    // Three events each, so that fewer sessions are held than the ring has places.
    for (let nth = 0; nth < 1_500; nth++) {
      for (const key of [nth, nth + 1, nth + 2]) store.append(`long ${nth}`, key, nth)
    }
    // One event each: more are held than places, which by now are taken from the middle.
    for (let nth = 0; nth < eventCountMax; nth++) store.append(`short ${nth}`, 10_000 + nth, nth)
    for (let age = 1; age <= eventCountMax; age++) {
      assert.deepEqual(readOf(store, age, false), [10_000 + eventCountMax - age])
    }
    assert.equal(store.ageOf(store.sessionOfAge(eventCountMax + 1)), undefined)
  })
})

function appendPlainly(
  held: PlainSession[],
  step: { readonly profile: number; readonly key: number; readonly atMs: number },
  store: Pick<SessionStore, 'isNewItem' | 'isReload' | 'stepsBack'>,
): PlainSession {
  const eventCount = held.reduce((sum, { keys }) => sum + keys.length, 0)
  if (eventCount >= limits.events) held.shift()
  let session = held.findLast(({ profile }) => profile === step.profile)
  if (session === undefined || step.atMs - session.lastAtMs > sessionGapMs) {
    if (held.length === limits.sessions) held.shift()
    session = { profile: step.profile, keys: [], lastAtMs: step.atMs }
    held.push(session)
  }
  session.lastAtMs = step.atMs
  const back = session.keys.toReversed().indexOf(step.key)
  assert.deepEqual([store.stepsBack, store.isReload, store.isNewItem], [back, back === 0, back < 0])
  if (back !== 0) session.keys.push(step.key)
  return session
}

function newestFirst(keys: readonly number[]): readonly number[] {
  return [...new Set(keys.toReversed())]
}

function readOf(store: SessionStore, age: number, withRepeats: boolean): readonly number[] {
  const target = new Int32Array(100)
  const count = store.readKeys(store.placeOf(store.sessionOfAge(age)), target, withRepeats)
  return [...target.subarray(0, count)]
}
