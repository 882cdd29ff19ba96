/** Where the files of real servers are kept between runs, so that tests download nothing. */

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'

/** Returns the folder of all servers' files: `$ATTUNE_SERVICE_CACHE`, else in the home folder. */
export function serviceCacheFolder(): string {
  return process.env['ATTUNE_SERVICE_CACHE'] ?? join(homedir(), '.cache', 'attune', 'services')
}

/** Tells whether a program can be found to run. */
export function hasProgram(name: string): boolean {
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  return folders.some((folder) => folder !== '' && existsSync(join(folder, name)))
}

/** Runs a program to its end; throws with what it wrote where it fails. */
export function runProgram(program: string, parameters: readonly string[]): string {
  const run = spawnSync(program, parameters, { encoding: 'utf8', timeout: 600_000 })
  if (run.status === 0) return run.stdout
  const says = run.error === undefined ? `${run.stdout}\n${run.stderr}` : String(run.error)
  throw new Error(`${program} ${parameters[0] ?? ''} failed:\n${says.slice(-4000)}`)
}

/**
 * Brings the libraries that a pom names into `folder` by Maven, unless they are here; returns the
 * folder. It appears whole: what is cut off leaves nothing that counts.
 */
export function fetchLibraries(pomPath: string, folder: string): string {
  if (existsSync(folder)) return folder
  mkdirSync(serviceCacheFolder(), { recursive: true })
  const unfinished = mkdtempSync(`${folder}-`)
  try {
    runProgram('mvn', [
      ...['--quiet', '--batch-mode', '--file', pomPath, 'dependency:copy-dependencies'],
      ...['-DincludeScope=runtime', `-DoutputDirectory=${unfinished}`],
    ])
    renameSync(unfinished, folder)
  } finally {
    rmSync(unfinished, { recursive: true, force: true })
  }
  return folder
}
