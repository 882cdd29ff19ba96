import { type CsvHeader, scanCsvRecord } from './csv-record.ts'
import { rowEventId } from './import-id.ts'
import {
  decodeBytes,
  type ImportRow,
  type ReadFrom,
  type RowOutcome,
  type RowReader,
  refuseRow,
  rowBytesMax,
  tooLongSays,
} from './import-row.ts'
import type { RowMapper } from './row-mapping.ts'

const blank: RowOutcome = { kind: 'dropped', reason: 'blank' }

export interface CsvOptions {
  readonly identity: string
  readonly header: Extract<CsvHeader, { readonly kind: 'header' }>
  readonly mapper: RowMapper
  /** Behind the header. */
  readonly from: ReadFrom
}

/** Reads the rows of a CSV file behind its header. */
export function createCsvReader(options: CsvOptions): RowReader {
  const { header, from } = options
  let rest = ''
  let offset = from.offset
  let line = from.line
  /** True while the rest of a line that was refused for its length is passed over. */
  let isPassing = false

  const readAll = (text: string, isEnd: boolean): readonly ImportRow[] => {
    const rows: ImportRow[] = []
    let at = 0
    const keep = (end: number, lineCount: number, outcome: RowOutcome): void => {
      offset += end - at
      rows.push({ line, endOffset: offset, outcome })
      line += lineCount
      at = end
    }
    if (isPassing) {
      const end = text.indexOf('\n')
      if (end < 0 && !isEnd) {
        offset += text.length
        return rows
      }
      isPassing = false
      // The row was refused already; this is only its tail.
      const tail = end < 0 ? text.length : end + 1
      offset += tail
      at = tail
    }
    while (at < text.length) {
      const scan = scanCsvRecord(text, at, { delimiter: header.delimiter, isEnd })
      if (scan.kind === 'record') {
        keep(scan.end, scan.lineCount, judge(withoutEnd(text.slice(at, scan.end)), offset, scan))
      } else if (text.length - at > rowBytesMax) {
        isPassing = true
        keep(text.length, 1, refuseRow(text.slice(at, at + rowBytesMax), '', tooLongSays))
      } else {
        break
      }
    }
    rest = text.slice(at)
    return rows
  }

  const judge = (
    text: string,
    start: number,
    scan: { readonly fields: readonly string[]; readonly fault: string | undefined },
  ): RowOutcome => {
    const { fields, fault } = scan
    if (fault !== undefined) return refuseRow(text, '', fault)
    if (text.length > rowBytesMax) return refuseRow(text.slice(0, rowBytesMax), '', tooLongSays)
    if (fields.length === 1 && fields[0]?.trim() === '') return blank
    if (fields.length !== header.columns.length) {
      const says = `The row has ${fields.length} fields; the header has ${header.columns.length}.`
      return refuseRow(text, '', says)
    }
    const values = decodeAll(text, fields)
    if (values === undefined) return refuseRow(text, '', 'The row is not UTF-8.')
    const mapped = options.mapper.map(values, rowEventId(options.identity, start, text))
    return mapped.kind === 'events' ? mapped : refuseRow(text, mapped.path, mapped.says)
  }

  return {
    get line() {
      return line
    },
    push: (chunk) => readAll(rest + chunk.toString('latin1'), false),
    end() {
      const text = rest
      rest = ''
      return text === '' ? [] : readAll(text, true)
    },
  }
}

/** The last row may come with a line end one day, and must have the same id then. */
function withoutEnd(text: string): string {
  let end = text.length
  if (text.charCodeAt(end - 1) === 0x0a) end--
  if (text.charCodeAt(end - 1) === 0x0d) end--
  return text.slice(0, end)
}

function decodeAll(text: string, fields: readonly string[]): readonly string[] | undefined {
  if (!/[\x80-\xff]/.test(text)) return fields
  const decoded = fields.map(decodeBytes)
  return decoded.includes(undefined) ? undefined : (decoded as readonly string[])
}
