/**
 * The fold on one thread: 100,000 people of about 2 KB, uniform keys, unique ids, real SQLite log and state.
 *
 * The bare baseline does what no fold can do without: for each event read one value of 2 KB by a random key and write it
 * again, in transactions of the same size, on the same kind of file.
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Event } from '../src/event/event.ts'
import { systemClock } from '../src/lib/clock.ts'
import { sha256Bytes } from '../src/lib/hash.ts'
import { createSeededRandom } from '../src/lib/random.ts'
import { createMemoryEventLog } from '../src/log/memory-event-log.ts'
import { type NewRecord, partitionOf } from '../src/log/record.ts'
import { PartitionFold } from '../src/process/partition-fold.ts'
import { noDefinitions } from '../src/process/definitions.ts'
import { appendActivity } from '../src/profile/activity-pack.ts'
import { createPerson, encodePerson, personPrefix } from '../src/profile/person.ts'
import { openSqliteStateStore } from '../src/state/sqlite-state-store.ts'
import { type Change, noHead, type StateStore } from '../src/state/state-store.ts'
import { printFigure } from './figure.ts'

const personCount = 100_000
const eventCount = 60_000
const partitionCount = 8
const activityCount = 32
const readCount = 256
const batchMsMax = 20

interface FoldBenchOptions {
  readonly isSkewed: boolean
}

export async function benchFold(): Promise<void> {
  for (const isSkewed of [false, true]) await benchKeys({ isSkewed })
}

async function benchKeys(options: FoldBenchOptions): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'attune-bench-fold-'))
  try {
    const state = await openSqliteStateStore({ dataDir })
    await fillPeople(state)
    const bare = await measureBare(state, options)
    const folded = await measureFold(state, options)
    await state.close()
    const keys = options.isSkewed ? 'skewed' : 'uniform'
    printFigure({
      bench: `fold-${keys}`,
      value: folded,
      unit: 'events/s',
      baseline: bare,
      note: `${personCount} people, ${eventCount} events, ${partitionCount} partitions`,
    })
  } finally {
    await rm(dataDir, { recursive: true })
  }
}

function pickPerson(unit: number, isSkewed: boolean): number {
  return Math.floor((isSkewed ? unit ** 4 : unit) * personCount)
}

async function fillPeople(state: StateStore): Promise<void> {
  const changes = Array.from({ length: partitionCount }, (): Change[] => [])
  for (let index = 0; index < personCount; index++) {
    const key = `user:customer-${index}`
    const person = createPerson(key, 0)
    person.version = activityCount
    const part = person.parts[0]
    if (part === undefined) continue
    part.totals['Product Viewed'] = [activityCount, 0, 0, 1]
    part.activity = appendActivity(
      part.activity,
      Array.from({ length: activityCount }, (_, at) => ({
        name: 'Product Viewed',
        occurredAtMs: at,
        eventRef: at,
        itemId: `item-${(index * 7 + at) % 5000}`,
        value: 4.95,
      })),
    )
    changes[partitionOf('default', key, partitionCount)]?.push({
      key: personPrefix + key,
      value: encodePerson(person),
    })
  }
  for (const [partition, all] of changes.entries()) {
    await state.acquire(partition, 1, 'bench')
    for (let at = 0; at < all.length; at += 5000) {
      const head = { ...noHead, epoch: 1, nonce: 'bench', incarnation: 'bench' }
      const commit = { partition, ...head, previousOffset: 0, changes: all.slice(at, at + 5000) }
      await state.commit([commit])
    }
  }
}

async function measureBare(state: StateStore, options: FoldBenchOptions): Promise<number> {
  const random = createSeededRandom(1)
  const startedAt = systemClock.monotonicMs()
  let done = 0
  while (done < eventCount / 2) {
    const byPartition = new Map<number, Map<string, Uint8Array>>()
    for (let count = 0; count < 400; count++, done++) {
      const key = `user:customer-${pickPerson(random.unit(), options.isSkewed)}`
      const partition = partitionOf('default', key, partitionCount)
      const [value] = await state.get(partition, [personPrefix + key])
      const changes = byPartition.get(partition) ?? new Map<string, Uint8Array>()
      // Another byte each time: SQLite does not write a page that stays the same.
      if (value !== undefined) changes.set(personPrefix + key, withOtherEnd(value, done))
      byPartition.set(partition, changes)
    }
    await state.commit(
      [...byPartition].map(([partition, values]) => ({
        ...noHead,
        epoch: 1,
        nonce: 'bench',
        incarnation: 'bench',
        partition,
        previousOffset: 0,
        changes: [...values].map(([key, value]) => ({ key, value })),
      })),
    )
  }
  return (done * 1000) / (systemClock.monotonicMs() - startedAt)
}

function withOtherEnd(value: Uint8Array, end: number): Uint8Array {
  const other = Uint8Array.from(value)
  other[other.length - 1] = end & 0xff
  return other
}

async function measureFold(state: StateStore, options: FoldBenchOptions): Promise<number> {
  const log = createMemoryEventLog({ identity: { incarnation: 'bench', partitionCount } })
  await log.append(Array.from({ length: eventCount }, (_, index) => anEventRecord(index, options)))
  const folds = await Promise.all(
    Array.from({ length: partitionCount }, async (_, partition) => {
      const definitionsOf = (): Promise<never> => Promise.reject(new Error('none'))
      const fold = new PartitionFold(
        { log, state, definitionsOf },
        { workspace: 'default', partitionCount, partition },
      )
      await fold.open(await state.head(partition))
      return fold
    }),
  )
  const startedAt = systemClock.monotonicMs()
  let isBusy = true
  while (isBusy) {
    isBusy = false
    for (const fold of folds) {
      const deadlineMs = systemClock.monotonicMs() + batchMsMax
      const shouldPause = (): boolean => systemClock.monotonicMs() > deadlineMs
      while (!shouldPause()) {
        const records = await log.read(fold.partition, fold.cursor, readCount)
        if (records.length === 0) break
        isBusy = true
        await fold.fold(records, shouldPause)
      }
      if (!fold.hasChanges()) continue
      const { commit } = fold.takeCommit({ epoch: 1, nonce: 'bench' }, 'bench')
      const [answer] = await state.commit([commit])
      if (answer !== 'committed') throw new Error(`the bench's commit was ${answer}`)
      fold.committed(commit)
    }
  }
  const rate = (eventCount * 1000) / (systemClock.monotonicMs() - startedAt)
  if (noDefinitions().hash !== '') throw new Error('the bench runs without definitions')
  return rate
}

function anEventRecord(index: number, options: FoldBenchOptions): NewRecord {
  const random = createSeededRandom(index + 7)
  const userId = `customer-${pickPerson(random.unit(), options.isSkewed)}`
  const eventId = `bench-${index}`
  const event: Event = {
    eventId,
    sourceId: 'web',
    type: 'track',
    name: 'Product Viewed',
    userId,
    occurredAtMs: 1_700_000_000_000 + index,
    receivedAtMs: 1_700_000_000_000 + index,
    properties: { product_id: `item-${index % 5000}`, price: 4.95, currency: 'GBP' },
    context: { page: { url: 'https://shop.example/p/1', title: 'A product' }, locale: 'en-GB' },
  }
  const key = `user:${userId}`
  return {
    partition: partitionOf('default', key, partitionCount),
    key,
    kind: 'event',
    id: sha256Bytes(`web\0${eventId}`, 16),
    recordedAtMs: event.receivedAtMs,
    isBackfill: false,
    keyId: 0,
    skeleton: { eventId, sourceId: 'web', name: event.name },
    body: Buffer.from(JSON.stringify(event)),
  }
}
