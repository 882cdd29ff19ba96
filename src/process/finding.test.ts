import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { eventRecord } from '../collect/event-record.ts'
import type { Event } from '../event/event.ts'
import { createMemoryEventLog, type MemoryEventLog } from '../log/memory-event-log.ts'
import { emptyBody, type NewRecord } from '../log/record.ts'
import { decodePerson, type Person, personPrefix } from '../profile/person.ts'
import { hashPartition } from '../state/dump.ts'
import { createMemoryStateStore, type MemoryStateStore } from '../state/memory-state-store.ts'
import { noDefinitions } from './definitions.ts'
import { type FindingSample, findingsKey, samplePlaceCountMax } from './finding.ts'
import { decodeJson, metaKey, type PartitionMeta } from './meta.ts'
import { PartitionFold } from './partition-fold.ts'

const startMs = 1_800_000_000_000
const hourMs = 3_600_000

function aRecord(given: Partial<Event> = {}, isBackfill = false): NewRecord {
  const event: Event = {
    ...{ eventId: 'e1', sourceId: 'web', type: 'track', name: 'Order Completed', userId: 'ada' },
    ...{ occurredAtMs: startMs, receivedAtMs: startMs, properties: { order_id: 'o1', total: 5 } },
    ...given,
  }
  const place = { workspace: 'default', partitionCount: 1, isBackfill, stamps: undefined }
  return eventRecord(event, place)
}

interface Folded {
  readonly log: MemoryEventLog
  readonly state: MemoryStateStore
  readonly meta: PartitionMeta
  readonly sample: FindingSample
  readonly effects: readonly string[]
  readonly person: Person
}

/** Folds the records, a commit after each page. */
async function fold(records: readonly NewRecord[], pageCount = 3): Promise<Folded> {
  const log = createMemoryEventLog({ identity: { incarnation: 'test', partitionCount: 1 } })
  const state = createMemoryStateStore()
  await state.acquire(0, 1, 'n')
  const skeleton = { epoch: 1, nonce: 'n' }
  const owner = {
    ...aRecord(),
    kind: 'owner',
    key: 'control:0',
    skeleton,
    body: emptyBody,
  } as const
  await log.append([owner, ...records])
  const options = { workspace: 'default', partitionCount: 1, partition: 0 }
  const folding = new PartitionFold(
    { log, state, definitionsOf: async () => noDefinitions() },
    options,
  )
  await folding.open(await state.head(0))
  const effects: string[] = []
  while (folding.committedOffset < (await log.end(0))) {
    await folding.fold(await log.read(0, folding.cursor, pageCount), () => false)
    const taken = folding.takeCommit({ epoch: 1, nonce: 'n' }, 'test')
    assert.deepEqual(await state.commit([taken.commit]), ['committed'])
    folding.committed(taken.commit)
    for (const effect of taken.effects) if (effect.kind === 'found') effects.push(effect.finding)
  }
  const keys = [metaKey, findingsKey, `${personPrefix}user:ada`]
  const [meta, sample, person] = await state.get(0, keys)
  return {
    ...{ log, state, effects },
    meta: decodeJson<PartitionMeta>(meta ?? assert.fail()),
    sample: sample === undefined ? {} : decodeJson<FindingSample>(sample),
    person: decodePerson(person ?? assert.fail()),
  }
}

/** Returns the findings of a first order and the given one. */
async function findingsOf(given: Partial<Event>, isBackfill = false): Promise<unknown> {
  const second = aRecord({ eventId: 'e2', ...given }, isBackfill)
  return (await fold([aRecord(), second])).meta.findings
}

describe('findings', () => {
  it('tell another event under a known id from a repeat, and apply neither', async () => {
    const other = aRecord({ properties: { order_id: 'o2', total: 9 } })
    const later = aRecord({ occurredAtMs: startMs - 5, context: { page: 1 } })
    const { meta, sample, person, effects } = await fold([aRecord(), later, other, aRecord()])
    assert.equal(meta.counts.applied, 1)
    assert.equal(meta.counts.duplicates, 3)
    assert.deepEqual(meta.findings, { 'id-conflict': 1 })
    assert.deepEqual(effects, ['id-conflict'])
    const place = { offset: 4, atMs: startMs, name: 'Order Completed' }
    assert.deepEqual(sample, { 'id-conflict': [place] })
    assert.equal(person.parts[0]?.totals['Order Completed']?.[1], 5)
  })

  it('name no conflict of records that have no hash', async () => {
    const bare = { ...aRecord(), skeleton: { eventId: 'e1', sourceId: 'web', name: 'A' } }
    const other = aRecord({ properties: { total: 9 } })
    const { meta } = await fold([bare, other])
    assert.equal(meta.counts.duplicates, 1)
    assert.equal(meta.findings, undefined)
  })

  it('tell late events, but none of a backfill, and those whose time was bounded', async () => {
    const late = { occurredAtMs: startMs - hourMs - 1 }
    assert.deepEqual(await findingsOf(late), { late: 1 })
    assert.deepEqual(await findingsOf({ occurredAtMs: startMs - hourMs }), undefined)
    assert.deepEqual(await findingsOf(late, true), undefined)
    assert.deepEqual(await findingsOf({ timeNote: 'future-bounded' }), { 'time-ahead': 1 })
    assert.deepEqual(await findingsOf({ ...late, timeNote: 'past-bounded' }), { 'time-behind': 1 })
    assert.deepEqual(await findingsOf({ timeNote: 'unreadable' }), { 'time-unreadable': 1 })
    assert.deepEqual(await findingsOf({ timeNote: 'skew-corrected' }), undefined)
  })

  it('tell orders of unknown items, of negative amounts, and in another currency', async () => {
    const stamped = { unknown: ['p1'] }
    assert.deepEqual(await findingsOf({ stamped }), { 'item-unknown': 1 })
    assert.deepEqual(await findingsOf({ stamped, name: 'Product Viewed' }), undefined)
    for (const properties of [
      { total: -1 },
      { revenue: '-0.01' },
      { products: [null, 7, { price: -1 }] },
    ]) {
      assert.deepEqual(await findingsOf({ properties }), { 'amount-negative': 1 })
    }
    assert.deepEqual(await findingsOf({ properties: { total: 0, note: -1 } }), undefined)
    const paidIn = (eventId: string, currency: string): NewRecord =>
      aRecord({ eventId, properties: { currency } })
    const currencies = ['EUR', 'EUR', 'GBP', 'GBP', 'EUR']
    const orders = currencies.map((currency, index) => paidIn(`e${index}`, currency))
    const { meta, sample, person } = await fold(orders)
    assert.deepEqual(meta.findings, { 'currency-changed': 2 })
    assert.deepEqual(
      sample['currency-changed']?.map(({ offset }) => offset),
      [6, 4],
    )
    assert.equal(person.currency, 'EUR')
  })

  it('tell what a lenient plan took', async () => {
    const planFault = { path: '/properties', says: 'x' }
    assert.deepEqual(await findingsOf({ planFault }), { 'plan-mismatch': 1 })
  })

  it('keep few places, and are the same whatever the size of a page', async () => {
    const records = Array.from({ length: 60 }, (_, index) => {
      const currency = index % 7 === 0 ? 'GBP' : 'EUR'
      const properties = { total: index % 2 === 0 ? index : -index, currency }
      return aRecord({ eventId: `e${index % 50}`, properties })
    })
    const { meta, sample, state } = await fold(records)
    const counts = { 'currency-changed': 14, 'amount-negative': 25, 'id-conflict': 10 }
    assert.deepEqual(meta.findings, counts)
    assert.equal(sample['amount-negative']?.length, samplePlaceCountMax)
    assert.equal(sample['amount-negative']?.[0]?.offset, 51)
    const hash = await hashPartition(state, 0)
    for (const pageCount of [1, 7, 100]) {
      const again = await fold(records, pageCount)
      assert.equal(await hashPartition(again.state, 0), hash)
    }
  })
})
