/**
 * A list of people, as it is stored and looked up: sorted hashes of identity keys.
 *
 * 12 bytes a key: of 1,000,000 keys two have the same 96 bits with a chance below 1 in 10^16 (the
 * birthday bound, n^2 / 2^97). Nobody can read ids from a list; whoever has an id can tell whether
 * it is on it.
 */

import { assert } from '../lib/assert.ts'
import { sha256Bytes } from '../lib/hash.ts'

/** Keys of one list; reading and sorting them takes a third of a second. */
export const listKeyCountMax = 100_000
const hashBytes = 12

export interface KeyList {
  readonly keyCount: number
  has(key: string): boolean
}

/** Returns the bytes of a list; the order of `keys`, and repeats, do not matter. */
export function encodeKeyList(keys: Iterable<string>): Uint8Array {
  const hashes = [...new Set(keys)].map((key) => Buffer.from(sha256Bytes(key, hashBytes)))
  assert(hashes.length <= listKeyCountMax, 'a list holds at most listKeyCountMax keys')
  return Buffer.concat(hashes.sort(Buffer.compare))
}

export function decodeKeyList(source: Uint8Array): KeyList {
  assert(source.length % hashBytes === 0, 'a list holds whole hashes')
  const bytes = Buffer.from(source.buffer, source.byteOffset, source.byteLength)
  const keyCount = bytes.length / hashBytes
  return {
    keyCount,
    has(key) {
      const wanted = sha256Bytes(key, hashBytes)
      let low = 0
      let high = keyCount
      while (low < high) {
        const middle = (low + high) >>> 1
        const at = middle * hashBytes
        const order = bytes.compare(wanted, 0, hashBytes, at, at + hashBytes)
        if (order === 0) return true
        if (order < 0) low = middle + 1
        else high = middle
      }
      return false
    },
  }
}
