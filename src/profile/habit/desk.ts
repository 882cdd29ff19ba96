/**
 * Where the habits of one part are changed: bytes with room behind them, used again for each event,
 * so that an event allocates its result and little else. Nothing of it outlives a call.
 */

import { cutText } from '../activity-pack.ts'

export interface Desk {
  bytes: Buffer
  view: DataView
  /** What is behind it is of no meaning. */
  end: number
}

const asciiLast = 0x7f

export function createDesk(bytesMax: number): Desk {
  const desk = { bytes: Buffer.alloc(0), view: new DataView(new ArrayBuffer(0)), end: 0 }
  makeRoom(desk, bytesMax)
  return desk
}

/** Has room for so many bytes at least; what was there is lost where there was not. */
export function makeRoom(desk: Desk, bytesMax: number): void {
  if (desk.bytes.length >= bytesMax) return
  const room = new ArrayBuffer(bytesMax)
  desk.bytes = Buffer.from(room)
  desk.view = new DataView(room)
}

/** Copies a piece of one desk to another; returns where it ends there. */
export function copyPiece(source: Desk, from: number, end: number, target: Piece): number {
  source.bytes.copy(target.desk.bytes, target.at, from, end)
  return target.at + end - from
}

/** A place on a desk. */
export interface Piece {
  readonly desk: Desk
  readonly at: number
}

/** Writes UTF-8 as `cutText` cuts it; returns where it ends. */
export function writeText(bytes: Buffer, at: number, text: string, bytesMax: number): number {
  const length = Math.min(text.length, bytesMax)
  for (let index = 0; index < length; index++) {
    const code = text.charCodeAt(index)
    if (code > asciiLast) return at + cutText(text, bytesMax).copy(bytes, at)
    bytes[at + index] = code
  }
  return at + length
}
