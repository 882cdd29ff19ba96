/**
 * `npm run oracle -- [--rules 10000] [--seed 1]`: so many random rules, each over a random history
 * of its own or of some others, compared with a naive reading. Exit code 1 where one differs; the
 * seed that is printed does it again.
 */

import { parseArgs } from 'node:util'
import { systemClock } from '../../src/lib/clock.ts'
import { runOracle } from './run-oracle.ts'

const ruleCount = 20
const failuresShown = 3

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { rules: { type: 'string' }, seed: { type: 'string' } } })
  const numbers = [values.rules ?? '10000', values.seed ?? '1']
  if (!numbers.every((text) => /^[1-9]\d{0,8}$/.test(text))) {
    console.error('Usage: npm run oracle -- [--rules COUNT] [--seed FIRST]')
    return 2
  }
  const [wantedCount = 0, firstSeed = 0] = numbers.map(Number)
  const startedAtMs = systemClock.monotonicMs()
  let [comparedCount, turnCount, failedCount] = [0, 0, 0]
  const historyCount = Math.ceil(wantedCount / ruleCount)
  for (let seed = firstSeed; seed < firstSeed + historyCount; seed++) {
    const result = await runOracle({ seed, ruleCount, eventCount: 25, edgeCountMax: 150 })
    comparedCount += result.comparedCount
    turnCount += result.turnCount
    if (result.failure === undefined) continue
    if (failedCount++ < failuresShown) console.log(`FAILED seed ${seed}: ${result.failure}`)
  }
  const seconds = Math.round((systemClock.monotonicMs() - startedAtMs) / 1000)
  console.log(
    `${historyCount * ruleCount} rules over ${historyCount} histories, ${comparedCount} answers ` +
      `compared, ${turnCount} entries, ${failedCount} failed, ${seconds} s`,
  )
  return failedCount > 0 ? 1 : 0
}

process.exitCode = await main()
