/**
 * Sends many bad inputs to a server of its own and says what was found.
 *
 *     npm run fuzz -- --inputs 200000 --seed 7
 *     npm run fuzz -- --seed 7 --show 4711      prints one input as it is sent
 *
 * Exit code 1 where anything is wrong.
 */

import { parseArgs } from 'node:util'
import { badClasses } from './bad-classes.ts'
import { inputOf, runFuzz } from './run-fuzz.ts'
import { writeRequest } from './wire.ts'

const inputCountDefault = 200_000

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { inputs: { type: 'string' }, seed: { type: 'string' }, show: { type: 'string' } },
  })
  const given = [values.inputs, values.seed, values.show].filter((text) => text !== undefined)
  if (!given.every((text) => /^\d{1,9}$/.test(text))) {
    console.error('Usage: npm run fuzz -- [--inputs COUNT] [--seed SEED] [--show NUMBER]')
    return 2
  }
  const seed = Number(values.seed ?? 1)
  if (values.show !== undefined) {
    const { badClass, sent } = inputOf(seed, Number(values.show))
    console.error(`class ${badClass.number}: ${badClass.name}`)
    process.stdout.write(sent.raw ?? writeRequest(sent))
    return 0
  }
  const inputCount = Number(values.inputs ?? inputCountDefault)
  const result = await runFuzz({ seed, inputCount, say: (line) => console.error(line) })
  for (const [outcome, count] of [...result.outcomes].sort(([, a], [, b]) => b - a)) {
    console.log(`${String(count).padStart(8)}  ${outcome}`)
  }
  const faults = [...result.wrong, ...result.violations]
  for (const fault of faults) console.log(`FAILED ${fault}`)
  console.log(
    `seed ${seed}: ${result.inputCount} inputs of ${badClasses.length} classes, ` +
      `${result.ratePerSecond} inputs/s, ${faults.length} faults`,
  )
  return faults.length > 0 ? 1 : 0
}

process.exitCode = await main()
