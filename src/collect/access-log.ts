/**
 * A line of a server's access log as the request it tells of.
 *
 * Taken: Apache's common format, and the combined format of Apache and nginx, also with more fields
 * behind (a cookie, a time). A field in quotes holds what the client sent, with quotes, backslashes
 * and bytes escaped as `\"`, `\\` and `\xHH` (nginx writes `\x22`, Apache `\"`).
 */

import { decodeBytes } from './import-row.ts'

/** A request, with more fields by their names; `-` in the log is no value. */
export interface AccessRequest {
  readonly atMs: number
  readonly ip: string
  readonly method: string
  /** Path with query, or a whole URL. */
  readonly target: string
  readonly status: number
  readonly userAgent: string | undefined
  readonly referrer: string | undefined
  readonly fields: Readonly<Record<string, string>>
}

export type ParsedAccess =
  | { readonly kind: 'request'; readonly request: AccessRequest }
  | { readonly kind: 'refused'; readonly path: string; readonly says: string }

const months = 'JanFebMarAprMayJunJulAugSepOctNovDec'
const extraCountMax = 20
const timeLength = 26

/** Parses one line; `extraNames` name the fields behind those of the format. */
export function parseAccessLine(line: string, extraNames: readonly string[]): ParsedAccess {
  const open = line.indexOf(' [')
  const close = open < 0 ? -1 : line.indexOf('] "', open)
  if (close < 0) return refuse('', 'The line is not in the common or combined format.')
  const ipEnd = line.indexOf(' ')
  const userAt = line.indexOf(' ', ipEnd + 1)
  if (ipEnd < 1 || userAt < 0 || userAt > open) {
    return refuse('', 'The line does not begin with an address, an identity and a user.')
  }
  const atMs = parseAccessTime(line.slice(open + 2, close))
  if (atMs === undefined) return refuse('time', 'The time cannot be read.')
  const request = quoted(line, close + 2)
  if (request === undefined) return refuse('request', 'The quote of the request is not closed.')
  const status = Number(line.slice(request.end + 1, request.end + 4))
  if (!(status >= 100 && status <= 599)) return refuse('status', 'The status is no number.')
  const first = request.text.indexOf(' ')
  const last = request.text.lastIndexOf(' ')
  if (first < 1 || last <= first) return refuse('request', 'The request is not METHOD PATH HTTP.')
  const behind = fieldsBehind(line, request.end + 4)
  if (behind === undefined) return refuse('', 'The quote of a field is not closed.')
  // The first field behind the status is the bytes sent.
  const [, referrer, userAgent, ...extras] = behind
  const fields: Record<string, string> = {}
  const user = line.slice(userAt + 1, open)
  if (user !== '-' && user !== '') fields['user'] = user
  for (const [index, name] of extraNames.entries()) {
    const value = fieldValue(extras[index])
    if (value !== undefined) fields[name] = value
  }
  return {
    kind: 'request',
    request: {
      atMs,
      ip: line.slice(0, ipEnd),
      method: request.text.slice(0, first),
      target: decodeBytes(request.text.slice(first + 1, last)) ?? '',
      status,
      userAgent: fieldValue(userAgent),
      referrer: fieldValue(referrer),
      fields,
    },
  }
}

/** Reads `26/Nov/2026:18:32:36 +0000`. */
export function parseAccessTime(text: string): number | undefined {
  if (text.length !== timeLength || text[2] !== '/' || text[6] !== '/' || text[11] !== ':') {
    return undefined
  }
  const month = months.indexOf(text.slice(3, 6)) / 3
  const [day, year] = [Number(text.slice(0, 2)), Number(text.slice(7, 11))]
  const [hour, minute] = [Number(text.slice(12, 14)), Number(text.slice(15, 17))]
  const second = Number(text.slice(18, 20))
  const zone = Number(text.slice(22, 24)) * 60 + Number(text.slice(24, 26))
  const sign = text[21]
  const atMs =
    Date.UTC(year, month, day, hour, minute, second) - (sign === '-' ? -zone : zone) * 60_000
  const isSound =
    Number.isInteger(month) &&
    month >= 0 &&
    year >= 1970 &&
    day >= 1 &&
    day <= 31 &&
    hour < 24 &&
    minute < 60 &&
    second <= 60 &&
    (sign === '+' || sign === '-')
  return isSound && Number.isFinite(atMs) ? atMs : undefined
}

function refuse(path: string, says: string): ParsedAccess {
  return { kind: 'refused', path, says }
}

function fieldValue(text: string | undefined): string | undefined {
  if (text === undefined || text === '-' || text === '') return undefined
  return decodeBytes(text)
}

/** Returns the text of the quotes that open at `start`, and the place behind them. */
function quoted(
  line: string,
  start: number,
): { readonly text: string; readonly end: number } | undefined {
  if (line[start] !== '"') return undefined
  let close = line.indexOf('"', start + 1)
  while (close > 0 && isEscaped(line, close)) close = line.indexOf('"', close + 1)
  if (close < 0) return undefined
  const raw = line.slice(start + 1, close)
  return { text: raw.includes('\\') ? withoutEscapes(raw) : raw, end: close + 1 }
}

function isEscaped(line: string, at: number): boolean {
  let count = 0
  while (line[at - 1 - count] === '\\') count++
  return count % 2 === 1
}

function withoutEscapes(raw: string): string {
  return raw.replace(/\\(?:x([0-9A-Fa-f]{2})|(.))/g, (whole, hex?: string, character?: string) => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16))
    return character === '"' || character === '\\' ? character : whole
  })
}

/** Returns the fields from `start` on, quoted or not, split at blanks. */
function fieldsBehind(line: string, start: number): readonly string[] | undefined {
  const fields: string[] = []
  let at = start
  while (at < line.length && fields.length < extraCountMax) {
    if (line[at] === ' ') {
      at++
    } else if (line[at] === '"') {
      const field = quoted(line, at)
      if (field === undefined) return undefined
      fields.push(field.text)
      at = field.end
    } else {
      const blank = line.indexOf(' ', at)
      const end = blank < 0 ? line.length : blank
      fields.push(line.slice(at, end))
      at = end
    }
  }
  return fields
}
