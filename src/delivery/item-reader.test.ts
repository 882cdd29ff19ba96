import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { changeBoardBytes, createChangeBoard, withChangeBoard } from '../state/change-board.ts'
import { createMemoryStateStore } from '../state/memory-state-store.ts'
import { createItemReader } from './item-reader.ts'

const itemOf = (name: string) =>
  Buffer.from(JSON.stringify({ itemId: 'a', name, price: 1, updatedAtMs: 1 }))

async function openShop() {
  const board = createChangeBoard(new SharedArrayBuffer(changeBoardBytes))
  const inner = createMemoryStateStore()
  let readCount = 0
  const store = withChangeBoard(
    {
      ...inner,
      get: (partition, keys) => {
        readCount++
        return inner.get(partition, keys)
      },
    },
    board,
    ['item/'],
  )
  await store.acquire(0, 1, 'n')
  let offset = 0
  const put = async (value: Uint8Array | undefined): Promise<void> => {
    const owner = { partition: 0, epoch: 1, nonce: 'n', incarnation: 'test' }
    const to = { previousOffset: offset, offset: offset + 1, lastRecordId: `${offset}` }
    offset++
    const changes = [{ key: 'item/a', value }]
    assert.deepEqual(await store.commit([{ ...owner, ...to, changes }]), ['committed'])
  }
  const place = { state: store, workspace: 'w', partitionCount: 1 }
  const read = createItemReader(place, board)
  const nameOf = async (): Promise<string | undefined> => (await read(['a'])).get('a')?.name
  return { place, put, nameOf, reads: () => readCount }
}

describe('a reader of items', () => {
  it('reads an item once while it stands still, and after each change anew', async () => {
    const shop = await openShop()
    await shop.put(itemOf('First'))
    for (let time = 0; time < 3; time++) assert.equal(await shop.nameOf(), 'First')
    assert.equal(shop.reads(), 1)
    await shop.put(itemOf('Second'))
    assert.equal(await shop.nameOf(), 'Second')
    await shop.put(undefined)
    assert.equal(await shop.nameOf(), undefined)
    assert.equal(await shop.nameOf(), undefined)
    assert.equal(shop.reads(), 3)
  })

  it('keeps nothing without a board', async () => {
    const shop = await openShop()
    await shop.put(itemOf('First'))
    const read = createItemReader(shop.place, undefined)
    await read(['a'])
    await read(['a'])
    assert.equal(shop.reads(), 2)
  })
})
