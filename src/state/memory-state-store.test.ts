import assert from 'node:assert/strict'
import { it } from 'node:test'
import fc from 'fast-check'
import { compareKeys } from './key-order.ts'
import { createMemoryStateStore } from './memory-state-store.ts'
import { aCommit, describeStateStore } from './state-store.contract.ts'
import { noHead, type StateStore } from './state-store.ts'

describeStateStore('memory', async () => createMemoryStateStore())

it('goes back to a snapshot, whole, as often as asked', async () => {
  const store = createMemoryStateStore()
  await store.acquire(0, 1, 'n1')
  const value = new Uint8Array([1])
  await store.commit([aCommit({ changes: [{ key: 'a', value }] })])
  const snapshot = store.snapshot()
  for (let round = 0; round < 2; round++) {
    const changes = [
      { key: 'a', value: undefined },
      { key: 'b', value },
    ]
    assert.deepEqual(await store.commit([aCommit({ previousOffset: 1, offset: 2, changes })]), [
      'committed',
    ])
    await store.acquire(1, 1, 'n1')
    store.restore(snapshot)
    assert.equal((await store.head(0)).offset, 1)
    assert.equal((await store.head(1)).epoch, 0)
    assert.deepEqual(
      (await store.scan(0, '', '', 9)).map(({ key }) => key),
      ['a'],
    )
    assert.equal(store.count(0), 1)
  }
})

it('goes back to any snapshot, older and newer ones than the last, as copies would', async () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ key: fc.constantFrom('a', 'b', 'c'), value: fc.nat(3) }) },
    { weight: 1, arbitrary: fc.constant('snapshot' as const) },
    { weight: 1, arbitrary: fc.record({ restore: fc.nat(9) }) },
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const store = createMemoryStateStore()
      await store.acquire(0, 1, 'n1')
      const snapshots = [{ taken: store.snapshot(), expected: await whole(store) }]
      for (const each of steps) {
        if (each === 'snapshot') {
          snapshots.push({ taken: store.snapshot(), expected: await whole(store) })
        } else if ('restore' in each) {
          const { taken, expected } = snapshots[each.restore % snapshots.length] ?? assert.fail()
          store.restore(taken)
          assert.deepEqual(await whole(store), expected)
        } else {
          const { offset: previousOffset } = await store.head(0)
          const value = each.value === 0 ? undefined : new Uint8Array([each.value])
          const given = { previousOffset, offset: previousOffset + 1 }
          await store.commit([aCommit({ ...given, changes: [{ key: each.key, value }] })])
        }
      }
    }),
    { numRuns: 200 },
  )
})

it('loses one partition alone, its newest commits or all, and has it again', async () => {
  const store = createMemoryStateStore()
  const commitBoth = async (previousOffset: number, key: string): Promise<void> => {
    const changes = [{ key, value: new Uint8Array([1]) }]
    const given = { previousOffset, offset: previousOffset + 1, changes }
    const commits = [0, 1].map((partition) => aCommit({ ...given, partition }))
    assert.deepEqual(await store.commit(commits), ['committed', 'committed'])
  }
  for (const partition of [0, 1]) await store.acquire(partition, 1, 'n1')
  await commitBoth(0, 'a')
  const older = { taken: store.snapshot(), expected: await whole(store) }
  await commitBoth(1, 'b')
  const newer = { taken: store.snapshot(), expected: await whole(store) }
  const other = await whole(store, 1)
  store.restore(older.taken, 0)
  assert.deepEqual(await whole(store), older.expected)
  store.empty(0)
  assert.deepEqual(await whole(store), { head: noHead, entries: [] })
  assert.deepEqual(store.headNow(0), noHead)
  assert.deepEqual(await whole(store, 1), other, 'the other stays as it is')
  store.restore(newer.taken)
  assert.deepEqual(await whole(store), newer.expected)
  assert.deepEqual(await whole(store, 1), other)
})

async function whole(store: StateStore, partition = 0) {
  return { head: await store.head(partition), entries: await store.scan(partition, '', '', 9) }
}

it('orders keys as their UTF-8 bytes do', () => {
  const key = fc.string({ unit: 'binary', maxLength: 4 })
  fc.assert(
    fc.property(key, key, (left, right) => {
      const expected = Buffer.compare(Buffer.from(left), Buffer.from(right))
      assert.equal(Math.sign(compareKeys(left, right)), expected)
    }),
    { numRuns: 500 },
  )
})
