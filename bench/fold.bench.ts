/**
 * The fold on one thread: 100,000 people of about 2 KB, uniform and skewed keys, unique ids, the
 * log in memory and the state in SQLite.
 *
 * The plain fold has no definitions; that with 50 segments and 20 computed traits is told as a
 * share of it, in the same run.
 *
 * The bare baseline does what no fold can do without: for each event read one value of 2 KB by a
 * random key and write it again, in transactions of the same size, on the same kind of file.
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readDefinitionFolder } from '../src/command/definition-folder.ts'
import type { Event } from '../src/event/event.ts'
import { systemClock } from '../src/lib/clock.ts'
import { sha256Bytes, sha256Hex } from '../src/lib/hash.ts'
import { createSeededRandom } from '../src/lib/random.ts'
import type { EventLog } from '../src/log/event-log.ts'
import { createMemoryEventLog } from '../src/log/memory-event-log.ts'
import { emptyBody, type NewRecord, partitionOf } from '../src/log/record.ts'
import { applyComputed, planComputed } from '../src/process/computed-stage.ts'
import { parseDefinitionFiles } from '../src/process/definition-files.ts'
import {
  type CompiledDefinitions,
  compileDefinitions,
  encodeDocument,
  noDefinitions,
} from '../src/process/definitions.ts'
import { encodeJson } from '../src/process/meta.ts'
import { PartitionFold } from '../src/process/partition-fold.ts'
import { appendActivity } from '../src/profile/activity-pack.ts'
import { type ComputedInForce, computedKey } from '../src/profile/computed/computed-trait.ts'
import { createPerson, encodePerson, personPrefix } from '../src/profile/person.ts'
import { shapeOf } from '../src/segment/computed-trait.ts'
import { openSqliteStateStore } from '../src/state/sqlite-state-store.ts'
import { type Change, noHead, type StateStore } from '../src/state/state-store.ts'
import { shopDir } from './attune-server.ts'
import { printFigure } from './figure.ts'
import { makeRules } from './make-rules.ts'

export const personCount = 100_000
const eventCount = 60_000
const partitionCount = 8
const activityCount = 32
const readCount = 256
const batchMsMax = 20
const longAgoMs = 1_700_000_000_000

export interface FoldBenchOptions {
  readonly isSkewed: boolean
  /** With the segments and campaigns of examples/shop, and its mix of events. */
  readonly hasShop: boolean
  /** When the first event came; a long time ago where it is absent. */
  readonly firstAtMs?: number
}

interface Measured {
  readonly rate: number
  /** CPU time of one event; does not depend on who else uses the machine. */
  readonly cpuMicros: number
}

export async function benchFold(): Promise<void> {
  const shop = await readShopDefinitions()
  for (const hasShop of [false, true]) {
    for (const isSkewed of [false, true]) {
      await benchKeys({ isSkewed, hasShop }, hasShop ? shop : noDefinitions())
    }
  }
  await benchComputed()
}

/** As the share of a plain fold's rate, by CPU time: nothing else of the machine counts. */
async function benchComputed(): Promise<void> {
  const plain = { isSkewed: false, hasShop: true }
  for (const [segmentCount, traitCount] of [
    [0, 20],
    [50, 0],
    [50, 20],
  ] as const) {
    const definitions = makeRules(segmentCount, traitCount)
    const before = await foldAlone(plain, noDefinitions())
    const after = await foldAlone(plain, definitions)
    const again = await foldAlone(plain, noDefinitions())
    const plainMicros = Math.min(before.cpuMicros, again.cpuMicros)
    printFigure({
      bench: `fold-${segmentCount}-segments-${traitCount}-traits`,
      value: 1e6 / after.cpuMicros,
      unit: 'events/s of CPU',
      baseline: 1e6 / plainMicros,
      note:
        `${after.cpuMicros.toFixed(1)} us of CPU an event, plain fold ` +
        `${plainMicros.toFixed(1)}; 9 of 10 events are views`,
    })
  }
}

async function foldAlone(
  options: FoldBenchOptions,
  definitions: CompiledDefinitions,
): Promise<Measured> {
  const dataDir = await mkdtemp(join(tmpdir(), 'attune-bench-fold-'))
  try {
    const state = await openSqliteStateStore({ dataDir })
    await fillPeople(state, partitionCount, definitions)
    const folded = await measureFold(state, options, definitions)
    await state.close()
    return folded
  } finally {
    await rm(dataDir, { recursive: true })
  }
}

async function readShopDefinitions(): Promise<CompiledDefinitions> {
  const answer = await parseDefinitionFiles(await readDefinitionFolder(shopDir))
  if (answer.kind === 'refused') throw new Error('the definitions of examples/shop are good')
  const hash = sha256Hex(encodeDocument(answer.document))
  const compiled = compileDefinitions(answer.document, hash)
  if (compiled.kind === 'refused') throw new Error('the definitions of examples/shop compile')
  return compiled.definitions
}

async function benchKeys(
  options: FoldBenchOptions,
  definitions: CompiledDefinitions,
): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'attune-bench-fold-'))
  try {
    const state = await openSqliteStateStore({ dataDir })
    await fillPeople(state, partitionCount)
    const bare = await measured(eventCount / 2, () => measureBare(state, options))
    const folded = await measureFold(state, options, definitions)
    await state.close()
    const keys = options.isSkewed ? 'skewed' : 'uniform'
    const micros = (each: Measured): string => each.cpuMicros.toFixed(1)
    printFigure({
      bench: `fold-${keys}${options.hasShop ? '-shop' : ''}`,
      value: folded.rate,
      unit: 'events/s',
      baseline: bare.rate,
      note:
        `${personCount} people of about 2 KB, ${eventCount} events, ` +
        `${partitionCount} partitions, ` +
        `${micros(folded)} us of CPU an event, baseline ${micros(bare)}`,
    })
  } finally {
    await rm(dataDir, { recursive: true })
  }
}

async function measured(count: number, work: () => Promise<void>): Promise<Measured> {
  const cpu = process.cpuUsage()
  const startedAt = systemClock.monotonicMs()
  await work()
  const seconds = (systemClock.monotonicMs() - startedAt) / 1000
  const used = process.cpuUsage(cpu)
  return { rate: count / seconds, cpuMicros: (used.user + used.system) / count }
}

export function pickPerson(unit: number, isSkewed: boolean): number {
  return Math.floor((isSkewed ? unit ** 4 : unit) * personCount)
}

/** Fills a new state with people, as the owner `bench` of epoch 1. */
export async function fillPeople(
  state: StateStore,
  partitionCount: number,
  definitions: CompiledDefinitions = noDefinitions(),
): Promise<void> {
  // The traits were filled long ago: whoever viewed something has states of them.
  const inForce = inForceOf(definitions)
  const plan = planComputed(definitions, inForce)
  const changes = Array.from({ length: partitionCount }, (): Change[] =>
    inForce.traits.length === 0 ? [] : [{ key: computedKey, value: encodeJson(inForce) }],
  )
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
    if (inForce.traits.length > 0) {
      const counted = { event: filledEvent, eventRef: 1, isActivity: true, sessionIdleMs: 0 }
      applyComputed(plan, person, part, counted, 0)
    }
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

const filledEvent = {
  type: 'track',
  name: 'Product Viewed',
  occurredAtMs: 0,
  properties: { product_id: 'item-1', price: 4.95 },
} as const

function inForceOf({ computed }: CompiledDefinitions): ComputedInForce {
  const traits = computed.map((trait) => ({ ...shapeOf(trait), sinceVersion: 1, readyAtMs: 1 }))
  return { version: 1, traits }
}

async function measureBare(state: StateStore, options: FoldBenchOptions): Promise<void> {
  const random = createSeededRandom(1)
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
}

export function withOtherEnd(value: Uint8Array, end: number): Uint8Array {
  const other = Uint8Array.from(value)
  other[other.length - 1] = end & 0xff
  return other
}

async function measureFold(
  state: StateStore,
  options: FoldBenchOptions,
  definitions: CompiledDefinitions,
): Promise<Measured> {
  const log = createMemoryEventLog({ identity: { incarnation: 'bench', partitionCount } })
  const partitions = Array.from({ length: partitionCount }, (_, partition) => partition)
  if (options.hasShop && definitions.hash !== '') {
    await log.append(partitions.map((partition) => definitionsRecord(partition, definitions.hash)))
  }
  await log.append(
    Array.from({ length: eventCount }, (_, index) => anEventRecord(index, options, partitionCount)),
  )
  const folds = await Promise.all(
    partitions.map(async (partition) => {
      const definitionsOf = (): Promise<CompiledDefinitions> => Promise.resolve(definitions)
      const fold = new PartitionFold(
        { log, state, definitionsOf },
        { workspace: 'default', partitionCount, partition },
      )
      await fold.open(await state.head(partition))
      return fold
    }),
  )
  return await measured(eventCount, () => foldAll(folds, log, state))
}

/** Rounds as the processor makes them: at most `batchMsMax` of folding in a commit. */
async function foldAll(
  folds: readonly PartitionFold[],
  log: EventLog,
  state: StateStore,
): Promise<void> {
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
}

function definitionsRecord(partition: number, hash: string): NewRecord {
  return {
    partition,
    key: `control:${partition}`,
    kind: 'definitions',
    id: sha256Bytes(`definitions:${partition}`, 16),
    recordedAtMs: longAgoMs,
    isBackfill: false,
    keyId: 0,
    skeleton: { hash, version: 1 },
    body: emptyBody,
  }
}

/** Of 50 events 45 views, 4 additions to a cart, 1 order. */
function nameOf(index: number, hasShop: boolean): string {
  const place = index % 50
  if (!hasShop || (place !== 49 && place % 12 !== 5)) return 'Product Viewed'
  return place === 49 ? 'Order Completed' : 'Product Added'
}

export function anEventRecord(
  index: number,
  options: FoldBenchOptions,
  partitionCount: number,
): NewRecord {
  const random = createSeededRandom(index + 7)
  const atMs = (options.firstAtMs ?? longAgoMs) + index
  const userId = `customer-${pickPerson(random.unit(), options.isSkewed)}`
  const eventId = `bench-${index}`
  const line = {
    product_id: `item-${index % 5000}`,
    price: 4.95,
    quantity: 1,
    currency: 'GBP',
  }
  const event: Event = {
    eventId,
    sourceId: 'web',
    type: 'track',
    name: nameOf(index, options.hasShop),
    userId,
    occurredAtMs: atMs,
    receivedAtMs: atMs,
    properties: {
      ...line,
      ...(nameOf(index, options.hasShop) === 'Order Completed' ? { products: [line] } : {}),
    },
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
