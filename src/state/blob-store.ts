/**
 * Bodies that the log names by hash: definitions, rendered messages and their inputs. Outside the
 * fold's state.
 *
 * Contract, checked for every adapter by `blob-store.contract.ts`:
 * - `put` returns the SHA-256 (hex) of the bytes and resolves when they are durable; repeating it
 *   changes nothing;
 * - `get` returns the same bytes, or undefined where none were put;
 * - a blob is at most `blobBytesMax`.
 */

export const blobBytesMax = 16 * 1024 * 1024

export interface BlobStore {
  put(blobs: readonly Uint8Array[]): Promise<readonly string[]>
  get(hash: string): Promise<Uint8Array | undefined>
  close(): Promise<void>
}
