/**
 * Examines a data directory that no server has open, and tells what is wrong with it. Reads only.
 *
 * It looks at the files (SQLite's own check), at each record of both logs (its bytes and its
 * place), and at what holds log and state together: the incarnation, the offset, and the id of the
 * last record that was folded.
 */

import { existsSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { OperatingError } from '../lib/errors.ts'
import type { LogRecord } from '../log/record.ts'
import { orOperatingError } from '../log/sqlite-file.ts'
import {
  decodeStored,
  LogFileReader,
  type LogStream,
  logPath,
  logStreams,
  openLogFile,
} from '../log/sqlite-log-file.ts'
import { blobPath } from '../state/sqlite-blob-store.ts'
import { openSqliteStateStore, statePath } from '../state/sqlite-state-store.ts'
import type { Head, StateReader } from '../state/state-store.ts'

export const findingCodes = [
  'file-missing',
  'file-unreadable',
  'file-damaged',
  'record-damaged',
  'record-missing',
  'incarnation-differs',
  'state-ahead',
  'state-behind-trim',
  'record-differs',
] as const

export interface Finding {
  readonly severity: 'error' | 'warning'
  readonly code: (typeof findingCodes)[number]
  readonly partition?: number
  readonly says: string
}

/** Findings of one kind in one partition; more tell nothing new. */
const findingCountMax = 20
const quickCheckSql = `PRAGMA quick_check(${findingCountMax})`

/**
 * Returns all findings; none where the directory is whole. Rejects only where it cannot look at
 * all.
 */
export async function checkDataDir(dataDir: string): Promise<readonly Finding[]> {
  const findings: Finding[] = []
  let events: LogFileReader | undefined
  const opened: DatabaseSync[] = []
  try {
    for (const stream of logStreams) {
      const db = openOrFind(findings, () => openLogFile(dataDir, stream, true))
      if (db === undefined) continue
      opened.push(db)
      checkFile(findings, logPath(dataDir, stream), db)
      const reader = openOrFind(findings, () => new LogFileReader(db))
      if (reader === undefined) continue
      checkRecords(findings, { db, reader, stream })
      if (stream === 'events') events = reader
    }
    for (const path of [statePath(dataDir), blobPath(dataDir)]) checkOther(findings, path)
    if (events) await checkStateAgainstLog(findings, dataDir, events)
  } finally {
    for (const db of opened) db.close()
  }
  return findings
}

function checkFile(findings: Finding[], path: string, db: DatabaseSync): void {
  const damage = (says: string): number =>
    findings.push({ severity: 'error', code: 'file-damaged', says: `${path}: ${says}` })
  try {
    const rows = orOperatingError(`check ${path}`, () => db.prepare(quickCheckSql).all())
    for (const row of rows) if (row['quick_check'] !== 'ok') damage(String(row['quick_check']))
  } catch (error) {
    if (!(error instanceof OperatingError)) throw error
    damage(error.message)
  }
}

function checkRecords(
  findings: Finding[],
  log: { readonly db: DatabaseSync; readonly reader: LogFileReader; readonly stream: LogStream },
): void {
  for (let partition = 0; partition < log.reader.identity.partitionCount; partition++) {
    const own: Finding[] = []
    const add = (code: Finding['code'], says: string): void => {
      own.push({ severity: 'error', code, partition, says: `${log.stream}: ${says}` })
    }
    try {
      orOperatingError(`read partition ${partition}`, () =>
        checkPartition(log.db, partition, add, () => own.length >= findingCountMax),
      )
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error
      add('record-damaged', error.message)
    }
    findings.push(...own)
  }
}

function checkPartition(
  db: DatabaseSync,
  partition: number,
  add: (code: Finding['code'], says: string) => void,
  isEnough: () => boolean,
): void {
  const trimmed = db.prepare('SELECT through FROM trimmed WHERE partition = ?').get(partition)
  let expected = Number(trimmed?.['through'] ?? 0) + 1
  const rows = db.prepare(`SELECT n, bytes FROM record_${partition} ORDER BY n`).iterate()
  for (const row of rows) {
    if (isEnough()) return
    const offset = Number(row['n'])
    // A trim that was cut off leaves records in front of its mark; they may be deleted at any time.
    if (offset < expected) continue
    if (offset > expected) add('record-missing', `offsets ${expected} to ${offset - 1} are missing`)
    expected = offset + 1
    const problem = problemOf(() => decodeStored(partition, offset, row['bytes'] as Uint8Array))
    if (problem !== undefined) add('record-damaged', `record ${offset}: ${problem}`)
  }
}

/** Looks at a file that a new data directory may still lack. */
function checkOther(findings: Finding[], path: string): void {
  if (!existsSync(path)) {
    findings.push({ severity: 'warning', code: 'file-missing', says: `${path} is not there` })
    return
  }
  const db = openOrFind(findings, () =>
    orOperatingError(`open ${path}`, () => new DatabaseSync(path, { readOnly: true })),
  )
  if (db === undefined) return
  checkFile(findings, path, db)
  db.close()
}

async function checkStateAgainstLog(
  findings: Finding[],
  dataDir: string,
  log: LogFileReader,
): Promise<void> {
  if (!existsSync(statePath(dataDir))) return
  const state = await openSqliteStateStore({ dataDir, readOnly: true }).catch(toFinding(findings))
  if (state === undefined) return
  try {
    for (let partition = 0; partition < log.identity.partitionCount; partition++) {
      const head = await headOrFind(findings, state, partition)
      const problem = head && problemOfHead(log, partition, head)
      if (problem) findings.push({ severity: 'error', partition, ...problem })
    }
  } finally {
    await state.close()
  }
}

function problemOfHead(
  log: LogFileReader,
  partition: number,
  head: Head,
): Pick<Finding, 'code' | 'says'> | undefined {
  const { offset, incarnation, lastRecordId } = head
  if (incarnation !== '' && incarnation !== log.identity.incarnation) {
    return { code: 'incarnation-differs', says: 'the state was made from another log' }
  }
  const end = offset === 0 ? undefined : valueOrUndefined(() => log.end(partition))
  if (end === undefined) return undefined
  if (offset > end) {
    return { code: 'state-ahead', says: `the state is at ${offset}, the log ends at ${end}` }
  }
  const start = log.start(partition) || end + 1
  if (offset < start - 1) {
    return {
      code: 'state-behind-trim',
      says: `the state is at ${offset}, the log begins at ${start}`,
    }
  }
  const record = offset < start ? undefined : recordAt(log, partition, offset)
  if (record === undefined || Buffer.from(record.id).toString('hex') === lastRecordId)
    return undefined
  return { code: 'record-differs', says: `the state was not made from the record at ${offset}` }
}

/** Returns undefined where the record cannot be read, which has its own finding. */
function recordAt(log: LogFileReader, partition: number, offset: number): LogRecord | undefined {
  return valueOrUndefined(() => log.read(partition, offset - 1, 1)[0])
}

function valueOrUndefined<Value>(read: () => Value): Value | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof OperatingError) return undefined
    throw error
  }
}

/** Returns what `decode` complained of; a broken belief about old bytes is a finding here. */
function problemOf(decode: () => unknown): string | undefined {
  try {
    decode()
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

async function headOrFind(
  findings: Finding[],
  state: StateReader,
  partition: number,
): Promise<Head | undefined> {
  return await state.head(partition).catch(toFinding(findings))
}

function openOrFind<Value>(findings: Finding[], open: () => Value): Value | undefined {
  try {
    return open()
  } catch (error) {
    return toFinding(findings)(error)
  }
}

function toFinding(findings: Finding[]): (error: unknown) => undefined {
  return (error) => {
    if (!(error instanceof OperatingError)) throw error
    const code = error.code === 'DATA_DIR_INVALID' ? 'file-missing' : 'file-unreadable'
    findings.push({ severity: 'error', code, says: `${error.message} (${error.code})` })
  }
}
