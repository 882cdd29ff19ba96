import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { EventSkeleton } from '../event/event.ts'
import { createTrackingPlan } from '../event/tracking-plan.ts'
import { sha256Bytes } from '../lib/hash.ts'
import { createSeededRandom } from '../lib/random.ts'
import { createMemoryEventLog, type MemoryEventLog } from '../log/memory-event-log.ts'
import { type LogRecord, partitionOf } from '../log/record.ts'
import { type CollectAnswer, type Collector, createCollector } from './collect-batch.ts'
import { defaultCollectorOptions } from './collect-options.ts'
import { createSourceDirectory } from './source-directory.ts'

const partitionCount = 4
const nowMs = Date.UTC(2026, 10, 23)

interface Stage {
  readonly collector: Collector
  readonly log: MemoryEventLog
  readonly rejected: MemoryEventLog
  readonly counts: { accepted: number; rejected: number }
  readonly marked: string[]
}

function createStage(): Stage {
  const log = createMemoryEventLog({ identity: { incarnation: 'a', partitionCount } })
  const rejected = createMemoryEventLog({ identity: { incarnation: 'b', partitionCount } })
  const counts = { accepted: 0, rejected: 0 }
  const marked: string[] = []
  const schema = { kind: 'inline', schema: { required: ['price'] } } as const
  const events = { Planned: { mode: 'strict', schema }, Wished: { schema } } as const
  const created = createTrackingPlan({ mode: 'lenient', events })
  const plan = created.kind === 'plan' ? created.plan : assert.fail()
  const source = { sourceId: 'web', writeKeys: ['wk_12345678'] }
  const deps = {
    log,
    rejected,
    clock: { nowMs: () => nowMs, monotonicMs: () => 0, sleep: () => Promise.resolve() },
    random: createSeededRandom(1),
    sources: createSourceDirectory([{ source, plan }]),
    metrics: {
      accepted: (_: string, count: number) => (counts.accepted += count),
      rejected: (_: string, _reason: string, count: number) => (counts.rejected += count),
      marked: (source: string, event: string) => marked.push(`${source} ${event}`),
    },
  }
  const collector = createCollector(deps, defaultCollectorOptions)
  return { collector, log, rejected, counts, marked }
}

async function readAll(log: MemoryEventLog): Promise<readonly LogRecord[]> {
  const partitions = Array.from({ length: partitionCount }, (_, index) =>
    log.read(index, 0, 10_000),
  )
  return (await Promise.all(partitions)).flat()
}

function sendBatch(
  stage: Stage,
  body: object | string,
  asked: { readonly tellsEach?: boolean } = {},
): Promise<CollectAnswer> {
  const json = typeof body === 'string' ? body : JSON.stringify(body)
  const bytes = Buffer.from(json)
  const call = {
    kind: 'batch',
    body: JSON.parse(json) as unknown,
    bytes,
    isBackfill: false,
    ...asked,
  } as const
  return stage.collector.collect('web', call)
}

const view = { type: 'track', event: 'Product Viewed', userId: 'ada', messageId: 'm1' }
const skeletonOf = (record?: LogRecord): EventSkeleton =>
  (record ?? assert.fail()).skeleton as EventSkeleton
const textOf = (record: LogRecord | undefined): string => Buffer.from(record?.body ?? []).toString()

describe('createCollector', () => {
  it('makes an event record that a repeat of the event makes again', async () => {
    const stage = createStage()
    await sendBatch(stage, { batch: [view] })
    await sendBatch(stage, { batch: [view] })
    const [first, second] = await readAll(stage.log)
    assert.equal(first?.key, 'user:ada')
    assert.equal(first?.partition, partitionOf('default', 'user:ada', partitionCount))
    assert.equal(first?.recordedAtMs, nowMs)
    const skeleton = { eventId: 'm1', sourceId: 'web', name: 'Product Viewed' }
    const { contentHash, ...others } = skeletonOf(first)
    assert.deepEqual(others, skeleton)
    assert.equal(skeletonOf(second).contentHash, contentHash)
    assert.deepEqual(Buffer.from(first?.id ?? []), Buffer.from(sha256Bytes('web\0m1', 16)))
    assert.deepEqual(first?.id, second?.id)
    const event = JSON.parse(textOf(first)) as { eventId: string; occurredAtMs: number }
    assert.equal(event.eventId, 'm1')
    assert.equal(event.occurredAtMs, nowMs)
  })

  it('hashes what an event says, and not when, where and by whom it was said', async () => {
    const stage = createStage()
    const sent = { ...view, properties: { a: 1 }, context: { page: { path: '/' } }, sentAt: 1e12 }
    const times = { timestamp: '2026-11-22T00:00:00Z', sentAt: 2e12 }
    const again = { ...sent, ...times, context: {}, anonymousId: 'device' }
    const batch = [sent, again, { ...sent, properties: { a: 2 } }, { ...sent, event: 'Other' }]
    await sendBatch(stage, { batch })
    const records = await readAll(stage.log)
    const hashes = records.map((record) => skeletonOf(record).contentHash)
    assert.equal(hashes[0], hashes[1])
    assert.equal(new Set(hashes).size, 3)
    const events = records.map((record) => JSON.parse(textOf(record)))
    assert.deepEqual(events[0].properties, { a: 1 })
    assert.deepEqual(events[0].context, { page: { path: '/' } })
  })

  it('keeps the bad of a mixed batch with the reason, and takes the good', async () => {
    const stage = createStage()
    const planned = { ...view, event: 'Planned', properties: { a: 1 } }
    const bad = { type: 'track', userId: 'ada' }
    const answer = await sendBatch(stage, { batch: [view, bad, 7, planned] })
    assert.ok(answer.kind === 'taken')
    assert.deepEqual([answer.acceptedCount, answer.rejectedCount], [1, 3])
    assert.deepEqual(
      answer.results.map((result) => (result.status === 'rejected' ? result.reason : 'accepted')),
      ['accepted', 'event-name-missing', 'not-an-object', 'plan-mismatch'],
    )
    const kept = await readAll(stage.rejected)
    assert.equal(kept.length, 3)
    assert.equal(kept[0]?.key, 'source:web')
    assert.deepEqual(kept[0]?.skeleton, {
      sourceId: 'web',
      reason: 'event-name-missing',
      path: '/event',
      receivedAtMs: nowMs,
      form: 'event',
      name: 'track',
    })
    assert.deepEqual(JSON.parse(textOf(kept[0])), bad)
    assert.deepEqual(stage.counts, { accepted: 1, rejected: 3 })
  })

  it('counts the same, and tells of no event, where nobody asks what became of each', async () => {
    const stage = createStage()
    const batch = [view, { ...view, userId: 'null' }, { ...view, messageId: 'm2' }]
    const asked = await sendBatch(stage, { batch })
    const unasked = await sendBatch(stage, { batch }, { tellsEach: false })
    assert.ok(asked.kind === 'taken')
    assert.equal(asked.results.length, 3)
    assert.deepEqual(unasked, { ...asked, results: [] })
    assert.equal((await readAll(stage.log)).length, 4)
    assert.equal((await readAll(stage.rejected)).length, 2)
  })

  it('takes and marks an event that its schema refuses where the plan is lenient', async () => {
    const stage = createStage()
    const wished = { ...view, event: 'Wished', properties: { a: 1 } }
    const answer = await sendBatch(stage, {
      batch: [wished, { ...wished, properties: { price: 1 } }],
    })
    assert.equal(answer.kind === 'taken' ? answer.acceptedCount : 0, 2)
    const [marked, plain] = (await readAll(stage.log)).map((record) => JSON.parse(textOf(record)))
    const says = "The tracking plan refuses this: must have required property 'price'."
    assert.deepEqual(marked.planFault, { path: '/properties', says })
    assert.equal(plain.planFault, undefined)
    assert.deepEqual(stage.marked, ['web Wished'])
    assert.equal((await readAll(stage.rejected)).length, 0)
  })

  it('marks events of the past', async () => {
    const stage = createStage()
    await sendBatch(stage, { batch: [view], historical_migration: true })
    await sendBatch(stage, { batch: [view], backfill: true })
    await sendBatch(stage, { batch: [view] })
    const marks = (await readAll(stage.log)).map((record) => record.isBackfill)
    assert.deepEqual(marks, [true, true, false])
  })

  it('refuses a batch without events, with too many, or with a heavy context', async () => {
    const stage = createStage()
    const reasonOf = async (body: object): Promise<string> => {
      const answer = await sendBatch(stage, body)
      return answer.kind === 'refused' ? answer.reason : answer.kind
    }
    assert.equal(await reasonOf({ batch: [] }), 'batch-empty')
    assert.equal(await reasonOf({}), 'batch-missing')
    assert.equal(await reasonOf([]), 'body-not-an-object')
    assert.equal(await reasonOf({ batch: Array(2_500).fill(view) }), 'taken')
    assert.equal(await reasonOf({ batch: Array(2_501).fill(view) }), 'batch-too-long')
    assert.equal(await reasonOf({ batch: [view], context: 1 }), 'context-invalid')
    assert.equal(
      await reasonOf({ batch: [view], context: { a: 'x'.repeat(5_000) } }),
      'context-invalid',
    )
    assert.equal(stage.counts.accepted, 2_500)
    assert.equal(stage.counts.rejected, 3 + 2_501 + 2)
    assert.equal((await readAll(stage.rejected)).length, 6)
  })

  it('keeps what JSON cannot write again, and at most 64 KiB of anything', async () => {
    const stage = createStage()
    const deep = `{"batch":[{"a":${'['.repeat(50_000)}${']'.repeat(50_000)}}]}`
    await sendBatch(stage, deep)
    await sendBatch(stage, '{"batch":[{"type":"page","userId":"ada","properties":{"a":1e400}}]}')
    const [first, second] = await readAll(stage.rejected)
    assert.equal(first?.body.length, 64 * 1024)
    assert.match(textOf(first), /^\{"(batch"|a":\[\[)/)
    assert.match(textOf(second), /"a":1e400/)
  })

  it('rejects and counts nothing when a log is full, and takes the same again later', async () => {
    const stage = createStage()
    for (const log of [stage.log, stage.rejected]) {
      log.setFault('DISK_FULL')
      await assert.rejects(sendBatch(stage, { batch: [view, 7] }), { code: 'DISK_FULL' })
      log.setFault(undefined)
    }
    assert.deepEqual(stage.counts, { accepted: 0, rejected: 0 })
    const answer = await sendBatch(stage, { batch: [view, 7] })
    assert.equal(answer.kind, 'taken')
    assert.deepEqual(stage.counts, { accepted: 1, rejected: 1 })
  })

  it('ends every event of any batch exactly once, and pollutes nothing', async () => {
    const stage = createStage()
    let receivedCount = 0
    const good = fc.record({
      type: fc.constant('page'),
      userId: fc.constantFrom('ada', 'bob', 'null'),
    })
    const item = fc.oneof(
      good.map((each) => JSON.stringify(each)),
      fc.json(),
    )
    const batch = fc.array(fc.oneof(item, fc.constant('{"__proto__":{"polluted":1}}')), {
      minLength: 1,
    })
    const property = fc.asyncProperty(batch, async (items) => {
      receivedCount += items.length
      const answer = await sendBatch(stage, `{"batch":[${items.join(',')}]}`)
      assert.ok(answer.kind === 'taken')
      assert.equal(answer.results.length, items.length)
    })
    await fc.assert(property, { numRuns: 200 })
    const { accepted, rejected } = stage.counts
    assert.ok(accepted > 0 && rejected > 0)
    assert.equal(accepted + rejected, receivedCount)
    assert.equal((await readAll(stage.log)).length, accepted)
    assert.equal((await readAll(stage.rejected)).length, rejected)
    assert.equal(({} as { polluted?: unknown }).polluted, undefined)
  })
})
