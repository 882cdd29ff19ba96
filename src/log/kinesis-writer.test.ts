import assert from 'node:assert/strict'
import { after, before, describe, it, type TestContext } from 'node:test'
import { systemClock } from '../lib/clock.ts'
import { aRecord, readToEnd } from './event-log.contract.ts'
import type { EventLog } from './event-log.ts'
import {
  isWorldMissing,
  type KinesisWorld,
  openLog,
  serviceError,
  startKinesisWorld,
  type WireHand,
} from './kinesis-world.fixture.ts'
import type { NewRecord } from './record.ts'

let world: KinesisWorld

if (isWorldMissing()) it('appends to Kinesis', (t) => t.skip('a stand-in is not here'))
else {
  before(async () => {
    world = await startKinesisWorld()
  })
  after(() => world.stop())
  describe('appends to Kinesis', describeWriter)
}

interface PutRecords {
  readonly Records: readonly { readonly PartitionKey: string; readonly Data: Uint8Array }[]
}
interface PutAnswer {
  readonly Records: readonly object[]
}

const refusal = (ErrorCode: string) => ({ ErrorCode, ErrorMessage: 'asked for' })

/** Lets `judge` say which entries of each PutRecords the service refuses. */
function refusing(judge: (index: number, putCount: number) => string | undefined): WireHand {
  let putCount = 0
  return async ({ name, input }, send) => {
    if (name !== 'PutRecords') return await send()
    putCount++
    const { Records } = input as PutRecords
    const codes = Records.map((_, index) => judge(index, putCount))
    const taken = Records.filter((_, index) => codes[index] === undefined)
    const answer = (
      taken.length > 0 ? await send({ ...(input as object), Records: taken }) : { Records: [] }
    ) as PutAnswer
    const left = [...answer.Records]
    return { Records: codes.map((code) => (code === undefined ? left.shift() : refusal(code))) }
  }
}

async function keyIdsOf(log: EventLog, partition: number): Promise<readonly number[]> {
  const records = await readToEnd(log, { partition, after: 0, countMax: 500 })
  return records.map(({ keyId }) => keyId)
}

const upTo = (count: number) => Array.from({ length: count }, (_, n) => n)

async function appendAll(t: TestContext, hand: WireHand, appendMsMax = 20_000) {
  const options = await world.makeStream({ partitionCount: 4, shardCount: 1 })
  const log = await openLog(t, { ...options, appendMsMax }, { hand })
  const calls = upTo(120).flatMap((keyId) => {
    const record = (partition: number): NewRecord => aRecord({ partition, keyId })
    return [log.append([record(0), record(1)]), log.append([record(2)])]
  })
  return { log, answers: await Promise.allSettled(calls) }
}

function describeWriter(): void {
  it('sends refused records again before anything behind them', async (t) => {
    // Of each request another entry is refused, and every fifth request as a whole.
    const hand = refusing((index, putCount) => {
      const isRefused = putCount % 5 === 0 || index === putCount % 3
      return isRefused && putCount < 30 ? 'InternalFailure' : undefined
    })
    const { log, answers } = await appendAll(t, hand)
    assert.ok(answers.every(({ status }) => status === 'fulfilled'))
    for (const partition of [0, 1, 2]) {
      assert.deepEqual(await keyIdsOf(log, partition), upTo(120))
    }
    assert.deepEqual(await keyIdsOf(log, 3), [])
  })

  it('waits for a shard that takes no more, and goes on', async (t) => {
    const throttled = 'ProvisionedThroughputExceededException'
    const hand = refusing((_, putCount) => (putCount < 6 ? throttled : undefined))
    const options = await world.makeStream({ partitionCount: 1, shardCount: 1 })
    const log = await openLog(t, options, { hand })
    await Promise.all(upTo(10).map((keyId) => log.append([aRecord({ keyId })])))
    assert.deepEqual(await keyIdsOf(log, 0), upTo(10))
    assert.equal(log.measures().throttledCount, 5)
    assert.equal(log.queueBytes(), 0)
  })

  it('gives up on a shard that takes nothing, in bounded time, and takes up again', async (t) => {
    let isThrottled = true
    const throttled = 'ProvisionedThroughputExceededException'
    const hand = refusing(() => (isThrottled ? throttled : undefined))
    const options = await world.makeStream({ partitionCount: 1, shardCount: 1 })
    const log = await openLog(t, { ...options, appendMsMax: 400 }, { hand })
    const began = systemClock.monotonicMs()
    await assert.rejects(log.append([aRecord({ keyId: 1 })]), { code: 'STORE_UNREACHABLE' })
    assert.ok(systemClock.monotonicMs() - began < 30_000)
    isThrottled = false
    await log.append([aRecord({ keyId: 2 })])
    assert.deepEqual(await keyIdsOf(log, 0), [2])
  })

  it('shows a record once though its request was answered late and sent again', async (t) => {
    let isCut = true
    const hand: WireHand = async ({ name }, send) => {
      const answer = await send()
      if (name !== 'PutRecords' || !isCut) return answer
      isCut = false
      throw Object.assign(new Error('asked for'), { name: 'TimeoutError' })
    }
    const { log, answers } = await appendAll(t, hand)
    assert.ok(answers.every(({ status }) => status === 'fulfilled'))
    for (const partition of [0, 1, 2]) {
      assert.deepEqual(await keyIdsOf(log, partition), upTo(120))
    }
  })

  it('lets nothing late into the order after it gave up', async (t) => {
    const late = Promise.withResolvers<void>()
    const arrived = Promise.withResolvers<void>()
    let putCount = 0
    const hand: WireHand = async ({ name }, send) => {
      if (name !== 'PutRecords' || ++putCount > 1) return await send()
      void late.promise.then(() => send()).then(() => arrived.resolve())
      await systemClock.sleep(150)
      throw Object.assign(new Error('asked for'), { name: 'TimeoutError' })
    }
    const options = await world.makeStream({ partitionCount: 1, shardCount: 1 })
    const log = await openLog(t, { ...options, appendMsMax: 100 }, { hand })
    await assert.rejects(log.append([aRecord({ keyId: 1 })]), { code: 'STORE_UNREACHABLE' })
    await log.append([aRecord({ keyId: 2 })])
    late.resolve()
    await arrived.promise
    await log.append([aRecord({ keyId: 3 })])
    assert.deepEqual(await keyIdsOf(log, 0), [2, 3])
  })

  it('packs what waits together into few requests of bounded size', async (t) => {
    const sizes: number[] = []
    let frameCount = 0
    const hand: WireHand = async ({ name, input }, send) => {
      if (name === 'PutRecords') {
        const { Records } = input as PutRecords
        sizes.push(Records.reduce((sum, { Data }) => sum + Data.length, 0))
        frameCount += Records.length
        for (const { Data } of Records) assert.ok(Data.length <= 1024 * 1024 - 256)
      }
      return await send()
    }
    const options = await world.makeStream({ partitionCount: 8, shardCount: 1 })
    const log = await openLog(t, options, { hand })
    const body = new Uint8Array(100_000)
    const record = (n: number): NewRecord => aRecord({ partition: n % 8, keyId: n, body })
    await Promise.all(upTo(160).map((n) => log.append([record(n)])))
    assert.ok(Math.max(...sizes) <= 5 * 1024 * 1024)
    assert.ok(frameCount < 40, `${frameCount} frames`)
    const expected = upTo(20).map((n) => n * 8 + 3)
    assert.deepEqual(await keyIdsOf(log, 3), expected)
  })

  it('refuses more than it may hold', async (t) => {
    const hand = refusing(() => 'InternalFailure')
    const options = await world.makeStream({ partitionCount: 1, shardCount: 1 })
    const limits = { queueBytesHigh: 1_000_000, appendMsMax: 300 }
    const log = await openLog(t, { ...options, ...limits }, { hand })
    const large = aRecord({ body: new Uint8Array(600_000) })
    const first = assert.rejects(log.append([large]), { code: 'STORE_UNREACHABLE' })
    await assert.rejects(log.append([large]), { code: 'LOG_OVERLOADED' })
    await first
    await assert.rejects(log.append([large]), { code: 'STORE_UNREACHABLE' })
  })

  it('says that it was not let in, at once', async (t) => {
    const hand: WireHand = async ({ name }, send) => {
      if (name === 'PutRecords') throw serviceError('AccessDeniedException')
      return await send()
    }
    const log = await openLog(t, await world.makeStream(), { hand })
    await assert.rejects(log.append([aRecord()]), { code: 'STORE_MISCONFIGURED' })
  })
}
