import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { systemClock } from '../lib/clock.ts'
import { createSeededRandom } from '../lib/random.ts'
import { createMemoryEventLog, type MemoryEventLog } from '../log/memory-event-log.ts'
import { createRejectedIndex } from './rejected-index.ts'
import {
  type GroupName,
  groupOf,
  type RejectedSkeleton,
  type ResolutionOutcome,
  rejectedRecord,
  resolutionRecord,
} from './rejected-record.ts'

const partitionCount = 4
const place = { workspace: 'default', rejectedBytesMax: 100 }
const random = createSeededRandom(3)

function openLog(): MemoryEventLog {
  return createMemoryEventLog({ identity: { incarnation: 'a', partitionCount } })
}

function skeletonOf(given: Partial<RejectedSkeleton> = {}): RejectedSkeleton {
  return {
    ...{ sourceId: 'web', reason: 'plan-mismatch', path: '/properties/price' },
    ...{ receivedAtMs: 1_000, form: 'event', name: 'Order', ...given },
  }
}

async function reject(rejected: MemoryEventLog, given: Partial<RejectedSkeleton> = {}) {
  const rejection = { skeleton: skeletonOf(given), bytes: Buffer.from('{}'), isBackfill: false }
  const [at] = await rejected.append([rejectedRecord(rejection, { rejected, random }, place)])
  return at ?? assert.fail()
}

async function resolve(
  rejected: MemoryEventLog,
  name: GroupName,
  offsets: readonly number[],
  outcome: ResolutionOutcome = 'replayed',
): Promise<void> {
  const skeleton = { sourceId: name.source, outcome, groups: [{ ...name, offsets }] }
  await rejected.append([resolutionRecord(skeleton, { rejected, random, nowMs: 0 }, 'default')])
}

describe('createRejectedIndex', () => {
  it('counts what is open by source, reason, path without indexes, and event', async () => {
    const rejected = openLog()
    const index = createRejectedIndex({ rejected, clock: systemClock })
    await reject(rejected, { path: '/properties/products/0/price' })
    const newest = await reject(rejected, {
      path: '/properties/products/11/price',
      receivedAtMs: 5,
    })
    await reject(rejected, { sourceId: 'app' })
    await index.catchUp()
    const [app, web] = index.groups()
    assert.equal(app?.source, 'app')
    assert.equal(web?.path, '/properties/products/*/price')
    assert.equal(web?.count, 2)
    assert.equal(web?.firstSeenMs, 1_000)
    assert.equal(web?.lastSeenMs, 5)
    assert.match(
      web?.lastId ?? '',
      new RegExp(`^${newest.partition}-${newest.offset}-[0-9a-f]{8}$`),
    )
    assert.equal(index.totals().openCount, 3)
    assert.ok(index.isOpen(newest.partition, newest.offset))
  })

  it('takes a resolution once, and leaves open what failed', async () => {
    const rejected = openLog()
    const index = createRejectedIndex({ rejected, clock: systemClock })
    const name = groupOf(skeletonOf())
    const { partition, offset } = await reject(rejected)
    await reject(rejected)
    await resolve(rejected, name, [offset], 'failed')
    await index.catchUp()
    assert.equal(index.groups()[0]?.failedCount, 1)
    assert.ok(index.isOpen(partition, offset))
    for (const outcome of ['replayed', 'replayed', 'dismissed'] as const) {
      await resolve(rejected, name, [offset], outcome)
    }
    await index.catchUp()
    assert.equal(index.groups()[0]?.count, 1)
    assert.ok(!index.isOpen(partition, offset))
    assert.ok(index.isOpen(partition, offset + 1))
    assert.equal(index.openRange(partition).after, offset)
    await resolve(rejected, name, [offset + 1])
    await index.catchUp()
    assert.deepEqual(index.groups(), [])
    assert.equal(index.totals().oldestMs, undefined)
  })

  it('sees what was appended before it was asked, also while it reads', async () => {
    const rejected = openLog()
    const index = createRejectedIndex(
      { rejected, clock: systemClock },
      { groupCountMax: 10, pageCount: 1 },
    )
    for (let count = 0; count < 20; count++) await reject(rejected)
    const first = index.catchUp()
    await reject(rejected)
    await Promise.all([index.catchUp(), index.catchUp()])
    assert.equal(index.totals().openCount, 21)
    await first
  })

  it('goes on where a failing read stopped', async () => {
    const rejected = openLog()
    let isBroken = true
    const flaky = {
      ...rejected,
      read: async (partition: number, after: number, countMax: number) => {
        if (isBroken && after >= 2) throw new Error('unreachable')
        return await rejected.read(partition, after, countMax)
      },
    }
    const index = createRejectedIndex(
      { rejected: flaky, clock: systemClock },
      { groupCountMax: 10, pageCount: 2 },
    )
    for (let count = 0; count < 5; count++) await reject(rejected)
    await assert.rejects(index.catchUp(), /unreachable/)
    isBroken = false
    await index.catchUp()
    assert.equal(index.totals().openCount, 5)
  })

  it('begins where the log does', async () => {
    const rejected = openLog()
    const { partition } = await reject(rejected)
    const { offset } = await reject(rejected)
    rejected.trim(partition, offset - 1)
    const index = createRejectedIndex({ rejected, clock: systemClock })
    await index.catchUp()
    assert.equal(index.totals().openCount, 1)
    assert.ok(!index.isOpen(partition, offset - 1))
  })
})

/** What the index promises, without any of its thrift. */
class Model {
  readonly open = new Map<
    string,
    { readonly key: string; readonly atMs: number; isOther: boolean }
  >()
  /** Groups that have a place, in the order in which they got it. */
  readonly placed: string[] = []
  readonly groupCountMax: number

  constructor(groupCountMax: number) {
    this.groupCountMax = groupCountMax
  }

  countOf(key: string): number {
    return [...this.open.values()].filter((one) => one.key === key && !one.isOther).length
  }

  reject(id: string, key: string, atMs: number): void {
    if (!this.placed.includes(key)) {
      const empty = this.placed.findIndex((each) => this.countOf(each) === 0)
      if (this.placed.length < this.groupCountMax) this.placed.push(key)
      else if (empty >= 0) {
        this.placed.splice(empty, 1)
        this.placed.push(key)
      }
    }
    this.open.set(id, { key, atMs, isOther: !this.placed.includes(key) })
  }

  groups(): ReadonlyMap<string, number> {
    const open = [...this.open.values()].filter(({ isOther }) => !isOther)
    return new Map([...Map.groupBy(open, ({ key }) => key)].map(([key, all]) => [key, all.length]))
  }
}

describe('the index and a naive map', () => {
  const reasons = ['plan-mismatch', 'id-missing', 'too-deep'] as const
  const command = fc.oneof(
    fc.record({
      kind: fc.constant('reject' as const),
      source: fc.constantFrom('web', 'app', 'shop'),
      reason: fc.constantFrom(...reasons),
      atMs: fc.integer({ min: 1, max: 1_000 }),
    }),
    fc.record({
      kind: fc.constant('resolve' as const),
      picks: fc.array(fc.nat({ max: 15 }), { minLength: 1, maxLength: 12 }),
      outcome: fc.constantFrom<ResolutionOutcome>('replayed', 'replayed', 'dismissed', 'failed'),
    }),
    fc.record({ kind: fc.constant('look' as const) }),
  )

  it('agree after every history, read at once or bit by bit', async () => {
    const commands = fc.array(command, { minLength: 1, maxLength: 80 })
    await fc.assert(
      fc.asyncProperty(commands, fc.integer({ min: 1, max: 6 }), async (history, groupCountMax) => {
        const rejected = openLog()
        const options = { groupCountMax, pageCount: 7 }
        const index = createRejectedIndex({ rejected, clock: systemClock }, options)
        const model = new Model(groupCountMax)
        const all: { name: GroupName; partition: number; offset: number }[] = []
        for (const step of history) {
          if (step.kind === 'reject') {
            const given = { sourceId: step.source, reason: step.reason, receivedAtMs: step.atMs }
            const at = await reject(rejected, given)
            const name = groupOf(skeletonOf(given))
            all.push({ name, ...at })
            model.reject(`${at.partition}-${at.offset}`, `${name.source} ${name.reason}`, step.atMs)
          } else if (step.kind === 'resolve') {
            for (const pick of step.picks) {
              const one = all[pick]
              if (one === undefined) continue
              await resolve(rejected, one.name, [one.offset], step.outcome)
              if (step.outcome !== 'failed') model.open.delete(`${one.partition}-${one.offset}`)
            }
          } else await index.catchUp()
        }
        // Sources may share a partition, so only a reading in the order of the log is one history.
        if (history.some(({ kind }) => kind === 'look')) await index.catchUp()
        const late = createRejectedIndex({ rejected, clock: systemClock }, options)
        for (const reader of [index, late]) {
          await reader.catchUp()
          const { openCount, otherCount, openByReason } = reader.totals()
          assert.equal(openCount, model.open.size)
          const grouped = reader.groups().reduce((sum, { count }) => sum + count, 0)
          assert.equal(grouped + otherCount, openCount)
          for (const { partition, offset } of all) {
            assert.equal(reader.isOpen(partition, offset), model.open.has(`${partition}-${offset}`))
          }
          for (const reason of reasons) {
            const open = [...model.open.values()].filter(({ key }) => key.endsWith(reason)).length
            assert.equal(openByReason.get(reason) ?? 0, open)
          }
        }
      }),
      { numRuns: 300 },
    )
  })

  it('agree on each group where one source fills the places in the order of the log', async () => {
    const commands = fc.array(command, { minLength: 1, maxLength: 80 })
    await fc.assert(
      fc.asyncProperty(commands, fc.integer({ min: 1, max: 2 }), async (history, groupCountMax) => {
        const rejected = openLog()
        const index = createRejectedIndex(
          { rejected, clock: systemClock },
          { groupCountMax, pageCount: 7 },
        )
        const model = new Model(groupCountMax)
        const all: { name: GroupName; offset: number }[] = []
        for (const step of history) {
          if (step.kind === 'reject') {
            const given = { reason: step.reason, name: step.source, receivedAtMs: step.atMs }
            const { offset } = await reject(rejected, given)
            const name = groupOf(skeletonOf(given))
            all.push({ name, offset })
            model.reject(String(offset), `${name.reason} ${name.event}`, step.atMs)
          } else if (step.kind === 'resolve') {
            for (const pick of step.picks) {
              const one = all[pick]
              if (one === undefined) continue
              await resolve(rejected, one.name, [one.offset], step.outcome)
              if (step.outcome !== 'failed') model.open.delete(String(one.offset))
            }
          } else await index.catchUp()
        }
        await index.catchUp()
        const found = index
          .groups()
          .map(({ reason, event, count }) => [`${reason} ${event}`, count])
        const expected = [...model.groups()].sort(([left], [right]) => (left < right ? -1 : 1))
        assert.deepEqual(
          found.sort(([left], [right]) => (String(left) < String(right) ? -1 : 1)),
          expected,
        )
      }),
      { numRuns: 500 },
    )
  })
})
