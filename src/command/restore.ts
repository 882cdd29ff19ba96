/**
 * `attune restore`: makes a data directory from a backup.
 *
 * The restored log is another log than the one it was copied from: both go on from the same place
 * in different ways. So it gets a new incarnation, and the state's heads get the same; neither can
 * be mixed with files of the old one.
 *
 * Order: everything is made in a folder beside, which takes its place in one rename. A crash leaves
 * no half directory.
 */

import { existsSync } from 'node:fs'
import { mkdir, rename, rm, rmdir } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Command } from 'commander'
import { systemRandom } from '../lib/random.ts'
import { inTransaction, orOperatingError } from '../log/sqlite-file.ts'
import { logPath, logStreams } from '../log/sqlite-log-file.ts'
import { statePath } from '../state/sqlite-state-store.ts'
import { type BackupManifest, copyBackupFiles, readBackup } from './backup.ts'
import {
  addDataFlags,
  assertEmptyFolder,
  createOutput,
  type OutputFlags,
  showTime,
} from './output.ts'
import { syncFile } from './sync-file.ts'

interface RestoreFlags extends OutputFlags {
  readonly from: string
}

export interface Restored {
  readonly manifest: BackupManifest
  readonly incarnation: string
}

export function addRestoreCommand(program: Command, exit: (code: number) => void): void {
  const command = program
    .command('restore')
    .description('make a data directory from a backup')
    .requiredOption('--from <dir>', 'folder that `attune backup` made')
    .addHelpText('after', help)
  addDataFlags(command).action(async (flags: RestoreFlags) => {
    const output = createOutput(flags)
    const { from, dataDir } = flags
    await assertEmptyFolder(dataDir)
    const { manifest, incarnation } = await restoreDataDir(from, dataDir)
    exit(0)
    const { createdAtMs, incarnation: before } = manifest
    if (output.isJson) {
      await output.json({ dataDir, createdAtMs, incarnation, incarnationBefore: before })
      return
    }
    await output.line(`Restored ${dataDir} as it was at ${showTime(createdAtMs)}.`)
    await output.line(`Its log is a new incarnation, ${incarnation} (before: ${before}).`)
    output.progress('What was accepted or handed over after the backup is not in it: messages that')
    output.progress(
      'were due then and were sent since are due again. Start it without --smtp first',
    )
    output.progress('and look at `attune messages --state due`, if the old server went on sending.')
  })
}

/** Copies a backup into the new or empty folder `dataDir`, under a new incarnation. */
export async function restoreDataDir(from: string, dataDir: string): Promise<Restored> {
  const manifest = await readBackup(from)
  const target = resolve(dataDir)
  const beside = join(dirname(target), `.${basename(target)}.restoring`)
  await rm(beside, { recursive: true, force: true })
  await mkdir(beside, { recursive: true, mode: 0o700 })
  try {
    await copyBackupFiles(manifest, from, beside)
    const incarnation = Buffer.from(systemRandom.bytes(16)).toString('hex')
    for (const stream of logStreams) {
      changeFile(logPath(beside, stream), 'UPDATE meta SET incarnation = ?', incarnation)
    }
    const sql = "UPDATE head SET incarnation = ? WHERE incarnation <> ''"
    changeFile(statePath(beside), sql, incarnation)
    for (const { name } of manifest.files) await syncFile(join(beside, name))
    if (existsSync(target)) await rmdir(target)
    await rename(beside, target)
    await syncFile(dirname(target))
    return { manifest, incarnation }
  } catch (error) {
    await rm(beside, { recursive: true, force: true })
    throw error
  }
}

/** Changes a file and leaves nothing of it in a WAL. */
function changeFile(path: string, sql: string, value: string): void {
  if (!existsSync(path)) return
  const db = orOperatingError(`open ${path}`, () => new DatabaseSync(path))
  try {
    inTransaction(db, `change ${path}`, () => db.prepare(sql).run(value))
    orOperatingError(`change ${path}`, () => db.exec('PRAGMA wal_checkpoint(TRUNCATE)'))
  } finally {
    db.close()
  }
}

const help = `
Example:
  attune restore --from /backups/monday --data-dir restored
  attune rebuild --data-dir restored --into /tmp/proof
  attune start --data-dir restored

Refuses a folder that is not empty, and a backup in which a byte has changed.`
