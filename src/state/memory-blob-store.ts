/** Blobs in memory, for tests and the simulator, which can lose some. */

import { sha256Hex } from '../lib/hash.ts'
import { type BlobStore, checkBlobSizes } from './blob-store.ts'

export interface MemoryBlobStore extends BlobStore {
  /** In the order in which they were stored first. */
  hashes(): readonly string[]
  forget(hash: string): void
}

export function createMemoryBlobStore(): MemoryBlobStore {
  const blobs = new Map<string, Uint8Array>()
  return {
    async put(given) {
      checkBlobSizes(given)
      return given.map((bytes) => {
        const hash = sha256Hex(bytes)
        if (!blobs.has(hash)) blobs.set(hash, bytes.slice())
        return hash
      })
    },
    async get(hash) {
      return blobs.get(hash)?.slice()
    },
    async close() {},
    hashes: () => [...blobs.keys()],
    forget: (hash) => blobs.delete(hash),
  }
}
