import assert from 'node:assert/strict'
import { it } from 'node:test'
import { backoffMs } from './backoff.ts'

it('doubles the bound of the delay up to its limit, and takes a random part', () => {
  const backoff = { delayMs: 10, delayMsMax: 70 }
  const delays = (unit: number): readonly number[] =>
    [1, 2, 3, 4, 5, 999].map((failedCount) =>
      backoffMs({ unit: () => unit, bytes: () => new Uint8Array() }, backoff, failedCount),
    )
  assert.deepEqual(delays(0.5), [5, 10, 20, 35, 35, 35])
  assert.deepEqual(delays(0), [0, 0, 0, 0, 0, 0])
})
