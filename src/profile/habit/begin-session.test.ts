/** What begins a session on bytes against what does the same with any event. */

import assert from 'node:assert/strict'
import { it } from 'node:test'
import fc from 'fast-check'
import { cutText } from '../activity-pack.ts'
import { beginBytesMax, beginSession } from './begin-session.ts'
import { createDesk, writeText } from './desk.ts'
import { foldSessions } from './fold-sessions.ts'
import { closeHabits } from './habit-pack.ts'
import {
  addVisit,
  decodeSessions,
  encodeSessions,
  sessionCountMax,
  type Visit,
} from './session-pack.ts'
import type { Touch } from './touch.ts'

const text = fc.string({ unit: 'grapheme', maxLength: 70 })
const touch: fc.Arbitrary<Touch | undefined> = fc.oneof(
  fc.constant(undefined),
  fc.record({ channel: fc.constantFrom('direct', 'email'), landingPage: text, referrer: text }),
)
const visit: fc.Arbitrary<Visit> = fc
  .record({ atMs: fc.nat(40), order: fc.nat(2), idleMs: fc.constantFrom(3, 5), touch })
  .map((drawn) => ({ ...drawn, readTouch: () => drawn.touch }))

it('a session that begins behind all others gives the bytes of any other way', () => {
  let begunCount = 0
  const visits = fc.array(visit, { minLength: 1, maxLength: 12, size: 'max' })
  fc.assert(
    fc.property(visits, fc.uint8Array({ maxLength: 9 }), (some, affinities) => {
      let sessions = decodeSessions(new Uint8Array(0))
      for (const one of some) {
        const bytes = sessions.spans.length === 0 ? new Uint8Array(0) : encodeSessions(sessions)
        const habits = closeHabits({ sessions: bytes, affinities })
        const [source, target] = [0, 1].map(() => createDesk(habits.length + beginBytesMax))
        assert.ok(source !== undefined && target !== undefined)
        source.bytes.set(habits)
        source.end = habits.length
        const { foldedUntilMs } = sessions
        const added = addVisit(sessions, one, () => foldedUntilMs)
        const [folded] = foldSessions([{ key: 'user:a', sessions: added }])
        assert.ok(folded !== undefined)
        const isBehind = sessions.spans.every(({ endMs }) => one.atMs >= endMs)
        const isBegun = beginSession(source, target, one, { spanCount: 0, foldedUntilMs: 0 })
        assert.equal(isBegun, isBehind && one.atMs >= foldedUntilMs)
        // It has its own copy: the next visit is encoded from what the other way answers.
        sessions = decodeSessions(encodeSessions(folded.sessions))
        if (!isBegun) continue
        begunCount++
        const expected = closeHabits({ sessions: encodeSessions(sessions), affinities })
        assert.deepEqual(Buffer.from(target.bytes.subarray(0, target.end)), Buffer.from(expected))
      }
    }),
    { numRuns: 300 },
  )
  assert.ok(begunCount > 300)
})

it('leaves to others what folds over several keys, and what is forgotten', () => {
  const [source, target] = [createDesk(beginBytesMax), createDesk(beginBytesMax)]
  source.end = 2
  const one: Visit = { atMs: 7, order: 0, idleMs: 5, readTouch: () => undefined }
  const begin = (spanCount: number, foldedUntilMs: number): boolean =>
    beginSession(source, target, one, { spanCount, foldedUntilMs })
  assert.deepEqual([begin(0, 7), begin(sessionCountMax - 1, 0)], [true, true])
  assert.deepEqual([begin(0, 8), begin(sessionCountMax, 0)], [false, false])
})

it('a text is written as it is cut', () => {
  const any = fc.string({ unit: 'binary', maxLength: 20 })
  fc.assert(
    fc.property(any, fc.nat(20), (each, bytesMax) => {
      const bytes = Buffer.alloc(30)
      const end = writeText(bytes, 3, each, bytesMax)
      assert.deepEqual(bytes.subarray(3, end), cutText(each, bytesMax))
    }),
  )
})
