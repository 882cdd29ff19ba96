/**
 * Runs the static checks: types, format and lint, type-aware lint. All run even if one fails, so
 * that one run tells everything. Exit code 1 if any failed. Writes to no file; `npm run format`
 * does.
 */

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../src/lib/clock.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

const checks = [
  { name: 'types', program: 'tsc', parameters: ['-p', '.'] },
  { name: 'types of the browser SDK', program: 'tsc', parameters: ['-p', 'sdk'] },
  {
    name: 'format and lint',
    program: 'biome',
    parameters: ['check', '--error-on-warnings', '--max-diagnostics=200'],
  },
  { name: 'type-aware lint', program: 'oxlint', parameters: ['--deny-warnings'] },
] as const

const failed: string[] = []
for (const check of checks) {
  const startedAtMs = systemClock.monotonicMs()
  const run = spawnSync(`${root}node_modules/.bin/${check.program}`, check.parameters, {
    cwd: root,
    stdio: 'inherit',
  })
  const spentMs = Math.round(systemClock.monotonicMs() - startedAtMs)
  const isPassed = run.status === 0
  if (!isPassed) failed.push(check.name)
  if (run.error !== undefined) console.error(run.error.message)
  console.log(`${isPassed ? 'passed' : 'FAILED'}  ${check.name} (${check.program}), ${spentMs} ms`)
}
if (failed.length > 0) {
  console.error(
    `Failed: ${failed.join(', ')}. \`npm run format\` mends what can be mended by itself.`,
  )
  process.exitCode = 1
}
