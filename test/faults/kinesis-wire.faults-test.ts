/**
 * Kinesis and its table behind a bad network, and hanging, under appends and a reader.
 *
 * Requests are lost before they arrive, answers on their way back, records of a request are refused
 * alone, servers hang. No acknowledged record is lost; where no append was rejected
 * each is there once, in the order of its key; every reader counts the same offsets.
 */

import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { ServiceNode } from '../../scripts/service.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { isRetryable } from '../../src/lib/errors.ts'
import { createSeededRandom, type Random } from '../../src/lib/random.ts'
import { aRecord, readToEnd } from '../../src/log/event-log.contract.ts'
import type { EventLog } from '../../src/log/event-log.ts'
import type { KinesisEventLogOptions } from '../../src/log/kinesis-options.ts'
import {
  isWorldMissing,
  openLog,
  startKinesisWorld,
  type WireHand,
} from '../../src/log/kinesis-world.fixture.ts'

const partitionCount = 6
const partitions = Array.from({ length: partitionCount }, (_, partition) => partition)
const { sleep } = systemClock
const seed = Number(process.env['ATTUNE_FAULT_SEED'] ?? Math.trunc(performance.now() * 1000) % 1e6)

interface Entry {
  readonly offset: number
  readonly keyId: number
}

async function openScene(
  t: TestContext,
  hand?: WireHand,
  given: Partial<KinesisEventLogOptions> = {},
) {
  t.diagnostic(`seed ${seed}`)
  const world = await startKinesisWorld()
  t.after(() => world.stop())
  const made = await world.makeStream({ partitionCount, shardCount: 3 })
  const options = { ...made, requestMsMax: 1_000, ...given }
  const wire = hand === undefined ? {} : { hand }
  const log = await openLog(t, options, wire)
  return { world, log, again: () => openLog(t, options, wire), plain: () => openLog(t, options) }
}

/** Loses some requests, some answers, and refuses some records of a request alone. */
function badWire(random: Random): WireHand {
  const lost = (): never => {
    throw Object.assign(new Error('asked for'), { name: 'TimeoutError' })
  }
  return async ({ name, input }, send) => {
    if (random.unit() < 0.08) lost()
    if (name === 'PutRecords' && random.unit() < 0.2) {
      const { Records } = input as { readonly Records: readonly unknown[] }
      const isTaken = Records.map(() => random.unit() < 0.6)
      const taken = Records.filter((_, index) => isTaken[index])
      if (taken.length === 0) lost()
      const answer = (await send({ ...(input as object), Records: taken })) as typeof input
      const left = [...(answer as { readonly Records: readonly unknown[] }).Records]
      const refusal = { ErrorCode: 'ProvisionedThroughputExceededException' }
      return { Records: isTaken.map((isOne) => (isOne ? left.shift() : refusal)) }
    }
    const answer = await send()
    return random.unit() < 0.08 ? lost() : answer
  }
}

/** Appends numbered records to each partition until stopped; a rejected one is appended again. */
function startAppending(log: EventLog) {
  const stopping = new AbortController()
  const acknowledged = partitions.map((): number[] => [])
  let rejectedCount = 0
  const appendOne = async (partition: number, keyId: number): Promise<void> => {
    for (;;) {
      try {
        await log.append([aRecord({ partition, key: `user:${partition}`, keyId })])
        acknowledged[partition]?.push(keyId)
        return
      } catch (error) {
        assert.ok(isRetryable(error), String(error))
        rejectedCount++
        await sleep(100)
      }
    }
  }
  const run = async (partition: number): Promise<void> => {
    const flying = new Set<Promise<void>>()
    for (let keyId = 1; !stopping.signal.aborted; keyId++) {
      const call = appendOne(partition, keyId).finally(() => flying.delete(call))
      flying.add(call)
      if (flying.size >= 20) await Promise.race(flying)
      else await sleep(3)
    }
    await Promise.all(flying)
  }
  const running = Promise.all(partitions.map(run))
  return {
    acknowledged,
    rejectedCount: () => rejectedCount,
    async stop() {
      stopping.abort()
      await running
    },
  }
}

function startReading(log: EventLog) {
  const stopping = new AbortController()
  const found = partitions.map((): Entry[] => [])
  const places = () => found.map((entries) => entries.at(-1)?.offset ?? 0)
  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await log.wait(partitions, places(), stopping.signal)
      for (const partition of partitions) {
        try {
          const page = await log.read(partition, places()[partition] ?? 0, 256)
          found[partition]?.push(...page.map(({ offset, keyId }) => ({ offset, keyId })))
        } catch (error) {
          assert.ok(isRetryable(error), String(error))
          await sleep(50)
        }
      }
    }
  }
  const running = run()
  running.catch(() => undefined)
  return {
    found,
    async stop() {
      stopping.abort()
      await running
    },
  }
}

async function readAll(log: EventLog, partition: number): Promise<readonly Entry[]> {
  const records = await readToEnd(log, { partition, after: 0, countMax: 1000 })
  return records.map(({ offset, keyId }) => ({ offset, keyId }))
}

async function checkLog(
  log: EventLog,
  appending: ReturnType<typeof startAppending>,
  reading: ReturnType<typeof startReading>,
): Promise<void> {
  for (const [partition, acknowledged] of appending.acknowledged.entries()) {
    const end = await log.end(partition)
    await until(() => (reading.found[partition]?.at(-1)?.offset ?? 0) >= end, 90_000)
    const entries = await readAll(log, partition)
    assert.deepEqual(reading.found[partition], entries, 'both count the same')
    assert.deepEqual(
      entries.map(({ offset }) => offset),
      entries.map((_, index) => index + 1),
    )
    const keyIds = entries.map(({ keyId }) => keyId)
    const isFound = new Set(keyIds)
    assert.ok(
      acknowledged.every((keyId) => isFound.has(keyId)),
      `partition ${partition} lost some`,
    )
    if (appending.rejectedCount() > 0) continue
    assert.deepEqual(
      keyIds,
      keyIds.map((_, index) => index + 1),
      `partition ${partition} has each once and in order`,
    )
  }
}

async function until(isSo: () => boolean, msMax: number): Promise<void> {
  const deadlineMs = performance.now() + msMax
  while (!isSo()) {
    assert.ok(performance.now() < deadlineMs, `not so after ${msMax} ms`)
    await sleep(20)
  }
}

function report(t: TestContext, appending: ReturnType<typeof startAppending>): void {
  const count = appending.acknowledged.reduce((sum, { length }) => sum + length, 0)
  t.diagnostic(`${count} appends, ${appending.rejectedCount()} rejected`)
}

function describeFaults(): void {
  it('loses and doubles nothing where requests, answers and records are lost', async (t) => {
    const random = createSeededRandom(seed)
    const scene = await openScene(t, badWire(random), { appendMsMax: 60_000 })
    const appending = startAppending(scene.log)
    const reading = startReading(await scene.again())
    await sleep(6_000)
    await appending.stop()
    assert.equal(appending.rejectedCount(), 0)
    await checkLog(await scene.plain(), appending, reading)
    await reading.stop()
    report(t, appending)
  })

  it('goes on after the service hung, also where appends were given up', async (t) => {
    const scene = await openScene(t, undefined, { appendMsMax: 1_500, readMsMax: 2_000 })
    const [node] = scene.world.kinesis.nodes as readonly [ServiceNode]
    const appending = startAppending(scene.log)
    const reading = startReading(await scene.again())
    for (const pausedMs of [600, 4_000]) {
      await sleep(1_500)
      await node.pause()
      await sleep(pausedMs)
      node.signal('SIGCONT')
    }
    await sleep(2_000)
    await appending.stop()
    assert.ok(appending.rejectedCount() > 0, 'appends were given up')
    await checkLog(await scene.plain(), appending, reading)
    await reading.stop()
    report(t, appending)
  })

  it('takes and shows records while the table beside it hangs', async (t) => {
    const scene = await openScene(t)
    const [table] = scene.world.dynamodb.nodes as readonly [ServiceNode]
    const reader = await scene.again()
    const appending = startAppending(scene.log)
    const reading = startReading(reader)
    await sleep(1_500)
    await table.pause()
    const before = partitions.map((partition) => reading.found[partition]?.length ?? 0)
    await sleep(2_000)
    for (const partition of partitions) {
      // Each goes on, however slowly: nothing waits for the table.
      const count = (): number => reading.found[partition]?.length ?? 0
      await until(() => count() > (before[partition] ?? 0) + 10, 90_000)
    }
    table.signal('SIGCONT')
    await appending.stop()
    assert.equal(appending.rejectedCount(), 0)
    await checkLog(reader, appending, reading)
    await reading.stop()
    report(t, appending)
  })
}

if (isWorldMissing()) it('outlives faults of Kinesis', (t) => t.skip('a stand-in is not here'))
else describe('Kinesis that fails', describeFaults)
