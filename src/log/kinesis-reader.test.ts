import assert from 'node:assert/strict'
import { after, before, describe, it, type TestContext } from 'node:test'
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { KinesisClient, MergeShardsCommand, SplitShardCommand } from '@aws-sdk/client-kinesis'
import { skipMs } from '../../scripts/service-kinesis.ts'
import { type Clock, systemClock } from '../lib/clock.ts'
import { aRecord, readToEnd } from './event-log.contract.ts'
import type { EventLog } from './event-log.ts'
import { openKinesisClient } from './kinesis-client.ts'
import type { CountPlace } from './kinesis-count.ts'
import type { KinesisEventLogOptions } from './kinesis-options.ts'
import { sliceStart } from './kinesis-shard.ts'
import { describeStream, KinesisStream, listShards } from './kinesis-stream.ts'
import {
  deps,
  isWorldMissing,
  type KinesisWorld,
  openLog,
  serviceError,
  startKinesisWorld,
  type WireHand,
} from './kinesis-world.fixture.ts'

let world: KinesisWorld
const partitionCount = 4
const all = [0, 1, 2, 3]
const waitMsMax = 60_000

if (isWorldMissing()) it('reads from Kinesis', (t) => t.skip('a stand-in is not here'))
else {
  before(async () => {
    world = await startKinesisWorld()
  })
  after(() => world.stop())
  describe('reads from Kinesis', describeReader)
  describe('shards of Kinesis that are cut anew', describeReshard)
}

async function readFrom(log: EventLog, partition: number, after: number) {
  const records = await readToEnd(log, { partition, after, countMax: 500 })
  return records.map(({ offset, keyId }) => ({ offset, keyId }))
}

/** Reads a partition whole by a log of its own; tells how many records were asked for each time. */
async function readWith(t: TestContext, options: KinesisEventLogOptions, partition: number) {
  const limits: number[] = []
  const hand: WireHand = async ({ name, input }, send) => {
    if (name === 'GetRecords') limits.push((input as { readonly Limit: number }).Limit)
    return await send()
  }
  const log = await openLog(t, options, { hand })
  const records = await readFrom(log, partition, 0)
  await log.close()
  return { records, limits }
}

const numbered = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, n) => ({ offset: from + n + 1, keyId: from + n + 1 }))

/** Appends to all partitions, each in a call and so a frame of its own. */
async function appendNumbered(log: EventLog, from: number, to: number): Promise<void> {
  for (const { keyId } of numbered(from, to)) {
    await log.append(all.map((partition) => aRecord({ partition, keyId })))
  }
}

/** Owns everything as a worker does, until told to leave; notes its places then. */
async function work(t: TestContext, log: EventLog): Promise<() => Promise<void>> {
  const leaving = new AbortController()
  const owned = Promise.withResolvers<void>()
  const working = (async () => {
    for await (const partitions of log.assign(leaving.signal)) {
      if (partitions.length === partitionCount) owned.resolve()
    }
  })()
  await owned.promise
  const leave = async (): Promise<void> => {
    leaving.abort()
    await working
  }
  t.after(leave)
  return leave
}

/** Waits until the newest place noted of each partition is one that is meant. */
async function untilNoted(
  t: TestContext,
  options: KinesisEventLogOptions,
  isMeant: (place: CountPlace) => boolean,
): Promise<void> {
  const stream = await KinesisStream.open(deps, options)
  t.after(() => stream.close())
  const deadlineMs = systemClock.monotonicMs() + waitMsMax
  for (const partition of all) {
    for (;;) {
      const place = await stream.table.loadPlace(partition, Number.MAX_SAFE_INTEGER)
      if (place !== undefined && isMeant(place)) break
      assert.ok(systemClock.monotonicMs() < deadlineMs, `a place of ${partition} is noted`)
      await systemClock.sleep(20)
    }
  }
}

const workerOptions = { isWorker: true, leaseMs: 1_000, renewMs: 50 }

function describeReader(): void {
  it('begins near the place asked for, where a worker noted one', async (t) => {
    const options = await world.makeStream({ partitionCount, shardCount: 2 })
    const worker = await openLog(t, { ...options, ...workerOptions, placeCount: 20 })
    const leave = await work(t, worker)
    for (const from of [0, 30, 60]) {
      await appendNumbered(worker, from, from + 30)
      for (const partition of all) await readFrom(worker, partition, from)
      // Fewer than `placeCount` are left without a place.
      await untilNoted(t, options, ({ offset }) => offset > from + 10)
    }
    await leave()
    const places: string[] = []
    let recordCount = 0
    const hand: WireHand = async ({ name, input }, send) => {
      const answer = await send()
      if (name === 'GetShardIterator') {
        places.push((input as { readonly ShardIteratorType: string }).ShardIteratorType)
      }
      if (name === 'GetRecords') {
        recordCount += (answer as { readonly Records: readonly unknown[] }).Records.length
      }
      return answer
    }
    const log = await openLog(t, options, { hand })
    assert.deepEqual(await log.read(2, 69, 3), (await worker.read(2, 69, 3)).slice())
    const [record] = await log.read(1, 88, 1)
    assert.equal(record?.keyId, 89)
    assert.ok(
      places.every((place) => place === 'AFTER_SEQUENCE_NUMBER'),
      places.join(),
    )
    assert.ok(recordCount < 240, `${recordCount} of 360 records were read for 4`)
    assert.deepEqual(await readFrom(log, 1, 0), numbered(0, 90))
  })

  it('asks for as many records as fit into the bytes of an answer', async (t) => {
    const options = await world.makeStream({ partitionCount: 2, shardCount: 1 })
    const writer = await openLog(t, options)
    for (const { keyId } of numbered(0, 310)) {
      await writer.append([aRecord({ partition: 0, keyId })])
    }
    const small = await readWith(t, options, 0)
    assert.deepEqual(small.records, numbered(0, 310))
    assert.deepEqual(small.limits.slice(0, 3), [10, 20, 40])

    const body = Buffer.alloc(900_000)
    for (const { keyId } of numbered(0, 12)) {
      await writer.append([aRecord({ partition: 1, keyId, body })])
    }
    const large = await readWith(t, options, 1)
    assert.deepEqual(large.records, numbered(0, 12))
    const most = Math.max(...large.limits)
    assert.equal(large.limits[large.limits.indexOf(most) + 1], most / 2)
  })

  it('asks again for the answer that failed, not for those before it', async (t) => {
    const options = await world.makeStream({ partitionCount: 1, shardCount: 1 })
    const writer = await openLog(t, options)
    for (const { keyId } of numbered(0, 250)) await writer.append([aRecord({ keyId })])
    let iteratorCount = 0
    let answerCount = 0
    const hand: WireHand = async ({ name }, send) => {
      if (name === 'GetShardIterator') iteratorCount++
      if (name === 'GetRecords' && ++answerCount === 2) throw serviceError('InternalFailure')
      return await send()
    }
    const log = await openLog(t, options, { hand })
    assert.equal((await log.read(0, 200, 3)).length, 3)
    assert.equal(iteratorCount, 1)
    // 10, 20, 40, 80 and then all that is left of 250; one of them failed once.
    assert.equal(answerCount, 6)
  })

  it('finds one record near where its follow has been', async (t) => {
    const options = await world.makeStream({ partitionCount: 1, shardCount: 1 })
    const writer = await openLog(t, options)
    // More than a follow keeps of what was read.
    const body = Buffer.alloc(2_000)
    let recordCount = 0
    const hand: WireHand = async ({ name }, send) => {
      const answer = await send()
      if (name === 'GetRecords') {
        recordCount += (answer as { readonly Records: readonly unknown[] }).Records.length
      }
      return answer
    }
    const log = await openLog(t, options, { hand })
    for (const from of [0, 100, 200, 300]) {
      for (const { keyId } of numbered(from, from + 100)) {
        await writer.append([aRecord({ keyId, body })])
      }
      assert.deepEqual(await readFrom(log, 0, from), numbered(from, from + 100))
    }
    for (const after of [30, 130, 230, 330]) {
      recordCount = 0
      const [record] = await log.read(0, after, 1)
      assert.equal(record?.keyId, after + 1)
      // Up to 100 from the place before it, and what the last answer has beyond.
      assert.ok(recordCount <= 150, `${recordCount} records were read for one`)
    }
  })

  it('says that records are older than the stream keeps, and goes on from a place', async (t) => {
    const own = await startKinesisWorld()
    t.after(() => own.stop())
    let shiftMs = 0
    const clock: Clock = { ...systemClock, nowMs: () => systemClock.nowMs() + shiftMs }
    const options = await own.makeStream({ partitionCount, shardCount: 1 })
    const worker = await openLog(t, { ...options, ...workerOptions, placeMs: 100 }, { clock })
    const leave = await work(t, worker)
    await appendNumbered(worker, 0, 3)
    for (let jump = 0; jump < 2; jump++) {
      const beganMs = Math.floor(clock.nowMs())
      for (const partition of all) await readFrom(worker, partition, 0)
      await untilNoted(t, options, ({ offset, asOfMs }) => offset === 3 && asOfMs >= beganMs)
      own.kinesis.skipTime()
      shiftMs += skipMs
    }
    for (const partition of all) assert.equal(await worker.end(partition), 3)
    await leave()
    const log = await openLog(t, options, { clock })
    assert.equal(await log.end(0), 3)
    await assert.rejects(log.read(0, 0, 10), { code: 'LOG_OFFSET_LOST' })
    await assert.rejects(log.read(0, 2, 1), { code: 'LOG_OFFSET_LOST' })
    assert.deepEqual(await log.read(0, 3, 10), [])
    assert.equal(await log.start(0), 0)
    await log.append([aRecord({ keyId: 4 })])
    assert.deepEqual(await readFrom(log, 0, 3), [{ offset: 4, keyId: 4 }])
    assert.equal(await log.start(0), 4)
    // Nobody noted a place of this one for longer than the stream keeps records.
    shiftMs += 2 * skipMs
    await assert.rejects(
      openLog(t, options, { clock }).then((late) => late.read(0, 3, 10)),
      {
        code: 'LOG_OFFSET_LOST',
      },
    )
  })

  it('lets a partition that nobody reads hold up no other of its shard', async (t) => {
    const options = await world.makeStream({ partitionCount, shardCount: 1 })
    const log = await openLog(t, options)
    const stopping = new AbortController()
    t.after(() => stopping.abort())
    for (const partition of [0, 1]) await log.read(partition, 0, 100)
    const body = new Uint8Array(400_000)
    for (let keyId = 1; keyId <= 9; keyId++) await log.append([aRecord({ keyId, body })])
    await systemClock.sleep(300)
    await log.append([aRecord({ partition: 1, keyId: 1 })])
    await log.wait([1], [0], AbortSignal.timeout(waitMsMax))
    assert.equal((await log.read(1, 0, 10)).length, 1)
    assert.equal(await log.end(0), 9)
    const found: number[] = []
    while (found.length < 9) {
      await log.wait([0], [found.length], AbortSignal.timeout(waitMsMax))
      const page = await log.read(0, found.length, 2)
      found.push(...page.map(({ keyId }) => keyId))
    }
    assert.deepEqual(found, [1, 2, 3, 4, 5, 6, 7, 8, 9])
  })
}

async function withClient(
  options: KinesisEventLogOptions,
  act: (client: KinesisClient) => Promise<unknown>,
): Promise<void> {
  // It lends its handler, which speaks HTTP/1.1.
  const table = new DynamoDBClient({ region: 'local' })
  const { requestHandler } = table.config
  const client = new KinesisClient({
    region: options.region,
    endpoint: options.endpoint ?? '',
    requestHandler,
  })
  try {
    await act(client)
  } finally {
    client.destroy()
  }
  const asking = await openKinesisClient(deps, options)
  await systemClock.sleep(100)
  while (!(await describeStream(asking, options.stream)).isActive) await systemClock.sleep(20)
  asking.close()
}

async function shardHolding(options: KinesisEventLogOptions, hash: bigint): Promise<string> {
  const client = await openKinesisClient(deps, options)
  const shards = await listShards(client, options.stream)
  client.close()
  const found = shards.find(({ isOpen, start, end }) => isOpen && start <= hash && hash <= end)
  return found?.id ?? ''
}

async function split(options: KinesisEventLogOptions, hash: bigint): Promise<void> {
  const ShardToSplit = await shardHolding(options, hash)
  await withClient(options, (client) =>
    client.send(
      new SplitShardCommand({
        StreamName: options.stream,
        ShardToSplit,
        NewStartingHashKey: hash.toString(),
      }),
    ),
  )
}

async function merge(options: KinesisEventLogOptions, border: bigint): Promise<void> {
  const ShardToMerge = await shardHolding(options, border - 1n)
  const AdjacentShardToMerge = await shardHolding(options, border)
  await withClient(options, (client) =>
    client.send(
      new MergeShardsCommand({ StreamName: options.stream, ShardToMerge, AdjacentShardToMerge }),
    ),
  )
}

/** Follows all partitions, each from its beginning, until stopped. */
function follow(t: TestContext, log: EventLog) {
  const stopping = new AbortController()
  const found = all.map((): { offset: number; keyId: number }[] => [])
  const running = (async () => {
    while (!stopping.signal.aborted) {
      const after = found.map((each) => each.at(-1)?.offset ?? 0)
      await log.wait(all, after, stopping.signal)
      for (const partition of all) {
        const page = await log.read(partition, after[partition] ?? 0, 100)
        found[partition]?.push(...page.map(({ offset, keyId }) => ({ offset, keyId })))
      }
    }
  })()
  running.catch(() => undefined)
  t.after(() => stopping.abort())
  return { found, stopping, running }
}

function describeReshard(): void {
  it('follows a split at a border and a merge, and keeps the order', async (t) => {
    const options = await world.makeStream({ partitionCount, shardCount: 2 })
    const log = await openLog(t, options)
    const following = follow(t, await openLog(t, options))
    await appendNumbered(log, 0, 20)
    await split(options, sliceStart(1, partitionCount))
    await appendNumbered(log, 20, 40)
    await merge(options, sliceStart(2, partitionCount))
    await appendNumbered(log, 40, 60)
    for (const partition of all) {
      assert.deepEqual(await readFrom(log, partition, 0), numbered(0, 60))
      const late = await openLog(t, options)
      assert.deepEqual(await readFrom(late, partition, 33), numbered(33, 60))
      assert.equal((await late.read(partition, 44, 1))[0]?.keyId, 45)
    }
    const deadlineMs = systemClock.monotonicMs() + waitMsMax
    while (following.found.some((each) => each.length < 60)) {
      assert.ok(systemClock.monotonicMs() < deadlineMs, 'a follower sees everything')
      await systemClock.sleep(20)
    }
    following.stopping.abort()
    await following.running
    for (const each of following.found) assert.deepEqual(each, numbered(0, 60))
  })

  it('refuses a shard that was cut through a partition, also while it runs', async (t) => {
    const options = await world.makeStream({ partitionCount, shardCount: 2 })
    const log = await openLog(t, options)
    const following = follow(t, await openLog(t, options))
    await appendNumbered(log, 0, 5)
    const [from, to] = [sliceStart(1, partitionCount), sliceStart(2, partitionCount)]
    await split(options, from + (to - from) / 3n)
    const refusal = { code: 'STORE_MISCONFIGURED', message: /begins or ends within one of 4/ }
    await assert.rejects(openLog(t, options), refusal)
    await assert.rejects(following.running, refusal)
  })
}
