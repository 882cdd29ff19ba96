import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createMemoryStateStore } from '../state/memory-state-store.ts'
import { decodeFeed, feedErasure, feedKey } from './feed.ts'
import { createMeta } from './meta.ts'
import { PartitionView } from './partition-view.ts'
import { bytesCodec, type Effect, type FoldScope } from './scope.ts'

describe('the feed', () => {
  it('takes an erasure as an entry of its own, and tells of it behind the commit', async () => {
    const view = new PartitionView(createMemoryStateStore(), 0)
    const meta = createMeta(1)
    const effects: Effect[] = []
    // What an erasure needs of a scope.
    const scope = { view, meta, effects } as unknown as FoldScope
    feedErasure(scope, ['user:ada', 'anonymous:x'])
    assert.equal(meta.feedNext, 2)
    const erased = ['user:ada', 'anonymous:x']
    assert.deepEqual(effects, [{ kind: 'erased', number: 1, profileIds: erased }])
    const [change] = view.takeChanges()
    assert.equal(change?.key, feedKey(1))
    assert.ok(change.value !== undefined)
    const entry = decodeFeed(bytesCodec.decode(change.value))
    assert.deepEqual(entry, { interactions: [], erased })
  })
})
