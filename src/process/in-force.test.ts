import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { nothingComputed } from '../profile/computed/computed-trait.ts'
import { createMemoryStateStore } from '../state/memory-state-store.ts'
import { planComputed } from './computed-stage.ts'
import { noDefinitions } from './definitions.ts'
import { createFillState } from './fill-state.ts'
import { InForceReader, inForceCountMax, noteInForce } from './in-force.ts'
import { createMeta, metaKey } from './meta.ts'
import { PartitionView } from './partition-view.ts'
import { type FoldScope, metaCodec } from './scope.ts'

describe('what rules see beside the person', () => {
  it('is told for each place, and not where it is no longer kept', async () => {
    const world = await createWorld()
    await world.note(5, 'l1')
    await world.note(8, 'l1')
    await world.note(9, 'l2')
    const reader = await world.commit()
    const hashAt = async (offset: number): Promise<string | undefined> =>
      (await reader.at(offset))?.lists['vip']?.hash
    const found = await Promise.all([1, 5, 6, 8, 9, 10, 999].map(hashAt))
    // A record is folded under what the ones before it put in force.
    assert.deepEqual(found, [undefined, undefined, 'l1', 'l1', 'l1', 'l2', 'l2'])
    assert.deepEqual(await reader.at(1), { pending: [], lists: {} })
  })

  it('is refused before the oldest entry that is kept', async () => {
    const world = await createWorld()
    for (let index = 1; index <= inForceCountMax + 2; index++) await world.note(index, `l${index}`)
    const reader = await world.commit()
    assert.equal(await reader.at(3), undefined)
    assert.equal((await reader.at(4))?.lists['vip']?.hash, 'l3')
    const { length } = await world.state.scan(0, 'in-force/', '', 2 * inForceCountMax)
    assert.equal(length, inForceCountMax)
  })
})

async function createWorld() {
  const state = createMemoryStateStore()
  await state.acquire(0, 1, 'n')
  const view = new PartitionView(state, 0)
  const scope: FoldScope = {
    ...{ workspace: 'default', partitionCount: 1, view, meta: createMeta(1) },
    definitions: noDefinitions(),
    lists: new Map(),
    computed: { inForce: nothingComputed, plan: planComputed(noDefinitions(), nothingComputed) },
    fills: createFillState(),
    ...{ offset: 1, nowMs: 1000, effects: [], noted: new Map() },
  }
  return {
    state,
    async note(offset: number, hash: string): Promise<void> {
      scope.offset = offset
      await noteInForce(scope, async () => {
        scope.meta.lists = { vip: { hash, keyCount: 1, atMs: offset } }
      })
    },
    async commit(): Promise<InForceReader> {
      view.write(metaKey, scope.meta, metaCodec)
      const place = { partition: 0, epoch: 1, nonce: 'n', previousOffset: 0, offset: 1 }
      const changes = view.takeChanges()
      const commit = { ...place, lastRecordId: '', incarnation: 'test', changes }
      assert.deepEqual(await state.commit([commit]), ['committed'])
      return new InForceReader(state, 0)
    },
  }
}
