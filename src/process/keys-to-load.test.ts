import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { sha256Bytes } from '../lib/hash.ts'
import { createMemoryEventLog, type MemoryEventLog } from '../log/memory-event-log.ts'
import { emptyBody, type NewRecord } from '../log/record.ts'
import { personPrefix } from '../profile/person.ts'
import { createMemoryStateStore, type MemoryStateStore } from '../state/memory-state-store.ts'
import type { StateReader } from '../state/state-store.ts'
import { compileDefinitions, emptyDocument, noDefinitions } from './definitions.ts'
import { PartitionFold } from './partition-fold.ts'

const startMs = 1_800_000_000_000
const personCount = 20
const hash = 'd'.repeat(64)

/** Whoever has a plan and viewed something: a view touches it, and a stated trait is seen. */
const viewersOfPlan = {
  ...emptyDocument,
  segments: [
    {
      name: 'viewers',
      content: {
        all: [
          { event: 'Product Viewed', count: { atLeast: 1 } },
          { trait: 'plan', exists: true },
        ],
      },
    },
  ],
}

describe('what records read of the state', () => {
  it('comes in two calls where the past of all their people begins', async () => {
    const world = new World()
    await world.append([owner(1, 0), ...events('Product Viewed'), owner(2, 1e9)])
    await world.fold()
    await world.append(events('Product Viewed'))
    assert.deepEqual(await world.fold(), [personCount, personCount])
    const aside = await world.state.scan(0, 'history/', '', 100)
    assert.equal(aside.length, personCount)
  })

  it('comes in two calls where they say what somebody is like', async () => {
    const world = new World()
    await world.append([owner(1, 0), ...events('Product Viewed')])
    await world.fold()
    await world.append(events('identify'))
    assert.deepEqual(await world.fold(), [personCount, personCount])
  })

  it('comes in two calls where a rule that they touch sees what somebody stated', async () => {
    const world = new World()
    await world.append([owner(1, 0), ...events('identify'), definitions()])
    await world.fold()
    await world.append(events('Product Viewed'))
    assert.deepEqual(await world.fold(), [personCount, personCount])
  })

  it('is the person alone where nothing more is asked for', async () => {
    const world = new World()
    await world.append([owner(1, 0), ...events('Product Viewed')])
    await world.fold()
    await world.append(events('Product Viewed'))
    assert.deepEqual(await world.fold(), [personCount])
  })

  it('stops the partition at the person that cannot be read, as ever', async () => {
    const world = new World()
    await world.append([owner(1, 0), ...events('Product Viewed')])
    await world.fold()
    const broken = { key: `${personPrefix}user:p7`, value: Buffer.from('broken') }
    const head = await world.state.head(0)
    const commit = { partition: 0, ...head, previousOffset: head.offset, changes: [broken] }
    assert.deepEqual(await world.state.commit([{ ...commit, offset: head.offset }]), ['committed'])
    await world.append([owner(2, 1e9), ...events('Product Viewed')])
    await world.fold()
    assert.equal(world.stopped?.offset, head.offset + 2 + 7)
  })
})

class World {
  readonly log: MemoryEventLog = createMemoryEventLog({
    identity: { incarnation: 'test', partitionCount: 1 },
  })
  readonly state: MemoryStateStore = createMemoryStateStore()
  stopped: PartitionFold['stopped']
  #count = 0

  async append(records: readonly NewRecord[]): Promise<void> {
    const unique = records.map((each) => ({
      ...each,
      id: sha256Bytes(`${this.#count++}`, 16),
    }))
    await this.log.append(unique)
  }

  /** Folds to the end with nothing in memory before; answers how many keys each call read. */
  async fold(): Promise<readonly number[]> {
    const { log, state } = this
    await state.acquire(0, 1, 'n')
    const counts: number[] = []
    const counting: StateReader = {
      ...state,
      async get(partition, keys) {
        if (keys.every((key) => /^(person|trait)\//.test(key))) counts.push(keys.length)
        return await state.get(partition, keys)
      },
    }
    const compiled = compileDefinitions(viewersOfPlan, hash)
    if (compiled.kind === 'refused') throw new Error(JSON.stringify(compiled.faults))
    const definitionsOf = async (asked: string) =>
      asked === hash ? compiled.definitions : noDefinitions()
    const fold = new PartitionFold(
      { log, state: counting, definitionsOf },
      { workspace: 'default', partitionCount: 1, partition: 0 },
    )
    await fold.open(await state.head(0))
    const end = await log.end(0)
    while (fold.cursor < end && fold.stopped === undefined) {
      await fold.fold(await log.read(0, fold.cursor, 100), () => false)
    }
    this.stopped = fold.stopped
    const { commit } = fold.takeCommit({ epoch: 1, nonce: 'n' }, 'test')
    assert.deepEqual(await state.commit([commit]), ['committed'])
    return counts
  }
}

function owner(epoch: number, historyMs: number): NewRecord {
  const skeleton = { epoch, nonce: 'n', ...(historyMs > 0 ? { historyMs } : {}) }
  return { ...record('owner', 'control:0'), skeleton }
}

function definitions(): NewRecord {
  return { ...record('definitions', 'control:0'), skeleton: { hash, version: 1 } }
}

function events(name: string): readonly NewRecord[] {
  return Array.from({ length: personCount }, (_, index) => {
    const userId = `p${index}`
    const isStated = name === 'identify'
    const event = {
      ...{ eventId: `${name}${index}`, sourceId: 'web', type: isStated ? name : 'track', name },
      ...{ userId, occurredAtMs: startMs, receivedAtMs: startMs },
      ...(isStated ? { traits: { plan: 'gold' } } : { properties: { product_id: 'p1' } }),
    }
    const body = Buffer.from(JSON.stringify(event))
    return { ...record('event', `user:${userId}`), skeleton: { name }, body }
  })
}

function record(kind: NewRecord['kind'], key: string): NewRecord {
  return {
    ...{ partition: 0, key, kind, id: new Uint8Array(16), recordedAtMs: startMs },
    ...{ isBackfill: false, keyId: 0, skeleton: {}, body: emptyBody },
  }
}
