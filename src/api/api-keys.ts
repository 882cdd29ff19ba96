/**
 * API keys: shown once, kept as SHA-256 only. Write keys of sources are public and are never API
 * keys.
 *
 * Form: `atk_` and 43 URL-safe characters (256 bits). The file may be written by a command while
 * the server runs: an unknown key makes the server look at the file again, at most once a second,
 * and all that come meanwhile wait for that look; so does a known one, beside its answer, so that a
 * revoked key is refused within a second of its next use.
 */

import { readFile, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../lib/clock.ts'
import { sha256Hex } from '../lib/hash.ts'
import type { Random } from '../lib/random.ts'

export const scopes = ['read', 'render', 'write', 'repair', 'admin'] as const
export type Scope = (typeof scopes)[number]

export interface ApiKey {
  readonly name: string
  readonly scopes: readonly Scope[]
  readonly createdAtMs: number
  /** SHA-256 of the key; enough, since the key has 256 bits of chance. */
  readonly hash: string
}

export interface ApiKeys {
  /**
   * Returns what a key may do, or undefined for an unknown one. Answers at once for keys it has
   * seen.
   */
  find(key: string): ApiKey | undefined | Promise<ApiKey | undefined>
}

const lookMsMin = 1000
const keyPattern = /^atk_[A-Za-z0-9_-]{43}$/

export function keysPath(dataDir: string): string {
  return join(dataDir, 'keys.json')
}

/** Opens the keys of a data directory; a missing file means that there are none. */
export async function openApiKeys(dataDir: string, clock: Clock): Promise<ApiKeys> {
  let byHash = new Map<string, ApiKey>()
  const byKey = new Map<string, ApiKey>()
  let version = ''
  let lookedAt = Number.NEGATIVE_INFINITY
  let looking: Promise<void> | undefined
  const read = async (): Promise<void> => {
    const stats = await stat(keysPath(dataDir)).catch(() => undefined)
    if (stats === undefined) return
    // Two changes can fall into one tick of the file system's clock; each is a file of its own.
    const found = `${stats.mtimeMs} ${stats.ino} ${stats.size}`
    if (found === version) return
    version = found
    byHash = new Map((await readApiKeys(dataDir)).map((key) => [key.hash, key]))
    byKey.clear()
  }
  const look = (): Promise<void> => {
    lookedAt = clock.monotonicMs()
    looking ??= read().finally(() => {
      looking = undefined
    })
    return looking
  }
  await look()
  const findAgain = async (hash: string): Promise<ApiKey | undefined> => {
    await look()
    return byHash.get(hash)
  }
  return {
    find(key) {
      const seen = byKey.get(key)
      if (seen !== undefined) {
        // It may have been revoked: looked for beside the answer, so that answers do not wait.
        if (clock.monotonicMs() - lookedAt >= lookMsMin) void look().catch(() => undefined)
        return seen
      }
      if (!keyPattern.test(key)) return undefined
      const hash = sha256Hex(key)
      const known = byHash.get(hash)
      if (known !== undefined) byKey.set(key, known)
      const mayLook = looking !== undefined || clock.monotonicMs() - lookedAt >= lookMsMin
      return known === undefined && mayLook ? findAgain(hash) : known
    },
  }
}

export async function readApiKeys(dataDir: string): Promise<readonly ApiKey[]> {
  const text = await readFile(keysPath(dataDir), 'utf8').catch(() => '[]')
  return JSON.parse(text) as readonly ApiKey[]
}

/** Makes a key, stores its hash, and returns the key: it is shown this once. */
export async function createApiKey(
  dataDir: string,
  deps: { readonly clock: Clock; readonly random: Random },
  given: { readonly name: string; readonly scopes: readonly Scope[] },
): Promise<string> {
  const key = `atk_${Buffer.from(deps.random.bytes(32)).toString('base64url')}`
  const known = await readApiKeys(dataDir)
  const made: ApiKey = { ...given, createdAtMs: deps.clock.nowMs(), hash: sha256Hex(key) }
  await writeApiKeys(dataDir, [...known, made])
  return key
}

/** Takes keys of a name away; answers how many there were. */
export async function revokeApiKeys(dataDir: string, name: string): Promise<number> {
  const known = await readApiKeys(dataDir)
  const kept = known.filter((key) => key.name !== name)
  await writeApiKeys(dataDir, kept)
  return known.length - kept.length
}

/** Written beside and renamed, so that the server never reads half a file. */
async function writeApiKeys(dataDir: string, keys: readonly ApiKey[]): Promise<void> {
  const path = keysPath(dataDir)
  await writeFile(`${path}.new`, `${JSON.stringify(keys, null, 2)}\n`, { mode: 0o600 })
  await rename(`${path}.new`, path)
}
