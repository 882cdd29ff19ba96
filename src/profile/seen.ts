/**
 * The event ids one identity key has seen, so that an event is applied once however often it is
 * delivered. A person has also seen what their devices had: some clients put the user's id on what
 * they send again.
 *
 * Horizon: `horizonMs` of fold time, or the newest `seenCountMax` ids, whichever is shorter. Exact
 * within it: whole ids are kept, not a filter. Layout: 20 bytes each, id (16) and fold time in
 * minutes (u32), oldest first.
 */

export const horizonMs = 7 * 24 * 3_600_000
export const seenCountMax = 1024

const entryBytes = 20
const minuteMs = 60_000

/** Tells whether `id` is among those seen within the horizon. */
export function hasSeen(seen: Uint8Array, id: Uint8Array, nowMs: number): boolean {
  const bytes = Buffer.from(seen.buffer, seen.byteOffset, seen.byteLength)
  const wanted = Buffer.from(id.buffer, id.byteOffset, id.byteLength)
  const first = wanted.readUInt32BE(0)
  const oldest = oldestMinute(nowMs)
  for (let at = bytes.length - entryBytes; at >= 0; at -= entryBytes) {
    if (bytes.readUInt32BE(at) !== first) continue
    if (bytes.compare(wanted, 0, 16, at, at + 16) !== 0) continue
    return bytes.readUInt32BE(at + 16) >= oldest
  }
  return false
}

/**
 * Returns `seen` with `id` added; `isCut` tells that the count, not time, ended the horizon of an
 * id.
 */
export function addSeen(
  seen: Uint8Array,
  id: Uint8Array,
  nowMs: number,
): { readonly seen: Uint8Array; readonly isCut: boolean } {
  const bytes = Buffer.from(seen.buffer, seen.byteOffset, seen.byteLength)
  const oldest = oldestMinute(nowMs)
  let from = 0
  while (from < bytes.length && bytes.readUInt32BE(from + 16) < oldest) from += entryBytes
  const isCut = (bytes.length - from) / entryBytes >= seenCountMax
  if (isCut) from = bytes.length - (seenCountMax - 1) * entryBytes
  const result = Buffer.allocUnsafe(bytes.length - from + entryBytes)
  bytes.copy(result, 0, from)
  result.set(id, result.length - entryBytes)
  result.writeUInt32BE(Math.max(0, Math.floor(nowMs / minuteMs)), result.length - 4)
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
  const kept = all.filter((entry) => entry.readUInt32BE(16) >= oldest)
  kept.sort((one, other) => one.readUInt32BE(16) - other.readUInt32BE(16))
  const seen = Buffer.concat(kept.slice(-seenCountMax))
  return { seen, isCut: kept.length > seenCountMax }
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
