/**
 * A record of the log, and its bytes.
 *
 * The skeleton is clear (ids, item ids, HMACs) and is all that the fold needs to find the state a
 * record touches. The body can be sealed with the key of a person (`keyId`, 0 = plain), so that
 * erasure can make it unreadable while the log stays as it is.
 *
 * Layout, big endian:
 *   u8 version | u8 kind | u8 flags | u32 keyId | f64 recordedAtMs | 16 bytes id
 *   if flags & 2: u16 source | f64 offset | u32 index | f64 previous offset | u32 previous index
 *   u16 key bytes | key | u32 skeleton bytes | skeleton (JSON) | body (JSON) to the end
 */

import { assert } from '../lib/assert.ts'
import { murmur3, sha256Binary } from '../lib/hash.ts'

export const recordVersion = 1

/** What a record is. The place in this list is on disk: append only, never reorder. */
export const recordKinds = [
  'event',
  'owner',
  'tick',
  'apply',
  'definitions',
  'item',
  'suppress',
  'claim',
  'result',
  'outcome',
  'skip',
  'identity-claim',
  'identity-part',
  'identity-refused',
  'forwarded',
  'continue',
  'filled',
  'rules',
  'resolution',
  'identity-ask',
  'identity-moved',
  'identity-split',
  'identity-taken-out',
  'identity-join',
  'membership',
] as const
export type RecordKind = (typeof recordKinds)[number]

/**
 * Identity of a record sent from one partition to another, and of the one sent before it to the
 * same target.
 */
export interface OutboxId {
  readonly source: number
  readonly offset: number
  readonly index: number
  /** The id sent before to this target by this source; offset and index 0 for the first. */
  readonly previousOffset: number
  readonly previousIndex: number
}

export interface NewRecord {
  readonly partition: number
  /**
   * Identity key of a person (`user:`, `anonymous:`), an item (`item:`), an address (`address:`),
   * or `control:`.
   */
  readonly key: string
  readonly kind: RecordKind
  /** 16 bytes. For an event, the hash of source and event id, so that a repeat has the same one. */
  readonly id: Uint8Array | HashedId
  readonly recordedAtMs: number
  /** True for events of the past that must not trigger anything. */
  readonly isBackfill: boolean
  /** 0 = the body is plain. */
  readonly keyId: number
  readonly outbox?: OutboxId
  /** Clear JSON value. */
  readonly skeleton: unknown
  /** JSON text in UTF-8, or sealed bytes when `keyId` is not 0. */
  readonly body: Uint8Array | TwoObjects
}

/** Stands for the first 16 bytes of the SHA-256 of a text: whoever writes the record hashes it. */
export interface HashedId {
  readonly hashOf: string
}

/**
 * Stands for the JSON of one object that has the names of both. Each is the JSON of an object with
 * at least one name, so the two become one where they are written, without a text of both.
 */
export interface TwoObjects {
  readonly first: string
  readonly second: string
}

/** A record whose bytes are all there. */
export interface WholeRecord extends NewRecord {
  readonly id: Uint8Array
  readonly body: Uint8Array
}

export interface LogRecord extends WholeRecord {
  readonly offset: number
}

/**
 * Greatest size of one encoded record: what every log technology takes (Kinesis 1 MiB, less
 * overhead).
 */
export const recordBytesMax = 900 * 1024

const idBytes = 16
/** From the beginning of a record to its id. */
const idPlace = 15
const headBytes = 31
const outboxBytes = 26
const isBackfillFlag = 1
const hasOutboxFlag = 2

const kindNumbers = new Map<RecordKind, number>(recordKinds.map((kind, index) => [kind, index]))
export const emptyBody = new Uint8Array(0)
const comma = 0x2c

/**
 * Returns the partition that `key` of `workspace` belongs to; the same on every technology, for
 * ever.
 */
export function partitionOf(workspace: string, key: string, partitionCount: number): number {
  return murmur3(`${workspace}\0${key}`) % partitionCount
}

/** A record that is about to be written, and the bytes that it takes at most. */
export interface PreparedRecord {
  readonly record: NewRecord
  readonly skeleton: string
  readonly bytesMax: number
}

/** Longest UTF-8 of one UTF-16 unit. */
export const bytesPerUnitMax = 3

export function prepareRecord(record: NewRecord): PreparedRecord {
  const skeleton = JSON.stringify(record.skeleton ?? null)
  const textBytesMax = (record.key.length + skeleton.length) * bytesPerUnitMax
  const headBytesMax = headBytes + outboxBytes + 2 + 4
  return { record, skeleton, bytesMax: headBytesMax + textBytesMax + bodyBytesMax(record.body) }
}

function bodyBytesMax(body: NewRecord['body']): number {
  if (body instanceof Uint8Array) return body.length
  return (body.first.length + body.second.length) * bytesPerUnitMax
}

/** A record may wait for long: what is returned holds its bytes alone, not those it could have. */
const scratch = Buffer.allocUnsafeSlow(16 * 1024)

/** Returns the bytes of a record; its place (partition, offset) is kept by the log, not in them. */
export function encodeRecord(record: NewRecord): Buffer {
  const prepared = prepareRecord(record)
  const isShort = prepared.bytesMax <= scratch.length
  const bytes = isShort ? scratch : Buffer.allocUnsafeSlow(prepared.bytesMax)
  const end = writeRecord(prepared, bytes, 0)
  if (!(record.id instanceof Uint8Array)) writeHashedId(hashedTextOf(record.id), bytes, 0)
  return Buffer.from(bytes.subarray(0, end))
}

export function hashedTextOf({ hashOf }: HashedId): string {
  assert(hashOf !== '', 'an id is the hash of something')
  return hashOf
}

/** Writes the id of the record at `from` that is the hash of a text, or of its UTF-8. */
export function writeHashedId(hashOf: string | Uint8Array, bytes: Buffer, from: number): void {
  bytes.write(sha256Binary(hashOf), from + idPlace, idBytes, 'latin1')
}

/**
 * Writes a record at `from`, where `bytesMax` bytes are free, but for an id that is a hash; answers
 * where it ends.
 */
export function writeRecord(prepared: PreparedRecord, bytes: Buffer, from: number): number {
  const { record, skeleton } = prepared
  const kind = kindNumbers.get(record.kind)
  assert(kind !== undefined, 'a record kind is a known one')
  const outbox = record.outbox
  bytes[from] = recordVersion
  bytes[from + 1] = kind
  bytes[from + 2] = (record.isBackfill ? isBackfillFlag : 0) | (outbox ? hasOutboxFlag : 0)
  bytes.writeUInt32BE(record.keyId, from + 3)
  bytes.writeDoubleBE(record.recordedAtMs, from + 7)
  if (record.id instanceof Uint8Array) {
    assert(record.id.length === idBytes, 'a record id has 16 bytes')
    bytes.set(record.id, from + idPlace)
  }
  let at = from + headBytes
  if (outbox) {
    bytes.writeUInt16BE(outbox.source, at)
    bytes.writeDoubleBE(outbox.offset, at + 2)
    bytes.writeUInt32BE(outbox.index, at + 10)
    bytes.writeDoubleBE(outbox.previousOffset, at + 14)
    bytes.writeUInt32BE(outbox.previousIndex, at + 22)
    at += outboxBytes
  }
  // Lengths stand before their texts, and are known once these are written.
  const keyBytes = bytes.write(record.key, at + 2)
  bytes.writeUInt16BE(keyBytes, at)
  at += 2 + keyBytes
  const skeletonBytes = bytes.write(skeleton, at + 4)
  bytes.writeUInt32BE(skeletonBytes, at)
  return writeBody(record.body, bytes, at + 4 + skeletonBytes)
}

function writeBody(body: NewRecord['body'], bytes: Buffer, from: number): number {
  if (body instanceof Uint8Array) {
    bytes.set(body, from)
    return from + body.length
  }
  // The second begins on the brace that ends the first, and a comma takes the place of both.
  const commaAt = from + bytes.write(body.first, from) - 1
  const end = commaAt + bytes.write(body.second, commaAt)
  bytes[commaAt] = comma
  return end
}

/**
 * Returns the record that `bytes` hold. Throws where the version or kind is not known: never guess
 * at old data.
 */
export function decodeRecord(partition: number, offset: number, source: Uint8Array): LogRecord {
  const bytes = Buffer.from(source.buffer, source.byteOffset, source.byteLength)
  assert(bytes[0] === recordVersion, `record version ${bytes[0]} is known`)
  const kind = recordKinds[bytes[1] ?? 255]
  assert(kind !== undefined, `record kind ${bytes[1]} is known`)
  const flags = bytes[2] ?? 0
  let at = headBytes
  const outbox = (flags & hasOutboxFlag) === 0 ? undefined : decodeOutbox(bytes, at)
  if (outbox) at += outboxBytes
  const keyEnd = at + 2 + bytes.readUInt16BE(at)
  const key = bytes.toString('utf8', at + 2, keyEnd)
  const skeletonEnd = keyEnd + 4 + bytes.readUInt32BE(keyEnd)
  const skeleton: unknown = JSON.parse(bytes.toString('utf8', keyEnd + 4, skeletonEnd))
  return {
    partition,
    offset,
    key,
    kind,
    id: bytes.subarray(idPlace, idPlace + idBytes),
    recordedAtMs: bytes.readDoubleBE(7),
    isBackfill: (flags & isBackfillFlag) !== 0,
    keyId: bytes.readUInt32BE(3),
    ...(outbox ? { outbox } : {}),
    skeleton,
    body: bytes.subarray(skeletonEnd),
  }
}

function decodeOutbox(bytes: Buffer, at: number): OutboxId {
  return {
    source: bytes.readUInt16BE(at),
    offset: bytes.readDoubleBE(at + 2),
    index: bytes.readUInt32BE(at + 10),
    previousOffset: bytes.readDoubleBE(at + 14),
    previousIndex: bytes.readUInt32BE(at + 22),
  }
}
