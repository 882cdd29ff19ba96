/**
 * Bodies that the log names by hash: definitions, rendered messages and their inputs. Outside the
 * fold's state.
 *
 * Contract, checked for every adapter by `blob-store.contract.ts`:
 * - `put` returns the SHA-256 (hex) of the bytes and resolves when they are durable; repeating it
 *   changes nothing;
 * - `get` returns the same bytes, or undefined where none were put;
 * - a blob is at most `blobBytesMax`: `put` rejects with BLOB_TOO_LARGE where one is larger, and
 *   keeps none of those that came with it.
 */

import { OperatingError } from '../lib/errors.ts'

export const blobBytesMax = 16 * 1024 * 1024

export interface BlobStore {
  put(blobs: readonly Uint8Array[]): Promise<readonly string[]>
  get(hash: string): Promise<Uint8Array | undefined>
  close(): Promise<void>
}

/** Throws BLOB_TOO_LARGE where one is larger than a store takes. */
export function checkBlobSizes(blobs: readonly Uint8Array[]): void {
  const bytes = Math.max(0, ...blobs.map(({ length }) => length))
  if (bytes <= blobBytesMax) return
  const attempted = `store a body of ${bytes} bytes, which is over ${blobBytesMax}`
  throw new OperatingError('BLOB_TOO_LARGE', attempted)
}
