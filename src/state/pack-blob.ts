/**
 * A blob as stores elsewhere keep it: a byte that tells how, then the blob as it came or as raw
 * deflate at level 1, where that is smaller by a tenth. Rendered HTML shrinks to about a quarter.
 * What is unpacked is hashed again, so that a changed byte is noticed.
 */

import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { OperatingError } from '../lib/errors.ts'
import { sha256Hex } from '../lib/hash.ts'
import { blobBytesMax } from './blob-store.ts'

/** A smaller blob gains nothing. */
const deflateBytesMin = 512
const deflateRatioMax = 0.9
const plainMark = 0
const deflatedMark = 1

export function packBlob(bytes: Uint8Array): Uint8Array {
  if (bytes.length >= deflateBytesMin) {
    const deflated = deflateRawSync(bytes, { level: 1 })
    if (deflated.length < bytes.length * deflateRatioMax) {
      return Buffer.concat([Buffer.of(deflatedMark), deflated])
    }
  }
  return Buffer.concat([Buffer.of(plainMark), bytes])
}

/** Returns the blob with this hash. Throws STORE_CORRUPT where it has become another. */
export function unpackBlob(packed: Uint8Array, hash: string): Uint8Array {
  const bytes = inflated(packed)
  if (bytes === undefined || sha256Hex(bytes) !== hash) {
    throw new OperatingError('STORE_CORRUPT', `read blob ${hash}`)
  }
  return bytes
}

function inflated(packed: Uint8Array): Uint8Array | undefined {
  const rest = packed.subarray(1)
  if (packed[0] === plainMark) return new Uint8Array(rest)
  if (packed[0] !== deflatedMark) return undefined
  try {
    return inflateRawSync(rest, { maxOutputLength: blobBytesMax })
  } catch {
    return undefined
  }
}
