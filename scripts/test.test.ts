import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { summaryLines, unexcusedSkips } from './test.ts'

const tap = `TAP version 13
# Subtest: outer
    # Subtest: inner
    ok 1 - reads sessions # SKIP shared data is absent
    ok 2 - talks to redis # SKIP
    ok 3 - talks to kafka # SKIP no KAFKA_BROKERS
    1..3
ok 1 - outer
# tests 3
# pass 0
# skipped 3
# duration_ms 12.5
`

describe('the test script', () => {
  it('excuses only skips whose reason names the shared data', () => {
    assert.deepEqual(unexcusedSkips(tap), [
      'talks to redis: no reason given',
      'talks to kafka: no KAFKA_BROKERS',
    ])
  })

  it('draws the inputs of property tests from a seed that is given', (t) => {
    const preloaded = process.execArgv.some((flag) => flag.endsWith('/test-seed.ts'))
    if (!preloaded) return t.skip('not started by scripts/test.ts')
    const seed = Number(process.env['ATTUNE_TEST_SEED'] ?? 1)
    assert.equal(fc.readConfigureGlobal().seed, seed)
    const draw = () =>
      fc.check(
        fc.property(fc.nat(), () => true),
        { numRuns: 1 },
      ).seed
    assert.deepEqual([draw(), draw()], [seed, seed])
  })

  it('ends with the summary of the runner', () => {
    assert.deepEqual(summaryLines([tap]), [
      '# tests 3',
      '# pass 0',
      '# skipped 3',
      '# duration_ms 12.5',
    ])
  })

  it('adds up the summaries of two runs', () => {
    assert.deepEqual(summaryLines([tap, '# tests 2\n# pass 2\n# duration_ms 1.5\n']), [
      '# tests 5',
      '# pass 2',
      '# skipped 3',
      '# duration_ms 14',
    ])
  })
})
