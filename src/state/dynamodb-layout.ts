/**
 * Where a partition's keys and its head lie in the table, and their forms.
 *
 * | collection (`p`) | sort key (`k`) | what |
 * |---|---|---|
 * | `7/head` | `head` | head, commit number, the redo that is pending |
 * | `7/0` ... `7/f` | key | keys of most families, spread by hash |
 * | `7/timer` ... | key | a family that is scanned in order all the time |
 * | `7/redo/0` ... `7/redo/f` | redo id, index | changes of a large commit, not yet applied |
 *
 * DynamoDB gives a collection about 1,000 units of writing per second, so what is read by key is
 * spread over 16. A scan of a spread family asks all 16 and merges; timers, the outbox, the feed,
 * due and granted messages are scanned after each commit, write little, and are asked in one place.
 * Sort keys are text, which DynamoDB orders by its UTF-8 bytes, as the port does.
 */

import type { AttributeValue } from '@aws-sdk/client-dynamodb'
import { assert } from '../lib/assert.ts'
import { OperatingError } from '../lib/errors.ts'
import { murmur3 } from '../lib/hash.ts'
import { type Change, type Head, noHead } from './state-store.ts'

export type Item = Record<string, AttributeValue>

/** Part of the format: another count or another family needs another `layoutVersion`. */
export const layoutVersion = 1
export const bucketCount = 16
const orderedFamilies = ['timer', 'outbox', 'feed', 'due', 'granted'] as const

/** A large commit between its place in the head and the end of its changes being applied. */
export interface Redo {
  /** Never used again. */
  readonly id: string
  readonly chunkCount: number
}

/** The head item as it was read. */
export interface HeadItem {
  readonly head: Head
  /** Rises with each commit and each acquisition, and never goes back. */
  readonly commitNumber: number
  readonly redo: Redo | undefined
}

export const noHeadItem: HeadItem = { head: noHead, commitNumber: 0, redo: undefined }

const layoutKey: Item = { p: { S: 'attune' }, k: { S: 'layout' } }
const textDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Returns the key of the item that says which layout the table has. */
export function layoutItemKey(): Item {
  return layoutKey
}

export function headKey(partition: number): Item {
  return { p: { S: `${partition}/head` }, k: { S: 'head' } }
}

export function entryKey(partition: number, key: string): Item {
  return { p: { S: collectionOf(partition, key) }, k: { S: key } }
}

function collectionOf(partition: number, key: string): string {
  const family = orderedFamilies.find((each) => key.startsWith(`${each}/`))
  return `${partition}/${family ?? (murmur3(key) % bucketCount).toString(16)}`
}

/** Returns the collections that may hold keys with a prefix. */
export function collectionsOf(partition: number, prefix: string): readonly string[] {
  const family = orderedFamilies.find((each) => prefix.startsWith(`${each}/`))
  if (family !== undefined) return [`${partition}/${family}`]
  const families = orderedFamilies.filter((each) => `${each}/`.startsWith(prefix))
  const buckets = Array.from({ length: bucketCount }, (_, bucket) => bucket.toString(16))
  return [...buckets, ...families].map((each) => `${partition}/${each}`)
}

export function redoCollections(partition: number): readonly string[] {
  return Array.from({ length: bucketCount }, (_, bucket) => redoCollection(partition, bucket))
}

function redoCollection(partition: number, bucket: number): string {
  return `${partition}/redo/${bucket.toString(16)}`
}

export function redoKey(partition: number, redoId: string, index: number): Item {
  const indexText = String(index).padStart(6, '0')
  return {
    p: { S: redoCollection(partition, index % bucketCount) },
    k: { S: `${redoId}/${indexText}` },
  }
}

export function isOfRedo(sortKey: string, redo: Redo | undefined): boolean {
  return redo !== undefined && sortKey.startsWith(`${redo.id}/`)
}

/** Returns the head in an item; an owner that never was where there is none. */
export function decodeHeadItem(item: Item | undefined): HeadItem {
  if (item === undefined) return noHeadItem
  const redoId = item['redoId']?.S
  return {
    head: {
      epoch: numberOf(item, 'epoch'),
      nonce: textOf(item, 'nonce'),
      offset: numberOf(item, 'atOffset'),
      lastRecordId: textOf(item, 'lastRecordId'),
      incarnation: textOf(item, 'incarnation'),
    },
    commitNumber: numberOf(item, 'commitNumber'),
    redo:
      redoId === undefined ? undefined : { id: redoId, chunkCount: numberOf(item, 'redoCount') },
  }
}

export function bytesOf(item: Item): Uint8Array {
  const value = item['v']?.B
  if (value === undefined) throw new OperatingError('STORE_CORRUPT', 'read an item without value')
  return value
}

export function textOf(item: Item, name: string): string {
  const text = item[name]?.S
  if (text === undefined) throw new OperatingError('STORE_CORRUPT', `read an item without ${name}`)
  return text
}

export function numberOf(item: Item, name: string): number {
  const value = Number(item[name]?.N)
  if (!Number.isSafeInteger(value)) {
    throw new OperatingError('STORE_CORRUPT', `read an item without ${name}`)
  }
  return value
}

const keyLengthBytes = 2
const valueLengthBytes = 4
/** In place of a length: the key is deleted. */
const noValue = 0xffffffff

/** Returns the bytes that `change` takes in a chunk, and at most in a transaction. */
export function changeBytes({ key, value }: Change): number {
  return keyLengthBytes + Buffer.byteLength(key) + valueLengthBytes + (value?.length ?? 0)
}

/** Packs changes, each as key length, key, value length, value. */
export function encodeChunk(changes: readonly Change[]): Uint8Array {
  const bytes = Buffer.alloc(changes.reduce((sum, change) => sum + changeBytes(change), 0))
  let at = 0
  for (const { key, value } of changes) {
    const keyBytes = bytes.write(key, at + keyLengthBytes)
    bytes.writeUInt16BE(keyBytes, at)
    at += keyLengthBytes + keyBytes
    bytes.writeUInt32BE(value?.length ?? noValue, at)
    at += valueLengthBytes
    if (value === undefined) continue
    bytes.set(value, at)
    at += value.length
  }
  assert(at === bytes.length, 'a chunk has the length that was counted')
  return bytes
}

export function decodeChunk(chunk: Uint8Array): readonly Change[] {
  const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
  const changes: Change[] = []
  let at = 0
  const take = (count: number): Buffer => {
    if (at + count > bytes.length) throw new OperatingError('STORE_CORRUPT', 'read a redo chunk')
    at += count
    return bytes.subarray(at - count, at)
  }
  while (at < bytes.length) {
    const key = textDecoder.decode(take(take(keyLengthBytes).readUInt16BE()))
    const length = take(valueLengthBytes).readUInt32BE()
    const value = length === noValue ? undefined : new Uint8Array(take(length))
    changes.push({ key, value })
  }
  return changes
}

/** Cuts changes into runs of at most `countMax` changes and `bytesMax` bytes, one at least. */
export function* runsOf(
  changes: readonly Change[],
  countMax: number,
  bytesMax: number,
): Generator<readonly Change[]> {
  let run: Change[] = []
  let runBytes = 0
  for (const change of changes) {
    const bytes = changeBytes(change)
    if (run.length > 0 && (run.length === countMax || runBytes + bytes > bytesMax)) {
      yield run
      run = []
      runBytes = 0
    }
    run.push(change)
    runBytes += bytes
  }
  if (run.length > 0) yield run
}
