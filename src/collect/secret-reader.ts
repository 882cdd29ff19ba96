/**
 * Reads the secrets that definitions name, from files or variables.
 *
 * A file is read again after `keptMs`, so that a new secret is used without a restart. It may hold
 * several, one a line: while a secret is being changed, senders sign with the old or the
 * new one. Secrets are never logged and never part of an error.
 */

import { readFile } from 'node:fs/promises'
import type { SecretRef } from '../event/secret-ref.ts'
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'

export interface SecretReader {
  /** Returns the secrets of a place, newest or not; none where it cannot be read. */
  read(ref: SecretRef): Promise<readonly string[]>
}

export interface SecretReaderDeps {
  readonly clock: Clock
  readonly logger: Logger
  readonly environment: Readonly<Record<string, string | undefined>>
}

const keptMs = 30_000
const refCountMax = 1_000
const secretCountMax = 5
const textLengthMax = 8 * 1024
/** A shorter one can be guessed. */
const secretLengthMin = 8

interface Kept {
  readonly secrets: Promise<readonly string[]>
  readonly readAtMs: number
}

export function createSecretReader(deps: SecretReaderDeps): SecretReader {
  const kept = new Map<string, Kept>()
  return {
    read(ref) {
      const place = ref.kind === 'file' ? ref.file : `$${ref.variable}`
      const nowMs = deps.clock.monotonicMs()
      const known = kept.get(place)
      if (known !== undefined && nowMs - known.readAtMs < keptMs) return known.secrets
      if (kept.size >= refCountMax) kept.clear()
      const secrets = readSecrets(deps, ref)
      kept.set(place, { secrets, readAtMs: nowMs })
      return secrets
    },
  }
}

async function readSecrets(deps: SecretReaderDeps, ref: SecretRef): Promise<readonly string[]> {
  const place = ref.kind === 'file' ? { file: ref.file } : { variable: ref.variable }
  const warn = (says: string): readonly string[] => {
    deps.logger.warn({ ...place, says }, 'webhook secret cannot be used')
    return []
  }
  let text: string | undefined
  if (ref.kind === 'variable') text = deps.environment[ref.variable]
  else {
    try {
      text = await readFile(ref.file, 'utf8')
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
      return warn(`cannot be read (${code})`)
    }
  }
  if (text === undefined) return warn('is not set')
  if (text.length > textLengthMax) return warn(`has over ${textLengthMax} characters`)
  const secrets = text.split(/[\r\n]+/).filter((secret) => secret !== '')
  if (secrets.length === 0) return warn('is empty')
  if (secrets.length > secretCountMax) return warn(`holds over ${secretCountMax} secrets`)
  if (secrets.some((secret) => secret.length < secretLengthMin)) {
    return warn(`holds a secret of under ${secretLengthMin} characters`)
  }
  return secrets
}
