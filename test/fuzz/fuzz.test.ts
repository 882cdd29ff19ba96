import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { badClasses } from './bad-classes.ts'
import { runFuzz } from './run-fuzz.ts'

const seed = 1
const inputCount = 5_000

describe('bad input', () => {
  it('has fixed cases and a generator in each class', () => {
    for (const { name, fixed } of badClasses) assert.ok(fixed.length > 0, name)
    const numbers = badClasses.map(({ number }) => number)
    assert.equal(new Set(numbers).size, numbers.length, 'a class stands once')
  })

  it('ends in exactly one outcome each, and all is counted and kept', async (t) => {
    const result = await runFuzz({ seed, inputCount })
    t.diagnostic(`seed ${seed}, ${result.inputCount} inputs, ${result.ratePerSecond} a second`)
    assert.deepEqual(result.wrong, [])
    assert.deepEqual(result.violations, [])
    assert.ok(result.outcomes.size > 20, 'inputs end in many different ways')
    assert.equal(({} as { polluted?: unknown }).polluted, undefined)
  })
})
