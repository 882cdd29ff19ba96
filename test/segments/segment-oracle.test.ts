import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { runOracle } from './run-oracle.ts'

const historyCount = 12
const firstSeed = Number(process.env['ORACLE_SEED'] ?? 1)

describe('memberships', () => {
  it('agree with a naive reading of random rules, at every change and edge', async () => {
    let [comparedCount, turnCount] = [0, 0]
    for (let seed = firstSeed; seed < firstSeed + historyCount; seed++) {
      const options = { seed, ruleCount: 20, eventCount: 20, edgeCountMax: 150 }
      const result = await runOracle(options)
      assert.equal(result.failure, undefined, `seed ${seed}`)
      comparedCount += result.comparedCount
      turnCount += result.turnCount
    }
    assert.ok(comparedCount > 5_000, `only ${comparedCount} compared`)
    assert.ok(turnCount > 100, `only ${turnCount} turned`)
  })
})
