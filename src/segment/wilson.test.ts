import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createSeededRandom } from '../lib/random.ts'
import { wilsonInterval } from './wilson.ts'

describe('wilsonInterval', () => {
  it('gives the values of the formula', () => {
    const rounded = (met: number, sample: number): readonly number[] => {
      const { low, high } = wilsonInterval(met, sample)
      return [low, high].map((value) => Math.round(value * 10_000) / 10_000)
    }
    assert.deepEqual(rounded(0, 10), [0, 0.2775])
    assert.deepEqual(rounded(5, 10), [0.2366, 0.7634])
    assert.deepEqual(rounded(10, 10), [0.7225, 1])
    assert.deepEqual(rounded(81, 263), [0.2553, 0.3662])
    assert.deepEqual(rounded(0, 0), [0, 1])
  })

  it('holds the share in about 95 of 100 samples, small shares among them', () => {
    const random = createSeededRandom(11)
    for (const share of [0.01, 0.2, 0.5]) {
      let held = 0
      const tries = 1_000
      for (let index = 0; index < tries; index++) {
        let met = 0
        for (let count = 0; count < 400; count++) if (random.unit() < share) met++
        const { low, high } = wilsonInterval(met, 400)
        if (low <= share && share <= high) held++
      }
      assert.ok(held > 0.92 * tries && held < 0.985 * tries, `${held} of ${tries} for ${share}`)
    }
  })
})
