import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createMemoryStateStore } from '../state/memory-state-store.ts'
import type { StateReader } from '../state/state-store.ts'
import { keptCountMax, PartitionView } from './partition-view.ts'
import { jsonCodec } from './scope.ts'

interface Noted {
  count: number
}

const codec = jsonCodec<Noted>()

async function createViewed() {
  const state = createMemoryStateStore()
  await state.acquire(0, 1, 'n')
  const reads: string[] = []
  const reader: StateReader = {
    ...state,
    async get(partition, keys) {
      reads.push(...keys)
      return await state.get(partition, keys)
    },
  }
  const view = new PartitionView(reader, 0)
  const commit = async (): Promise<void> => {
    const { offset } = await state.head(0)
    const owner = { partition: 0, epoch: 1, nonce: 'n', lastRecordId: '', incarnation: 'test' }
    const changes = view.takeChanges()
    await state.commit([{ ...owner, previousOffset: offset, offset: offset + 1, changes }])
  }
  const countUp = async (key: string): Promise<number> => {
    await view.load([key])
    const value = view.read(key, codec) ?? { count: 0 }
    value.count++
    view.write(key, value, codec)
    return value.count
  }
  return { state, view, reads, commit, countUp }
}

describe('the view of a partition', () => {
  it('reads whom it knows from the last commits once, and commits each change', async () => {
    const { state, reads, commit, countUp } = await createViewed()
    for (const expected of [1, 2, 3]) {
      assert.equal(await countUp('person/a'), expected)
      await commit()
      const [bytes] = await state.get(0, ['person/a'])
      assert.deepEqual(codec.decode(bytes ?? assert.fail()), { count: expected })
    }
    assert.deepEqual(reads, ['person/a'])
  })

  it('knows nothing that was not committed', async () => {
    const { view, reads, commit, countUp } = await createViewed()
    await countUp('person/a')
    await commit()
    await countUp('person/a')
    view.discard()
    assert.equal(await countUp('person/a'), 2)
    // A commit that the store refuses has been taken from the view.
    view.takeChanges()
    view.discard()
    assert.equal(await countUp('person/a'), 2)
    assert.deepEqual(reads, ['person/a', 'person/a', 'person/a'])
  })

  it('knows that a key was deleted, or written without a look', async () => {
    const { view, commit, countUp } = await createViewed()
    await countUp('person/a')
    await commit()
    view.remove('person/a')
    await commit()
    assert.equal(await countUp('person/a'), 1)
    await commit()
    view.write('person/a', { count: 7 }, codec)
    await commit()
    assert.equal(await countUp('person/a'), 8)
  })

  it('forgets those that were not asked for the longest time, and other families', async () => {
    const { reads, commit, countUp } = await createViewed()
    await countUp('person/first')
    await countUp('person/second')
    await countUp('outbox/a')
    await commit()
    for (let index = 0; index < keptCountMax; index++) {
      await countUp(`person/${index}`)
      await countUp('person/first')
      await commit()
    }
    reads.length = 0
    assert.equal(await countUp('person/first'), keptCountMax + 2)
    assert.equal(await countUp('person/second'), 2)
    assert.equal(await countUp('outbox/a'), 2)
    assert.deepEqual(reads, ['person/second', 'outbox/a'])
  })
})
