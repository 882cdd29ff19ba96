/**
 * `attune backup`: a copy of a data directory, also while the server runs.
 *
 * Order: the state, then the logs, then the side store, then the secrets and keys. So the log has
 * every record that the state was made from, and the side store every body that either names.
 * `backup.json` comes last: a folder without it is a backup that was not finished.
 */

import { createHash } from 'node:crypto'
import { createReadStream, existsSync } from 'node:fs'
import { copyFile, mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Command } from 'commander'
import { keysPath } from '../api/api-keys.ts'
import { systemClock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import type { LogIdentity } from '../log/event-log.ts'
import { logPath, openLogFile, readLogIdentity } from '../log/sqlite-log-file.ts'
import { blobPath } from '../state/sqlite-blob-store.ts'
import { statePath } from '../state/sqlite-state-store.ts'
import { assertDataDir } from './data-reader.ts'
import {
  addDataFlags,
  assertEmptyFolder,
  createOutput,
  type OutputFlags,
  showBytes,
  showTime,
} from './output.ts'
import { copySqliteFile } from './sqlite-copy.ts'
import { syncFile } from './sync-file.ts'

export interface BackupFile {
  readonly name: string
  readonly bytes: number
  readonly sha256: string
}

export interface BackupManifest extends LogIdentity {
  readonly format: typeof backupFormat
  readonly createdAtMs: number
  readonly files: readonly BackupFile[]
}

interface BackupFlags extends OutputFlags {
  readonly to: string
}

export const backupFormat = 1
const manifestName = 'backup.json'
/** Whoever has these can sign links and call the API. */
const secretMode = 0o600

export function addBackupCommand(program: Command, exit: (code: number) => void): void {
  const command = program
    .command('backup')
    .description('copy a data directory, also while the server runs')
    .requiredOption('--to <dir>', 'new or empty folder for the copy')
    .addHelpText('after', help)
  addDataFlags(command).action(async (flags: BackupFlags) => {
    const output = createOutput(flags)
    assertDataDir(flags.dataDir)
    await assertEmptyFolder(flags.to)
    const say = (name: string): void => output.progress(`copying ${name}`)
    const manifest = await backupDataDir(flags.dataDir, flags.to, say)
    exit(0)
    const bytes = manifest.files.reduce((sum, file) => sum + file.bytes, 0)
    if (output.isJson) await output.json({ to: flags.to, bytes, ...manifest })
    else {
      const at = showTime(manifest.createdAtMs)
      await output.line(`Backed up ${showBytes(bytes)} to ${flags.to} as it was at ${at}.`)
      output.progress('It holds personal data and secrets: keep it as safe as the original.')
    }
  })
}

/** Copies `dataDir` into the empty folder `to`. */
export async function backupDataDir(
  dataDir: string,
  to: string,
  say: (name: string) => void,
): Promise<BackupManifest> {
  await mkdir(to, { recursive: true, mode: 0o700 })
  const createdAtMs = systemClock.nowMs()
  const databases = [
    statePath(dataDir),
    logPath(dataDir, 'rejected'),
    logPath(dataDir, 'events'),
    blobPath(dataDir),
  ]
  const names: string[] = []
  for (const path of databases) {
    if (!existsSync(path)) continue
    const name = basename(path)
    say(name)
    await copySqliteFile(path, join(to, name))
    names.push(name)
  }
  for (const path of [join(dataDir, 'secrets.json'), keysPath(dataDir)]) {
    if (!existsSync(path)) continue
    const name = basename(path)
    await writeFile(join(to, name), await readFile(path), { mode: secretMode })
    names.push(name)
  }
  const files: BackupFile[] = []
  for (const name of names) files.push(await measureFile(join(to, name), name))
  const manifest = { format: backupFormat, createdAtMs, ...identityOf(to), files } as const
  const path = join(to, manifestName)
  await writeFile(path, `${JSON.stringify(manifest, null, 2)}\n`)
  for (const one of [...names.map((name) => join(to, name)), path, to]) await syncFile(one)
  return manifest
}

/** Reads the manifest of a finished backup, and compares every file with it. */
export async function readBackup(folder: string): Promise<BackupManifest> {
  const path = join(folder, manifestName)
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new OperatingError('DATA_DIR_INVALID', `read ${path} of a finished backup`, error)
  })
  const manifest = JSON.parse(text) as BackupManifest
  if (manifest.format !== backupFormat) {
    throw new OperatingError('DATA_DIR_VERSION', `read ${path} of format ${manifest.format}`)
  }
  for (const { name, bytes, sha256 } of manifest.files) {
    if (basename(name) !== name || name.startsWith('.')) {
      throw new OperatingError(
        'DATA_DIR_INVALID',
        `restore a file outside the folder, named in ${path}`,
      )
    }
    const present = await measureFile(join(folder, name), name).catch((error: unknown) => {
      throw new OperatingError('DATA_DIR_INVALID', `read ${name} of ${folder}`, error)
    })
    if (present.bytes !== bytes || present.sha256 !== sha256) {
      throw new OperatingError('STORE_CORRUPT', `read ${name} of ${folder}, which has changed`)
    }
  }
  return manifest
}

export async function copyBackupFiles(
  manifest: BackupManifest,
  from: string,
  to: string,
): Promise<void> {
  for (const { name } of manifest.files) await copyFile(join(from, name), join(to, name))
}

function identityOf(folder: string): LogIdentity {
  const db = openLogFile(folder, 'events', true)
  try {
    return readLogIdentity(db)
  } finally {
    db.close()
  }
}

async function measureFile(path: string, name: string): Promise<BackupFile> {
  const { size: bytes } = await stat(path)
  const hash = createHash('sha256')
  for await (const piece of createReadStream(path)) hash.update(piece as Uint8Array)
  return { name, bytes, sha256: hash.digest('hex') }
}

const help = `
Example:
  attune backup --to /backups/monday --data-dir data
  attune restore --from /backups/monday --data-dir restored

The copy is whole in itself: state, both logs, side store, secrets, API keys, and backup.json with
the SHA-256 of each file. Try it now and then: restore it, and run \`attune rebuild\` on it.`
