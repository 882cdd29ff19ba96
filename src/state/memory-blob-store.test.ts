import assert from 'node:assert/strict'
import { it } from 'node:test'
import { describeBlobStore } from './blob-store.contract.ts'
import { createMemoryBlobStore } from './memory-blob-store.ts'

describeBlobStore('memory', async () => createMemoryBlobStore())

it('forgets what it is told to, until it is stored again', async () => {
  const blobs = createMemoryBlobStore()
  const given = [new Uint8Array([1]), new Uint8Array([2])]
  const hashes = await blobs.put(given)
  assert.deepEqual(blobs.hashes(), hashes)
  const [first = ''] = hashes
  blobs.forget(first)
  assert.equal(await blobs.get(first), undefined)
  await blobs.put(given)
  assert.deepEqual(blobs.hashes(), hashes.toReversed(), 'in the order in which they came')
})
