/**
 * A network that delivers requests to DynamoDB long after they were sent, and owners whose cleaning
 * comes late. Nothing of it may change what others did since.
 */

import assert from 'node:assert/strict'
import { after, before, describe, it, type TestContext } from 'node:test'
import { dynamodbIsMissing, hasDynamodb } from '../../scripts/service-dynamodb.ts'
import { type DynamodbOptions, openDynamodbClient } from '../../src/state/dynamodb-client.ts'
import {
  type DynamodbWorld,
  deps,
  openStore,
  redoCount,
  startDynamodbWorld,
  type WireRequest,
} from '../../src/state/dynamodb-world.fixture.ts'
import { aCommit } from '../../src/state/state-store.contract.ts'
import type { Change, StateStore } from '../../src/state/state-store.ts'
import {
  change,
  commitAsNewOwner,
  createWire,
  keys,
  large,
  makeOldState,
  newState,
  oldState,
  partition,
  stateOf,
} from './dynamodb-harness.ts'

let world: DynamodbWorld

describe('requests that come late', { skip: hasDynamodb() ? false : dynamodbIsMissing }, () => {
  before(async () => {
    world = await startDynamodbWorld()
  })
  after(() => world.stop())

  it('change nothing once the world has moved on', deliverAllLate)
  it('move no head to chunks that the same owner has deleted since', deliverMoveLate)
  it('delete no chunks of a newer owner', cleanLate)
})

async function deliverAllLate(t: TestContext): Promise<void> {
  const options = await makeOldState(world, t)
  const sent: WireRequest[] = []
  const store = await openStore(t, options, async (request, send) => {
    if (/^(TransactWrite|Put|Update|Delete)/.test(request.name)) sent.push(request)
    return await send()
  })
  const steps: readonly (readonly Change[])[] = [
    large.changes,
    keys('old').map((key) => change(key, undefined)),
    [change('old/001', 3), change('new/001', undefined)],
    // With the offset unchanged, as timers are committed in pieces.
    [change('old/002', 4)],
    [change('old/002', undefined), change('old/003', 5)],
  ]
  const offsets = [2, 3, 4, 4, 4]
  await store.acquire(partition, 1, 'n1')
  for (const [index, changes] of steps.entries()) {
    const offset = offsets[index] ?? 0
    const previousOffset = offsets[index - 1] ?? 1
    const lastRecordId = `r${offset}`
    const commit = aCommit({ previousOffset, offset, lastRecordId, changes })
    assert.deepEqual(await store.commit([commit]), ['committed'])
    await redeliver(options, sent, store)
  }
  await store.acquire(partition, 1, 'n1')
  await redeliver(options, sent, store)
  await store.release(partition, 1, 'n1')
  await redeliver(options, sent, store)
  const newer = await openStore(t, options)
  assert.equal(await newer.acquire(partition, 2, 'n2'), 'acquired')
  await redeliver(options, sent, newer)
  await commitAsNewOwner(newer, 4)
  await redeliver(options, sent, newer)
  assert.equal(await newer.acquire(partition, 2, 'n2'), 'acquired')
  assert.equal(await redoCount(options, partition), 0)
}

/** Sends all that was ever sent once more, after the time in which tokens are remembered. */
async function redeliver(
  options: DynamodbOptions,
  sent: readonly WireRequest[],
  store: StateStore,
): Promise<void> {
  const left = await stateOf(store, 'before')
  const head = await store.head(partition)
  const client = await openDynamodbClient(deps, options)
  // The oldest last, so that no younger one hides what it does.
  for (const [index, { name, input }] of sent.toReversed().entries()) {
    const token = { ClientRequestToken: `late-${Math.floor(performance.now() * 1000)}-${index}` }
    const again = name === 'TransactWriteItems' ? { ...(input as object), ...token } : input
    await client.call(name, again as never, 'deliver late').catch(() => {})
  }
  client.close()
  assert.deepEqual(await stateOf(store, 'late'), left)
  assert.deepEqual(await store.head(partition), head)
}

async function deliverMoveLate(t: TestContext): Promise<void> {
  const options = await makeOldState(world, t)
  const held: WireRequest[] = []
  const store = await openStore(t, options, async (request, send) => {
    if (request.name !== 'TransactWriteItems') return await send()
    held.push(request)
    throw new Error('the network holds it')
  })
  await assert.rejects(store.commit([large]))
  assert.equal(held.length, 1)
  assert.ok((await redoCount(options, partition)) > 1)
  const again = await openStore(t, options)
  assert.equal(await again.acquire(partition, 1, 'n1'), 'acquired')
  assert.equal(await redoCount(options, partition), 0)
  await redeliver(options, held, again)
  assert.deepEqual(await stateOf(again, 'held'), oldState)
  assert.deepEqual(await again.commit([large]), ['committed'])
  assert.deepEqual(await stateOf(again, 'held'), newState)
}

async function cleanLate(t: TestContext): Promise<void> {
  const options = await makeOldState(world, t)
  // The second owner pauses before it looks for chunks that were left.
  const lookAt = 2
  const slow = createWire()
  const second = await openStore(t, options, slow.hand)
  const paused = slow.pause(lookAt)
  const acquired = second.acquire(partition, 2, 'n2')
  await paused.reached
  // The third ends when its commit is taken and nothing of it applied.
  const ending = createWire()
  const third = await openStore(t, options, ending.hand)
  assert.equal(await third.acquire(partition, 3, 'n3'), 'acquired')
  const chunkCount = 4
  ending.cut(chunkCount + 1, true)
  await assert.rejects(third.commit([{ ...large, epoch: 3, nonce: 'n3' }]))
  assert.equal(await redoCount(options, partition), chunkCount)
  paused.goOn()
  await acquired
  assert.equal(await redoCount(options, partition), chunkCount)
  const fourth = await openStore(t, options)
  assert.deepEqual(await stateOf(fourth, 'late'), newState)
  assert.equal(await fourth.acquire(partition, 4, 'n4'), 'acquired')
  assert.deepEqual(await stateOf(fourth, 'late'), newState)
  assert.equal(await redoCount(options, partition), 0)
}
