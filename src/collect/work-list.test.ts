import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { Event } from '../event/event.ts'
import { parseRepair } from '../event/parse-repair.ts'
import type { Repair } from '../event/repair.ts'
import { createTrackingPlan } from '../event/tracking-plan.ts'
import { systemClock } from '../lib/clock.ts'
import type { JsonObject } from '../lib/json.ts'
import { createSeededRandom } from '../lib/random.ts'
import { createMemoryEventLog, type MemoryEventLog } from '../log/memory-event-log.ts'
import type { LogRecord } from '../log/record.ts'
import { type Collector, createCollector } from './collect-batch.ts'
import { defaultCollectorOptions } from './collect-options.ts'
import { createRejectedIndex } from './rejected-index.ts'
import type { SegmentRoute } from './segment-routes.ts'
import { createSourceDirectory, type SourceDirectory } from './source-directory.ts'
import { createWorkList, type WorkList } from './work-list.ts'

const partitionCount = 4
const firstMs = Date.UTC(2026, 10, 20)
const laterMs = Date.UTC(2026, 10, 23)
const track: SegmentRoute = { kind: 'single', type: 'track', isBackfill: false }
const batch: SegmentRoute = { kind: 'batch', isBackfill: false }

interface Stage {
  readonly log: MemoryEventLog
  readonly rejected: MemoryEventLog
  readonly collector: Collector
  readonly sources: SourceDirectory
  readonly work: WorkList
  nowMs: number
  send(route: SegmentRoute, body: unknown): Promise<void>
}

const source = { sourceId: 'web', writeKeys: ['wk_12345678'] }

function planned(schema: JsonObject) {
  const events = { Order: { mode: 'strict', schema: { kind: 'inline', schema } } } as const
  const created = createTrackingPlan({ mode: 'lenient', events })
  return { source, plan: created.kind === 'plan' ? created.plan : assert.fail() }
}

/** As logs elsewhere may be: with gaps between offsets, and no word of them from `append`. */
function withGaps(log: MemoryEventLog): MemoryEventLog {
  const step = 3
  const inner = (after: number): number => Math.floor(after / step)
  return {
    ...log,
    append: async (records) =>
      (await log.append(records)).map(({ partition }) => ({ partition, offset: 0 })),
    read: async (partition, after, countMax) =>
      (await log.read(partition, inner(after), countMax)).map((record) => ({
        ...record,
        offset: record.offset * step,
      })),
    hasMore: (partition, after) => log.hasMore(partition, inner(after)),
    end: async (partition) => (await log.end(partition)) * step,
    start: async (partition) => (await log.start(partition)) * step,
  }
}

/** As a log elsewhere may be for a moment: each read shows nothing the first time. */
function withDelay(log: MemoryEventLog): MemoryEventLog {
  let isShown = true
  return {
    ...log,
    async read(partition, after, countMax) {
      isShown = !isShown
      return isShown ? await log.read(partition, after, countMax) : []
    },
  }
}

function createStage(asElsewhere = (log: MemoryEventLog): MemoryEventLog => log): Stage {
  const log = createMemoryEventLog({ identity: { incarnation: 'a', partitionCount } })
  const dense = createMemoryEventLog({ identity: { incarnation: 'b', partitionCount } })
  const rejected = asElsewhere(dense)
  const sources = createSourceDirectory([planned({ properties: { price: { type: 'number' } } })])
  const deps = {
    ...{ log, rejected, sources, random: createSeededRandom(1) },
    clock: { nowMs: () => stage.nowMs, monotonicMs: () => 0, sleep: () => Promise.resolve() },
    metrics: { accepted: () => {}, rejected: () => {} },
  }
  const options = defaultCollectorOptions
  const collector = createCollector(deps, options)
  const stage: Stage = {
    ...{ log, rejected, collector, sources, nowMs: firstMs },
    work: createWorkList({
      ...{ collector: deps, options, inflatedBytesMax: 2 * 1024 * 1024 },
      index: createRejectedIndex(deps),
    }),
    async send(route, body) {
      const bytes = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
      await collector.collect('web', { ...route, body: JSON.parse(bytes.toString()), bytes })
    },
  }
  return stage
}

function repairOf(...steps: readonly unknown[]): Repair {
  const parsed = parseRepair({ steps })
  return parsed.kind === 'repair' ? parsed.repair : assert.fail(JSON.stringify(parsed.faults))
}

async function recordsOf(log: MemoryEventLog): Promise<readonly LogRecord[]> {
  const all: LogRecord[] = []
  for (let partition = 0; partition < partitionCount; partition++) {
    all.push(...(await log.read(partition, 0, 10_000)))
  }
  return all
}

async function eventsOf(stage: Stage): Promise<readonly Event[]> {
  const records = await recordsOf(stage.log)
  return records.map(({ body }) => JSON.parse(Buffer.from(body).toString()) as Event)
}

const page = { countMax: 100, isLive: false } as const
const castPrice = repairOf({ cast: { at: '/properties/price', to: 'number' } })
const order = { type: 'track', event: 'Order', userId: 'ada', properties: { price: '5' } }

describe('createWorkList', () => {
  it('goes from a list by a trial and a replay to an empty list', async () => {
    const stage = createStage()
    await stage.send(batch, { batch: [order, { ...order, messageId: 'm2' }, { type: 'track' }] })
    const { groups } = await stage.work.list()
    assert.deepEqual(
      groups.map(({ reason, path, event, count }) => [reason, path, event, count]),
      [
        ['id-missing', '', 'track', 1],
        ['plan-mismatch', '/properties/price', 'Order', 2],
      ],
    )
    stage.nowMs = laterMs
    const limits = { sampleCount: 10, exampleCount: 1 }
    const trial = await stage.work.tryRepair({ source: 'web' }, castPrice, limits)
    assert.deepEqual([trial.sampleCount, trial.acceptedCount, trial.failedCount], [3, 2, 1])
    assert.deepEqual(trial.examples[0]?.changes, [
      { path: '/properties/price', before: '"5"', after: '5' },
    ])
    assert.equal(trial.failures[0]?.reason, 'id-missing')
    assert.equal((await eventsOf(stage)).length, 0)
    const replay = await stage.work.replay({ reason: 'plan-mismatch' }, castPrice, page)
    assert.deepEqual([replay.acceptedCount, replay.eventCount, replay.failedCount], [2, 2, 0])
    const [first, second] = await eventsOf(stage)
    assert.match(first?.eventId ?? '', /^rejected-[0-9a-f]{32}-0$/)
    assert.equal(second?.eventId, 'm2')
    assert.equal(first?.receivedAtMs, firstMs)
    const records = await recordsOf(stage.log)
    assert.ok(
      records.every(({ isBackfill, recordedAtMs }) => isBackfill && recordedAtMs === laterMs),
    )
    const again = await stage.work.replay({ reason: 'plan-mismatch' }, castPrice, page)
    assert.deepEqual([again.acceptedCount, again.eventCount, again.failedCount], [0, 0, 0])
    assert.equal((await stage.work.list()).openCount, 1)
  })

  it('makes the same records again where the note of a replay was lost', async () => {
    const stage = createStage()
    await stage.send(track, { ...order, properties: { price: '7' } })
    stage.rejected.setFault('DISK_FULL')
    await assert.rejects(stage.work.replay({ source: 'web' }, castPrice, page), /append/)
    stage.rejected.setFault(undefined)
    await stage.work.replay({ source: 'web' }, castPrice, page)
    const [one, other, ...more] = await recordsOf(stage.log)
    assert.equal(more.length, 0)
    assert.deepEqual(one?.id, other?.id)
    assert.deepEqual(one?.body, other?.body)
    assert.equal(one?.partition, other?.partition)
  })

  it('notes nothing where the events could not be appended', async () => {
    const stage = createStage()
    await stage.send(track, order)
    stage.log.setFault('DISK_FULL')
    await assert.rejects(stage.work.replay({ source: 'web' }, castPrice, page), /append/)
    stage.log.setFault(undefined)
    assert.equal((await stage.work.list()).openCount, 1)
  })

  it('replays as it is after the plan was changed, and judges by the plan of now', async () => {
    const stage = createStage()
    await stage.send(track, order)
    const before = await stage.work.replay({ source: 'web' }, undefined, page)
    assert.equal(before.failedCount, 1)
    assert.equal((await stage.work.list()).groups[0]?.failedCount, 1)
    stage.sources.replace([planned({ properties: { price: { type: 'string' } } })])
    const after = await stage.work.replay({ source: 'web' }, undefined, page)
    assert.equal(after.acceptedCount, 1)
    assert.equal((await stage.work.list()).groups.length, 0)
  })

  it('judges by the batch and the clock of then', async () => {
    const stage = createStage()
    const timestamp = new Date(firstMs - 3_600_000 - 5_000).toISOString()
    const sentAt = new Date(firstMs - 3_600_000).toISOString()
    const context = { page: { url: 'https://shop.example/' } }
    await stage.send(batch, { sentAt, context, batch: [{ ...order, timestamp }] })
    stage.nowMs = laterMs
    const shown = await stage.work.find((await stage.work.list()).groups[0]?.lastId ?? '')
    assert.deepEqual(JSON.parse(shown?.text ?? ''), { ...order, timestamp })
    assert.deepEqual(JSON.parse(shown?.contextText ?? ''), context)
    await stage.work.replay({ source: 'web' }, castPrice, page)
    const [event] = await eventsOf(stage)
    assert.equal(event?.occurredAtMs, firstMs - 5_000)
    assert.equal(event?.timeNote, 'skew-corrected')
    assert.deepEqual(event?.context, context)
  })

  it('repairs what another format was translated to, and keeps what was sent', async () => {
    const stage = createStage()
    const { type, ...rest } = order
    const original = { kind: 'o', ...rest }
    const refusal = { reason: 'item-kind-unknown', path: '/kind', says: '' } as const
    const items = [
      { original, event: { type, ...rest } },
      { original: Buffer.from('<x/>'), refusal },
    ]
    const bytes = Buffer.from('all')
    const call = { kind: 'adapted', format: 'odd', items, bytes, isBackfill: false } as const
    await stage.collector.collect('web', { ...call, clientIp: '192.0.2.1' })
    const { groups } = await stage.work.list()
    const shown = await Promise.all(groups.map(({ lastId }) => stage.work.find(lastId)))
    assert.deepEqual(
      shown.map((one) => [one?.format, one?.text, one?.whyNotRepairable]),
      [
        ['odd', '<x/>', 'It could not be read as odd.'],
        ['odd', JSON.stringify(original), undefined],
      ],
    )
    assert.deepEqual(JSON.parse(shown[1]?.translatedText ?? ''), order)
    const replay = await stage.work.replay({ source: 'web' }, castPrice, page)
    assert.deepEqual([replay.acceptedCount, replay.notRepairableCount], [1, 1])
    const [event] = await eventsOf(stage)
    assert.deepEqual(event?.properties, { price: 5 })
    assert.deepEqual(event?.context, { ip: '192.0.2.1' })
  })

  it('lets live events trigger only where asked, and never what came as history', async () => {
    const stage = createStage()
    await stage.send(track, { ...order, messageId: 'live' })
    await stage.send({ ...batch, isBackfill: true }, { batch: [{ ...order, messageId: 'past' }] })
    await stage.work.replay({ source: 'web' }, castPrice, { ...page, isLive: true })
    const records = await recordsOf(stage.log)
    const flags = records.map(({ skeleton, isBackfill }) => [
      (skeleton as { eventId: string }).eventId,
      isBackfill,
    ])
    assert.deepEqual(flags, [
      ['live', false],
      ['past', true],
    ])
  })

  it('takes a request once its bytes can be read, and all of its events or none', async () => {
    const stage = createStage()
    const text = '{"batch":[{"type":"page","userId":"ada","x":NaN},{"type":"page","userId":NaN}]}'
    for (const encoding of ['identity', 'gzip'] as const) {
      const bytes = encoding === 'gzip' ? gzipSync(text) : Buffer.from(text)
      const refusal = { reason: 'body-not-json', says: '', bytes, encoding, route: batch } as const
      await stage.collector.rejectRequest('web', refusal)
    }
    const plain = repairOf({ remove: { at: '/batch/1' } })
    const unread = await stage.work.replay({ source: 'web' }, plain, page)
    assert.equal(unread.failures[0]?.reason, 'body-not-json')
    const nan = { 'replace-text': { find: 'NaN', to: 'null' } }
    const half = await stage.work.replay({ source: 'web' }, repairOf(nan), page)
    assert.deepEqual(half.failures, [
      {
        reason: 'id-missing',
        path: '/batch/*',
        says: 'An event needs a userId or an anonymousId.',
        count: 2,
      },
    ])
    assert.equal((await eventsOf(stage)).length, 0)
    const whole = repairOf(nan, { set: { at: '/batch/1/userId', to: 'bob' } })
    const replay = await stage.work.replay({ source: 'web' }, whole, page)
    assert.deepEqual([replay.acceptedCount, replay.eventCount], [2, 4])
    const ids = (await eventsOf(stage)).map(({ eventId }) => eventId)
    assert.equal(new Set(ids).size, 4)
  })

  it('shows what is cut or cannot be written by itself, and repairs neither', async () => {
    const stage = createStage()
    const deep = `{"batch":[{"a":${'['.repeat(30_000)}${']'.repeat(30_000)}}]}`
    await stage.send(batch, deep)
    const bytes = Buffer.from(`{"a":"${'x'.repeat(70_000)}"}`)
    const large = { reason: 'body-too-large', says: '', bytes, route: track } as const
    await stage.collector.rejectRequest('web', large)
    const trial = await stage.work.tryRepair({}, castPrice, { sampleCount: 9, exampleCount: 9 })
    assert.deepEqual([trial.sampleCount, trial.notRepairableCount], [2, 2])
    const replay = await stage.work.replay({ source: 'web' }, castPrice, page)
    assert.equal(replay.notRepairableCount, 2)
    const { groups } = await stage.work.list()
    const forms: unknown[] = []
    for (const { lastId } of groups) {
      const shown = await stage.work.find(lastId)
      forms.push([shown?.form, shown?.isCut, (shown?.text ?? '').length <= 64 * 1024])
      assert.notEqual(shown?.whyNotRepairable, undefined)
    }
    assert.deepEqual(forms, [
      ['request', true, true],
      ['around', false, true],
    ])
  })

  it('keeps a number too large to be one as it came', async () => {
    const stage = createStage()
    await stage.send(track, '{"event":"A","userId":"ada","properties":{"n":1e999}}')
    const asIs = await stage.work.replay({ source: 'web' }, undefined, page)
    assert.equal(asIs.failures[0]?.reason, 'number-not-finite')
    const mended = repairOf({ remove: { at: '/properties/n' } })
    assert.equal((await stage.work.replay({ source: 'web' }, mended, page)).acceptedCount, 1)
  })

  for (const [where, asElsewhere] of [
    ['', undefined],
    [', where offsets have gaps', withGaps],
    [', where the log shows less for a moment', withDelay],
  ] as const) {
    it(`takes pages in the order of the log, and each event once${where}`, async () => {
      await replayPages(createStage(asElsewhere))
    })
  }

  const replayPages = async (stage: Stage): Promise<void> => {
    for (let count = 0; count < 25; count++) await stage.send(track, order)
    let cursor: string | undefined
    const counts: number[] = []
    do {
      const limits = { countMax: 10, isLive: false, cursor }
      const replay = await stage.work.replay({ reason: 'plan-mismatch' }, castPrice, limits)
      counts.push(replay.acceptedCount)
      cursor = replay.cursor
    } while (cursor !== undefined)
    assert.deepEqual(counts, [10, 10, 5])
    const ids = (await eventsOf(stage)).map(({ eventId }) => eventId)
    assert.equal(new Set(ids).size, 25)
    assert.equal((await stage.work.list()).openCount, 0)
    await stage.send(track, order)
    const { groups } = await stage.work.list()
    assert.equal(groups[0]?.count, 1)
    assert.equal((await stage.work.find(groups[0]?.lastId ?? ''))?.isOpen, true)
    const late = createRejectedIndex({ rejected: stage.rejected, clock: systemClock })
    await late.catchUp()
    assert.equal(late.totals().openCount, 1)
  }

  it('selects by ids, and dismisses with a reason that stays in the log', async () => {
    const stage = createStage()
    await stage.send(track, order)
    const first = (await stage.work.list()).groups[0]?.lastId ?? ''
    await stage.send(track, order)
    const limits = { countMax: 10, says: 'a test of ours' }
    const ids = [first, first, '0-99-00000000', 'odd']
    assert.equal((await stage.work.dismiss({ ids }, limits)).dismissedCount, 1)
    assert.equal((await stage.work.dismiss({ ids }, limits)).dismissedCount, 0)
    assert.equal((await stage.work.list()).openCount, 1)
    assert.equal((await stage.work.find(first))?.isOpen, false)
    const [, , note] = await recordsOf(stage.rejected)
    assert.equal(note?.kind, 'resolution')
    assert.match(JSON.stringify(note?.skeleton), /"says":"a test of ours"/)
    const other = `${first.slice(0, -8)}00000000`
    assert.equal(await stage.work.find(other), undefined)
  })

  it('drops what a repair says to drop, and does not ask again', async () => {
    const stage = createStage()
    await stage.send(track, { ...order, context: { isTest: true } })
    const drop = repairOf({ 'drop-event': { at: '/context/isTest', equals: true } })
    const replay = await stage.work.replay({ source: 'web' }, drop, page)
    assert.deepEqual([replay.droppedCount, replay.eventCount], [1, 0])
    assert.equal((await stage.work.list()).openCount, 0)
  })

  it('leaves what a source that is gone has sent', async () => {
    const stage = createStage()
    await stage.send(track, order)
    stage.sources.replace([])
    const replay = await stage.work.replay({ source: 'web' }, castPrice, page)
    assert.deepEqual([replay.notRepairableCount, replay.eventCount], [1, 0])
  })
})
