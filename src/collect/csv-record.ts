/**
 * CSV as RFC 4180 writes it, one record at a time, from text with one character for each byte.
 *
 * Taken besides: `;`, TAB and `|` between fields, records that end in LF, CRLF or CR, also mixed,
 * and a last record without an end. A quote that stands where none may is a fault of its record and
 * of no other: only a quote at the beginning of a field lets the record go on in the next line.
 */

import { decodeBytes, rowBytesMax } from './import-row.ts'

export const csvDelimiters = [',', ';', '\t', '|'] as const
export type CsvDelimiter = (typeof csvDelimiters)[number]

export const columnCountMax = 1_000

export type CsvScan =
  /** The text ends within the record. */
  | { readonly kind: 'more' }
  | {
      readonly kind: 'record'
      /** One character a byte. */
      readonly fields: readonly string[]
      /** Set where the record cannot be trusted. */
      readonly fault: string | undefined
      /** Behind the record and its end. */
      readonly end: number
      readonly lineCount: number
    }

export type CsvHeader =
  | {
      readonly kind: 'header'
      readonly columns: readonly string[]
      readonly delimiter: CsvDelimiter
      readonly endOffset: number
      readonly lineCount: number
    }
  | { readonly kind: 'refused'; readonly says: string }

const quote = 0x22
const carriageReturn = 0x0d
const lineFeed = 0x0a

const strayQuote = 'A quote stands in a field that does not begin with one.'
const textBehindQuote = 'There is text behind a closing quote.'
const openQuote = 'A quote is opened and never closed.'
const tooManyFields = `The row has more than ${columnCountMax} fields.`

/** Reads the record that begins at `start`; `isEnd` tells that no more text will come. */
export function scanCsvRecord(
  text: string,
  start: number,
  options: { readonly delimiter: CsvDelimiter; readonly isEnd: boolean },
): CsvScan {
  const delimiter = options.delimiter.charCodeAt(0)
  const { isEnd } = options
  const fields: string[] = []
  let fault: string | undefined
  let lineCount = 1
  let at = start
  for (;;) {
    if (fields.length >= columnCountMax) fault = tooManyFields
    if (text.charCodeAt(at) === quote) {
      const close = closingQuote(text, at + 1)
      const isCut = close < 0 || (close + 1 >= text.length && !isEnd)
      if (isCut && (isEnd || text.length - start > rowBytesMax)) {
        return firstLineOf(text, start, isEnd)
      }
      if (isCut) return { kind: 'more' }
      const field = text.slice(at + 1, close)
      if (fault !== tooManyFields) fields.push(field.replaceAll('""', '"'))
      lineCount += lineEndCount(field)
      at = fieldEnd(text, close + 1, delimiter)
      if (at > close + 1) fault ??= textBehindQuote
    } else {
      const end = fieldEnd(text, at, delimiter)
      const field = text.slice(at, end)
      if (field.includes('"')) fault ??= strayQuote
      if (fault !== tooManyFields) fields.push(field)
      at = end
    }
    const next = at < text.length ? text.charCodeAt(at) : -1
    if (next === delimiter) {
      at++
      continue
    }
    if (next === -1 && !isEnd) return { kind: 'more' }
    if (next === carriageReturn) {
      if (at + 1 >= text.length && !isEnd) return { kind: 'more' }
      if (text.charCodeAt(at + 1) === lineFeed) at++
    }
    return { kind: 'record', fields, fault, end: Math.min(at + 1, text.length), lineCount }
  }
}

/**
 * Reads the header from the beginning of a file. A file that is not UTF-8, or whose columns cannot
 * be told apart, is refused as a whole: each of its rows would be wrong.
 */
export function readCsvHeader(head: Buffer, isEnd: boolean, given?: CsvDelimiter): CsvHeader {
  const [first, second] = head
  const isUtf16 = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)
  const lineEnd = head.findIndex((byte) => byte === lineFeed || byte === carriageReturn)
  if (isUtf16 || head.subarray(0, lineEnd < 0 ? head.length : lineEnd).includes(0)) {
    return refuse('The file is UTF-16 or binary; write it as UTF-8, for example with iconv.')
  }
  const bomBytes = first === 0xef && second === 0xbb && head[2] === 0xbf ? 3 : 0
  const text = head.toString('latin1')
  const delimiter = given ?? delimiterOf(text.slice(bomBytes))
  const scan = scanCsvRecord(text, bomBytes, { delimiter, isEnd })
  if (scan.kind === 'more') return refuse('The header is too long.')
  if (scan.fault !== undefined) return refuse(`The header cannot be read. ${scan.fault}`)
  const columns: string[] = []
  const seen = new Map<string, number>()
  for (const [index, field] of scan.fields.entries()) {
    const name = decodeBytes(field)?.trim()
    if (name === undefined) return refuse('The header is not UTF-8.')
    if (name === '') return refuse(`Column ${index + 1} has no name.`)
    const before = seen.get(name)
    if (before !== undefined) {
      return refuse(`Columns ${before + 1} and ${index + 1} have the same name: ${name}`)
    }
    seen.set(name, index)
    columns.push(name)
  }
  const { end, lineCount } = scan
  return { kind: 'header', columns, delimiter, endOffset: end, lineCount }
}

function refuse(says: string): CsvHeader {
  return { kind: 'refused', says }
}

/** Returns the delimiter that stands most often in the first line, outside of quotes. */
function delimiterOf(text: string): CsvDelimiter {
  const counts = new Map<string, number>()
  let isQuoted = false
  for (const character of text) {
    if (character === '"') isQuoted = !isQuoted
    else if (isQuoted) continue
    else if (character === '\n' || character === '\r') break
    else counts.set(character, (counts.get(character) ?? 0) + 1)
  }
  let best: CsvDelimiter = ','
  for (const each of csvDelimiters) {
    if ((counts.get(each) ?? 0) > (counts.get(best) ?? 0)) best = each
  }
  return best
}

/** Returns where the quote that ends the field stands, -1 for nowhere. */
function closingQuote(text: string, start: number): number {
  let at = text.indexOf('"', start)
  while (at >= 0 && text.charCodeAt(at + 1) === quote) at = text.indexOf('"', at + 2)
  return at
}

/** Returns where the next delimiter or line end stands, else the end of the text. */
function fieldEnd(text: string, start: number, delimiter: number): number {
  let at = start
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === delimiter || code === lineFeed || code === carriageReturn) break
  }
  return at
}

function lineEndCount(field: string): number {
  if (!/[\r\n]/.test(field)) return 0
  return field.match(/\r\n|\r|\n/g)?.length ?? 0
}

/** Gives up one line, so that an open quote does not swallow the rest of the file. */
function firstLineOf(text: string, start: number, isEnd: boolean): CsvScan {
  const end = /\r\n|\r|\n/g
  end.lastIndex = start
  const found = end.exec(text)
  if (found === null && !isEnd) return { kind: 'more' }
  const behind = found === null ? text.length : found.index + found[0].length
  return { kind: 'record', fields: [], fault: openQuote, end: behind, lineCount: 1 }
}
