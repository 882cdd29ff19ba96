import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { emptyPack } from '../profile/activity-pack.ts'
import { nothingComputed } from '../profile/computed/computed-trait.ts'
import { createMemoryStateStore } from '../state/memory-state-store.ts'
import { planComputed } from './computed-stage.ts'
import { noDefinitions } from './definitions.ts'
import { createFillState } from './fill-state.ts'
import { decodeAside, dropHistory, encodeAside } from './history.ts'
import { createMeta } from './meta.ts'
import { PartitionView, parseTimerKey } from './partition-view.ts'
import { bytesCodec, type FoldScope, historyKey, historyPrefix } from './scope.ts'

const owner = { epoch: 1, nonce: 'n' }

describe('what lies aside of a person', () => {
  it('is read as it was written', () => {
    const bytes = fc.uint8Array({ maxLength: 200 })
    const values = fc.array(fc.option(bytes, { nil: undefined }), { maxLength: 4 })
    fc.assert(
      fc.property(bytes, values, (steps, given) => {
        const found = decodeAside(encodeAside({ steps, values: given }))
        const plain = (value: Uint8Array | undefined) => value && [...value]
        assert.deepEqual(plain(found.steps), plain(steps))
        assert.deepEqual(found.values.map(plain), given.map(plain))
      }),
      { numRuns: 200 },
    )
  })

  it('goes up to a version, in pieces, and takes nothing of another person', async () => {
    const state = await createState()
    const value = new Uint8Array([1])
    const versions = Array.from({ length: 1200 }, (_, index) => 16 * (index + 1))
    const changes = [
      ...versions.map((version) => ({ key: historyKey('user:ada', version), value })),
      ...[1, 2].map((version) => ({ key: historyKey('user:ada2', version), value })),
    ]
    const place = { ...owner, lastRecordId: '', incarnation: 'test' }
    await state.commit([{ partition: 0, ...place, previousOffset: 0, offset: 0, changes }])
    const end = 16 * 1100
    let what = `history:${end}`
    let pieceCount = 0
    for (let offset = 1; what !== ''; offset++) {
      const view = new PartitionView(state, 0)
      await dropHistory(scopeOf(view), 'user:ada', what.slice('history:'.length))
      const taken = view.takeChanges()
      assert.ok(taken.length <= 501, `${taken.length} changes`)
      const timer = taken.find(({ key }) => key.startsWith('timer/'))
      what = timer === undefined ? '' : parseTimerKey(timer.key).what
      await state.commit([
        { partition: 0, ...place, previousOffset: offset - 1, offset, changes: taken },
      ])
      pieceCount++
    }
    assert.equal(pieceCount, 3)
    const left = (await state.scan(0, historyPrefix, '', 999)).map(({ key }) => key)
    const kept = versions.filter((version) => version >= end)
    assert.deepEqual(left, [
      ...kept.map((version) => historyKey('user:ada', version)),
      ...[1, 2].map((version) => historyKey('user:ada2', version)),
    ])
  })

  it('goes in the same pieces, however much of it is committed', async () => {
    const keys = Array.from({ length: 1200 }, (_, index) => historyKey('user:ada', index + 1))
    const place = { partition: 0, ...owner, lastRecordId: '', incarnation: 'test' }
    for (const committedCount of [0, 300, 1200]) {
      const state = await createState()
      const changes = keys.slice(0, committedCount).map((key) => ({ key, value: emptyPack }))
      await state.commit([{ ...place, previousOffset: 0, offset: 0, changes }])
      const view = new PartitionView(state, 0)
      for (const key of keys.slice(committedCount)) view.write(key, emptyPack, bytesCodec)
      await dropHistory(scopeOf(view), 'user:ada', '1100')
      const taken = view.takeChanges()
      const gone = taken.filter(({ key, value }) => keys.includes(key) && value === undefined)
      const timer = taken.find(({ key }) => key.startsWith('timer/'))
      const goesOn = timer && parseTimerKey(timer.key).what
      assert.deepEqual([gone.length, goesOn], [500, 'history:1100:500'], `${committedCount}`)
    }
  })
})

async function createState() {
  const state = createMemoryStateStore()
  await state.acquire(0, 1, 'n')
  return state
}

function scopeOf(view: PartitionView): FoldScope {
  return {
    ...{ workspace: 'default', partitionCount: 1, view, meta: createMeta(1) },
    definitions: noDefinitions(),
    lists: new Map(),
    computed: { inForce: nothingComputed, plan: planComputed(noDefinitions(), nothingComputed) },
    fills: createFillState(),
    ...{ offset: 1, nowMs: 1000, effects: [], noted: new Map() },
  }
}
