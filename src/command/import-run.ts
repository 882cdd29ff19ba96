/**
 * Imports whole files, one after the other. What happens in which order, and what a kill does, is
 * at the top of `import-lane.ts`.
 */

import { identifyFile } from '../collect/import-id.ts'
import type { ReadFrom, RowReader } from '../collect/import-row.ts'
import { assert } from '../lib/assert.ts'
import type { Clock } from '../lib/clock.ts'
import type { Format, FormatFile } from './import-format.ts'
import { type ImportInput, openImportInput, type TailMark } from './import-input.ts'
import { ImportLane, type LanePlace } from './import-lane.ts'
import type { ImportReport } from './import-report.ts'
import {
  emptyCounts,
  hashTail,
  type ImportCounts,
  type ImportState,
  importKey,
  type SavedPlace,
  tailBytesMax,
} from './import-state.ts'
import type { ImportTarget, KnownItems } from './import-target.ts'
import { refuseUse } from './output.ts'

export interface ImportRun {
  readonly clock: Clock
  /** Undefined for a dry run. */
  readonly state: ImportState | undefined
  readonly target: ImportTarget
  readonly report: ImportReport
  readonly format: Format
  readonly formatName: string
  /** Reads files from their beginning that were read before. */
  readonly isAgain: boolean
  readonly signal: AbortSignal
}

export interface ImportedFile {
  readonly file: string
  /** `unchanged`: all of it was imported before. */
  readonly outcome: 'imported' | 'unchanged' | 'stopped'
  /** Where reading began. */
  readonly resumedAt: number
  /** Of the file since its beginning, earlier runs included. */
  readonly counts: ImportCounts
  /** Rows that this run refused. */
  readonly refusedNow: number
}

/** `idle` tells that nothing more is there for now. */
export type Chunk = Buffer | 'idle'

/** One file with its place in the state. */
export interface OpenFile {
  readonly name: string
  readonly identity: string
  readonly saved: SavedPlace | undefined
  readonly savedId: number | undefined
  readonly followedPath?: string
}

const noKnown: KnownItems = new Map()

export async function importFile(run: ImportRun, path: string): Promise<ImportedFile> {
  const input = await openImportInput(path)
  try {
    return await importInput(run, input)
  } finally {
    await input.close()
  }
}

/** Imports one file, from its saved place to its end; `followedPath` names the log it came from. */
export async function importInput(
  run: ImportRun,
  input: ImportInput,
  followedPath?: string,
): Promise<ImportedFile> {
  const identity = identifyFile(input.head, run.format.identityLineCount, input.isWhole)
  assert(identity !== undefined, 'the head of a file identifies it')
  // A log that is followed again was begun again by its first file; these are its others.
  const isAgain = run.isAgain && followedPath === undefined
  const found = isAgain ? undefined : await findPlace(run, { identity, input })
  const name = input.name
  const followed = followedPath === undefined ? {} : { followedPath }
  const file = { name, identity, saved: found?.place, savedId: found?.id, ...followed }
  const reader = openReader(run, { ...file, head: input.head, isWhole: input.isWhole })
  run.report.begin(name, input)
  if (found !== undefined) tellResumed(run, found.place, name)
  const { offset } = reader.from
  const chunks = input.chunks(offset, found?.place)
  return await importRows(run, { file, reader, chunks })
}

/** Reads `chunks` to their end, or until the run is stopped. */
export async function importRows(
  run: ImportRun,
  given: {
    readonly file: OpenFile
    readonly reader: FileReader
    readonly chunks: AsyncIterable<Chunk>
  },
): Promise<ImportedFile> {
  const { file, chunks } = given
  const { reader, from } = given.reader
  const { saved } = file
  const before = saved?.counts ?? emptyCounts
  const known = saved === undefined ? noKnown : await run.target.knownBehind(saved.ends)
  const places = createPlaces(run, file)
  // Where the logs end now must be known before the first row is written: a kill may come at once.
  if (saved === undefined) places.save(await firstPlace(run, given.reader), false)
  const lane = new ImportLane(
    { ...run, save: (place) => places.save(place, false) },
    { ...file, from, counts: before, known, knownEnds: saved?.ends ?? [] },
  )
  let isStopped = false
  for await (const chunk of chunks) {
    if (chunk === 'idle') await lane.rest()
    else {
      lane.keepBytes(chunk)
      await lane.add(reader.push(chunk), reader.line)
    }
    isStopped = run.signal.aborted
    if (isStopped) break
  }
  isStopped ||= run.signal.aborted
  if (!isStopped) await lane.add(reader.end(), reader.line)
  await lane.finish(!isStopped)
  if (!isStopped) places.finish()
  const { counts } = lane
  const isUnchanged = counts.rows === before.rows && saved?.isFinished === true
  return {
    file: file.name,
    outcome: isStopped ? 'stopped' : isUnchanged ? 'unchanged' : 'imported',
    resumedAt: from.offset,
    counts,
    refusedNow: counts.refused - before.refused,
  }
}

export interface FileReader {
  readonly reader: RowReader
  readonly from: ReadFrom
  /** Of the bytes before the first row. */
  readonly tail: TailMark
}

/** Opens the reader at the saved place; a file that cannot be read at all is wrong use. */
export function openReader(
  run: ImportRun,
  file: Omit<FormatFile, 'from'> & {
    readonly name: string
    readonly saved: SavedPlace | undefined
  },
): FileReader {
  const { saved, head } = file
  const from = saved === undefined ? undefined : { offset: saved.offset, line: saved.line }
  const opened = run.format.open({ ...file, from })
  if (opened.kind === 'reader') {
    const { offset } = opened.from
    const bytes = head.subarray(Math.max(0, offset - tailBytesMax), offset)
    return { ...opened, tail: { tail: hashTail(bytes), tailBytes: bytes.length } }
  }
  return refuseUse(opened.faults.map((says) => `${file.name}:1: ${says}`).join('\n'))
}

async function firstPlace(run: ImportRun, reader: FileReader): Promise<LanePlace> {
  const { from, tail } = reader
  return { ...from, ...tail, counts: emptyCounts, ends: await run.target.ends() }
}

/** Returns the farthest place whose bytes are still those before it. */
export async function findPlace(
  run: ImportRun,
  given: { readonly identity: string; readonly input: Pick<ImportInput, 'hasTail'> },
): Promise<{ readonly id: number; readonly place: SavedPlace } | undefined> {
  const { identity, input } = given
  const all = run.state?.find(keyOf(run, identity)) ?? []
  for (const found of [...all].sort((left, right) => right.place.offset - left.place.offset)) {
    const { place } = found
    // Standard input is compared while it is passed over.
    if ((await input.hasTail(place.offset, place)) !== false) return found
  }
  return undefined
}

function keyOf(run: ImportRun, identity: string): string {
  const { target, formatName } = run
  return importKey({ target: target.id, source: target.sourceId, format: formatName, identity })
}

function tellResumed(run: ImportRun, place: SavedPlace, name: string): void {
  if (place.isFinished) return
  const { offset, line } = place
  run.report.say(`${name}: going on at line ${line}, behind byte ${offset}`)
}

function createPlaces(
  run: ImportRun,
  file: OpenFile,
): { save(place: LanePlace, isFinished: boolean): void; finish(): void } {
  const { state } = run
  const { name, identity, followedPath } = file
  let id = file.savedId
  let newest = file.saved
  const save = (place: LanePlace, isFinished: boolean): void => {
    if (state === undefined) return
    // Nothing was read since the place of before: its hash stays.
    const mark = place.tailBytes === 0 && newest !== undefined ? tailOf(newest) : tailOf(place)
    const followed = followedPath === undefined ? {} : { followedPath }
    newest = { ...place, ...mark, ...followed, name, identity, isFinished, savedAtMs: 0 }
    if (id === undefined) id = state.add(keyOf(run, identity), newest)
    else state.save(id, newest)
  }
  return {
    save,
    finish() {
      if (newest !== undefined) save(newest, true)
    },
  }
}

function tailOf(place: { readonly tail: string; readonly tailBytes: number }): {
  readonly tail: string
  readonly tailBytes: number
} {
  return { tail: place.tail, tailBytes: place.tailBytes }
}
