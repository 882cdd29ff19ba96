/**
 * The items that a part of a person bought, so that none of them is recommended again however long
 * ago that was: activity (activity-pack.ts) makes room for what is newer, this does not. A refund
 * or a cancelled order takes nothing out.
 *
 * Limit: `boughtItemCountMax` over all parts of a person, an item once for each part; beyond, what
 * was bought last the longest ago is forgotten. Ids are kept as 48 bits of a hash: beside 4,096
 * items bought, one of a million others is taken for one of them with a chance of 2^-16.
 *
 * Layout: 8 bytes each, u16 day of the last purchase | u48 hash, in order. So a pack depends on
 * what was bought when alone, not on the order in which it came to be known.
 */

import { cyrb48 } from '../lib/hash.ts'
import { emptyPack, type PackedActivity } from './activity-pack.ts'
import { orderName } from './cart.ts'

/** Over all parts of a person. */
export const boughtItemCountMax = 4096
export const boughtEntryBytes = 8

const hashAt = 2
const hashBytes = 6
const dayMs = 86_400_000
const dayMax = 0xffff

/** A part as far as this module knows it. */
export interface BoughtPart {
  /** Absent where nothing was bought. */
  bought?: Uint8Array
}

/** Adds what `entries` say was bought to one part of a person; others may forget for it. */
export function addBought(
  parts: readonly BoughtPart[],
  part: BoughtPart,
  entries: readonly PackedActivity[],
): void {
  const bought = packBought(entries)
  if (bought.length === 0) return
  part.bought = mergeBought(part.bought, bought)
  cutBought(parts)
}

/** Returns the pack of the items that some activity bought. */
export function packBought(
  entries: readonly Pick<PackedActivity, 'name' | 'itemId' | 'occurredAtMs'>[],
): Uint8Array {
  const days = new Map<number, number>()
  for (const { name, itemId, occurredAtMs } of entries) {
    if (name !== orderName || itemId === undefined) continue
    const hash = hashItemId(itemId)
    const day = Math.min(dayMax, Math.max(0, Math.floor(occurredAtMs / dayMs)))
    days.set(hash, Math.max(day, days.get(hash) ?? 0))
  }
  const inOrder = [...days].sort(([hash, day], [other, later]) => day - later || hash - other)
  const pack = Buffer.allocUnsafe(inOrder.length * boughtEntryBytes)
  let at = 0
  for (const [hash, day] of inOrder) {
    at = pack.writeUIntBE(hash, pack.writeUInt16BE(day, at), hashBytes)
  }
  return pack
}

/** Returns what either of two bought, each item with its last day. */
export function mergeBought(
  left: Uint8Array = emptyPack,
  right: Uint8Array = emptyPack,
): Uint8Array {
  const [few, many] = left.length < right.length ? [left, right] : [right, left]
  if (few.length === 0) return many
  const [some, others] = [bufferOf(few), bufferOf(many)]
  const days = new Map<number, number>()
  // Those that `some` has last: what is in both stands once.
  for (const [hash, day] of entriesOf(some)) days.set(hash, day)
  for (const [hash, day] of entriesOf(others)) {
    if (day > (days.get(hash) ?? dayMax)) days.delete(hash)
  }
  const merged = Buffer.allocUnsafe(some.length + others.length)
  let end = 0
  let at = 0
  const takeBelow = (other: Buffer | undefined): void => {
    for (; at < some.length; at += boughtEntryBytes) {
      const entry = some.subarray(at, at + boughtEntryBytes)
      if (other !== undefined && entry.compare(other) > 0) return
      if (days.has(entry.readUIntBE(hashAt, hashBytes))) end += entry.copy(merged, end)
    }
  }
  for (let from = 0; from < others.length; from += boughtEntryBytes) {
    const entry = others.subarray(from, from + boughtEntryBytes)
    takeBelow(entry)
    if (!days.has(entry.readUIntBE(hashAt, hashBytes))) end += entry.copy(merged, end)
  }
  takeBelow(undefined)
  return merged.subarray(0, end)
}

/** Forgets what was bought the longest ago until a person is within the limit. */
export function cutBought(parts: readonly BoughtPart[]): void {
  let count = parts.reduce((sum, { bought }) => sum + countBought(bought), 0)
  while (count > boughtItemCountMax) {
    const [oldest] = parts.filter(({ bought }) => bought !== undefined).sort(compareOldest)
    const rest = oldest?.bought?.subarray(boughtEntryBytes) ?? emptyPack
    if (oldest !== undefined && rest.length > 0) oldest.bought = rest
    else delete oldest?.bought
    count--
  }
}

/** Returns what all parts bought, for `hashesOf`; undefined where it is nothing. */
export function joinBought(parts: readonly BoughtPart[]): Uint8Array | undefined {
  const packs = parts.flatMap(({ bought }) => bought ?? [])
  return packs.length > 1 ? Buffer.concat(packs) : packs[0]
}

/** Returns the hashes of the items in a pack, or in several that were joined. */
export function hashesOf(pack: Uint8Array): ReadonlySet<number> {
  return new Set(Array.from(entriesOf(pack), ([hash]) => hash))
}

export function countBought(pack: Uint8Array = emptyPack): number {
  return pack.length / boughtEntryBytes
}

/** Returns the hash under which an item is kept. */
export function hashItemId(itemId: string): number {
  return cyrb48(itemId)
}

/** Also where there is no Buffer: the index reads packs. */
function* entriesOf(pack: Uint8Array): Generator<readonly [hash: number, day: number]> {
  const view = new DataView(pack.buffer, pack.byteOffset, pack.byteLength)
  for (let at = 0; at < pack.length; at += boughtEntryBytes) {
    const hash = view.getUint16(at + hashAt) * 2 ** 32 + view.getUint32(at + hashAt + 2)
    yield [hash, view.getUint16(at)]
  }
}

function compareOldest({ bought: left }: BoughtPart, { bought: right }: BoughtPart): number {
  const first = bufferOf(left ?? emptyPack).subarray(0, boughtEntryBytes)
  return first.compare(bufferOf(right ?? emptyPack).subarray(0, boughtEntryBytes))
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
