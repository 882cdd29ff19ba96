/**
 * Owners of a partition in DynamoDB that end or pause between any two requests. Whatever happens,
 * a reader sees each commit whole or not at all, a commit that was taken stays, and nothing that a
 * newer owner changed comes back.
 */

import assert from 'node:assert/strict'
import { after, before, describe, it, type TestContext } from 'node:test'
import { dynamodbIsMissing, hasDynamodb } from '../../scripts/service-dynamodb.ts'
import { createSeededRandom } from '../../src/lib/random.ts'
import {
  type DynamodbWorld,
  openStore,
  redoCount,
  startDynamodbWorld,
  type WireRequest,
} from '../../src/state/dynamodb-world.fixture.ts'
import { aCommit } from '../../src/state/state-store.contract.ts'
import {
  change,
  commitAsNewOwner,
  createWire,
  large,
  makeOldState,
  newState,
  oldState,
  partition,
  stateAfter,
  stateOf,
} from './dynamodb-harness.ts'

const seed = Number(process.env['ATTUNE_TEST_SEED'] ?? 20261123)
let world: DynamodbWorld

describe('owners that end or pause', { skip: hasDynamodb() ? false : dynamodbIsMissing }, () => {
  before(async () => {
    console.log(`seed ${seed} (ATTUNE_TEST_SEED)`)
    world = await startDynamodbWorld()
  })
  after(() => world.stop())

  describe('a large commit cut at each request', describeCuts)
  describe('a large commit paused at each request', describePauses)
  it('keeps what a model keeps, for random commits, cuts and owners', holdsModel)
})

function describeCuts(): void {
  for (const isApplied of [false, true]) {
    it(`${isApplied ? 'after' : 'before'} the server took it`, async (t) => {
      const requestCount = await countRequests(t)
      assert.ok(requestCount >= 12, `${requestCount} requests`)
      for (let cutAt = 1; cutAt <= requestCount; cutAt++) {
        for (const next of ['same owner', 'new owner'] as const) {
          await cutCommit(t, { cutAt, isApplied, next })
        }
      }
    })
  }
}

interface Cut {
  readonly cutAt: number
  readonly isApplied: boolean
  readonly next: 'same owner' | 'new owner'
}

async function cutCommit(t: TestContext, cut: Cut): Promise<void> {
  const says = JSON.stringify(cut)
  const options = await makeOldState(world, t)
  const wire = createWire()
  const store = await openStore(t, options, wire.hand)
  wire.cut(cut.cutAt, cut.isApplied)
  // A cut among the last requests, that delete chunks, leaves the answer as it is.
  const answer = await store.commit([large]).catch((error: unknown) => String(error))
  const reader = await openStore(t, options)
  const seen = await stateOf(reader, says)
  const isNew = (await reader.head(partition)).offset === 2
  assert.deepEqual(seen, isNew ? newState : oldState, says)
  if (Array.isArray(answer)) assert.ok(isNew && answer[0] === 'committed', says)
  const nextStore = await openStore(t, options)
  if (cut.next === 'same owner') {
    assert.deepEqual(await nextStore.commit([large]), ['committed'], says)
    assert.deepEqual(await stateOf(reader, says), newState, says)
    return
  }
  assert.equal(await nextStore.acquire(partition, 2, 'n2'), 'acquired', says)
  assert.deepEqual(await stateOf(reader, says), seen, says)
  assert.equal(await redoCount(options, partition), 0, says)
  const last = await commitAsNewOwner(nextStore, isNew ? 2 : 1)
  assert.deepEqual(await stateOf(reader, says), stateAfter(seen, last), says)
}

function describePauses(): void {
  it('changes nothing when it wakes up behind a newer owner', async (t) => {
    const requestCount = await countRequests(t)
    for (let pauseAt = 1; pauseAt <= requestCount; pauseAt++) {
      assert.deepEqual(await pauseCommit(t, pauseAt), 'as the newer owner left it')
    }
  })

  it('would change what a newer owner wrote if it did not check the head', async (t) => {
    const requestCount = await countRequests(t)
    const ends: string[] = []
    for (let pauseAt = 1; pauseAt <= requestCount; pauseAt++) {
      ends.push(await pauseCommit(t, pauseAt, withoutHead))
    }
    assert.ok(ends.includes('changed'), ends.join(', '))
  })
}

/** Pauses the owner's commit, lets another take over and commit, then lets the first go on. */
async function pauseCommit(
  t: TestContext,
  pauseAt: number,
  change?: (request: WireRequest) => unknown,
): Promise<'as the newer owner left it' | 'changed'> {
  const options = await makeOldState(world, t)
  const wire = createWire(change)
  const store = await openStore(t, options, wire.hand)
  const paused = wire.pause(pauseAt)
  const answer = store.commit([large]).catch((error: unknown) => String(error))
  await Promise.race([paused.reached, answer])
  const newer = await openStore(t, options)
  assert.equal(await newer.acquire(partition, 2, 'n2'), 'acquired')
  const { offset } = await newer.head(partition)
  await commitAsNewOwner(newer, offset)
  const left = await stateOf(newer, `paused at ${pauseAt}`)
  paused.goOn()
  const answered = await answer
  const end = await stateOf(newer, `paused at ${pauseAt}`)
  const isSame = [...end].every(([key, value]) => left.get(key) === value) && end.size === left.size
  if (change === undefined && offset === 1) assert.deepEqual(answered, ['fenced'], `${pauseAt}`)
  if (change === undefined && offset === 2) assert.deepEqual(answered, ['committed'], `${pauseAt}`)
  assert.equal((await newer.head(partition)).epoch, 2)
  return isSame ? 'as the newer owner left it' : 'changed'
}

/** The same transaction as it would be if it did not look at the head. */
function withoutHead({ name, input }: WireRequest): unknown {
  if (name !== 'TransactWriteItems') return input
  const given = input as { readonly TransactItems: readonly Record<string, unknown>[] }
  const items = given.TransactItems.filter((item) => item['ConditionCheck'] === undefined)
  return { ...given, TransactItems: items }
}

async function holdsModel(t: TestContext): Promise<void> {
  const random = createSeededRandom(seed)
  const below = (bound: number): number => Math.floor(random.unit() * bound)
  const options = await world.makeTables()
  const pool = Array.from({ length: 260 }, (_, n) => `${n % 5 === 0 ? 'timer' : 'person'}/${n}`)
  const reader = await openStore(t, options)
  let state: ReadonlyMap<string, number> = new Map()
  let offset = 0
  let epoch = 0
  let wire = createWire()
  let store = await openStore(t, options, wire.hand)
  const takeOver = async (): Promise<void> => {
    wire = createWire()
    store = await openStore(t, options, wire.hand)
    epoch++
    assert.equal(await store.acquire(partition, epoch, `n${epoch}`), 'acquired')
  }
  await takeOver()
  for (let step = 0; step < 80; step++) {
    const says = `seed ${seed}, step ${step}`
    const count = below(3) === 0 ? 100 + below(160) : below(40)
    const start = below(pool.length)
    const changes = Array.from({ length: count }, (_, n) =>
      change(pool[(start + n * 7) % pool.length] ?? '', below(4) === 0 ? undefined : step + 2),
    )
    const owner = { epoch, nonce: `n${epoch}`, lastRecordId: `r${step}` }
    const commit = aCommit({ ...owner, previousOffset: offset, offset: offset + 1, changes })
    if (below(2) === 0) wire.cut(1 + below(count > 99 ? 9 : 2), below(2) === 0)
    const answer = await store.commit([commit]).catch(() => undefined)
    const head = await reader.head(partition)
    assert.ok(answer === undefined || head.offset === offset + 1, says)
    if (head.offset === offset + 1) {
      state = stateAfter(state, changes)
      offset++
    }
    assert.deepEqual(await stateOf(reader, says), state, says)
    if (answer === undefined || below(10) === 0) await takeOver()
    const some = Array.from({ length: 120 }, () => pool[below(pool.length)] ?? '')
    const values = await reader.get(partition, some)
    assert.deepEqual(
      values.map((value) => value?.[0]),
      some.map((key) => state.get(key)),
      says,
    )
  }
}

async function countRequests(t: TestContext): Promise<number> {
  const options = await makeOldState(world, t)
  let count = 0
  const store = await openStore(t, options, async (_, send) => {
    count++
    return await send()
  })
  const openCount = count
  await store.commit([large])
  return count - openCount
}
