/**
 * Reads a list of people from CSV, or says all that is wrong with it: a list is taken whole or not
 * at all.
 *
 * The first line names the columns. `user_id` and `anonymous_id` hold ids as events have them,
 * `key` an identity key (`user:ada`); other columns are passed over. A row has one id or more; an
 * id that many people share by accident (`null`, `guest`) is refused.
 */

import { readId } from '../event/identity-field.ts'
import { readCsvHeader, scanCsvRecord } from './csv-record.ts'
import { decodeBytes } from './import-row.ts'

export const listFileBytesMax = 8 * 1024 * 1024
const faultCountMax = 100

export interface ListFault {
  /** `line 3`, or empty for the whole file. */
  readonly path: string
  readonly says: string
}

export type ParsedList =
  | { readonly kind: 'list'; readonly keys: readonly string[] }
  | { readonly kind: 'refused'; readonly faults: readonly ListFault[] }

type Column = 'user' | 'anonymous' | 'key'

const columnNames: Readonly<Record<string, Column>> = {
  user_id: 'user',
  userid: 'user',
  anonymous_id: 'anonymous',
  anonymousid: 'anonymous',
  key: 'key',
}

/** Reads at most `keyCountMax` keys. */
export function parseListFile(bytes: Uint8Array, keyCountMax: number): ParsedList {
  if (bytes.length > listFileBytesMax) {
    return refuse(`must have at most ${listFileBytesMax} bytes`)
  }
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const header = readCsvHeader(file, true)
  if (header.kind === 'refused') return refuse(header.says)
  const columns = header.columns.map((name) => {
    const known = name.trim().toLowerCase()
    return Object.hasOwn(columnNames, known) ? columnNames[known] : undefined
  })
  if (columns.every((column) => column === undefined)) {
    return refuse('the first line must name a column user_id, anonymous_id or key')
  }
  const text = file.toString('latin1')
  const keys = new Set<string>()
  const faults: ListFault[] = []
  let line = header.lineCount + 1
  for (let at = header.endOffset; at < text.length; ) {
    const scan = scanCsvRecord(text, at, { delimiter: header.delimiter, isEnd: true })
    if (scan.kind === 'more') break
    const isEmpty = scan.fields.length === 1 && scan.fields[0] === ''
    const found = isEmpty ? [] : keysOf(scan.fields, columns)
    const says = scan.fault ?? (typeof found === 'string' ? found : undefined)
    if (says !== undefined) faults.push({ path: `line ${line}`, says })
    else for (const key of found) keys.add(key)
    if (faults.length >= faultCountMax) break
    if (keys.size > keyCountMax) return refuse(`a list holds at most ${keyCountMax} keys`)
    at = scan.end
    line += scan.lineCount
  }
  return faults.length > 0 ? { kind: 'refused', faults } : { kind: 'list', keys: [...keys] }
}

/** Returns the keys of a row, or what is wrong with it. */
function keysOf(
  fields: readonly string[],
  columns: readonly (Column | undefined)[],
): readonly string[] | string {
  const keys: string[] = []
  for (const [index, column] of columns.entries()) {
    const field = fields[index] ?? ''
    if (column === undefined || field === '') continue
    const decoded = decodeBytes(field)
    if (decoded === undefined) return 'it is not UTF-8'
    const [kind, id] = column === 'key' ? splitKey(decoded) : [column, decoded]
    if (kind !== 'user' && kind !== 'anonymous') return 'a key begins with user: or anonymous:'
    const read = readId(id, false)
    if (read.kind === 'refused') return read.says
    if (read.kind === 'absent') return 'a key has an id behind its colon'
    keys.push(`${kind}:${read.id}`)
  }
  return keys.length === 0 ? 'it has no id' : keys
}

function splitKey(key: string): readonly [string, string] {
  const colon = key.indexOf(':')
  return colon < 0 ? ['', key] : [key.slice(0, colon), key.slice(colon + 1)]
}

function refuse(says: string): ParsedList {
  return { kind: 'refused', faults: [{ path: '', says }] }
}
