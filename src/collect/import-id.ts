/**
 * The event ids of imported rows.
 *
 * A row of a file has the hash of three things: the first record of the file, the byte where the
 * row begins, and its bytes. So reading again gives the same ids, whatever the file is called by
 * then, rotated by renaming or by copying, compressed or not, and two equal lines are two events.
 * The name and the inode are left out because both change with a rotation; a count of equal lines
 * is left out because it would need all lines before. The price: a file whose beginning was cut
 * off, or that was put behind another, has other ids.
 *
 * A record of a Singer stream has no place that stays, so its id comes from the stream, its key,
 * and its time, or its values where it has no time.
 */

import { hash } from 'node:crypto'
import { hashId } from '../lib/hash.ts'

const idPrefix = 'imp_'
const idLength = 24

/** Bytes of the beginning of a file that may be needed to identify it. */
export const identityBytesMax = 64 * 1024

/**
 * Returns what identifies a file: the hash of its first `lineCount` lines, of which CSV has the
 * header and a row. `isEnd` tells that `head` is the whole file. Undefined where more is needed.
 */
export function identifyFile(head: Buffer, lineCount: number, isEnd: boolean): string | undefined {
  const text = head.toString('latin1', 0, identityBytesMax)
  let at = 0
  for (let line = 0; line < lineCount; line++) {
    const end = text.indexOf('\n', at)
    if (end < 0) {
      if (!isEnd && text.length < identityBytesMax) return undefined
      at = text.length
      break
    }
    at = end + 1
  }
  return hashId('file', text.slice(0, at).trimEnd())
}

/** Returns the id of the event of the row that begins at `offset`. */
export function rowEventId(identity: string, offset: number, text: string): string {
  return (
    idPrefix + hash('sha256', `${identity}\0${offset}\0${text}`, 'base64url').slice(0, idLength)
  )
}

/** Returns the id of the event that says who somebody is, where its row also says what they did. */
export function identifyEventId(eventId: string): string {
  return `${eventId}.i`
}

/** Returns the id of a record of a stream; `version` is its time, or its values. */
export function singerEventId(stream: string, key: readonly unknown[], version: string): string {
  return idPrefix + hashId('singer', stream, JSON.stringify(key), version)
}
