import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { emptyPack } from './activity-pack.ts'
import {
  appendStep,
  beginSteps,
  countSteps,
  decodeSteps,
  readCheckpointVersion,
  readStepsEnd,
  type Step,
} from './step-pack.ts'

const startMs = 1_800_000_000_000

const anyStep = fc.record({
  kind: fc.constantFrom('record' as const, 'timer' as const),
  further: fc.nat(2 ** 40),
  laterMs: fc.integer({ min: -5000, max: 90 * 86_400_000 }),
  what: fc.string({ unit: 'grapheme', maxLength: 40 }),
  againCount: fc.nat(2),
  definitionsVersion: fc.nat(3),
})

describe('steps of a person', () => {
  it('are read as they were appended, over packs that follow each other', () => {
    fc.assert(
      fc.property(
        fc.array(anyStep, { maxLength: 40 }),
        fc.integer({ min: 1, max: 9 }),
        (all, size) => {
          let pack = emptyPack
          let from = readStepsEnd(pack)
          const expected: unknown[] = []
          const found: unknown[] = []
          let offset = 0
          let atMs = startMs
          let definitionsVersion = 0
          const take = (): void => {
            found.push(...decodeSteps(pack, from))
            from = readStepsEnd(pack)
            pack = beginSteps(pack, expected.length)
            assert.equal(readCheckpointVersion(pack), expected.length)
            assert.deepEqual(readStepsEnd(pack), from)
          }
          for (const {
            kind,
            further,
            laterMs,
            what,
            againCount,
            definitionsVersion: more,
          } of all) {
            offset += further
            atMs += laterMs
            definitionsVersion += more
            const step: Step = { kind, offset, atMs, ...(kind === 'timer' ? { what } : {}) } as Step
            pack = appendStep(pack, step, definitionsVersion)
            expected.push({ ...step, isAgain: false, definitionsVersion })
            for (let again = 0; again < againCount; again++) {
              pack = appendStep(pack, { kind: 'again' }, definitionsVersion)
              expected.push({ ...step, isAgain: true, definitionsVersion })
            }
            if (countSteps(pack) >= size) take()
          }
          if (countSteps(pack) > 0) take()
          assert.deepEqual(found, expected)
        },
      ),
      { numRuns: 300 },
    )
  })

  it('of events that follow each other take ten bytes or less', () => {
    let pack = emptyPack
    for (let index = 0; index < 200; index++) {
      const step = {
        kind: 'record',
        offset: index * 50_000,
        atMs: startMs + index * 60_000,
      } as const
      pack = appendStep(pack, step, 1)
    }
    assert.ok(pack.length / 200 < 10, `${pack.length / 200} bytes a step`)
  })
})
