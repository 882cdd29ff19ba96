import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { algorithmNames } from '../algorithm-names.ts'
import { defaultWeights, rowOwnCounts } from '../blend-weights.ts'
import { fitWeights, type WeightSample } from './fit-weights.ts'

describe('fitWeights', () => {
  it('finds the weights that make what was met most likely', () => {
    // a explains three of four alone, b one: the likelihood w^3 (1 - w) is greatest at 3/4.
    const samples = [
      [1, 0],
      [1, 0],
      [1, 0],
      [0, 1],
    ].map((shares) => sampleOf(0, shares))
    const [row] = fitWeights(samples, defaultWeights)
    assert.deepEqual(row, { [algorithmNames[0]]: 0.75, [algorithmNames[1]]: 0.25 })
  })

  it('never makes what was met less likely than equal weights do', () => {
    // None, or more than what `likelihoodOf` takes for none.
    const share = fc.oneof(fc.constant(0), fc.double({ min: 1e-6, max: 1, noNaN: true }))
    const shares = fc.array(share, { minLength: 9, maxLength: 9 })
    fc.assert(
      fc.property(fc.array(shares, { minLength: 1, maxLength: 30 }), (all) => {
        const samples = all.map((each) => sampleOf(0, each))
        const row = fitWeights(samples, defaultWeights)[0] ?? {}
        const fitted = algorithmNames.map((name) => row[name] ?? 0)
        const equal = algorithmNames.map(() => 1 / algorithmNames.length)
        // Weights are rounded, and the least left out: hence the allowance.
        assert.ok(likelihoodOf(samples, fitted) >= likelihoodOf(samples, equal) - 0.05 * all.length)
      }),
      { numRuns: 100 },
    )
  })

  it('gives a row of few samples the weights of all, and those given where there is none', () => {
    const many = Array.from({ length: 300 }, () => sampleOf(1, [1, 0]))
    const rows = fitWeights([...many, sampleOf(2, [0, 1])], defaultWeights)
    assert.deepEqual(rows[1], { [algorithmNames[0]]: 1 })
    assert.deepEqual(rows[2], rows[0], 'one sample of its own is too few')
    assert.deepEqual(fitWeights([], defaultWeights), defaultWeights)
    assert.deepEqual(fitWeights([sampleOf(0, [0, 0])], defaultWeights), defaultWeights)
    assert.equal(rows.length, rowOwnCounts.length)
  })
})

function sampleOf(row: number, given: readonly number[]): WeightSample {
  const shares = new Float64Array(algorithmNames.length)
  shares.set(given)
  return { row, shares }
}

function likelihoodOf(samples: readonly WeightSample[], weights: readonly number[]): number {
  let sum = 0
  for (const { shares } of samples) {
    let mixed = 0
    for (const [index, weight] of weights.entries()) mixed += weight * (shares[index] ?? 0)
    if (shares.some((share) => share > 0)) sum += Math.log(Math.max(mixed, 1e-12))
  }
  return sum
}
