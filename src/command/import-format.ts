/** What reads the rows of a file in one of the formats. */

import { createAccessReader } from '../collect/access-event.ts'
import { parseAccessJson, parseJsonLine } from '../collect/access-json.ts'
import { type ParsedAccess, parseAccessLine } from '../collect/access-log.ts'
import { type CsvDelimiter, readCsvHeader } from '../collect/csv-record.ts'
import { createAccessLineReader } from '../collect/import-access.ts'
import { createCsvReader } from '../collect/import-csv.ts'
import { createLineReader, type ReadLine } from '../collect/import-lines.ts'
import type { ImportMap } from '../collect/import-map.ts'
import { createEventLineReader } from '../collect/import-ndjson.ts'
import { decodeBytes, type ReadFrom, type RowReader, refuseRow } from '../collect/import-row.ts'
import { createItemMapper } from '../collect/item-columns.ts'
import { createRowMapper } from '../collect/row-mapping.ts'
import { defaultEventLimits } from '../event/event-limits.ts'
import { isJsonObject } from '../lib/json.ts'

/** Those of catalogs bring items instead of events. */
export const catalogFormats = ['items-csv', 'items-ndjson'] as const
export const fileFormats = [
  'csv',
  'ndjson',
  'nginx',
  'apache',
  'json-lines',
  ...catalogFormats,
] as const
export type FileFormat = (typeof fileFormats)[number]
export const importFormats = [...fileFormats, 'singer'] as const
export type ImportFormat = (typeof importFormats)[number]

export interface FormatOptions {
  readonly format: FileFormat
  readonly map: ImportMap
  readonly delimiter: CsvDelimiter | undefined
  readonly visitorKey: Uint8Array
}

export interface FormatFile {
  readonly identity: string
  readonly head: Buffer
  /** True where `head` is the whole file. */
  readonly isWhole: boolean
  /** Where reading goes on; undefined for the beginning. */
  readonly from: ReadFrom | undefined
}

export type OpenedReader =
  | { readonly kind: 'reader'; readonly reader: RowReader; readonly from: ReadFrom }
  | { readonly kind: 'refused'; readonly faults: readonly string[] }

export interface Format {
  /** Lines at the beginning that identify a file. */
  readonly identityLineCount: number
  open(file: FormatFile): OpenedReader
}

const firstRow: ReadFrom = { offset: 0, line: 1 }

export function createFormat(options: FormatOptions): Format {
  const { format, map } = options
  if (format === 'csv' || format === 'items-csv') {
    return { identityLineCount: 2, open: (file) => openCsv(options, file) }
  }
  const readEvent = createAccessReader(map.access, options.visitorKey)
  const lineOf = (identity: string): ReadLine => {
    if (format === 'items-ndjson') return readItemLine
    if (format === 'ndjson') return createEventLineReader(identity, defaultEventLimits)
    const parse = (line: string): ParsedAccess =>
      format === 'json-lines'
        ? parseAccessJson(line, map.fields)
        : parseAccessLine(line, map.extraFields)
    return createAccessLineReader(identity, parse, readEvent)
  }
  return {
    identityLineCount: 1,
    open({ identity, from = firstRow }) {
      return { kind: 'reader', reader: createLineReader(from, lineOf(identity)), from }
    },
  }
}

function openCsv(options: FormatOptions, file: FormatFile): OpenedReader {
  const header = readCsvHeader(file.head, file.isWhole, options.delimiter)
  if (header.kind === 'refused') return { kind: 'refused', faults: [header.says] }
  const created =
    options.format === 'items-csv'
      ? createItemMapper(header.columns)
      : createRowMapper(header.columns, options.map.rows)
  if (created.kind === 'refused') return created
  const behindHeader = { offset: header.endOffset, line: 1 + header.lineCount }
  const from = file.from ?? behindHeader
  const { identity } = file
  const reader = createCsvReader({ identity, header, mapper: created.mapper, from })
  return { kind: 'reader', reader, from }
}

/** A line is an item as the API takes it. */
const readItemLine: ReadLine = (line) => {
  const text = decodeBytes(line.startsWith('\u00ef\u00bb\u00bf') ? line.slice(3) : line)
  if (text === undefined) return refuseRow(line, '', 'The line is not UTF-8.')
  const value = parseJsonLine(text)
  if (!isJsonObject(value)) return refuseRow(line, '', 'The line is no JSON object.')
  return { kind: 'events', items: [value] }
}
