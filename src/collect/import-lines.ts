import {
  type ImportRow,
  type ReadFrom,
  type RowOutcome,
  type RowReader,
  refuseRow,
  rowBytesMax,
  tooLongSays,
} from './import-row.ts'

/** Judges one line; `offset` is the byte where it begins, `text` has one character a byte. */
export type ReadLine = (text: string, offset: number) => RowOutcome

const blank: RowOutcome = { kind: 'dropped', reason: 'blank' }

/**
 * Reads lines that end in `\n` or `\r\n`. A line that is too long is refused and passed over
 * without being kept.
 */
export function createLineReader(from: ReadFrom, readLine: ReadLine): RowReader {
  let rest = ''
  let offset = from.offset
  let line = from.line
  /** Set while the rest of a line that was refused is passed over. */
  let passed: string | undefined

  const take = (text: string, byteCount: number): ImportRow => {
    const start = offset
    offset += byteCount
    const trimmed = text.endsWith('\r') ? text.slice(0, -1) : text
    const outcome = trimmed.trim() === '' ? blank : readLine(trimmed, start)
    return { line: line++, endOffset: offset, outcome }
  }
  const takePassed = (byteCount: number): ImportRow => {
    const outcome = refuseRow(passed ?? '', '', tooLongSays)
    passed = undefined
    offset += byteCount
    return { line: line++, endOffset: offset, outcome }
  }
  /** Bytes of the line that is passed over, not counted in `offset` yet. */
  let passedBytes = 0

  return {
    get line() {
      return line
    },
    push(chunk) {
      const rows: ImportRow[] = []
      const text = rest + chunk.toString('latin1')
      let at = 0
      for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', at)) {
        const byteCount = end + 1 - at
        if (passed !== undefined) {
          rows.push(takePassed(passedBytes + byteCount))
          passedBytes = 0
        } else if (end - at > rowBytesMax) {
          passed = text.slice(at, at + rowBytesMax)
          rows.push(takePassed(byteCount))
        } else {
          rows.push(take(text.slice(at, end), byteCount))
        }
        at = end + 1
      }
      rest = text.slice(at)
      if (passed !== undefined || rest.length > rowBytesMax) {
        passed ??= rest.slice(0, rowBytesMax)
        passedBytes += rest.length
        rest = ''
      }
      return rows
    },
    end() {
      const text = rest
      rest = ''
      if (passed !== undefined) {
        const byteCount = passedBytes
        passedBytes = 0
        return [takePassed(byteCount)]
      }
      return text === '' ? [] : [take(text, text.length)]
    },
  }
}
