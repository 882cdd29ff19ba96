/**
 * A move that is cut off at each of its calls, before or behind what the call does, and made again:
 * on stores in memory, so that every place is met.
 */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { OperatingError } from '../lib/errors.ts'
import { sha256Bytes } from '../lib/hash.ts'
import { createMemoryEventLog } from '../log/memory-event-log.ts'
import { emptyBody, type WholeRecord } from '../log/record.ts'
import { createMemoryBlobStore } from '../state/memory-blob-store.ts'
import { createMemoryStateStore } from '../state/memory-state-store.ts'
import { type MovedPartition, type MoveStores, moveData } from './move-data.ts'

/** The last one was never owned, and holds nothing. */
const partitionCount = 3
const recordCounts = [5, 2, 0]
const keyCount = 7
const nonce = 'n'

function createStores(incarnation: string): MoveStores {
  const identity = { incarnation, partitionCount }
  return {
    log: createMemoryEventLog({ identity }),
    rejected: createMemoryEventLog({ identity }),
    state: createMemoryStateStore(),
    blobs: createMemoryBlobStore(),
  }
}

function aRecord(partition: number, index: number): WholeRecord {
  return {
    partition,
    key: 'user:ada',
    kind: 'event',
    id: sha256Bytes(`${partition} ${index}`, 16),
    recordedAtMs: 1_800_000_000_000 + index,
    isBackfill: false,
    keyId: 0,
    skeleton: {},
    body: emptyBody,
  }
}

/** A deployment whose state has folded all of its log. */
async function createSource() {
  const stores = createStores('source')
  const hashes = await stores.blobs.put([Buffer.from('one'), Buffer.from('two')])
  await stores.rejected.append([aRecord(1, 0)])
  for (const [partition, count] of recordCounts.entries()) {
    for (let index = 0; index < count; index++) await stores.log.append([aRecord(partition, index)])
    if (count > 0) await fold(stores, partition, 0, count)
  }
  return { ...stores, hashes: () => hashes }
}

/** Makes a state of keys that have the offset in their values, and releases it. */
async function fold(
  { log, state }: MoveStores,
  partition: number,
  previousOffset: number,
  offset: number,
): Promise<void> {
  const { epoch: before } = await state.head(partition)
  const epoch = before + 1
  await state.acquire(partition, epoch, nonce)
  const lastRecordId = Buffer.from(aRecord(partition, offset - 1).id).toString('hex')
  const changes = Array.from({ length: keyCount }, (_, index) => ({
    key: `person/${index}`,
    value: Buffer.from(`at ${offset}`),
  }))
  const { incarnation } = log.identity
  const owner = { partition, epoch, nonce, previousOffset, incarnation }
  const [answer] = await state.commit([{ ...owner, offset, lastRecordId, changes }])
  assert.equal(answer, 'committed')
  await state.release(partition, epoch, nonce)
}

/** Lets the call number `cutAt` fail, and tells how many there were. */
function cutOff(stores: MoveStores, cutAt: number, when: 'before' | 'behind') {
  let callCount = 0
  const cut = <Given extends readonly unknown[], Answer>(
    call: (...given: Given) => Promise<Answer>,
  ) => {
    return async (...given: Given): Promise<Answer> => {
      const isCut = callCount++ === cutAt
      if (isCut && when === 'before') throw new OperatingError('STORE_UNREACHABLE', 'cut off')
      const answer = await call(...given)
      if (isCut) throw new OperatingError('STORE_UNREACHABLE', 'cut off')
      return answer
    }
  }
  const { log, rejected, state, blobs } = stores
  const cutStores: MoveStores = {
    log: { ...log, append: cut(log.append) },
    rejected: { ...rejected, append: cut(rejected.append) },
    state: {
      ...state,
      acquire: cut(state.acquire),
      commit: cut(state.commit),
      release: cut(state.release),
    },
    blobs: { ...blobs, put: cut(blobs.put) },
  }
  return { stores: cutStores, calls: () => callCount }
}

const tell = (): void => {}

function assertMoved(moved: readonly MovedPartition[]): void {
  for (const { partition, records, keys, isEqual, hashBefore, hashAfter } of moved) {
    const count = recordCounts[partition] ?? 0
    assert.deepEqual([records, keys], [count, count > 0 ? keyCount : 0])
    assert.deepEqual([isEqual, hashBefore], [true, hashAfter])
  }
  assert.equal(moved.length, partitionCount)
}

describe('a move', () => {
  it('goes on wherever it was cut off, with the same result', async () => {
    const source = await createSource()
    const whole = cutOff(createStores('target'), -1, 'before')
    assertMoved(await moveData(source, whole.stores, tell))
    assert.ok(whole.calls() > 10)
    for (const when of ['before', 'behind'] as const) {
      for (let cutAt = 0; cutAt < whole.calls(); cutAt++) {
        const target = createStores('target')
        const cut = cutOff(target, cutAt, when)
        await assert.rejects(moveData(source, cut.stores, tell), { message: 'cut off' })
        assertMoved(await moveData(source, target, tell))
        for (const [partition, count] of recordCounts.entries()) {
          assert.equal(await target.log.end(partition), count)
          const { offset, incarnation, nonce: owner } = await target.state.head(partition)
          assert.deepEqual([offset, incarnation], [count, count > 0 ? 'target' : ''])
          assert.equal(owner, '', 'the next owner need not wait')
        }
        assert.equal(await target.rejected.end(1), 1)
        for (const hash of source.hashes()) assert.ok(await target.blobs.get(hash))
      }
    }
  })

  it('changes nothing when it is made again', async () => {
    const source = await createSource()
    const target = createStores('target')
    for (let time = 0; time < 3; time++) assertMoved(await moveData(source, target, tell))
  })

  it('says what to do where the source went on since it was cut off', async () => {
    const source = await createSource()
    const target = createStores('target')
    await moveData(source, target, tell)
    await source.log.append([aRecord(0, 5)])
    await fold(source, 0, 5, 6)
    await assert.rejects(moveData(source, target, tell), {
      code: 'STORE_MISCONFIGURED',
      message: /partition 0, which stands at record 5, not 6: .*; give names that are free$/,
    })
    const moved = await moveData(source, createStores('target'), tell)
    assert.ok(moved.every(({ isEqual }) => isEqual))
  })

  it('takes nothing from an owner', async () => {
    const source = await createSource()
    const target = createStores('target')
    await target.state.acquire(1, 9, 'another')
    await assert.rejects(moveData(source, target, tell), { message: /partition 1, which has an/ })
    assert.equal((await target.state.head(1)).nonce, 'another')
  })
})
