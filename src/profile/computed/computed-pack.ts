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

/** A state as it is read: its bytes are a view into the pack. */
export type FoundState = Pick<PackedState, 'isCut' | 'state'>

/** Adds the states of an id to `found`; those of any version where none is given. */
export function findStates(
  pack: Uint8Array,
  { idHigh, idLow }: IdNumbers,
  sinceVersion: number | undefined,
  found: FoundState[],
): void {
  const { buffer, byteOffset, byteLength } = pack
  const view = new DataView(buffer, byteOffset, byteLength)
  for (let at = 0; at < byteLength; ) {
    const stateAt = at + headBytes
    const end = stateAt + view.getUint16(at + 1)
    const isIt =
      view.getUint32(at + 7) === idLow &&
      view.getUint32(at + 3) === idHigh &&
      (sinceVersion === undefined || view.getUint32(at + 11) === sinceVersion)
    if (isIt) {
      const isCut = (view.getUint8(at) & isCutFlag) !== 0
      found.push({ isCut, state: pack.subarray(stateAt, end) })
    }
    at = end
  }
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

/** What an event does to a pack. Ids are looked at as two numbers, so that none is made a text. */
export interface PackEdit {
  /** Returns the index of the change that an entry gets, or `keepEntry`, or `dropEntry`. */
  changeOf(idHigh: number, idLow: number, sinceVersion: number): number
  /** By index: the entry that is made where no entry got the change. */
  readonly changes: readonly { readonly place: Pick<PackedState, 'id' | 'sinceVersion'> }[]
  /** Returns a state behind the change; `state` is empty where there is none yet. */
  apply(index: number, state: Uint8Array): Uint8Array
}

export const keepEntry = -1
export const dropEntry = -2

/**
 * Returns the pack behind an edit: the first entry of a change gets it, and changes that found none
 * make an entry behind the others, in their order. What is neither changed nor dropped is copied.
 */
export function editComputed(pack: Uint8Array, edit: PackEdit): Uint8Array {
  const { buffer, byteOffset, byteLength } = pack
  const view = new DataView(buffer, byteOffset, byteLength)
  const states: (Uint8Array | undefined)[] = new Array(edit.changes.length).fill(undefined)
  const indexes: number[] = []
  let bytesLeft = 0
  for (let at = 0; at < byteLength; ) {
    const stateAt = at + headBytes
    const end = stateAt + view.getUint16(at + 1)
    const found = edit.changeOf(
      view.getUint32(at + 3),
      view.getUint32(at + 7),
      view.getUint32(at + 11),
    )
    const index = found >= 0 && states[found] !== undefined ? keepEntry : found
    indexes.push(index)
    if (index >= 0) {
      const state = edit.apply(index, new Uint8Array(buffer, byteOffset + stateAt, end - stateAt))
      states[index] = state
      bytesLeft += headBytes + state.length
    } else if (index !== dropEntry) bytesLeft += end - at
    at = end
  }
  const added: number[] = []
  for (let index = 0; index < states.length; index++) {
    if (states[index] !== undefined) continue
    const state = edit.apply(index, emptyState)
    states[index] = state
    added.push(index)
    bytesLeft += headBytes + state.length
  }
  const bytes = Buffer.allocUnsafe(bytesLeft)
  let at = 0
  let from = 0
  for (const index of indexes) {
    const end = from + headBytes + view.getUint16(from + 1)
    if (index >= 0) {
      for (let place = 0; place < headBytes; place++) bytes[at + place] = pack[from + place] ?? 0
      at = writeState(bytes, at, states[index] ?? emptyState)
    } else if (index === keepEntry) {
      bytes.set(new Uint8Array(buffer, byteOffset + from, end - from), at)
      at += end - from
    }
    from = end
  }
  for (const index of added) {
    const { id = '', sinceVersion = 0 } = edit.changes[index]?.place ?? {}
    bytes[at] = 0
    bytes.write(id, at + 3, 8, 'hex')
    bytes.writeUInt32BE(sinceVersion, at + 11)
    at = writeState(bytes, at, states[index] ?? emptyState)
  }
  return bytes
}

/** Writes what an entry holds behind its id; returns where it ends. */
function writeState(bytes: Buffer, at: number, state: Uint8Array): number {
  assert(state.length <= stateBytesMax, 'a state of a computed trait has at most 64 KiB')
  bytes.writeUInt16BE(state.length, at + 1)
  bytes.set(state, at + headBytes)
  return at + headBytes + state.length
}

export interface IdNumbers {
  readonly idHigh: number
  readonly idLow: number
}

/** Returns an id of 16 hex digits as the two numbers that a pack holds of it. */
export function idNumbers(id: string): IdNumbers {
  return {
    idHigh: Number.parseInt(id.slice(0, 8), 16),
    idLow: Number.parseInt(id.slice(8), 16),
  }
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
