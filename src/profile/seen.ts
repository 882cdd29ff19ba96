/**
 * The event ids one identity key has seen, so that an event is applied once however often it is
 * delivered, and another event under the same id is noticed. A person has also seen what their
 * devices had: some clients put the user's id on what they send again.
 *
 * Horizon: `horizonMs` of fold time, or the newest `seenCountMax` ids, whichever is shorter. Exact
 * within it: no filter, 96 bits of a hash. Layout: 20 bytes each, oldest first: the first 12 bytes
 * of the record's id, a hash of what the event says (u32, 0 where it is not known), fold time in
 * minutes (u32). In the layout before, id bytes stood in place of the hash: `forgetHashes`.
 */

export const horizonMs = 7 * 24 * 3_600_000
export const seenCountMax = 1024

const entryBytes = 20
const idBytes = 12
const hashAt = 12
const minuteAt = 16
const minuteMs = 60_000

export interface SeenEvent {
  readonly id: Uint8Array
  /** Of what the event says; 0 where it is not known. */
  readonly contentHash: number
}

export type Acquaintance =
  | 'unseen'
  /** The same event again, as far as is known. */
  | 'repeat'
  /** Another event under the same id. */
  | 'conflict'

/** Tells whether an event is among those seen within the horizon. */
export function lookUpSeen(seen: Uint8Array, event: SeenEvent, nowMs: number): Acquaintance {
  const bytes = Buffer.from(seen.buffer, seen.byteOffset, seen.byteLength)
  const { id, contentHash } = event
  const wanted = Buffer.from(id.buffer, id.byteOffset, id.byteLength)
  const first = wanted.readUInt32BE(0)
  for (let at = bytes.length - entryBytes; at >= 0; at -= entryBytes) {
    if (bytes.readUInt32BE(at) !== first) continue
    if (bytes.compare(wanted, 0, idBytes, at, at + idBytes) !== 0) continue
    if (bytes.readUInt32BE(at + minuteAt) < oldestMinute(nowMs)) return 'unseen'
    const known = bytes.readUInt32BE(at + hashAt)
    return known === 0 || contentHash === 0 || known === contentHash ? 'repeat' : 'conflict'
  }
  return 'unseen'
}

/**
 * Returns `seen` with an event added; `isCut` tells that the count, not time, ended the horizon of
 * an id.
 */
export function addSeen(
  seen: Uint8Array,
  event: SeenEvent,
  nowMs: number,
): { readonly seen: Uint8Array; readonly isCut: boolean } {
  const bytes = Buffer.from(seen.buffer, seen.byteOffset, seen.byteLength)
  const oldest = oldestMinute(nowMs)
  let from = 0
  while (from < bytes.length && bytes.readUInt32BE(from + minuteAt) < oldest) from += entryBytes
  const isCut = (bytes.length - from) / entryBytes >= seenCountMax
  if (isCut) from = bytes.length - (seenCountMax - 1) * entryBytes
  const result = Buffer.allocUnsafe(bytes.length - from + entryBytes)
  bytes.copy(result, 0, from)
  const at = result.length - entryBytes
  result.set(event.id.subarray(0, idBytes), at)
  result.writeUInt32BE(event.contentHash, at + hashAt)
  result.writeUInt32BE(Math.max(0, Math.floor(nowMs / minuteMs)), at + minuteAt)
  return { seen: result, isCut }
}

/**
 * Returns what either of two has seen, the newest of too many: of a person and a device that turns
 * out to be theirs. `isCut` as above.
 */
export function mergeSeen(
  left: Uint8Array,
  right: Uint8Array,
  nowMs: number,
): { readonly seen: Uint8Array; readonly isCut: boolean } {
  const oldest = oldestMinute(nowMs)
  const all = [...entriesOf(left), ...entriesOf(right)]
  const kept = all.filter((entry) => entry.readUInt32BE(minuteAt) >= oldest)
  kept.sort((one, other) => one.readUInt32BE(minuteAt) - other.readUInt32BE(minuteAt))
  const seen = Buffer.concat(kept.slice(-seenCountMax))
  return { seen, isCut: kept.length > seenCountMax }
}

/** Returns ids of the layout before in this one: what the events said is not known of them. */
export function forgetHashes(seen: Uint8Array): Uint8Array {
  const bytes = Buffer.from(seen)
  for (let at = hashAt; at < bytes.length; at += entryBytes) bytes.writeUInt32BE(0, at)
  return bytes
}

function entriesOf(seen: Uint8Array): readonly Buffer[] {
  const bytes = Buffer.from(seen.buffer, seen.byteOffset, seen.byteLength)
  const count = bytes.length / entryBytes
  return Array.from({ length: count }, (_, index) =>
    bytes.subarray(index * entryBytes, (index + 1) * entryBytes),
  )
}

function oldestMinute(nowMs: number): number {
  return Math.floor((nowMs - horizonMs) / minuteMs)
}
