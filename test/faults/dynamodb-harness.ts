/** What the fault tests of DynamoDB share: a state before and after, and a wire to cut or pause. */

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { DynamodbOptions } from '../../src/state/dynamodb-client.ts'
import {
  type DynamodbWorld,
  openStore,
  type WireHand,
  type WireRequest,
} from '../../src/state/dynamodb-world.fixture.ts'
import { aCommit } from '../../src/state/state-store.contract.ts'
import type { Change, PartitionCommit, StateStore } from '../../src/state/state-store.ts'

export const partition = 0
const keyCount = 150
/** Makes four redo chunks of the commit below. */
const valueBytes = 6 * 1024

export const oldState = new Map(keys('old').map((key) => [key, 1]))
export const large: PartitionCommit = aCommit({
  previousOffset: 1,
  offset: 2,
  lastRecordId: 'bb',
  changes: [
    ...keys('old').map((key, index) => change(key, index % 3 === 0 ? undefined : 2)),
    ...keys('new').map((key) => change(key, 2)),
  ],
})
export const newState = stateAfter(oldState, large.changes)

export interface Wire {
  readonly hand: WireHand
  /** The process ends at a request from now on, the server having taken it or not. */
  cut(atIndex: number, isApplied: boolean): void
  pause(atIndex: number): { readonly reached: Promise<void>; goOn(): void }
}

export function createWire(change: (request: WireRequest) => unknown = ({ input }) => input): Wire {
  let sentCount = 0
  let isDead = false
  let cutAt = Number.POSITIVE_INFINITY
  let isCutApplied = false
  let pauseAt = Number.POSITIVE_INFINITY
  const reached = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  const end = (): never => {
    isDead = true
    throw new Error('the process has ended')
  }
  return {
    async hand(request, send) {
      if (isDead) end()
      const index = ++sentCount
      if (index === cutAt && !isCutApplied) end()
      if (index >= pauseAt) {
        reached.resolve()
        await gate.promise
      }
      const answer = await send(change(request))
      if (index === cutAt || isDead) end()
      return answer
    },
    cut(atIndex, isApplied) {
      sentCount = 0
      cutAt = atIndex
      isCutApplied = isApplied
    },
    pause(atIndex) {
      sentCount = 0
      pauseAt = atIndex
      return { reached: reached.promise, goOn: () => gate.resolve() }
    },
  }
}

export async function makeOldState(world: DynamodbWorld, t: TestContext): Promise<DynamodbOptions> {
  const options = await world.makeTables()
  const store = await openStore(t, options)
  assert.equal(await store.acquire(partition, 1, 'n1'), 'acquired')
  const changes = [...oldState].map(([key, value]) => change(key, value))
  assert.deepEqual(await store.commit([aCommit({ changes })]), ['committed'])
  return options
}

/** Deletes what the paused owner would put, and puts what it would delete. */
export async function commitAsNewOwner(
  store: StateStore,
  offset: number,
): Promise<readonly Change[]> {
  const changes = [
    ...keys('new').map((key) => change(key, undefined)),
    ...keys('old').map((key, index) => change(key, index % 2 === 0 ? 9 : undefined)),
  ]
  const owner = { epoch: 2, nonce: 'n2', lastRecordId: 'cc' }
  const commit = aCommit({ ...owner, previousOffset: offset, offset: offset + 5, changes })
  assert.deepEqual(await store.commit([commit]), ['committed'])
  return changes
}

/** Reads all keys in both ways, and compares. Each value is known by its first byte. */
export async function stateOf(
  store: StateStore,
  says: string,
): Promise<ReadonlyMap<string, number>> {
  const entries = await store.scan(partition, '', '', 1000)
  const state = new Map(entries.map(({ key, value }) => [key, value[0] ?? 0]))
  const all = [...keys('old'), ...keys('new')]
  const values = await store.get(partition, all)
  if (state.size > 0 && [...state.keys()].every((key) => /^(old|new)/.test(key))) {
    assert.deepEqual(
      values.map((value) => value?.[0]),
      all.map((key) => state.get(key)),
      says,
    )
  }
  return state
}

export function stateAfter(
  state: ReadonlyMap<string, number>,
  changes: readonly Change[],
): ReadonlyMap<string, number> {
  const next = new Map(state)
  for (const { key, value } of changes) {
    if (value === undefined) next.delete(key)
    else next.set(key, value[0] ?? 0)
  }
  return next
}

export function keys(family: string): readonly string[] {
  return Array.from({ length: keyCount }, (_, n) => `${family}/${String(n).padStart(3, '0')}`)
}

export function change(key: string, value: number | undefined): Change {
  return { key, value: value === undefined ? undefined : Buffer.alloc(valueBytes, value) }
}
