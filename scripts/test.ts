/**
 * Finds the tests and runs them with node's own runner.
 *
 *     npm test                      all `*.test.ts`
 *     npm test -- src/log campaign  those whose path contains one of the words
 *     npm test -- --faults          `test/faults/*.faults-test.ts` instead
 *
 * With CI=true a skipped test is a failure, since a guard that is off guards nothing. One reason is
 * accepted: a reason that names "shared data", for data sets that may not be copied into the
 * repository. The output ends with a summary as the runner's own (`# tests`, `# pass`, `# fail`).
 */

import { spawnSync } from 'node:child_process'
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
/** Each file is a process that loads much of the same: what it compiles is kept for the next. */
const compileCache = fileURLToPath(new URL('../node_modules/.cache/tests', import.meta.url))
const folders = ['src', 'test', 'examples', 'bench', 'scripts', 'sdk', 'web']
/** More than the cores of a small machine: many tests wait for services and clocks. */
const concurrencyCountMax = 3
/**
 * Faults of one adapter, in the process of the test: they mostly wait for a service, so two of them
 * run at a time. Those of whole servers are timed, and have the machine for themselves.
 */
const adapterFaultPattern = /\/(?:dynamodb|kafka|kinesis|redis)-[^/]*$/
/**
 * The whole run may take this long, whatever happens; a single file is limited by `file-limit.ts`.
 */
const runMsMax = 3_600_000

/** Returns the skipped tests of a TAP report that are not excused, as `name: reason`. */
export function unexcusedSkips(tap: string): readonly string[] {
  const skips: string[] = []
  for (const line of tap.split('\n')) {
    const match = /^\s*(?:not )?ok \d+ - (.*?) # SKIP ?(.*)$/.exec(line)
    if (match === null) continue
    const reason = match[2] ?? ''
    if (!reason.includes('shared data')) skips.push(`${match[1]}: ${reason || 'no reason given'}`)
  }
  return skips
}

/** Returns the summary lines at the end of TAP reports, with the sums of all of them. */
export function summaryLines(taps: readonly string[]): readonly string[] {
  const sums = new Map<string, number>()
  const pattern = /^# (tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) ([\d.]+)$/gm
  for (const [, name = '', value] of taps.flatMap((tap) => [...tap.matchAll(pattern)])) {
    sums.set(name, (sums.get(name) ?? 0) + Number(value))
  }
  return [...sums].map(([name, sum]) => `# ${name} ${sum}`)
}

function findFiles(isFaults: boolean, words: readonly string[]): readonly string[] {
  const patterns = isFaults
    ? ['test/faults/**/*.faults-test.ts']
    : folders.map((folder) => `${folder}/**/*.test.ts`)
  return globSync(patterns, { cwd: root, exclude: (name) => name === 'node_modules' })
    .filter((path) => words.length === 0 || words.some((word) => path.includes(word)))
    .sort()
}

interface Report {
  readonly isPassed: boolean
  readonly tap: string
}

function runFiles(files: readonly string[], concurrencyCount: number): Report {
  const folder = mkdtempSync(join(tmpdir(), 'attune-test-'))
  const tapPath = join(folder, 'report.tap')
  try {
    const run = spawnSync(
      process.execPath,
      [
        '--import=./scripts/file-limit.ts',
        '--import=./scripts/test-seed.ts',
        '--test',
        `--test-concurrency=${concurrencyCount}`,
        '--test-reporter=spec',
        '--test-reporter-destination=stdout',
        '--test-reporter=tap',
        `--test-reporter-destination=${tapPath}`,
        ...files,
      ],
      {
        cwd: root,
        env: { NODE_COMPILE_CACHE: compileCache, ...process.env },
        stdio: 'inherit',
        timeout: runMsMax,
      },
    )
    return { isPassed: run.status === 0, tap: readFileSync(tapPath, 'utf8') }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function runFaults(files: readonly string[]): readonly Report[] {
  const ofAdapters = files.filter((path) => adapterFaultPattern.test(path))
  const ofServers = files.filter((path) => !adapterFaultPattern.test(path))
  return [
    ...(ofAdapters.length > 0 ? [runFiles(ofAdapters, 2)] : []),
    ...(ofServers.length > 0 ? [runFiles(ofServers, 1)] : []),
  ]
}

function main(parameters: readonly string[]): number {
  const isFaults = parameters.includes('--faults')
  const words = parameters.filter((parameter) => !parameter.startsWith('--'))
  const files = findFiles(isFaults, words)
  if (files.length === 0) {
    console.error(`No test file found${words.length > 0 ? ` for ${words.join(', ')}` : ''}.`)
    return 1
  }
  const reports = isFaults ? runFaults(files) : [runFiles(files, concurrencyCountMax)]
  const taps = reports.map(({ tap }) => tap)
  const skips = process.env['CI'] === 'true' ? taps.flatMap(unexcusedSkips) : []
  for (const skip of skips) console.error(`Skipped, which CI does not allow: ${skip}`)
  console.log(summaryLines(taps).join('\n'))
  return reports.every(({ isPassed }) => isPassed) && skips.length === 0 ? 0 : 1
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  process.exitCode = main(process.argv.slice(2))
}
