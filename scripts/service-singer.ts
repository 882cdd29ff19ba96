/**
 * A real Singer tap for tests: tap-jsonl (Apache-2.0), which reads files of this machine. It comes
 * by pip, with all that it needs at fixed versions, into the service cache.
 */

import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { hasProgram, runProgram, serviceCacheFolder } from './service-cache.ts'

const requirementsPath = fileURLToPath(new URL('singer/requirements.txt', import.meta.url))
/** Says the version of the tap; another one comes into another folder. */
const folderName = 'singer-tap-jsonl-0.3.1'
const python = 'python3'

export const singerIsMissing =
  'the Singer tap is not here; bring it with `node scripts/services.ts fetch` (needs python3)'

function tapFolder(): string {
  return join(serviceCacheFolder(), folderName)
}

export function hasSinger(): boolean {
  return existsSync(tapFolder()) && hasProgram(python)
}

/** Brings the tap, unless it is here; returns its folder. It appears whole. */
export function fetchSinger(): string {
  const folder = tapFolder()
  if (existsSync(folder)) return folder
  mkdirSync(serviceCacheFolder(), { recursive: true })
  const unfinished = mkdtempSync(`${folder}-`)
  try {
    const target = ['--target', join(unfinished, 'lib')]
    const given = ['install', '--quiet', '--no-deps', '--no-compile', ...target]
    runProgram(python, ['-m', 'pip', ...given, '--requirement', requirementsPath])
    renameSync(unfinished, folder)
  } finally {
    rmSync(unfinished, { recursive: true, force: true })
  }
  return folder
}

/** Returns the program of the tap, with the environment that it is to run in. */
export function singerTap(): {
  readonly program: string
  readonly parameters: readonly string[]
  readonly environment: Readonly<Record<string, string>>
} {
  return {
    program: python,
    parameters: ['-m', 'tap_jsonl.tap'],
    environment: { PYTHONPATH: join(tapFolder(), 'lib'), PYTHONDONTWRITEBYTECODE: '1' },
  }
}
