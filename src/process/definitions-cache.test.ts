import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createDefinitionsCache } from './definitions-cache.ts'
import { encodeKeyList, type KeyList } from './key-list.ts'

describe('the cache of definitions', () => {
  it('gives all partitions the same lists, however many they hold', async () => {
    let readCount = 0
    const blobs = {
      get: async (hash: string) => {
        readCount++
        return encodeKeyList([`user:of-${hash}`])
      },
      put: async () => [],
    }
    const { listOf } = createDefinitionsCache(blobs)
    const hashes = Array.from({ length: 20 }, (_, index) => `hash-${index}`)
    const readAll = async (): Promise<readonly KeyList[]> => await Promise.all(hashes.map(listOf))
    const first = await readAll()
    const second = await readAll()
    assert.deepEqual(
      hashes.filter((_, index) => first[index] !== second[index]),
      [],
    )
    assert.equal(readCount, hashes.length)
    assert.ok(first.every((list, index) => list.has(`user:of-hash-${index}`)))
  })
})
