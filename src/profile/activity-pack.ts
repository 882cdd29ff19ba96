/**
 * The retained activity of one part of a profile, as bytes.
 *
 * Appending is a copy of bytes, without reading what is there: most events only append, so the fold
 * does not pay for a person's past. Only rules, templates and the API decode.
 *
 * Limit: `activityCountMax` entries. Beyond it entries of the most frequent name go, so a flood of
 * views cannot push out an order: first lines of events that keep another line, oldest first, then
 * the oldest. So counts of events in a window are exact up to the limit, however large the orders.
 * Totals (person.ts) count all events for ever.
 *
 * Layout of an entry, big endian:
 *   u16 bytes of the rest | f64 occurredAtMs | u32 event reference | u8 flags
 *   | [f64 value] | [f64 quantity] | [u16 bytes | properties, JSON]
 *   | u8 name bytes | name | item id to the end
 */

import { assert } from '../lib/assert.ts'
import type { JsonObject } from '../lib/json.ts'

export const activityCountMax = 128

const lengthBytes = 2
const headBytes = 13
const hasValueFlag = 1
const hasQuantityFlag = 2
const hasItemFlag = 4
const hasPropertiesFlag = 8
const asciiLast = 0x7f
const nameBytesMax = 255
const itemBytesMax = 255
/** Of the properties kept of one entry; with more, none is kept. */
export const propertiesBytesMax = 1024

/**
 * One thing done, with the reference that tells entries of one event from those of another at the
 * same instant.
 */
export interface PackedActivity {
  readonly name: string
  readonly occurredAtMs: number
  readonly eventRef: number
  readonly itemId?: string
  readonly quantity?: number
  readonly value?: number
  readonly properties?: JsonObject
}

export const emptyPack: Uint8Array = new Uint8Array(0)

/**
 * Returns `pack` with `entries` behind it, cut to the limit. Names and item ids are cut at 255
 * bytes. The names of entries that had to go are added to `dropped`.
 */
export function appendActivity(
  pack: Uint8Array,
  entries: readonly PackedActivity[],
  dropped: Set<string> = new Set(),
): Uint8Array {
  const encoded = entries.map(encodeEntry)
  const joined = Buffer.concat([pack, ...encoded])
  // An entry has at least this many bytes, so most packs need no count.
  const isShort = joined.length <= activityCountMax * (lengthBytes + headBytes + 1)
  return isShort || countActivity(joined) <= activityCountMax ? joined : cutToLimit(joined, dropped)
}

/**
 * Returns `pack` without its oldest entries, at least `bytesMin` shorter, or empty. Their names are
 * added to `dropped`.
 */
export function dropOldest(
  pack: Uint8Array,
  bytesMin: number,
  dropped: Set<string> = new Set(),
): Uint8Array {
  const bytes = bufferOf(pack)
  let from = 0
  while (from < bytes.length && from < bytesMin) from += lengthBytes + bytes.readUInt16BE(from)
  for (const { nameAt } of spansOf(bytes.subarray(0, from))) dropped.add(nameIn(bytes, nameAt))
  return Uint8Array.from(bytes.subarray(from))
}

/** Returns the entries in the order in which they were appended. */
export function decodeActivity(pack: Uint8Array): readonly PackedActivity[] {
  const reader = createReader(pack)
  const entries: PackedActivity[] = []
  for (let at = 0; at < pack.length; ) {
    const end = at + lengthBytes + reader.numbers.getUint16(at)
    entries.push(decodeEntry(reader, at + lengthBytes, end))
    at = end
  }
  return entries
}

/** When the events of one name happened, as far as they are retained. */
export interface EventTimes {
  atMs: number[]
  /** References of the same events. */
  refs: number[]
  /** True while both come in order and no event comes twice. */
  isOrdered: boolean
}

/**
 * Adds the events of a pack that are later than `afterMs` to those of other packs, by name: an
 * event once, however many of its entries follow each other. Nothing but a name is decoded, and
 * each once.
 */
export function addEventTimes(
  pack: Uint8Array,
  afterMs: number,
  byName: Map<string, EventTimes>,
): void {
  const { buffer, byteOffset, byteLength } = pack
  const numbers = new DataView(buffer, byteOffset, byteLength)
  const known: NamedTimes[] = []
  let last: NamedTimes | undefined
  for (let at = 0; at < byteLength; ) {
    const from = at + lengthBytes
    at = from + numbers.getUint16(at)
    const atMs = numbers.getFloat64(from)
    if (atMs <= afterMs) continue
    const nameAt = nameAtOf(numbers, from)
    if (last === undefined || !isSameName(pack, last.nameAt, nameAt)) {
      last = findNamed(known, pack, nameAt)
      if (last === undefined) {
        const name = nameIn(bufferOf(pack), nameAt)
        const times = byName.get(name) ?? { atMs: [], refs: [], isOrdered: true }
        byName.set(name, times)
        last = { nameAt, times }
        known.push(last)
      }
    }
    addTime(last.times, atMs, numbers.getUint32(from + 8))
  }
}

interface NamedTimes {
  /** Where an entry of the name has it. */
  readonly nameAt: number
  readonly times: EventTimes
}

function findNamed(
  known: readonly NamedTimes[],
  pack: Uint8Array,
  nameAt: number,
): NamedTimes | undefined {
  return known.find((each) => isSameName(pack, each.nameAt, nameAt))
}

function addTime(times: EventTimes, atMs: number, ref: number): void {
  const { length } = times.atMs
  const lastMs = times.atMs[length - 1]
  const lastRef = times.refs[length - 1] ?? 0
  if (lastMs === atMs && lastRef === ref) return
  if (lastMs !== undefined && (lastMs > atMs || (lastMs === atMs && lastRef > ref))) {
    times.isOrdered = false
  }
  times.atMs.push(atMs)
  times.refs.push(ref)
}

/** Returns where the name of an entry lies: the byte of its length. */
function nameAtOf(numbers: DataView, from: number): number {
  const flags = numbers.getUint8(from + 12)
  const skipped = (flags & hasValueFlag ? 8 : 0) + (flags & hasQuantityFlag ? 8 : 0)
  const at = from + headBytes + skipped
  return (flags & hasPropertiesFlag) === 0 ? at : at + lengthBytes + numbers.getUint16(at)
}

function nameIn(bytes: Buffer, nameAt: number): string {
  return bytes.toString('utf8', nameAt + 1, nameAt + 1 + (bytes[nameAt] ?? 0))
}

function isSameName(bytes: Uint8Array, oneAt: number, otherAt: number): boolean {
  const end = oneAt + 1 + (bytes[oneAt] ?? 0)
  for (let one = oneAt, other = otherAt; one < end; one++, other++) {
    if (bytes[one] !== bytes[other]) return false
  }
  return true
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
  const properties = encodeProperties(entry.properties)
  const numbers = (hasValue ? 8 : 0) + (hasQuantity ? 8 : 0)
  const rest = headBytes + numbers + (properties?.length ?? 0) + 1 + name.length + item.length
  const bytes = Buffer.allocUnsafe(lengthBytes + rest)
  bytes.writeUInt16BE(rest, 0)
  bytes.writeDoubleBE(entry.occurredAtMs, 2)
  bytes.writeUInt32BE(entry.eventRef, 10)
  bytes[14] =
    (hasValue ? hasValueFlag : 0) |
    (hasQuantity ? hasQuantityFlag : 0) |
    (entry.itemId === undefined ? 0 : hasItemFlag) |
    (properties === undefined ? 0 : hasPropertiesFlag)
  let at = 15
  if (entry.value !== undefined) at = bytes.writeDoubleBE(entry.value, at)
  if (entry.quantity !== undefined) at = bytes.writeDoubleBE(entry.quantity, at)
  if (properties !== undefined) {
    bytes.set(properties, at)
    at += properties.length
  }
  bytes[at] = name.length
  bytes.set(name, at + 1)
  bytes.set(item, at + 1 + name.length)
  return bytes
}

function encodeProperties(properties: JsonObject | undefined): Buffer | undefined {
  if (properties === undefined) return undefined
  const text = Buffer.from(JSON.stringify(properties))
  if (text.length > propertiesBytesMax) return undefined
  const bytes = Buffer.allocUnsafe(lengthBytes + text.length)
  bytes.writeUInt16BE(text.length, 0)
  bytes.set(text, lengthBytes)
  return bytes
}

/**
 * A pack as rules read it, entry by entry. A call of Buffer for each text and number takes three
 * times as long as one that turns all bytes into characters, of which a text of ASCII is a piece.
 */
interface Reader {
  readonly bytes: Uint8Array
  readonly numbers: DataView
  /** One character for each byte. */
  readonly characters: string
}

function createReader(bytes: Uint8Array): Reader {
  const { buffer, byteOffset, byteLength } = bytes
  return {
    bytes,
    numbers: new DataView(buffer, byteOffset, byteLength),
    characters: bufferOf(bytes).toString('latin1'),
  }
}

function decodeEntry(reader: Reader, from: number, end: number): PackedActivity {
  const { bytes, numbers } = reader
  const flags = bytes[from + 12] ?? 0
  let at = from + headBytes
  const value = (flags & hasValueFlag) === 0 ? undefined : numbers.getFloat64(at)
  if (value !== undefined) at += 8
  const quantity = (flags & hasQuantityFlag) === 0 ? undefined : numbers.getFloat64(at)
  if (quantity !== undefined) at += 8
  const propertiesAt = at + lengthBytes
  const hasProperties = (flags & hasPropertiesFlag) !== 0
  if (hasProperties) at = propertiesAt + numbers.getUint16(at)
  const propertiesEnd = at
  const nameEnd = at + 1 + (bytes[at] ?? 0)
  const entry: { -readonly [Field in keyof PackedActivity]: PackedActivity[Field] } = {
    name: decodeText(reader, at + 1, nameEnd),
    occurredAtMs: numbers.getFloat64(from),
    eventRef: numbers.getUint32(from + 8),
  }
  if ((flags & hasItemFlag) !== 0) entry.itemId = decodeText(reader, nameEnd, end)
  if (quantity !== undefined) entry.quantity = quantity
  if (value !== undefined) entry.value = value
  if (hasProperties) {
    entry.properties = JSON.parse(decodeText(reader, propertiesAt, propertiesEnd)) as JsonObject
  }
  return entry
}

function decodeText({ bytes, characters }: Reader, from: number, end: number): string {
  for (let at = from; at < end; at++) {
    if ((bytes[at] ?? 0) > asciiLast) return bufferOf(bytes).toString('utf8', from, end)
  }
  return characters.slice(from, end)
}

interface Span {
  readonly from: number
  readonly end: number
  readonly nameAt: number
  readonly atMs: number
  readonly ref: number
}

/** Entries of one name, in order, as far as they are kept. */
interface Named {
  readonly spans: readonly Span[]
  keptCount: number
  /** In the order in which they go; made when the first does. */
  victims: readonly Span[] | undefined
}

/** Takes entries out, as bytes, until the limit holds: each time one of the most frequent name. */
function cutToLimit(joined: Buffer, dropped: Set<string>): Uint8Array {
  const spans = spansOf(joined)
  const taken = new Set<Span>()
  const names = groupByName(joined, spans)
  while (spans.length - taken.size > activityCountMax) {
    const frequent = names.reduce((most, each) => (each.keptCount > most.keptCount ? each : most))
    frequent.victims ??= victimsOf(frequent.spans)
    const victim = frequent.victims[frequent.spans.length - frequent.keptCount]
    assert(victim !== undefined, 'the most frequent name has an entry')
    frequent.keptCount--
    taken.add(victim)
    dropped.add(nameIn(joined, victim.nameAt))
  }
  return taken.size === 0 ? joined : withoutSpans(joined, taken)
}

function groupByName(bytes: Uint8Array, spans: readonly Span[]): readonly Named[] {
  const groups: { readonly nameAt: number; readonly spans: Span[] }[] = []
  for (const span of spans) {
    const group = groups.find((each) => isSameName(bytes, each.nameAt, span.nameAt))
    if (group === undefined) groups.push({ nameAt: span.nameAt, spans: [span] })
    else group.spans.push(span)
  }
  return groups.map((each) => ({
    spans: each.spans,
    keptCount: each.spans.length,
    victims: undefined,
  }))
}

/**
 * Returns entries of one name in the order in which they go: first the oldest lines of events that
 * keep another line, so that large orders do not make the number of orders wrong; then the oldest.
 */
function victimsOf(spans: readonly Span[]): readonly Span[] {
  const later = new Map<number, Span[]>()
  const lasts: Span[] = []
  const others: Span[] = []
  for (const span of spans.toReversed()) {
    const ofRef = later.get(span.ref)
    const isLast = ofRef === undefined || ofRef.every(({ atMs }) => atMs !== span.atMs)
    if (isLast) lasts.push(span)
    else others.push(span)
    if (ofRef === undefined) later.set(span.ref, [span])
    else if (isLast) ofRef.push(span)
  }
  return [...others.reverse(), ...lasts.reverse()]
}

function withoutSpans(joined: Buffer, taken: ReadonlySet<Span>): Uint8Array {
  const gaps = [...taken].sort((left, right) => left.from - right.from)
  const cutBytes = gaps.reduce((sum, { from, end }) => sum + end - from, 0)
  const kept = Buffer.allocUnsafe(joined.length - cutBytes)
  let at = 0
  let from = 0
  for (const gap of gaps) {
    at += joined.copy(kept, at, from, gap.from)
    from = gap.end
  }
  joined.copy(kept, at, from)
  return kept
}

function spansOf(bytes: Buffer): readonly Span[] {
  const numbers = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const spans: Span[] = []
  for (let from = 0; from < bytes.length; ) {
    const entryAt = from + lengthBytes
    const end = entryAt + numbers.getUint16(from)
    const nameAt = nameAtOf(numbers, entryAt)
    const atMs = numbers.getFloat64(entryAt)
    spans.push({ from, end, nameAt, atMs, ref: numbers.getUint32(entryAt + 8) })
    from = end
  }
  return spans
}

/** Cuts at a character's border, so that what is stored is valid UTF-8. */
export function cutText(text: string, bytesMax: number): Buffer {
  const bytes = Buffer.from(text)
  if (bytes.length <= bytesMax) return bytes
  let end = bytesMax
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--
  return bytes.subarray(0, end)
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
