import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createSeededRandom, systemRandom } from './random.ts'

describe('chance', () => {
  it('gives the same numbers for the same seed and others for another', () => {
    const take = (seed: number) => {
      const random = createSeededRandom(seed)
      return Array.from({ length: 5 }, () => random.unit())
    }
    assert.deepEqual(take(7), take(7))
    assert.notDeepEqual(take(7), take(8))
  })

  it('keeps to the golden values of mulberry32, so that a seed in a report stays good', () => {
    const random = createSeededRandom(1)
    const values = Array.from({ length: 3 }, () => Math.floor(random.unit() * 2 ** 32))
    assert.deepEqual(values, [2_693_262_067, 11_749_833, 2_265_367_787])
  })

  it('gives numbers in [0, 1) that are spread evenly', () => {
    for (const random of [createSeededRandom(3), systemRandom]) {
      const counts = new Array<number>(10).fill(0)
      for (let index = 0; index < 10_000; index++) {
        const unit = random.unit()
        assert.ok(unit >= 0 && unit < 1)
        const tenth = Math.floor(unit * 10)
        counts[tenth] = (counts[tenth] ?? 0) + 1
      }
      for (const count of counts) assert.ok(count > 800 && count < 1_200, `${count}`)
    }
  })

  it('gives as many bytes as asked', () => {
    assert.equal(systemRandom.bytes(16).length, 16)
    assert.equal(createSeededRandom(1).bytes(16).length, 16)
    assert.deepEqual(createSeededRandom(1).bytes(8), createSeededRandom(1).bytes(8))
    assert.notDeepEqual(systemRandom.bytes(16), systemRandom.bytes(16))
  })
})
