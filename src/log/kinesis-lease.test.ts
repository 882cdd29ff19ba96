import assert from 'node:assert/strict'
import { after, before, describe, it, type TestContext } from 'node:test'
import { systemClock } from '../lib/clock.ts'
import type { KinesisEventLogOptions } from './kinesis-options.ts'
import {
  isWorldMissing,
  type KinesisWorld,
  openLog,
  startKinesisWorld,
  type WireHand,
} from './kinesis-world.fixture.ts'

let world: KinesisWorld
/** Far longer than any pause of a busy machine: what moves was asked for or given up. */
const longLeaseMs = 20_000
const leaseMs = 2_000
const waitMsMax = 60_000
const quietMs = 1_500
const shape = { partitionCount: 8, shardCount: 4 }
const all = [0, 1, 2, 3, 4, 5, 6, 7]

if (isWorldMissing()) it('shares partitions out by leases', (t) => t.skip('a stand-in is missing'))
else {
  before(async () => {
    world = await startKinesisWorld()
  })
  after(() => world.stop())
  describe('leases of shards in Kinesis', describeLeases)
}

interface Worker {
  readonly told: (readonly number[])[]
  owned(): readonly number[]
  leave(): Promise<void>
  /** When it last sent what changes a lease. */
  readonly renewedMs: number
  /** Ends without a word: nothing it sends arrives any more. */
  die(): void
}

async function startWorker(
  t: TestContext,
  options: KinesisEventLogOptions,
  leaseMs = longLeaseMs,
): Promise<Worker> {
  let isDead = false
  let renewedMs = 0
  const hand: WireHand = async ({ name }, send) => {
    if (isDead) throw Object.assign(new Error('asked for'), { name: 'TimeoutError' })
    if (name === 'UpdateItem') renewedMs = systemClock.monotonicMs()
    return await send()
  }
  const settings = { ...options, isWorker: true, leaseMs, renewMs: 100, readMsMax: 300 }
  const log = await openLog(t, settings, { hand })
  const leaving = new AbortController()
  const told: (readonly number[])[] = []
  const working = (async () => {
    for await (const partitions of log.assign(leaving.signal)) told.push(partitions)
  })()
  const leave = async (): Promise<void> => {
    leaving.abort()
    await working
  }
  t.after(leave)
  return {
    told,
    get renewedMs() {
      return renewedMs
    },
    owned: () => told.at(-1) ?? [],
    leave,
    die() {
      isDead = true
    },
  }
}

async function until(isSo: () => boolean, says: string): Promise<number> {
  const beganMs = systemClock.monotonicMs()
  while (!isSo()) {
    assert.ok(systemClock.monotonicMs() - beganMs < waitMsMax, says)
    await systemClock.sleep(10)
  }
  return systemClock.monotonicMs() - beganMs
}

const union = (workers: readonly Worker[]) =>
  workers.flatMap((worker) => worker.owned()).sort((one, other) => one - other)
const isShared = (workers: readonly Worker[]) => union(workers).join() === all.join()

function describeLeases(): void {
  it('gives one worker everything, and each of two a half', async (t) => {
    const options = await world.makeStream(shape)
    const one = await startWorker(t, options)
    await until(() => isShared([one]), 'one worker has everything')
    const other = await startWorker(t, options)
    const isHalf = () => one.owned().length === 4 && other.owned().length === 4
    const spentMs = await until(() => isHalf() && isShared([one, other]), 'each has half')
    t.diagnostic(`shared out after ${Math.round(spentMs)} ms`)
    // A shard is whole: its two partitions go together.
    for (const owned of [one.owned(), other.owned()]) {
      for (const partition of owned) assert.ok(owned.includes(partition ^ 1))
    }
    const toldCount = one.told.length + other.told.length
    await systemClock.sleep(quietMs)
    assert.equal(one.told.length + other.told.length, toldCount, 'then nothing moves')
  })

  it('takes over at once from a worker that leaves', async (t) => {
    const options = await world.makeStream(shape)
    const [one, other] = [await startWorker(t, options), await startWorker(t, options)]
    const workers = [one, other]
    const isHalf = () => workers.every((worker) => worker.owned().length === 4)
    await until(() => isHalf() && isShared(workers), 'each has half')
    await other.leave()
    const spentMs = await until(() => isShared([one]), 'the other has everything')
    assert.ok(spentMs < longLeaseMs / 2, `${spentMs} ms: it need not wait for the leases`)
  })

  it('takes over from a worker that dies, once its leases have not moved', async (t) => {
    const options = await world.makeStream(shape)
    const one = await startWorker(t, options, leaseMs)
    const other = await startWorker(t, options, leaseMs)
    const workers = [one, other]
    const isHalf = () => workers.every((worker) => worker.owned().length === 4)
    await until(() => isHalf() && isShared(workers), 'each has half')
    other.die()
    const toldCount = one.told.length
    await until(() => isShared([one]), 'the other has everything')
    const spentMs = systemClock.monotonicMs() - other.renewedMs
    assert.ok(one.told.length > toldCount)
    assert.ok(spentMs >= leaseMs, `${spentMs} ms: it might have been slow only`)
    // Who cannot renew says so of itself, before or soon after another can have them.
    await until(() => other.owned().length === 0, 'the dead one has nothing')
    t.diagnostic(`taken over after ${Math.round(spentMs)} ms`)
  })

  it('shares out among three, none with more than its part', async (t) => {
    const options = await world.makeStream({ partitionCount: 8, shardCount: 8 })
    const workers = [
      await startWorker(t, options),
      await startWorker(t, options),
      await startWorker(t, options),
    ]
    const isFair = () => workers.every((worker) => worker.owned().length <= 3)
    await until(() => isFair() && isShared(workers), 'all partitions are owned fairly')
    const toldCounts = workers.map(({ told }) => told.length)
    await systemClock.sleep(quietMs)
    assert.deepEqual(
      workers.map(({ told }) => told.length),
      toldCounts,
      'then nothing moves',
    )
  })
}
