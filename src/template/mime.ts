/**
 * Writes the whole message (RFC 5322, RFC 2045): headers, then a text and an HTML part, both
 * quoted-printable.
 *
 * The bytes depend on the arguments alone. A mail library's composer would do the same
 * asynchronously, through streams, and with a boundary, a date and an id of its own. Every line
 * ends in CRLF, no other CR or LF is left, and no line is over 998 characters.
 */

import { assert } from '../lib/assert.ts'

const encodedLineCharactersMax = 76
/**
 * 45 bytes are 60 characters of base 64; with `=?utf-8?B?` and `?=` the word is within RFC 2047's
 * 75.
 */
const encodedWordBytesMax = 45
const cr = 0x0d
const lf = 0x0a
const space = 0x20
const equals = 0x3d
const hexDigits = Buffer.from('0123456789ABCDEF')
/** Above this a plain header line is folded at spaces. */
const headerLineCharactersMax = 76

export type Header = readonly [name: string, value: string]

export interface MessageParts {
  readonly headers: readonly Header[]
  readonly boundary: string
  readonly text: string
  readonly html: string
}

export function encodeMessage(parts: MessageParts): Uint8Array<ArrayBuffer> {
  for (const [name, value] of parts.headers) {
    assert(/^[A-Za-z-]+$/.test(name), 'a header name has letters and hyphens only')
    assert(/^[ -~]*$/.test(value), 'a header value is printable ASCII')
  }
  const head = [
    ...parts.headers.map(([name, value]) => foldHeader(name, value)),
    'MIME-Version: 1.0',
    `Content-Type: multipart/alternative;\r\n boundary="${parts.boundary}"`,
    '',
    '',
  ].join('\r\n')
  const text = Buffer.from(parts.text)
  const html = Buffer.from(parts.html)
  const partHead = (type: string): string =>
    `--${parts.boundary}\r\nContent-Type: ${type}; charset=utf-8\r\n` +
    'Content-Transfer-Encoding: quoted-printable\r\n\r\n'

  const bytesMax = head.length + encodedBytesMax(text.length) + encodedBytesMax(html.length) + 1024
  const output = Buffer.allocUnsafe(bytesMax)
  let at = output.write(head + partHead('text/plain'), 0, 'latin1')
  at = encodeQuotedPrintable(text, output, at)
  at += output.write(`\r\n${partHead('text/html')}`, at, 'latin1')
  at = encodeQuotedPrintable(html, output, at)
  at += output.write(`\r\n--${parts.boundary}--\r\n`, at, 'latin1')
  return new Uint8Array(output.subarray(0, at))
}

/**
 * Returns text for a header: as it is if it is plain ASCII, else as encoded words (RFC 2047)
 * joined by spaces.
 */
export function encodeHeaderText(text: string): string {
  // Plain text that looks like an encoded word would be decoded by the reader.
  if (/^[ -~]*$/.test(text) && !text.includes('=?')) return text
  const words: string[] = []
  let chunk = ''
  let chunkBytes = 0
  for (const character of text) {
    const bytes = Buffer.byteLength(character)
    if (chunkBytes + bytes > encodedWordBytesMax) {
      words.push(chunk)
      chunk = ''
      chunkBytes = 0
    }
    chunk += character
    chunkBytes += bytes
  }
  words.push(chunk)
  return words.map((word) => `=?utf-8?B?${Buffer.from(word).toString('base64')}?=`).join(' ')
}

/** Returns `Name <address>` with the name quoted or encoded, or the bare address. */
export function encodeMailbox(name: string, address: string): string {
  if (name === '') return address
  const encoded = encodeHeaderText(name)
  if (encoded !== name || /^[A-Za-z0-9 !#$%&'*+/=?^_`{|}~-]+$/.test(name))
    return `${encoded} <${address}>`
  return `"${name.replace(/["\\]/g, '\\$&')}" <${address}>`
}

/** Folds at spaces only, so that a long URL stays whole: some receivers break it otherwise. */
function foldHeader(name: string, value: string): string {
  const lines: string[] = []
  let line = `${name}:`
  for (const word of value.split(' ')) {
    const isFull = line.length + 1 + word.length > headerLineCharactersMax
    if (isFull && word !== '' && line.trim() !== '' && !line.endsWith(':')) {
      lines.push(line)
      line = ` ${word}`
    } else {
      line += ` ${word}`
    }
  }
  return [...lines, line].join('\r\n')
}

/** Three bytes for each, and a soft line break (three more) after at most 73. */
function encodedBytesMax(countBytes: number): number {
  return countBytes * 3 + Math.ceil((countBytes * 3) / 73) * 3 + 3
}

/** Bytes that stand for themselves wherever they are in a line. */
const isPlainByte = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte > space && byte < 0x7f && byte !== equals ? 1 : 0,
)

/**
 * Writes `input` into `output` from `start`; returns the place behind it. Any kind of line end
 * becomes CRLF.
 */
function encodeQuotedPrintable(input: Uint8Array, output: Uint8Array, start: number): number {
  const end = input.length
  let at = start
  /** Where the line is full: the last place is kept for the `=` of a soft line break. */
  let limit = start + encodedLineCharactersMax - 1
  for (let from = 0; from < end; from++) {
    // Most bytes are in runs that stand for themselves and fit the line.
    const runEnd = Math.min(end, from + limit - at)
    while (from < runEnd && isPlainByte[input[from] as number] === 1) {
      output[at++] = input[from++] as number
    }
    if (from === end) return at
    const byte = input[from] as number // within its bounds
    if (isPlainByte[byte] === 1 || (byte === space && !isLineEnd(input, from + 1))) {
      if (at >= limit) {
        at = breakSoftly(output, at)
        limit = at + encodedLineCharactersMax - 1
      }
      output[at++] = byte
    } else if (byte === cr || byte === lf) {
      if (byte === cr && input[from + 1] === lf) from += 1
      output[at++] = cr
      output[at++] = lf
      limit = at + encodedLineCharactersMax - 1
    } else {
      if (at + 3 > limit) {
        at = breakSoftly(output, at)
        limit = at + encodedLineCharactersMax - 1
      }
      output[at++] = equals
      output[at++] = hexDigits[byte >> 4] ?? 0
      output[at++] = hexDigits[byte & 15] ?? 0
    }
  }
  return at
}

function breakSoftly(output: Uint8Array, at: number): number {
  output[at] = equals
  output[at + 1] = cr
  output[at + 2] = lf
  return at + 3
}

/** A blank before a line end would be stripped on the way, so it is encoded there. */
function isLineEnd(input: Uint8Array, at: number): boolean {
  const byte = input[at]
  return byte === undefined || byte === cr || byte === lf
}
