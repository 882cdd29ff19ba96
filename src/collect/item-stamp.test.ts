import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Item } from '../catalog/item.ts'
import type { Event } from '../event/event.ts'
import type { JsonObject } from '../lib/json.ts'
import { createSeededRandom } from '../lib/random.ts'
import { createMemoryEventLog } from '../log/memory-event-log.ts'
import { partitionOf } from '../log/record.ts'
import { createMemoryStateStore } from '../state/memory-state-store.ts'
import { type Change, noHead } from '../state/state-store.ts'
import { createCollector } from './collect-batch.ts'
import { defaultCollectorOptions, defaultStampOptions } from './collect-options.ts'
import { createItemStamps, type ItemStampOptions, type ItemStamps } from './item-stamp.ts'
import { createSourceDirectory } from './source-directory.ts'

const partitionCount = 4
const workspace = 'default'
const cup: Item = {
  ...{ itemId: 'cup', name: 'Cup', price: 4.5, category: 'Kitchen', brand: 'Oak' },
  updatedAtMs: 7,
}
const whole = { category: 'Kitchen', brand: 'Oak', price: 4.5, itemVersion: 7 }

interface Stage {
  readonly stamps: ItemStamps
  readonly counts: Record<string, number>
  /** Ends all sleeps that are due. */
  pass(ms: number): void
  save(item: Item): Promise<void>
  /** From now on reads hang; the function lets them go on, or fail. */
  hang(): (error?: Error) => void
  readonly readCount: () => number
}

async function openStage(
  items: readonly Item[],
  options: Partial<ItemStampOptions> = {},
): Promise<Stage> {
  const state = createMemoryStateStore()
  let nowMs = 0
  let offset = 0
  let readCount = 0
  let gate: Promise<void> | undefined
  const sleepers: { readonly atMs: number; wake(): void }[] = []
  const counts: Record<string, number> = {}
  const save = async (item: Item): Promise<void> => {
    const partition = partitionOf(workspace, `item:${item.itemId}`, partitionCount)
    const value = Buffer.from(JSON.stringify(item))
    const changes: Change[] = [{ key: `item/${item.itemId}`, value }]
    const head = await state.head(partition)
    await state.acquire(partition, head.epoch + 1, 'test')
    const owner = { ...noHead, epoch: head.epoch + 1, nonce: 'test', incarnation: 'test' }
    const place = { offset: ++offset, previousOffset: head.offset, lastRecordId: `${offset}` }
    assert.deepEqual(await state.commit([{ partition, ...owner, ...place, changes }]), [
      'committed',
    ])
  }
  for (const item of items) await save(item)
  const clock = {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    sleep: (ms: number) =>
      new Promise<void>((wake) => {
        sleepers.push({ atMs: nowMs + ms, wake })
      }),
  }
  const reader = {
    ...state,
    async get(partition: number, keys: readonly string[]) {
      readCount++
      await gate
      return await state.get(partition, keys)
    },
  }
  const deps = {
    place: { state: reader, workspace, partitionCount },
    clock,
    counted: (outcome: string) => {
      counts[outcome] = (counts[outcome] ?? 0) + 1
    },
  }
  const stamps = createItemStamps(deps, { ...defaultStampOptions, ...options })
  // It looks for a catalog by itself.
  await turn()
  return {
    stamps,
    counts,
    pass(ms) {
      nowMs += ms
      for (const { atMs, wake } of sleepers) if (atMs <= nowMs) wake()
    },
    save,
    hang() {
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      gate = promise
      return (error) => {
        gate = undefined
        if (error === undefined) resolve()
        else reject(error)
      }
    },
    readCount: () => readCount,
  }
}

function anEvent(properties: JsonObject): Event {
  const ids = { eventId: 'e', sourceId: 'web', userId: 'ada', occurredAtMs: 1, receivedAtMs: 1 }
  return { ...ids, type: 'track', name: 'Product Viewed', properties }
}

const view = (itemId: string) => ({ properties: { product_id: itemId } })

describe('createItemStamps', () => {
  it('says what an item costs now', async () => {
    const { stamps } = await openStage([{ ...cup, salePrice: 3 }])
    await stamps.load([view('cup')])
    assert.equal(stamps.stampOf(anEvent({ product_id: 'cup' }))?.items?.cup?.price, 3)
  })

  it('stamps what the producer did not say, of the event and of each product', async () => {
    const { stamps, counts } = await openStage([cup, { ...cup, itemId: 'jug', price: 9 }])
    const products = [{ sku: 'jug', price: 8 }, 7, { productId: 'cup' }, { product_id: 'pan' }]
    await stamps.load([{ properties: { products } }, null, { properties: 1 }, view('cup')])
    assert.deepEqual(stamps.stampOf(anEvent({ product_id: 'cup' })), { items: { cup: whole } })
    const order = anEvent({ products: [{ product_id: 'jug', price: 8 }, 7, { product_id: 'pan' }] })
    assert.deepEqual(stamps.stampOf(order), {
      items: { jug: { category: 'Kitchen', brand: 'Oak', itemVersion: 7 } },
      unknown: ['pan'],
    })
    const said = { product_id: 'cup', category: '', brand: 'B', price: 0 }
    assert.equal(stamps.stampOf(anEvent(said)), undefined)
    assert.equal(stamps.stampOf(anEvent({ path: '/' })), undefined)
    assert.deepEqual(counts, { stamped: 3, unknown: 1 })
  })

  it('waits for nothing that the cache knows, and reads again before it is too old', async () => {
    const { stamps, pass, save, readCount } = await openStage([cup])
    await stamps.load([view('cup')])
    assert.equal(stamps.load([view('cup')]), undefined)
    assert.equal(readCount(), 1)
    await save({ ...cup, price: 5, updatedAtMs: 8 })
    pass(8_001)
    await stamps.load([view('cup')])
    assert.equal(stamps.stampOf(anEvent({ product_id: 'cup' }))?.items?.cup?.price, 5)
    pass(10_001)
    assert.deepEqual(stamps.stampOf(anEvent({ product_id: 'cup' })), { unread: 1 })
  })

  it('waits no longer than its bound, then for nobody, and learns what comes late', async () => {
    const { stamps, pass, hang, counts } = await openStage([cup])
    const goOn = hang()
    const both = [view('cup'), view('cup')].map((each) => Promise.resolve(stamps.load([each])))
    let isDone = false
    void Promise.all(both).then(() => {
      isDone = true
    })
    pass(19)
    await turn()
    assert.equal(isDone, false)
    pass(1)
    await turn()
    assert.equal(isDone, true)
    assert.deepEqual(stamps.stampOf(anEvent({ product_id: 'cup' })), { unread: 1 })
    assert.equal(stamps.load([view('jug')]), undefined, 'nobody waits for a while')
    goOn()
    await turn()
    assert.deepEqual(stamps.stampOf(anEvent({ product_id: 'cup' })), { items: { cup: whole } })
    assert.deepEqual(counts, { unread: 1, stamped: 1 })
  })

  it('takes events unstamped while the store fails, and asks again after a pause', async () => {
    const { stamps, pass, hang } = await openStage([cup])
    const goOn = hang()
    const load = stamps.load([view('cup')])
    goOn(new Error('away'))
    await load
    assert.deepEqual(stamps.stampOf(anEvent({ product_id: 'cup' })), { unread: 1 })
    assert.equal(stamps.load([view('cup')]), undefined)
    pass(1_001)
    await stamps.load([view('cup')])
    assert.deepEqual(stamps.stampOf(anEvent({ product_id: 'cup' })), { items: { cup: whole } })
  })

  it('reads each item once at a time, and no more than its bound for one request', async () => {
    const { stamps, readCount, hang } = await openStage([cup], { readCountMax: 3 })
    const goOn = hang()
    const loads = ['a', 'b', 'a', 'c', 'd', 'e'].map((itemId) => stamps.load([view(itemId)]))
    assert.equal(readCount(), 3)
    assert.equal(loads.filter((load) => load === undefined).length, 2)
    goOn()
    for (const load of loads) await load
    assert.deepEqual(stamps.stampOf(anEvent({ product_id: 'd' })), { unread: 1 })
  })

  it('reads no item where there is no catalog, and finds one that comes', async () => {
    const { stamps, readCount, save, pass } = await openStage([])
    assert.equal(stamps.load([view('cup')]), undefined)
    assert.equal(stamps.stampOf(anEvent({ product_id: 'cup' })), undefined)
    await save(cup)
    pass(1_999)
    await turn()
    assert.equal(stamps.load([view('cup')]), undefined)
    assert.equal(readCount(), 0)
    pass(1)
    assert.equal(stamps.load([view('cup')]), undefined)
    await turn()
    await stamps.load([view('cup')])
    assert.deepEqual(stamps.stampOf(anEvent({ product_id: 'cup' })), { items: { cup: whole } })
  })

  it('keeps no more than it may', async () => {
    const { stamps } = await openStage([cup], { cacheCountMax: 2 })
    await stamps.load([view('a'), view('b'), view('__proto__')])
    assert.deepEqual(stamps.stampOf(anEvent({ product_id: 'b' })), { unknown: ['b'] })
    assert.deepEqual(stamps.stampOf(anEvent({ product_id: 'a' })), { unread: 1 })
  })

  it('stamps the events that a collector appends', async () => {
    const { stamps } = await openStage([cup])
    const identity = { incarnation: 'a', partitionCount }
    const log = createMemoryEventLog({ identity })
    const source = { sourceId: 'web', writeKeys: ['wk_12345678'] }
    const collector = createCollector(
      {
        ...{ log, rejected: createMemoryEventLog({ identity }), random: createSeededRandom(1) },
        clock: { nowMs: () => 5, monotonicMs: () => 5, sleep: () => Promise.resolve() },
        sources: createSourceDirectory([{ source }]),
        metrics: { accepted: () => {}, rejected: () => {} },
        stamps,
      },
      defaultCollectorOptions,
    )
    const batch = [
      { type: 'track', userId: 'ada', event: 'viewed product', properties: { productId: 'cup' } },
    ]
    const call = { kind: 'batch', body: { batch }, bytes: Buffer.of(), isBackfill: false } as const
    await collector.collect('web', call)
    const partition = partitionOf(workspace, 'user:ada', partitionCount)
    const [record] = await log.read(partition, 0, 10)
    const event = JSON.parse(Buffer.from(record?.body ?? []).toString()) as Event
    assert.deepEqual(event.properties, { product_id: 'cup' })
    assert.deepEqual(event.stamped, { items: { cup: whole } })
  })
})

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
