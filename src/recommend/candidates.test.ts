import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { CandidateHeap } from './candidate-heap.ts'
import { Candidates } from './candidates.ts'

const slotCount = 12
const someWord = fc.record({
  slot: fc.integer({ min: 0, max: slotCount - 1 }),
  place: fc.integer({ min: 0, max: 9 }),
  amount: fc.integer({ min: 0, max: 8 }),
})
const someSpeaker = fc.record({
  words: fc.array(someWord, { maxLength: 30 }),
  weight: fc.constantFrom(0.25, 0.5, 1),
  silenced: fc.integer({ min: 0, max: slotCount - 1 }),
})

describe('Candidates', () => {
  it('adds up the shares of all who spoke, and knows who said most (property)', () => {
    const candidates = new Candidates()
    fc.assert(
      fc.property(fc.array(someSpeaker, { maxLength: 4 }), (speakers) => {
        candidates.clear(slotCount)
        const scores = new Map<number, number>()
        const most = new Map<number, { readonly share: number; readonly said: number[] }>()
        for (const [speaker, { words, weight, silenced }] of speakers.entries()) {
          for (const { slot, place, amount } of words) candidates.add(slot, place, amount)
          candidates.silence(silenced)
          candidates.settle(weight, speaker)
          const heard = words.filter(({ slot }) => slot !== silenced)
          const total = heard.reduce((sum, { amount }) => sum + amount, 0)
          const sums = new Map<number, { sum: number; largest: number; place: number }>()
          for (const { slot, place, amount } of heard) {
            const said = sums.get(slot) ?? { sum: 0, largest: -1, place: -1 }
            const isLarger = amount > said.largest
            sums.set(slot, {
              sum: said.sum + amount,
              largest: isLarger ? amount : said.largest,
              place: isLarger ? place : said.place,
            })
          }
          for (const [slot, { sum, place }] of sums) {
            const share = total === 0 ? 0 : sum * (weight / total)
            scores.set(slot, (scores.get(slot) ?? 0) + share)
            if (share > (most.get(slot)?.share ?? 0))
              most.set(slot, { share, said: [speaker, place] })
          }
        }
        for (let candidate = 0; candidate < candidates.count; candidate++) {
          const slot = candidates.slots[candidate] ?? -1
          const score = scores.get(slot) ?? 0
          assert.ok(Math.abs((candidates.scores[candidate] ?? 0) - score) < 1e-9)
          if (score > 0) {
            const { share = 0, said } = most.get(slot) ?? {}
            const found = [candidates.speakerOf(candidate), candidates.placeOf(candidate)]
            assert.deepEqual(found, said)
            assert.ok(Math.abs(candidates.mostShareOf(candidate) - share / score) < 1e-9)
          }
          scores.delete(slot)
        }
        assert.deepEqual([...scores], [])
      }),
      { numRuns: 500 },
    )
  })
})

describe('CandidateHeap', () => {
  it('gives what sorting does, of equals the first, filled again and again (property)', () => {
    const heap = new CandidateHeap()
    const someScores = fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 40 })
    fc.assert(
      fc.property(someScores, (scores) => {
        heap.fill(Float64Array.from([...scores, 9]), scores.length)
        const taken: number[] = []
        for (let next = heap.take(); next !== undefined; next = heap.take()) taken.push(next)
        const sorted = [...scores.keys()].sort(
          (left, right) => (scores[right] ?? 0) - (scores[left] ?? 0),
        )
        assert.deepEqual(taken, sorted)
      }),
      { numRuns: 300 },
    )
  })
})
