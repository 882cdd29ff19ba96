import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { OperatingError } from '../lib/errors.ts'
import { sha256Bytes } from '../lib/hash.ts'
import { createMemoryEventLog, type MemoryEventLog } from '../log/memory-event-log.ts'
import { emptyBody, type NewRecord } from '../log/record.ts'
import { decodePerson, personPrefix } from '../profile/person.ts'
import { createMemoryStateStore, type MemoryStateStore } from '../state/memory-state-store.ts'
import { type StateReader, valueBytesMax } from '../state/state-store.ts'
import { noDefinitions } from './definitions.ts'
import { loadCount, PartitionFold } from './partition-fold.ts'

const startMs = 1_800_000_000_000
const viewed = 'Product Viewed'

describe('a partition fold', () => {
  it('folds again all since the last commit where a record of a later page fails', async () => {
    const { log, state } = await createWorld()
    for (let index = 0; index < 6; index++) await log.append([event(index)])
    await log.append([{ ...event(6), body: Buffer.from('{') }])
    await log.append([event(7)])
    const fold = await openFold(log, state)
    // Three pages before the first commit; the third ends with the record that fails.
    for (let page = 0; page < 4; page++) await foldPage(fold, log, 3)
    await foldToStop(fold, log, state)
    assert.equal(fold.stopped?.offset, 8)
    assert.equal(fold.committedOffset, 7)
    assert.equal(await countViewed(state), 6)
  })

  it('goes on as if nothing was where a read of the state fails for a while', async () => {
    const { log, state } = await createWorld()
    for (let index = 0; index < 8; index++) {
      await log.append([index % 2 === 0 ? event(index) : identify(index)])
    }
    let reads: readonly ('good' | 'bad')[] = []
    const faulty: StateReader = {
      ...state,
      async get(partition, keys) {
        const [next] = reads
        reads = reads.slice(1)
        if (next === 'bad') throw new OperatingError('STORE_UNREACHABLE', 'read the state')
        return await state.get(partition, keys)
      },
    }
    const fold = await openFold(log, faulty)
    await foldPage(fold, log, 4)
    await commitFold(fold, state)
    // Nothing is known of what was committed: as behind a crash.
    await fold.open(await state.head(0))
    // What a page needs is read ahead; then it fails inside a record, and where it begins again.
    reads = ['good', 'bad', 'bad', 'bad']
    for (let attempt = 0; attempt < 3; attempt++) {
      await assert.rejects(foldPage(fold, log, 4), { code: 'STORE_UNREACHABLE' })
      assert.equal(fold.hasChanges(), false)
    }
    await foldToStop(fold, log, state)
    assert.equal(fold.committedOffset, 9)
    assert.equal(await countViewed(state), 4)
    const [traits] = await state.scan(0, 'trait/', '', 9)
    assert.match(Buffer.from(traits?.value ?? []).toString(), /"step7"/)
  })
})

describe('a pause of the fold', () => {
  it('comes behind the records whose keys were read, so that none is read twice', async () => {
    const { log, state } = await createWorld()
    for (let index = 0; index < 2 * loadCount; index++) await log.append([event(index)])
    const fold = await openFold(log, state)
    const records = await log.read(0, fold.cursor, 2 * loadCount)
    assert.equal(await fold.fold(records, () => true), loadCount)
    await commitFold(fold, state)
    assert.equal(await fold.fold(records.slice(loadCount), () => true), loadCount)
  })
})

describe('a value that no store would take', () => {
  it('stops before the record that makes it, and commits what came before', async () => {
    const { log, state } = await createWorld()
    for (let index = 0; index < 5; index++) await log.append([event(index)])
    // Intake bounds topics in number and length; what other programs append meets this.
    const topic = 'x'.repeat(valueBytesMax / 2)
    for (let index = 0; index < 3; index++) {
      const skeleton = { topic: `${index}${topic}`, reason: 'test', atMs: startMs, isLifted: false }
      await log.append([{ ...suppression(0), skeleton, id: sha256Bytes(`s${index}`, 16) }])
    }
    const fold = await openFold(log, state)
    await foldToStop(fold, log, state)
    assert.equal(fold.stopped?.offset, 8)
    assert.match(String(fold.stopped?.cause), /a value of suppression holds at most/)
    assert.equal(fold.committedOffset, 7)
    assert.equal(await countViewed(state), 5)
  })
})

async function createWorld(): Promise<{ log: MemoryEventLog; state: MemoryStateStore }> {
  const log = createMemoryEventLog({ identity: { incarnation: 'test', partitionCount: 1 } })
  const state = createMemoryStateStore()
  await state.acquire(0, 1, 'n')
  const skeleton = { epoch: 1, nonce: 'n' }
  await log.append([{ ...event(0), kind: 'owner', key: 'control:0', skeleton, body: emptyBody }])
  return { log, state }
}

async function openFold(log: MemoryEventLog, state: StateReader): Promise<PartitionFold> {
  const definitionsOf = async () => noDefinitions()
  const options = { workspace: 'default', partitionCount: 1, partition: 0 }
  const fold = new PartitionFold({ log, state, definitionsOf }, options)
  await fold.open(await state.head(0))
  return fold
}

async function foldPage(
  fold: PartitionFold,
  log: MemoryEventLog,
  countMax: number,
): Promise<number> {
  return await fold.fold(await log.read(0, fold.cursor, countMax), () => false)
}

async function foldToStop(
  fold: PartitionFold,
  log: MemoryEventLog,
  state: MemoryStateStore,
): Promise<void> {
  while (fold.stopped === undefined && fold.committedOffset < (await log.end(0))) {
    await foldPage(fold, log, 3)
    if (fold.hasChanges()) await commitFold(fold, state)
  }
}

async function commitFold(fold: PartitionFold, state: MemoryStateStore): Promise<void> {
  const { commit } = fold.takeCommit({ epoch: 1, nonce: 'n' }, 'test')
  assert.deepEqual(await state.commit([commit]), ['committed'])
  fold.committed(commit)
}

async function countViewed(state: MemoryStateStore): Promise<number | undefined> {
  const [bytes] = await state.get(0, [`${personPrefix}user:ada`])
  return bytes && decodePerson(bytes).parts[0]?.totals[viewed]?.[0]
}

function identify(index: number): NewRecord {
  return event(index, { type: 'identify', name: 'Identified', traits: { [`step${index}`]: 1 } })
}

function suppression(index: number): NewRecord {
  const skeleton = { topic: '*', reason: 'bounced', atMs: startMs, isLifted: false }
  const key = `address:${index}`
  return { ...event(index), kind: 'suppress', key, skeleton, body: emptyBody }
}

function event(index: number, given: object = {}): NewRecord {
  const occurredAtMs = startMs + index
  const body = {
    ...{ eventId: `e${index}`, sourceId: 'web', type: 'track', name: viewed, userId: 'ada' },
    ...{ occurredAtMs, receivedAtMs: occurredAtMs, properties: { product_id: 'p1' } },
    ...given,
  }
  return {
    partition: 0,
    key: 'user:ada',
    kind: 'event',
    id: sha256Bytes(`web e${index}`, 16),
    recordedAtMs: occurredAtMs,
    isBackfill: false,
    keyId: 0,
    skeleton: {},
    body: Buffer.from(JSON.stringify(body)),
  }
}
