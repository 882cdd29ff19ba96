import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { MessageChannel, Worker } from 'node:worker_threads'
import { systemClock } from '../lib/clock.ts'
import { silentLogger } from '../lib/logger.ts'
import { answerWithin, createPortCaller, servePort } from '../lib/port-call.ts'
import type { RecommendWorkerData } from '../main-recommend.ts'
import { feedKey } from '../process/feed.ts'
import { createMeta, encodeJson, metaKey } from '../process/meta.ts'
import type { IndexState } from '../recommend/advisor.ts'
import { openSqliteStateStore } from '../state/sqlite-state-store.ts'
import type { StateStore } from '../state/state-store.ts'
import { createAdvise } from './advise-port.ts'
import { readServerConfig } from './read-config.ts'
import { startRecommendThread } from './recommend-thread.ts'
import { storeOptionsOf } from './store-options.ts'

const owner = { partition: 0, epoch: 1, nonce: 'n', incarnation: 'test' } as const
const waitMsMax = 60_000

describe('a thread of the index that follows the feed in the state', () => {
  it('learns all again where entries were gone before it had read them', async (t) => {
    const { dataDir, feed } = await openFeed(t)
    await feed([1, 2, 3], 4)
    const thread = await startThread(t, dataDir)
    await until(async () => (await thread.state()).learnedCount === 3)
    await feed([4], 5)
    await until(async () => (await thread.state()).learnedCount === 4)
    // An erasure among those that are gone would have taken out who viewed before.
    await feed([8, 9], 10, [1, 2, 3, 4])
    await until(async () => (await thread.state()).learnedCount === 2)
    assert.deepEqual(thread.warnings, [
      'entries of the feed were gone before the index had read them; learning again',
    ])
    await feed([10], 11)
    await until(async () => (await thread.state()).learnedCount === 3)
  })
})

describe('the thread of the index', () => {
  it('tells that it failed where it ends by itself, not where it is closed', async (t) => {
    for (const isBroken of [true, false]) {
      const { dataDir } = await openFeed(t)
      const { port1, port2 } = new MessageChannel()
      const values = await readServerConfig(undefined, { 'server.dataDir': dataDir })
      const thread = await startRecommendThread(
        { clock: systemClock, logger: silentLogger },
        { values, stores: storeOptionsOf(values), partitionCount: 1, ports: [port1] },
      )
      t.after(() => thread.close())
      const caller = createPortCaller(port2)
      const advise = createAdvise(caller, { clock: systemClock }, waitMsMax)
      const asked = { activity: [], excludeItemIds: [], nowMs: 1, countMax: 1 }
      assert.equal((await advise(asked)).learnedCount, 0)
      // Nothing like it is sent: the thread throws where it takes it, as it would for a fault.
      if (isBroken) caller.tell('learn', { interactions: 0 })
      else await thread.close()
      const ended = await answerWithin(systemClock, thread.failed, isBroken ? waitMsMax : 50)
      assert.equal(ended?.code, isBroken ? 'INDEX_FAILED' : undefined)
      if (!isBroken) return
      assert.match(String(ended?.cause), /not iterable/)
      await assert.rejects(advise(asked), { code: 'THREAD_ENDED' })
      await assert.rejects(thread.state(), { code: 'THREAD_ENDED' })
    }
  })
})

describe('the allowance of a profile', () => {
  it('is not granted again by a restart', async (t) => {
    const { dataDir, feed } = await openFeed(t)
    await feed([1], 2)
    const values = await readServerConfig(undefined, {
      'server.dataDir': dataDir,
      'recommend.snapshotEveryCount': '1000',
    })
    const ignored: (number | undefined)[] = []
    for (const count of [305, 1]) {
      const { port1, port2 } = new MessageChannel()
      const thread = await startRecommendThread(
        { clock: systemClock, logger: silentLogger },
        { values, stores: storeOptionsOf(values), partitionCount: 1, ports: [port1] },
      )
      const view = { profileId: 'robot', itemId: 'a', kind: 'view', occurredAtMs: 1 } as const
      const interactions = Array.from({ length: count }, () => view)
      await until(async () => (await thread.state()) !== undefined)
      createPortCaller(port2).tell('learn', { interactions, feed: { partition: 0, next: 2 } })
      const before = ignored.at(-1) ?? 0
      await until(async () => ((await thread.state())?.ignoredCount ?? 0) > before)
      ignored.push((await thread.state())?.ignoredCount)
      await thread.close()
    }
    assert.deepEqual(ignored, [5, 6])
  })
})

/** A state of one partition whose feed has the entries that are given. */
async function openFeed(t: TestContext) {
  const dataDir = await mkdtemp(join(tmpdir(), 'attune-feed-'))
  const state: StateStore = await openSqliteStateStore({ dataDir })
  t.after(async () => {
    await state.close()
    await rm(dataDir, { recursive: true, force: true })
  })
  await state.acquire(0, owner.epoch, owner.nonce)
  const feed = async (
    numbers: readonly number[],
    feedNext: number,
    gone: readonly number[] = [],
  ): Promise<void> => {
    const { offset } = await state.head(0)
    const place = { previousOffset: offset, offset: offset + 1, lastRecordId: `${offset}` }
    const added = numbers.map((number) => ({
      key: feedKey(number),
      value: encodeJson([[`person-${number}`, `item-${number}`, 'view', number]]),
    }))
    const removed = gone.map((number) => ({ key: feedKey(number), value: undefined }))
    const meta = { key: metaKey, value: encodeJson({ ...createMeta(1), feedNext }) }
    const changes = [...added, ...removed, meta]
    assert.deepEqual(await state.commit([{ ...owner, ...place, changes }]), ['committed'])
  }
  return { dataDir, feed }
}

async function startThread(t: TestContext, dataDir: string) {
  const data: RecommendWorkerData = {
    state: { kind: 'sqlite', dataDir },
    partitionCount: 1,
    eventCountMax: 1000,
    niceness: 0,
    ports: [],
    snapshot: { path: join(dataDir, 'snapshot'), everyCount: 0 },
    followMs: 10,
  }
  const worker = new Worker(new URL('../main-recommend.ts', import.meta.url), { workerData: data })
  t.after(() => worker.terminate())
  const failed = Promise.withResolvers<never>()
  worker.once('error', (error) => failed.reject(error))
  const filled = Promise.withResolvers<void>()
  const warnings: string[] = []
  servePort(worker, {
    opened: () => {},
    filled: () => filled.resolve(),
    log: ({ level, event }: { readonly level: string; readonly event: string }) => {
      if (level === 'warn') warnings.push(event)
    },
  })
  await Promise.race([filled.promise, failed.promise])
  const caller = createPortCaller(worker)
  return { warnings, state: () => caller.call<IndexState>('state') }
}

async function until(isTrue: () => Promise<boolean>): Promise<void> {
  const deadlineMs = systemClock.monotonicMs() + waitMsMax
  while (!(await isTrue())) {
    assert.ok(systemClock.monotonicMs() < deadlineMs, `in time: ${isTrue}`)
    await systemClock.sleep(10)
  }
}
