/** Runs `attune import` as its own process, and reads what it left in a data directory. */

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { initDataDir } from '../../src/command/data-dir.ts'
import type { Event } from '../../src/event/event.ts'
import { createSeededRandom, systemRandom } from '../../src/lib/random.ts'
import type { LogRecord } from '../../src/log/record.ts'
import type { LogStream } from '../../src/log/sqlite-log-file.ts'
import { openSqliteEventLogReader } from '../../src/log/sqlite-log-reader.ts'
import type { Ran } from './run-command.ts'

const mainPath = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const partitionCount = 8
const readCount = 10_000
const runMsMax = 120_000

export interface ImportWorld {
  readonly folder: string
  readonly dataDir: string
  path(name: string): string
  close(): Promise<void>
}

/** Makes a folder with an empty data directory in it. */
export async function openImportWorld(name: string): Promise<ImportWorld> {
  const folder = await mkdtemp(join(tmpdir(), `attune-import-${name}-`))
  const dataDir = join(folder, 'data')
  await initDataDir(dataDir, { partitionCount }, systemRandom)
  return {
    folder,
    dataDir,
    path: (file) => join(folder, file),
    close: () => rm(folder, { recursive: true, force: true }),
  }
}

/** Starts the command; the caller ends it, by a signal or by its input. */
export function startImport(
  given: readonly string[],
  options: { readonly cwd?: string; readonly failpoint?: string } = {},
): ChildProcess {
  const { cwd, failpoint } = options
  return spawn(process.execPath, [mainPath, 'import', ...given], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: {
      PATH: process.env['PATH'],
      ...(failpoint === undefined ? {} : { ATTUNE_FAILPOINT: failpoint }),
    },
    timeout: runMsMax,
    ...(cwd === undefined ? {} : { cwd }),
  })
}

/** Resolves with what the process wrote and how it ended. */
export async function endOf(child: ChildProcess): Promise<Ran> {
  let stdout = ''
  let stderr = ''
  child.stdout?.on('data', (bytes: Buffer) => {
    stdout += bytes.toString()
  })
  child.stderr?.on('data', (bytes: Buffer) => {
    stderr += bytes.toString()
  })
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve))
  return { code, stdout, stderr }
}

export async function runImport(
  given: readonly string[],
  options: { readonly stdin?: string | Buffer; readonly cwd?: string } = {},
): Promise<Ran> {
  const child = startImport(given, options)
  // A command that refuses its use does not read what it is given.
  child.stdin?.on('error', () => {})
  child.stdin?.end(options.stdin ?? '')
  return await endOf(child)
}

/** Returns all records of one log, by partition and offset. */
export async function readRecords(
  dataDir: string,
  stream: LogStream,
): Promise<readonly LogRecord[]> {
  const log = await openSqliteEventLogReader({ dataDir, stream })
  try {
    const records: LogRecord[] = []
    for (let partition = 0; partition < log.identity.partitionCount; partition++) {
      for (let after = 0; ; ) {
        const page = await log.read(partition, after, readCount)
        const last = page.at(-1)
        if (last === undefined) break
        records.push(...page)
        after = last.offset
      }
    }
    return records
  } finally {
    await log.close()
  }
}

export async function readEvents(dataDir: string): Promise<readonly Event[]> {
  const records = await readRecords(dataDir, 'events')
  return records
    .filter(({ kind }) => kind === 'event')
    .map(({ body }) => JSON.parse(Buffer.from(body).toString('utf8')) as Event)
}

export interface RejectedRow {
  readonly reason: string
  readonly item: Readonly<Record<string, unknown>>
}

export async function readRejected(dataDir: string): Promise<readonly RejectedRow[]> {
  return (await readRecords(dataDir, 'rejected')).map(({ skeleton, body }) => ({
    reason: (skeleton as { readonly reason: string }).reason,
    item: JSON.parse(Buffer.from(body).toString('utf8')) as RejectedRow['item'],
  }))
}

export function makeRandom(seed: number): (min: number, max: number) => number {
  const random = createSeededRandom(seed)
  return (min, max) => min + Math.floor(random.unit() * (max - min))
}

const userAgent = 'Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0'

/** A line of an access log that no other index has. */
export function accessLine(index: number): string {
  const from = `10.0.${index % 50}.${index % 200} - - [26/Nov/2026:18:32:36 +0000]`
  return `${from} "GET /p/${index} HTTP/1.1" 200 5 "-" "${userAgent}"\n`
}

/** Returns the index of each page view that `accessLine` made. */
export function accessIndexes(events: readonly Event[]): readonly number[] {
  return events.map(({ properties }) => Number(String(properties?.['path']).slice('/p/'.length)))
}
