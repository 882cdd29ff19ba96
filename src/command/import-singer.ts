/**
 * Imports what a Singer tap writes to standard input.
 *
 * Promise: the value of a STATE message goes to stdout when all records before it are durable, and
 * never before, in the order in which they came. A tap that is given it next time brings what came
 * after, and a record that it brings again has the same id.
 *
 * Order of effects: read to a STATE, send, durable, count, print. Killed anywhere: the state that
 * was printed last is true.
 */

import type { Readable } from 'node:stream'
import { createLineReader } from '../collect/import-lines.ts'
import type { ImportMap } from '../collect/import-map.ts'
import { type ImportRow, type RowOutcome, refuseRow } from '../collect/import-row.ts'
import {
  createStreamReader,
  parseSingerLine,
  type SingerMessage,
  type StreamReader,
} from '../collect/singer.ts'
import type { Clock } from '../lib/clock.ts'
import type { Json } from '../lib/json.ts'
import { ImportLane } from './import-lane.ts'
import type { ImportReport } from './import-report.ts'
import type { ImportedFile } from './import-run.ts'
import { emptyCounts } from './import-state.ts'
import type { ImportTarget } from './import-target.ts'
import { refuseUse } from './output.ts'

export interface SingerRun {
  readonly clock: Clock
  readonly target: ImportTarget
  readonly report: ImportReport
  readonly map: ImportMap
  readonly signal: AbortSignal
  /** Writes the value of a state whose records are durable. */
  readonly printState: (value: Json) => Promise<void>
}

const name = 'stdin'
const streamCountMax = 1_000
const passed: RowOutcome = { kind: 'dropped', reason: 'no-record' }
const left: RowOutcome = { kind: 'dropped', reason: 'rule' }

export async function importSinger(run: SingerRun, input: Readable): Promise<ImportedFile> {
  const reading = createReading(run)
  const lane = new ImportLane(
    { ...run, save: () => {} },
    {
      ...{ name, identity: 'singer', from: { offset: 0, line: 1 } },
      ...{ counts: emptyCounts, known: new Map(), knownEnds: [] },
    },
  )
  const take = async (rows: readonly ImportRow[]): Promise<void> => {
    let begin = 0
    for (const [index, row] of rows.entries()) {
      const state = reading.states.get(row.line)
      if (state === undefined) continue
      await lane.add(rows.slice(begin, index + 1), row.line + 1)
      begin = index + 1
      // A chunk may hold many states: the records of each are waited for only once.
      if (reading.isLastState(row.line)) {
        await lane.finish(true)
        await reading.print()
      }
    }
    await lane.add(rows.slice(begin), reading.reader.line)
  }
  run.report.begin(name, { storedBytes: undefined, readBytes: () => lane.offset })
  for await (const chunk of input) {
    await take(reading.reader.push(chunk as Buffer))
    if (run.signal.aborted) break
  }
  const isStopped = run.signal.aborted
  if (!isStopped) await take(reading.reader.end())
  await lane.finish(!isStopped)
  reading.tell()
  const { counts } = lane
  const outcome = isStopped ? 'stopped' : 'imported'
  return { file: name, outcome, resumedAt: 0, counts, refusedNow: counts.refused }
}

interface Reading {
  readonly reader: ReturnType<typeof createLineReader>
  /** States read and not printed, by their line. */
  readonly states: ReadonlyMap<number, Json>
  isLastState(line: number): boolean
  /** Prints them in their order. */
  print(): Promise<void>
  /** Tells what was passed over. */
  tell(): void
}

function createReading(run: SingerRun): Reading {
  const streams = new Map<string, StreamReader>()
  const others = new Map<string, number>()
  const states = new Map<number, Json>()
  const readMessage = (text: string): RowOutcome => {
    const message = parseSingerLine(text)
    switch (message.kind) {
      case 'refused':
        return refuseRow(text, '', message.says)
      case 'other':
        others.set(message.type, (others.get(message.type) ?? 0) + 1)
        return passed
      case 'state':
        states.set(reader.line, message.value)
        return passed
      case 'schema':
        openStream(run, streams, message)
        return passed
      case 'record':
        return readRecord(streams.get(message.stream), message, text)
    }
  }
  const reader = createLineReader({ offset: 0, line: 1 }, readMessage)
  return {
    reader,
    states,
    isLastState: (line) => [...states.keys()].at(-1) === line,
    async print() {
      const values = [...states.values()]
      states.clear()
      for (const value of values) await run.printState(value)
    },
    tell() {
      for (const [type, count] of others) {
        run.report.say(`${count} messages of type ${type || '(none)'} were passed over`)
      }
    },
  }
}

function openStream(
  run: SingerRun,
  streams: Map<string, StreamReader>,
  schema: Extract<SingerMessage, { readonly kind: 'schema' }>,
): void {
  const { stream } = schema
  if (!streams.has(stream) && streams.size >= streamCountMax) {
    refuseUse(`the tap has more than ${streamCountMax} streams`)
  }
  const opened = createStreamReader(schema, run.map.streams.get(stream))
  if (opened.kind === 'refused') {
    refuseUse(opened.faults.map((says) => `stream ${stream}: ${says}`).join('\n'))
  }
  streams.set(stream, opened.reader)
}

function readRecord(
  stream: StreamReader | undefined,
  message: Extract<SingerMessage, { readonly kind: 'record' }>,
  text: string,
): RowOutcome {
  if (stream === undefined) {
    return refuseRow(text, '', 'The record comes before the SCHEMA of its stream.')
  }
  if (stream.isDropped) return left
  const mapped = stream.read(message.record)
  return mapped.kind === 'events' ? mapped : refuseRow(text, mapped.path, mapped.says)
}
