import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { formatDuration, parseDurationMs } from './duration.ts'

describe('a duration', () => {
  it('is read in each unit', () => {
    const read = ['250ms', '5s', '10m', '4h', '30d', ' 0s '].map(parseDurationMs)
    assert.deepEqual(read, [250, 5000, 600_000, 14_400_000, 2_592_000_000, 0])
  })

  it('is nothing else', () => {
    for (const bad of ['', '5', 's', '-1s', '1.5h', '05s', '1 h', '1w', 5, null, undefined]) {
      assert.equal(parseDurationMs(bad), undefined)
    }
  })

  it('is written so that it is read again', () => {
    fc.assert(
      fc.property(fc.nat(), (ms) => {
        assert.equal(parseDurationMs(formatDuration(ms)), ms)
      }),
    )
  })
})
