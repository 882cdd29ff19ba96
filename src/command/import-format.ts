/** What reads the rows of a file in one of the formats. */

import { createAccessReader } from '../collect/access-event.ts'
import { parseAccessJson } from '../collect/access-json.ts'
import { type ParsedAccess, parseAccessLine } from '../collect/access-log.ts'
import { type CsvDelimiter, readCsvHeader } from '../collect/csv-record.ts'
import { createAccessLineReader } from '../collect/import-access.ts'
import { createCsvReader } from '../collect/import-csv.ts'
import { createLineReader, type ReadLine } from '../collect/import-lines.ts'
import type { ImportMap } from '../collect/import-map.ts'
import { createEventLineReader } from '../collect/import-ndjson.ts'
import type { ReadFrom, RowReader } from '../collect/import-row.ts'
import { createRowMapper } from '../collect/row-mapping.ts'
import { defaultEventLimits } from '../event/event-limits.ts'

export const fileFormats = ['csv', 'ndjson', 'nginx', 'apache', 'json-lines'] as const
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
  if (format === 'csv') return { identityLineCount: 2, open: (file) => openCsv(options, file) }
  const readEvent = createAccessReader(map.access, options.visitorKey)
  const lineOf = (identity: string): ReadLine => {
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
  const created = createRowMapper(header.columns, options.map.rows)
  if (created.kind === 'refused') return created
  const behindHeader = { offset: header.endOffset, line: 1 + header.lineCount }
  const from = file.from ?? behindHeader
  const { identity } = file
  const reader = createCsvReader({ identity, header, mapper: created.mapper, from })
  return { kind: 'reader', reader, from }
}
