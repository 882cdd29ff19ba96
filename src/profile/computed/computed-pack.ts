/**
 * The states of all computed traits of one identity key, as bytes in its part of the profile. An
 * event rewrites the few it touches; the others are copied.
 *
 * Layout of an entry, big endian: u8 flags | u16 state bytes | 8 bytes id | u32 since version |
 * state. Entries are in the order in which they came.
 */

import { assert } from '../../lib/assert.ts'

const headBytes = 15
const isCutFlag = 1
/** Greatest state of one trait and identity key. */
export const stateBytesMax = 0xffff

export interface PackedState {
  /** 16 hex digits. */
  readonly id: string
  readonly sinceVersion: number
  /** True where the state had to go for lack of room: it counts again from nothing. */
  readonly isCut: boolean
  readonly state: Uint8Array
}

/** Returns the entries; their states are views into `pack`. */
export function decodeComputed(pack: Uint8Array): readonly PackedState[] {
  const bytes = Buffer.from(pack.buffer, pack.byteOffset, pack.byteLength)
  const entries: PackedState[] = []
  for (let at = 0; at < bytes.length; ) {
    const stateAt = at + headBytes
    const end = stateAt + bytes.readUInt16BE(at + 1)
    entries.push({
      id: bytes.toString('hex', at + 3, at + 11),
      sinceVersion: bytes.readUInt32BE(at + 11),
      isCut: ((bytes[at] ?? 0) & isCutFlag) !== 0,
      state: pack.subarray(stateAt, end),
    })
    at = end
  }
  return entries
}

export function encodeComputed(entries: readonly PackedState[]): Uint8Array {
  const byteCount = entries.reduce((sum, { state }) => sum + headBytes + state.length, 0)
  const bytes = Buffer.allocUnsafe(byteCount)
  let at = 0
  for (const { id, sinceVersion, isCut, state } of entries) {
    assert(state.length <= stateBytesMax, 'a state of a computed trait has at most 64 KiB')
    bytes[at] = isCut ? isCutFlag : 0
    bytes.writeUInt16BE(state.length, at + 1)
    bytes.write(id, at + 3, 8, 'hex')
    bytes.writeUInt32BE(sinceVersion, at + 11)
    bytes.set(state, at + headBytes)
    at += headBytes + state.length
  }
  return bytes
}

const emptyState = new Uint8Array(0)

/**
 * Empties the largest states of a person until all parts together have at most `bytesMax`. What is
 * emptied says so for as long as it lives.
 */
export function cutComputed(parts: readonly { computed?: Uint8Array }[], bytesMax: number): void {
  let bytes = parts.reduce((sum, { computed }) => sum + (computed?.length ?? 0), 0)
  while (bytes > bytesMax) {
    const all = parts.map(({ computed = emptyState }) => decodeComputed(computed))
    let [partAt, entryAt, most] = [0, 0, 0]
    for (const [part, entries] of all.entries()) {
      for (const [entry, { state }] of entries.entries()) {
        if (state.length > most) [partAt, entryAt, most] = [part, entry, state.length]
      }
    }
    const part = parts[partAt]
    const entries = all[partAt]
    // Heads alone are left: their number is bounded by traits and parts.
    if (most === 0 || part === undefined || entries === undefined) return
    part.computed = encodeComputed(
      entries.map((each, at) =>
        at === entryAt ? { ...each, isCut: true, state: emptyState } : each,
      ),
    )
    bytes -= most
  }
}
