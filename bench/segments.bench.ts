/**
 * What segments cost an event: with 10, 100 and 1,000 rules of which ten name it, and with more
 * that name it. The fold alone on one thread, log and state in memory, against the same fold
 * without any segment in the same run. CPU time, so that other work on the machine does not count.
 */

import { sha256Bytes } from '../src/lib/hash.ts'
import type { JsonObject } from '../src/lib/json.ts'
import { createSeededRandom } from '../src/lib/random.ts'
import { createMemoryEventLog } from '../src/log/memory-event-log.ts'
import { emptyBody, type NewRecord } from '../src/log/record.ts'
import {
  type CompiledDefinitions,
  compileDefinitions,
  emptyDocument,
} from '../src/process/definitions.ts'
import { PartitionFold } from '../src/process/partition-fold.ts'
import { createMemoryStateStore } from '../src/state/memory-state-store.ts'
import { printFigure } from './figure.ts'

const personCount = 800
const warmCount = 12_000
const eventCount = 12_000
const readCount = 1_000
const startMs = 1_700_000_000_000
const touchedCount = 10

interface Plan {
  readonly bench: string
  readonly ruleCount: number
  readonly touchedCount: number
}

const plans: readonly Plan[] = [
  { bench: 'segments-10', ruleCount: 10, touchedCount },
  { bench: 'segments-100', ruleCount: 100, touchedCount },
  { bench: 'segments-1000', ruleCount: 1_000, touchedCount },
  { bench: 'segments-50-touched', ruleCount: 50, touchedCount: 50 },
  { bench: 'segments-200-touched', ruleCount: 200, touchedCount: 200 },
]

export async function benchSegments(): Promise<void> {
  await measure(0, 0)
  const baseline = await measure(0, 0)
  for (const { bench, ruleCount, touchedCount: touched } of plans) {
    const micros = await measure(ruleCount, touched)
    printFigure({
      bench,
      value: micros,
      unit: 'us of CPU an event',
      baseline,
      note:
        `${ruleCount} segments of which ${touched} name the event, ${personCount} people with ` +
        `${(warmCount + eventCount) / personCount} events each; ` +
        `${(((micros - baseline) / touched) * 1_000).toFixed(0)} ns a rule that names it`,
    })
  }
}

/** Returns CPU time of an event, in microseconds. */
async function measure(ruleCount: number, touched: number): Promise<number> {
  const identity = { incarnation: 'bench', partitionCount: 1 }
  const log = createMemoryEventLog({ identity })
  const state = createMemoryStateStore()
  const definitions = definitionsOf(ruleCount, touched)
  const fold = new PartitionFold(
    { log, state, definitionsOf: () => Promise.resolve(definitions) },
    { workspace: 'default', partitionCount: 1, partition: 0 },
  )
  const owner = { epoch: 1, nonce: 'bench' }
  await state.acquire(0, owner.epoch, owner.nonce)
  await fold.open(await state.head(0))
  const skeleton = { hash: definitions.hash, version: 1 }
  const first = { kind: 'definitions', key: 'control:0', skeleton, body: emptyBody } as const
  await log.append([recordOf(first, 0)])
  const foldAll = async (): Promise<void> => {
    for (;;) {
      const records = await log.read(0, fold.cursor, readCount)
      if (records.length === 0) return
      await fold.fold(records, () => false)
      const { commit } = fold.takeCommit(owner, 'bench')
      await state.commit([commit])
      fold.committed(commit)
    }
  }
  await log.append(Array.from({ length: warmCount }, (_, index) => eventOf(index)))
  await foldAll()
  await log.append(Array.from({ length: eventCount }, (_, index) => eventOf(warmCount + index)))
  const before = process.cpuUsage()
  await foldAll()
  const used = process.cpuUsage(before)
  return (used.user + used.system) / eventCount
}

function definitionsOf(ruleCount: number, touched: number): CompiledDefinitions {
  const segments = Array.from({ length: ruleCount }, (_, index) => ({
    name: `segment-${index}`,
    content: index < touched ? touchedRule(index) : otherRule(index),
  }))
  const answer = compileDefinitions({ ...emptyDocument, segments }, `bench-${ruleCount}-${touched}`)
  if (answer.kind === 'refused') throw new Error(JSON.stringify(answer.faults))
  return answer.definitions
}

/** Rules as shops write them. */
function touchedRule(index: number): JsonObject {
  const event = 'Product Viewed'
  const within = `${1 + (index % 30)}d`
  const rules: readonly JsonObject[] = [
    { event, count: { atLeast: Math.min(100, 1_000 % (20 + index)) }, within },
    { all: [{ event, within }, { not: { event: 'Order Completed', within } }] },
    { event, within, where: { item: `item-${index}` } },
    {
      all: [
        { trait: 'country', is: 'UK' },
        { event, count: { atLeast: 3 }, within },
      ],
    },
    { event, count: { atLeast: 5 + index } },
    { sequence: [{ event }, { event: 'Product Added', within: '1h' }], same: 'item', within: '7d' },
  ]
  return rules[index % rules.length] ?? {}
}

function otherRule(index: number): JsonObject {
  const event = `Other ${index}`
  const rules: readonly JsonObject[] = [
    { event, within: '7d' },
    { trait: `trait-${index}`, is: 'yes' },
    {
      all: [
        { event, within: '1d' },
        { trait: `trait-${index}`, atLeast: 3 },
      ],
    },
  ]
  return rules[index % rules.length] ?? {}
}

function eventOf(index: number): NewRecord {
  const random = createSeededRandom(index + 1)
  const userId = `customer-${Math.floor(random.unit() * personCount)}`
  const occurredAtMs = startMs + index * 1_000
  const event = {
    eventId: `bench-${index}`,
    sourceId: 'web',
    type: 'track',
    name: 'Product Viewed',
    userId,
    occurredAtMs,
    receivedAtMs: occurredAtMs,
    properties: { product_id: `item-${index % 500}`, price: 4.95 },
  }
  const body = Buffer.from(JSON.stringify(event))
  const skeleton = { eventId: event.eventId, sourceId: 'web', name: event.name }
  return recordOf({ kind: 'event', key: `user:${userId}`, skeleton, body }, occurredAtMs)
}

function recordOf(
  given: Pick<NewRecord, 'kind' | 'key' | 'skeleton' | 'body'>,
  recordedAtMs: number,
): NewRecord {
  const id = sha256Bytes(`${given.kind} ${JSON.stringify(given.skeleton)}`, 16)
  return { ...given, partition: 0, id, recordedAtMs, isBackfill: false, keyId: 0 }
}
