/**
 * The retained activity of one part of a profile, as bytes.
 *
 * Appending is a copy of bytes, without reading what is there: most events only append, so the fold does not pay for
 * a person's past. Only rules, templates and the API decode.
 *
 * Limit: `activityCountMax` entries. Beyond it the oldest entry of the most frequent name goes, so a flood of views
 * cannot push out an order. Totals (profile-part.ts) count all events for ever.
 *
 * Layout of an entry, big endian:
 *   u16 bytes of the rest | f64 occurredAtMs | u32 event reference | u8 flags | [f64 value] | [f64 quantity]
 *   | u8 name bytes | name | item id to the end
 */

import { assert } from '../lib/assert.ts'

export const activityCountMax = 128

const lengthBytes = 2
const headBytes = 13
const hasValueFlag = 1
const hasQuantityFlag = 2
const hasItemFlag = 4
const nameBytesMax = 255
const itemBytesMax = 255

/** One thing done, with the reference that tells entries of one event from those of another at the same instant. */
export interface PackedActivity {
  readonly name: string
  readonly occurredAtMs: number
  readonly eventRef: number
  readonly itemId?: string
  readonly quantity?: number
  readonly value?: number
}

export const emptyPack: Uint8Array = new Uint8Array(0)

/** Returns `pack` with `entries` behind it, cut to the limit. Names and item ids are cut at 255 bytes. */
export function appendActivity(pack: Uint8Array, entries: readonly PackedActivity[]): Uint8Array {
  const encoded = entries.map(encodeEntry)
  const joined = Buffer.concat([pack, ...encoded])
  return cutToLimit(joined)
}

/** Returns the entries in the order in which they were appended. */
export function decodeActivity(pack: Uint8Array): readonly PackedActivity[] {
  const bytes = bufferOf(pack)
  const entries: PackedActivity[] = []
  for (let at = 0; at < bytes.length; ) {
    const end = at + lengthBytes + bytes.readUInt16BE(at)
    entries.push(decodeEntry(bytes, at + lengthBytes, end))
    at = end
  }
  return entries
}

/** Counts the entries without decoding them. */
export function countActivity(pack: Uint8Array): number {
  const bytes = bufferOf(pack)
  let count = 0
  for (let at = 0; at < bytes.length; at += lengthBytes + bytes.readUInt16BE(at)) count++
  return count
}

function encodeEntry(entry: PackedActivity): Buffer {
  const name = cutText(entry.name, nameBytesMax)
  const item = cutText(entry.itemId ?? '', itemBytesMax)
  const hasValue = entry.value !== undefined
  const hasQuantity = entry.quantity !== undefined
  const rest =
    headBytes + (hasValue ? 8 : 0) + (hasQuantity ? 8 : 0) + 1 + name.length + item.length
  const bytes = Buffer.allocUnsafe(lengthBytes + rest)
  bytes.writeUInt16BE(rest, 0)
  bytes.writeDoubleBE(entry.occurredAtMs, 2)
  bytes.writeUInt32BE(entry.eventRef, 10)
  bytes[14] =
    (hasValue ? hasValueFlag : 0) |
    (hasQuantity ? hasQuantityFlag : 0) |
    (entry.itemId === undefined ? 0 : hasItemFlag)
  let at = 15
  if (entry.value !== undefined) at = bytes.writeDoubleBE(entry.value, at)
  if (entry.quantity !== undefined) at = bytes.writeDoubleBE(entry.quantity, at)
  bytes[at] = name.length
  bytes.set(name, at + 1)
  bytes.set(item, at + 1 + name.length)
  return bytes
}

function decodeEntry(bytes: Buffer, from: number, end: number): PackedActivity {
  const flags = bytes[from + 12] ?? 0
  let at = from + headBytes
  const value = (flags & hasValueFlag) === 0 ? undefined : bytes.readDoubleBE(at)
  if (value !== undefined) at += 8
  const quantity = (flags & hasQuantityFlag) === 0 ? undefined : bytes.readDoubleBE(at)
  if (quantity !== undefined) at += 8
  const nameEnd = at + 1 + (bytes[at] ?? 0)
  return {
    name: bytes.toString('utf8', at + 1, nameEnd),
    occurredAtMs: bytes.readDoubleBE(from),
    eventRef: bytes.readUInt32BE(from + 8),
    ...((flags & hasItemFlag) === 0 ? {} : { itemId: bytes.toString('utf8', nameEnd, end) }),
    ...(quantity === undefined ? {} : { quantity }),
    ...(value === undefined ? {} : { value }),
  }
}

function cutToLimit(joined: Buffer): Uint8Array {
  const count = countActivity(joined)
  if (count <= activityCountMax) return joined
  const entries = [...decodeActivity(joined)]
  while (entries.length > activityCountMax) {
    const frequent = mostFrequentName(entries)
    const oldest = entries.findIndex((entry) => entry.name === frequent)
    assert(oldest >= 0, 'the most frequent name has an entry')
    entries.splice(oldest, 1)
  }
  return Buffer.concat(entries.map(encodeEntry))
}

function mostFrequentName(entries: readonly PackedActivity[]): string {
  const counts = new Map<string, number>()
  for (const { name } of entries) counts.set(name, (counts.get(name) ?? 0) + 1)
  let frequent = ''
  for (const [name, count] of counts) if (count > (counts.get(frequent) ?? 0)) frequent = name
  return frequent
}

/** Cuts at a character's border, so that what is stored is valid UTF-8. */
function cutText(text: string, bytesMax: number): Buffer {
  const bytes = Buffer.from(text)
  if (bytes.length <= bytesMax) return bytes
  let end = bytesMax
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--
  return bytes.subarray(0, end)
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
