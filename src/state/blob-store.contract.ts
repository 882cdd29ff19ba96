/** The promises of `BlobStore`, as a suite for every adapter. */

import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import fc from 'fast-check'
import { sha256Hex } from '../lib/hash.ts'
import { type BlobStore, blobBytesMax } from './blob-store.ts'

/** Opens a store without blobs. */
export function describeBlobStore(
  adapter: string,
  open: (t: TestContext) => Promise<BlobStore>,
): void {
  describe(`${adapter} blob store`, () => {
    it('gives back the bytes that were put, by their hash', async (t) => {
      const store = await open(t)
      const compressible = fc
        .tuple(fc.string(), fc.nat(400))
        .map(([text, count]) => new Uint8Array(Buffer.from(text.repeat(count))))
      const blobs = fc.array(fc.oneof(fc.uint8Array({ maxLength: 2000 }), compressible), {
        maxLength: 5,
      })
      await fc.assert(
        fc.asyncProperty(blobs, async (given) => {
          const hashes = await store.put(given)
          assert.deepEqual(
            hashes,
            given.map((bytes) => sha256Hex(bytes)),
          )
          for (const [index, hash] of hashes.entries()) {
            assert.deepEqual([...((await store.get(hash)) ?? [])], [...(given[index] ?? [])])
          }
        }),
        { numRuns: 40 },
      )
    })

    it('changes nothing when a blob is put again', async (t) => {
      const store = await open(t)
      const bytes = new TextEncoder().encode('<html>'.repeat(200))
      const [first] = await store.put([bytes])
      assert.deepEqual(await store.put([bytes, bytes]), [first, first])
      assert.deepEqual([...((await store.get(first ?? '')) ?? [])], [...bytes])
    })

    it('knows nothing of what was never put', async (t) => {
      const store = await open(t)
      assert.equal(await store.get(sha256Hex('never')), undefined)
      assert.deepEqual(await store.put([]), [])
    })

    it('takes the largest blob, and refuses a larger one with all that came with it', async (t) => {
      const store = await open(t)
      const [largest] = await store.put([new Uint8Array(blobBytesMax)])
      assert.equal((await store.get(largest ?? ''))?.length, blobBytesMax)
      const small = new Uint8Array([1, 2])
      await assert.rejects(store.put([small, new Uint8Array(blobBytesMax + 1)]), {
        code: 'BLOB_TOO_LARGE',
        message: /^store a body of 16777217 bytes, which is over 16777216$/,
      })
      assert.equal(await store.get(sha256Hex(small)), undefined)
    })

    it('keeps nothing of the buffers it was given', async (t) => {
      const store = await open(t)
      const bytes = new Uint8Array([1])
      const [hash] = await store.put([bytes])
      bytes.fill(9)
      assert.deepEqual([...((await store.get(hash ?? '')) ?? [])], [1])
    })
  })
}
