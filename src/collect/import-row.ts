/**
 * What an import reads: rows, and what each of them is before the collector has judged it.
 *
 * Every row ends in exactly one outcome: `events` (one, or two where a row says both who somebody
 * is and what they did), `refused` with the reason, or `dropped` on purpose. Text is read with one
 * character for each byte (Latin-1), so that a place in the text is a place in the file; what is
 * not ASCII is decoded field by field.
 */

import type { JsonObject } from '../lib/json.ts'

/** Why a row is left out on purpose. */
export const dropReasons = [
  'blank',
  'robot',
  'static-file',
  'method',
  'status',
  'rule',
  'no-record',
] as const
export type DropReason = (typeof dropReasons)[number]

export type RowOutcome =
  | { readonly kind: 'events'; readonly items: readonly JsonObject[] }
  | {
      readonly kind: 'refused'
      /** JSON pointer, or the name of a column; '' is the whole row. */
      readonly path: string
      readonly says: string
      /** The row as it stands in the file, one character a byte. */
      readonly text: string
    }
  | { readonly kind: 'dropped'; readonly reason: DropReason }

export interface ImportRow {
  /** Of its first line, from 1. */
  readonly line: number
  /** Byte behind the row and its line end. */
  readonly endOffset: number
  readonly outcome: RowOutcome
}

/** Reads the rows of one file, in order, from bytes that come in pieces. */
export interface RowReader {
  /** Returns the rows that are whole by now. */
  push(chunk: Buffer): readonly ImportRow[]
  /** Returns what is left: the last line may have no line end. */
  end(): readonly ImportRow[]
  /** Line that comes next. */
  readonly line: number
}

/** Where reading goes on. */
export interface ReadFrom {
  readonly offset: number
  readonly line: number
}

/** Longest row that is read; an event has 32 KiB at most, so a longer one can be no event. */
export const rowBytesMax = 256 * 1024

export const tooLongSays = `The row has more than ${rowBytesMax} bytes.`

const shownTextMax = 8 * 1024

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Returns the text that bytes stand for in UTF-8; undefined where they are none. */
export function decodeBytes(text: string): string | undefined {
  if (!/[\x80-\xff]/.test(text)) return text
  try {
    return decoder.decode(Buffer.from(text, 'latin1'))
  } catch {
    return undefined
  }
}

export function refuseRow(text: string, path: string, says: string): RowOutcome {
  return { kind: 'refused', path, says, text }
}

/**
 * Returns what is handed to the collector for a row that is no event: it is refused as
 * `type-unknown`, and so kept in the `rejected` log with its place and the reason.
 */
export function refusedItem(
  refused: { readonly path: string; readonly says: string; readonly text: string },
  place: { readonly file: string; readonly line: number },
): JsonObject {
  const { path, says, text } = refused
  const cut = text.slice(0, shownTextMax)
  const shown = decodeBytes(cut)
  // A control character would hide the reason behind another one.
  const isPlain = shown !== undefined && /^[^\p{Cc}]*$/u.test(shown) && shown.isWellFormed()
  const kept = isPlain ? { text: shown } : { base64: Buffer.from(cut, 'latin1').toString('base64') }
  return { type: 'refused-row', ...place, path, says, ...kept }
}
