/**
 * The data directory: who may use it, and the secrets in it.
 *
 * One server at a time. The lock is a transaction held open on a small SQLite file: the system
 * takes it back when the process ends, however it ends, so there is no stale lock to remove by
 * hand.
 */

import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { OperatingError } from '../lib/errors.ts'
import type { Random } from '../lib/random.ts'
import { initSqliteLogs, logPath } from '../log/sqlite-log-file.ts'
import { openSqliteBlobStore } from '../state/sqlite-blob-store.ts'
import { openSqliteStateStore } from '../state/sqlite-state-store.ts'
import type { SigningKeys } from '../template/links.ts'

export interface Secrets {
  readonly signingKeys: SigningKeys
  /** Key of the HMAC under which addresses are suppressed. Losing it loses the list. */
  readonly addressSecret: Uint8Array
}

export interface DirectoryLock {
  release(): void
}

/** Takes the directory for this process. Throws DATA_DIR_LOCKED where another has it. */
export async function lockDataDir(dataDir: string): Promise<DirectoryLock> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  const db = new DatabaseSync(join(dataDir, 'lock.sqlite'))
  try {
    db.exec('PRAGMA busy_timeout = 0; PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE')
  } catch (error) {
    db.close()
    throw new OperatingError('DATA_DIR_LOCKED', `use ${dataDir}, which a running server has`, error)
  }
  return { release: () => db.close() }
}

/** Makes what is missing in the directory. Answers whether the log was made now. */
export async function initDataDir(
  dataDir: string,
  options: { readonly partitionCount: number },
  random: Random,
): Promise<boolean> {
  await initSecrets(dataDir, random)
  const isNew = !existsSync(logPath(dataDir, 'events'))
  if (isNew) {
    const incarnation = Buffer.from(random.bytes(16)).toString('hex')
    await initSqliteLogs(dataDir, { incarnation, partitionCount: options.partitionCount })
  }
  // Opened once so that readers of other threads find the files.
  await (await openSqliteStateStore({ dataDir })).close()
  await (await openSqliteBlobStore({ dataDir })).close()
  return isNew
}

interface SecretsFile {
  readonly signing: { readonly currentId: string; readonly keys: Readonly<Record<string, string>> }
  readonly address: string
}

export async function readSecrets(dataDir: string): Promise<Secrets> {
  const path = join(dataDir, 'secrets.json')
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new OperatingError('DATA_DIR_INVALID', `read ${path}`, error)
  })
  const { signing, address } = JSON.parse(text) as SecretsFile
  const keys = Object.entries(signing.keys).map(
    ([id, key]) => [id, new Uint8Array(Buffer.from(key, 'base64url'))] as const,
  )
  return {
    signingKeys: { currentId: signing.currentId, keys: new Map(keys) },
    addressSecret: new Uint8Array(Buffer.from(address, 'base64url')),
  }
}

/** Makes the secrets, where there are none. All processes of one deployment need the same ones. */
export async function initSecrets(dataDir: string, random: Random): Promise<void> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  const path = join(dataDir, 'secrets.json')
  if (existsSync(path)) return
  const secret = (): string => Buffer.from(random.bytes(32)).toString('base64url')
  const file: SecretsFile = {
    signing: { currentId: 'a', keys: { a: secret() } },
    address: secret(),
  }
  await writeFile(`${path}.new`, `${JSON.stringify(file)}\n`, { mode: 0o600 })
  await rename(`${path}.new`, path)
}
