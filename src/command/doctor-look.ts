/**
 * Looks at a data directory and the machine below it, and changes neither; one small file is
 * written and removed.
 */

import { open, readdir, rm, stat, statfs } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { systemClock } from '../lib/clock.ts'
import type { EventLog } from '../log/event-log.ts'
import { createDefinitionsCache } from '../process/definitions-cache.ts'
import { readMeta } from '../process/meta.ts'
import { PartitionFold } from '../process/partition-fold.ts'
import type { Head } from '../state/state-store.ts'
import type { DataReader } from './data-reader.ts'
import { partitionsOf } from './event-lines.ts'

export interface FileUse {
  readonly name: string
  readonly bytes: number
}

export interface Retention {
  readonly records: number
  readonly oldestAtMs: number | null
  readonly newestAtMs: number | null
  /** Of the log's file, over the time its records span; null where that is under an hour. */
  readonly bytesPerDay: number | null
}

export interface PartitionsLook {
  readonly count: number
  readonly lagCount: number
  readonly lagging: number
  readonly stopped: readonly {
    readonly partition: number
    readonly offset: number
    readonly says: string
  }[]
  readonly definitions: readonly { readonly hash: string; readonly version: number }[]
}

export interface FsyncLook {
  readonly count: number
  readonly p50Ms: number
  readonly p99Ms: number
}

const fsyncCount = 20
const fsyncBytes = 4096
const hourMs = 3_600_000
const dayMs = 24 * hourMs
const never = (): boolean => false

/** Returns what the directory holds, the largest first: its files, and its folders as a whole. */
export async function lookAtFiles(dataDir: string): Promise<readonly FileUse[]> {
  const entries = await readdir(dataDir, { withFileTypes: true, recursive: true })
  const bytesOf = new Map<string, number>()
  for (const entry of entries.filter((each) => each.isFile())) {
    const path = join(entry.parentPath, entry.name)
    const [first = '', ...rest] = relative(dataDir, path).split(sep)
    const name = rest.length === 0 ? first : `${first}/`
    // A WAL may be gone between the two looks.
    const stats = await stat(path).catch(() => undefined)
    bytesOf.set(name, (bytesOf.get(name) ?? 0) + (stats?.size ?? 0))
  }
  const uses = [...bytesOf].map(([name, bytes]) => ({ name, bytes }))
  return uses.sort((left, right) => right.bytes - left.bytes)
}

export async function freeBytesOf(dataDir: string): Promise<number> {
  const { bavail, bsize } = await statfs(dataDir)
  return bavail * bsize
}

/** Measures how long the disk takes to keep a page. */
export async function measureFsync(dataDir: string): Promise<FsyncLook> {
  const path = join(dataDir, `.doctor-${process.pid}`)
  const page = new Uint8Array(fsyncBytes)
  const file = await open(path, 'w', 0o600)
  const times: number[] = []
  try {
    for (let count = 0; count < fsyncCount; count++) {
      const startedAtMs = systemClock.monotonicMs()
      await file.write(page, 0, page.length, count * page.length)
      await file.datasync()
      times.push(systemClock.monotonicMs() - startedAtMs)
    }
  } finally {
    await file.close()
    await rm(path, { force: true })
  }
  times.sort((left, right) => left - right)
  const at = (share: number): number => {
    const time = times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0
    return Math.round(time * 100) / 100
  }
  return { count: fsyncCount, p50Ms: at(0.5), p99Ms: at(0.99) }
}

export async function lookAtRetention(log: EventLog, fileBytes: number): Promise<Retention> {
  let oldest = Number.POSITIVE_INFINITY
  let newest = 0
  let records = 0
  for (const partition of partitionsOf(log)) {
    const start = await log.start(partition)
    if (start === 0) continue
    const end = await log.end(partition)
    const [first] = await log.read(partition, start - 1, 1)
    const [last] = await log.read(partition, end - 1, 1)
    records += end - start + 1
    oldest = Math.min(oldest, first?.recordedAtMs ?? oldest)
    newest = Math.max(newest, last?.recordedAtMs ?? newest)
  }
  if (records === 0) return { records, oldestAtMs: null, newestAtMs: null, bytesPerDay: null }
  const spanMs = newest - oldest
  const bytesPerDay = spanMs < hourMs ? null : Math.round((fileBytes / spanMs) * dayMs)
  return { records, oldestAtMs: oldest, newestAtMs: newest, bytesPerDay }
}

/**
 * A partition that lags may only be slow. Whether the record in its way can be folded is found by
 * folding it, in memory: what comes of it is thrown away.
 */
export async function lookAtPartitions(data: DataReader): Promise<PartitionsLook> {
  const { log, state } = data
  const stopped: PartitionsLook['stopped'][number][] = []
  const definitions = new Map<string, { hash: string; version: number }>()
  let lagCount = 0
  let lagging = 0
  for (const partition of partitionsOf(log)) {
    const meta = await readMeta(state, partition)
    if (meta !== undefined) {
      const { definitionsHash: hash, definitionsVersion: version } = meta
      definitions.set(hash, { hash, version })
    }
    const head = await state.head(partition)
    const lag = (await log.end(partition)) - head.offset
    if (lag <= 0) continue
    lagCount += lag
    lagging++
    const found = await tryNext(data, partition, head)
    if (found !== undefined) stopped.push(found)
  }
  const count = log.identity.partitionCount
  return { count, lagCount, lagging, stopped, definitions: [...definitions.values()] }
}

async function tryNext(
  { log, state, blobs, place }: DataReader,
  partition: number,
  head: Head,
): Promise<PartitionsLook['stopped'][number] | undefined> {
  const { definitionsOf, listOf } = createDefinitionsCache(blobs)
  const { workspace, partitionCount } = place
  const fold = new PartitionFold(
    { log, state, definitionsOf, listOf },
    { workspace, partitionCount, partition },
  )
  const page = await log.read(partition, head.offset, 1)
  try {
    await fold.open(head)
    await fold.fold(page, never)
  } catch (error) {
    return { partition, offset: head.offset + 1, says: messageOf(error) }
  }
  const { stopped } = fold
  // Where a server went on meanwhile, the state that was read is not that of one instant.
  const isMoved = (await state.head(partition)).offset !== head.offset
  if (stopped === undefined || isMoved) return undefined
  return { partition, offset: stopped.offset, says: messageOf(stopped.cause) }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
