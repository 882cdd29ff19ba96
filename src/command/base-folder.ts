/**
 * Bases: states of all partitions at known offsets, each in a folder of its own, with a hash for
 * every partition. A rebuild begins with one, and the log may be trimmed behind one.
 *
 * Order of effects: the state is written into `<name>.new` and synced, then `base.json`, then the
 * folder gets its name in one rename. What a crash leaves is a folder without its name, which the
 * next one removes; a base is whole or is none.
 */

import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { OperatingError } from '../lib/errors.ts'
import type { LogIdentity } from '../log/event-log.ts'
import { orOperatingError } from '../log/sqlite-file.ts'
import { hashPartition } from '../state/dump.ts'
import { openSqliteStateStore, statePath } from '../state/sqlite-state-store.ts'
import type { Head } from '../state/state-store.ts'
import { type DirectoryLock, lockDataDir } from './data-dir.ts'
import { syncFile } from './sync-file.ts'

export interface BasePartition {
  readonly partition: number
  readonly offset: number
  readonly lastRecordId: string
  /** SHA-256 of the canonical dump. */
  readonly hash: string
}

export interface Base extends LogIdentity {
  readonly format: typeof baseFormat
  readonly name: string
  /**
   * `folded`: made from the log, and compared with the state. `as-is`: a copy of the state, which
   * nothing has proven.
   */
  readonly kind: 'folded' | 'as-is'
  readonly createdAtMs: number
  /** Rules that fold what comes behind it. */
  readonly rulesVersion: number
  /** Name of the base that it was folded from; absent for the start of the log. */
  readonly from?: string
  readonly partitions: readonly BasePartition[]
}

export const baseFormat = 1
const manifestName = 'base.json'
const namePattern = /^base-[0-9TZ-]{10,40}$/
const unfinished = '.new'

export function basesDirOf(dataDir: string, given: string | undefined): string {
  return given ?? join(dataDir, 'bases')
}

/** Keeps other commands off the bases. Throws DATA_DIR_LOCKED. */
export async function lockBases(basesDir: string): Promise<DirectoryLock> {
  return await lockDataDir(basesDir).catch((error: unknown) => {
    if (!(error instanceof OperatingError)) throw error
    const says = `use ${basesDir}, in which another command makes a base or trims behind one`
    throw new OperatingError('DATA_DIR_LOCKED', says, error)
  })
}

/** Returns the finished bases, the newest first. Throws where a manifest cannot be read. */
export async function listBases(basesDir: string): Promise<readonly Base[]> {
  if (!existsSync(basesDir)) return []
  const names = (await readdir(basesDir)).filter((name) => namePattern.test(name))
  const bases = await Promise.all(names.map((name) => readBase(basesDir, name)))
  return bases.toSorted((left, right) => (left.name < right.name ? 1 : -1))
}

async function readBase(basesDir: string, name: string): Promise<Base> {
  const path = join(basesDir, name, manifestName)
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new OperatingError('STORE_CORRUPT', `read ${path}`, error)
  })
  return parseBase(text, path)
}

function parseBase(text: string, path: string): Base {
  let base: Base
  try {
    base = JSON.parse(text) as Base
  } catch (error) {
    throw new OperatingError('STORE_CORRUPT', `read ${path}`, error)
  }
  if (base?.format !== baseFormat) {
    throw new OperatingError('DATA_DIR_VERSION', `read ${path} of format ${base?.format}`)
  }
  if (!Array.isArray(base.partitions) || base.partitions.length !== base.partitionCount) {
    throw new OperatingError('STORE_CORRUPT', `read ${path}, which lacks partitions`)
  }
  return base
}

/** Throws STORE_CORRUPT unless every partition of a base has the place and the hash it names. */
export async function verifyBase(basesDir: string, base: Base): Promise<void> {
  const folder = join(basesDir, base.name)
  const found = await describeState(folder, base.partitionCount)
  for (const [partition, named] of base.partitions.entries()) {
    const { offset, lastRecordId, hash } = found[partition] ?? {}
    const isSame =
      named.offset === offset && named.lastRecordId === lastRecordId && named.hash === hash
    if (isSame) continue
    throw new OperatingError('STORE_CORRUPT', `use ${folder}: partition ${partition} has changed`)
  }
}

/** Reads place and hash of each partition of the state in `folder`. */
async function describeState(
  folder: string,
  partitionCount: number,
): Promise<readonly BasePartition[]> {
  const state = await openSqliteStateStore({ dataDir: folder, readOnly: true })
  try {
    const described: BasePartition[] = []
    for (let partition = 0; partition < partitionCount; partition++) {
      const { offset, lastRecordId } = await state.head(partition)
      const hash = await hashPartition(state, partition)
      described.push({ partition, offset, lastRecordId, hash })
    }
    return described
  } finally {
    await state.close()
  }
}

export interface BaseWish {
  readonly rulesVersion: number
  readonly kind?: Base['kind']
  /** Told of a base that cannot be used although it should. */
  tell(says: string): void
}

/**
 * Returns the newest base of this log that lies at or before all heads and is as it was made;
 * undefined for none. One that has changed is told, and passed over for an older one.
 */
export async function chooseBase(
  basesDir: string,
  log: LogIdentity,
  heads: readonly Head[],
  wish: BaseWish,
): Promise<Base | undefined> {
  for (const base of await listBases(basesDir)) {
    const isOfLog = base.incarnation === log.incarnation && base.rulesVersion === wish.rulesVersion
    const isBefore = base.partitions.every(
      ({ offset }, partition) => offset <= (heads[partition]?.offset ?? 0),
    )
    const isOfKind = wish.kind === undefined || base.kind === wish.kind
    if (!isOfLog || !isBefore || !isOfKind) continue
    try {
      await verifyBase(basesDir, base)
      return base
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error
      wish.tell(`base passed over: ${error.message}`)
    }
  }
  return undefined
}

/**
 * Makes a base: `fill` writes `state.sqlite` into the folder it is given. Call it with the bases
 * locked.
 */
export async function addBase(
  basesDir: string,
  given: Omit<Base, 'format' | 'name' | 'partitions' | 'from' | 'incarnation' | 'partitionCount'>,
  fill: (folder: string) => Promise<{ readonly log: LogIdentity; readonly from?: string }>,
): Promise<Base> {
  await mkdir(basesDir, { recursive: true, mode: 0o700 })
  const entries = await readdir(basesDir)
  for (const entry of entries.filter((each) => each.endsWith(unfinished))) {
    await rm(join(basesDir, entry), { recursive: true, force: true })
  }
  const name = nameOf(given.createdAtMs, entries)
  const folder = join(basesDir, `${name}${unfinished}`)
  await mkdir(folder, { mode: 0o700 })
  const { log, from } = await fill(folder)
  emptyWal(statePath(folder))
  const partitions = await describeState(folder, log.partitionCount)
  const base: Base = {
    ...{ format: baseFormat, name, ...log, ...given },
    ...(from === undefined ? {} : { from }),
    partitions,
  }
  for (const suffix of ['-wal', '-shm']) await rm(`${statePath(folder)}${suffix}`, { force: true })
  await writeFile(join(folder, manifestName), `${JSON.stringify(base)}\n`, { mode: 0o600 })
  for (const path of [statePath(folder), join(folder, manifestName), folder]) await syncFile(path)
  await rename(folder, join(basesDir, name))
  await syncFile(basesDir)
  return base
}

/** Names order by time; one that is taken gets the next millisecond. */
function nameOf(atMs: number, taken: readonly string[]): string {
  for (let at = atMs; ; at++) {
    const name = `base-${new Date(at).toISOString().replaceAll(/[:.]/g, '-')}`
    if (!taken.includes(name)) return name
  }
}

function emptyWal(path: string): void {
  const db = orOperatingError(`open ${path}`, () => new DatabaseSync(path))
  try {
    orOperatingError(`write ${path}`, () => db.exec('PRAGMA wal_checkpoint(TRUNCATE)'))
  } finally {
    db.close()
  }
}
