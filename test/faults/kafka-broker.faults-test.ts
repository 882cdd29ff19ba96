/**
 * Brokers of a real Kafka that are killed, hang and come back, under appends and a reader.
 *
 * No acknowledged record is lost, the records of a key keep their order, and everything goes on by
 * itself. The appenders do not wait for one another; where no append was rejected, each record is
 * there exactly once.
 */

import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { Service, ServiceNode } from '../../scripts/service.ts'
import { hasKafka, kafkaIsMissing, startKafka } from '../../scripts/service-kafka.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { isRetryable } from '../../src/lib/errors.ts'
import { silentLogger } from '../../src/lib/logger.ts'
import { aRecord, readToEnd } from '../../src/log/event-log.contract.ts'
import type { EventLog } from '../../src/log/event-log.ts'
import { type KafkaEventLog, openKafkaEventLog } from '../../src/log/kafka-event-log.ts'
import type { KafkaEventLogOptions } from '../../src/log/kafka-options.ts'
import { initKafkaTopics } from '../../src/log/kafka-topic.ts'

const deps = { clock: systemClock, logger: silentLogger }
const partitionCount = 6
const recoveryMsMax = 90_000
const { sleep } = systemClock

interface Scene {
  readonly kafka: Service
  readonly log: KafkaEventLog
  again(): Promise<KafkaEventLog>
}

async function openScene(
  t: TestContext,
  brokers: 1 | 3,
  given: Partial<KafkaEventLogOptions> = {},
): Promise<Scene> {
  const kafka = await startKafka(t, { brokers })
  const options = { brokers: kafka.addresses, topic: 'events', clientId: 'faults', ...given }
  await initKafkaTopics({ ...options, topics: ['events'] }, { partitionCount })
  const again = async (): Promise<KafkaEventLog> => {
    const log = await openKafkaEventLog(deps, options)
    t.after(() => log.close())
    return log
  }
  return { kafka, log: await again(), again }
}

/**
 * Appends numbered records to each partition until stopped, at most `countMax` on their way. One
 * that is rejected is appended again, or given up for the next.
 */
function startAppending(log: EventLog, countMax: number, whenRejected: 'again' | 'next' = 'again') {
  const stopping = new AbortController()
  /** Numbers acknowledged, by partition. */
  const acknowledged = Array.from({ length: partitionCount }, (): number[] => [])
  const lastAckAt = new Float64Array(partitionCount)
  const gapMsMax = new Float64Array(partitionCount)
  let rejectedCount = 0
  const appendOne = async (partition: number, keyId: number): Promise<void> => {
    // Of now: a broker that starts again has forgotten the producers of old records.
    const recordedAtMs = systemClock.nowMs()
    const record = aRecord({ partition, key: `user:${partition}`, keyId, recordedAtMs })
    for (;;) {
      try {
        await log.append([record])
        break
      } catch (error) {
        assert.ok(isRetryable(error), String(error))
        rejectedCount++
        if (whenRejected === 'next') return
        await sleep(100)
      }
    }
    const nowMs = performance.now()
    const gapMs = nowMs - (lastAckAt[partition] || nowMs)
    gapMsMax[partition] = Math.max(gapMsMax[partition] ?? 0, gapMs)
    lastAckAt[partition] = nowMs
    acknowledged[partition]?.push(keyId)
  }
  const runPartition = async (partition: number): Promise<void> => {
    const flying = new Set<Promise<void>>()
    for (let keyId = 1; !stopping.signal.aborted; keyId++) {
      const call = appendOne(partition, keyId).finally(() => flying.delete(call))
      flying.add(call)
      if (flying.size >= countMax) await Promise.race(flying)
      else await sleep(2)
    }
    await Promise.all(flying)
  }
  const running = Promise.all(acknowledged.map((_, partition) => runPartition(partition)))
  return {
    acknowledged,
    rejectedCount: () => rejectedCount,
    gapMsMax: () => Math.max(...gapMsMax),
    async stop() {
      stopping.abort()
      await running
    },
  }
}

/** Reads each partition in order until stopped; nothing may be missed or met twice. */
function startReading(log: EventLog) {
  const stopping = new AbortController()
  const places = Array.from({ length: partitionCount }, () => 0)
  const read = places.map((): number[] => [])
  const partitions = places.map((_, partition) => partition)
  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await log.wait(partitions, places, stopping.signal)
      for (const partition of partitions) {
        try {
          const page = await log.read(partition, places[partition] ?? 0, 256)
          for (const { keyId } of page) read[partition]?.push(keyId)
          places[partition] = page.at(-1)?.offset ?? places[partition] ?? 0
        } catch (error) {
          assert.ok(isRetryable(error), String(error))
          await sleep(50)
        }
      }
    }
  }
  const running = run()
  return {
    read,
    places,
    async stop() {
      stopping.abort()
      await running
    },
  }
}

async function readAll(log: EventLog, partition: number): Promise<readonly number[]> {
  const records = await readToEnd(log, { partition, after: 0, countMax: 1000 })
  return records.map(({ keyId }) => keyId)
}

/** Checks what is in the log against what was acknowledged and what a reader saw. */
async function checkLog(
  log: EventLog,
  appending: ReturnType<typeof startAppending>,
  reading: ReturnType<typeof startReading>,
): Promise<void> {
  for (const [partition, acknowledged] of appending.acknowledged.entries()) {
    const end = await log.end(partition)
    await until(() => (reading.places[partition] ?? 0) >= end, recoveryMsMax)
    const found = await readAll(log, partition)
    const isFound = new Set(found)
    const lost = acknowledged.filter((keyId) => !isFound.has(keyId))
    assert.equal(lost.length, 0, `partition ${partition} lost ${lost.slice(0, 5).join()}`)
    const goesBack = found.findIndex((keyId, index) => keyId < (found[index - 1] ?? 0))
    assert.equal(goesBack, -1, `partition ${partition} goes back at ${goesBack}`)
    if (appending.rejectedCount() === 0) assert.equal(found.length, isFound.size)
    assert.deepEqual(reading.read[partition], found)
  }
}

async function until(isSo: () => boolean, msMax: number): Promise<void> {
  const deadline = performance.now() + msMax
  while (!isSo()) {
    assert.ok(performance.now() < deadline, `not so after ${msMax} ms`)
    await sleep(20)
  }
}

function describeBrokers(): void {
  it('goes on after the only broker was killed', async (t) => {
    const { kafka, log, again } = await openScene(t, 1, { appendMsMax: 2 * recoveryMsMax })
    const [node] = kafka.nodes as readonly [ServiceNode]
    const appending = startAppending(log, 20)
    const reading = startReading(await again())
    for (let round = 0; round < 2; round++) {
      await sleep(1500)
      await node.stop('SIGKILL')
      await sleep(1000)
      await node.start()
    }
    await sleep(2000)
    await appending.stop()
    await checkLog(log, appending, reading)
    await reading.stop()
    assert.equal(appending.rejectedCount(), 0, 'every append was acknowledged in the end')
    assert.ok(appending.gapMsMax() < recoveryMsMax)
    report(t, appending)
  })

  it('goes on while one broker of three is away, each in turn', async (t) => {
    const { kafka, log, again } = await openScene(t, 3, { appendMsMax: 2 * recoveryMsMax })
    const appending = startAppending(log, 20)
    const reading = startReading(await again())
    for (const node of kafka.nodes) {
      await sleep(2000)
      await node.stop('SIGKILL')
      await sleep(6000)
      await node.start()
      await sleep(4000)
    }
    await appending.stop()
    await checkLog(log, appending, reading)
    await reading.stop()
    assert.equal(appending.rejectedCount(), 0, 'every append was acknowledged in the end')
    assert.ok(appending.gapMsMax() < recoveryMsMax)
    report(t, appending)
  })

  it('goes on while one broker of three hangs, and when it wakes', async (t) => {
    const { kafka, log, again } = await openScene(t, 3, { requestMsMax: 2000 })
    const [node] = kafka.nodes as readonly [ServiceNode]
    const appending = startAppending(log, 20)
    const reading = startReading(await again())
    await sleep(2000)
    await node.pause()
    await sleep(8000)
    node.signal('SIGCONT')
    await sleep(5000)
    await appending.stop()
    await checkLog(log, appending, reading)
    await reading.stop()
    assert.ok(appending.gapMsMax() < recoveryMsMax)
    report(t, appending)
  })

  it('lets nothing late into the order after it gave up on a broker that hangs', async (t) => {
    const limits = { requestMsMax: 500, appendMsMax: 1000, readMsMax: 1000 }
    const { kafka, log, again } = await openScene(t, 1, limits)
    const [node] = kafka.nodes as readonly [ServiceNode]
    const appending = startAppending(log, 1, 'next')
    const reading = startReading(await again())
    for (let round = 0; round < 6; round++) {
      await sleep(700)
      await node.pause()
      await sleep(1800)
      node.signal('SIGCONT')
    }
    await sleep(2000)
    await appending.stop()
    assert.ok(appending.rejectedCount() > 0, 'appends were given up')
    await checkLog(log, appending, reading)
    await reading.stop()
    report(t, appending)
  })
}

function report(t: TestContext, appending: ReturnType<typeof startAppending>): void {
  const count = appending.acknowledged.reduce((sum, { length }) => sum + length, 0)
  const gapMs = Math.round(appending.gapMsMax())
  t.diagnostic(`${count} appends, ${appending.rejectedCount()} rejected, longest gap ${gapMs} ms`)
}

if (hasKafka()) describe('brokers of Kafka that fail', describeBrokers)
else it('goes on when brokers of Kafka fail', (t) => t.skip(kafkaIsMissing))
