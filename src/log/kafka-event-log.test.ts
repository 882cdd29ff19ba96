import assert from 'node:assert/strict'
import { after, before, describe, it, type TestContext } from 'node:test'
import { Admin } from '@platformatic/kafka'
import type { Service } from '../../scripts/service.ts'
import { hasKafka, kafkaIsMissing, startKafka } from '../../scripts/service-kafka.ts'
import { systemClock } from '../lib/clock.ts'
import { silentLogger } from '../lib/logger.ts'
import { aRecord, describeEventLog } from './event-log.contract.ts'
import type { EventLog } from './event-log.ts'
import { encodeBatch } from './kafka-batch.ts'
import { KafkaCluster } from './kafka-cluster.ts'
import { type KafkaEventLog, openKafkaEventLog } from './kafka-event-log.ts'
import {
  type KafkaEventLogOptions,
  kafkaCompressions,
  kafkaSaslMechanisms,
} from './kafka-options.ts'
import { openProducer } from './kafka-producer.ts'
import { type ProducedPartition, sendProduce } from './kafka-request.ts'
import { checkKafkaTopic, initKafkaTopics, trimKafkaLog } from './kafka-topic.ts'

const deps = { clock: systemClock, logger: silentLogger }
const partitionCount = 4
let kafka: Service | undefined
let topicCount = 0

if (hasKafka()) {
  before(async () => {
    kafka = await startKafka()
  })
  after(() => kafka?.stop())
  describeEventLog(
    'kafka',
    async (t) => {
      const { log, options, again } = await openLog(t)
      return {
        log,
        again,
        trim: (partition, through) => trimKafkaLog(options, partition, through),
      }
    },
    'elsewhere',
  )
  describe('kafka log', describeKafka)
} else {
  it('keeps the promises of an event log in Kafka', (t) => t.skip(kafkaIsMissing))
}

interface OpenedLog {
  readonly log: KafkaEventLog
  readonly options: KafkaEventLogOptions
  again(other?: Partial<KafkaEventLogOptions>): Promise<KafkaEventLog>
}

function optionsFor(topic: string): KafkaEventLogOptions {
  return { brokers: kafka?.addresses ?? [], topic, clientId: 'attune-test' }
}

/** Opens a log in a topic of its own, which is empty. */
async function openLog(
  t: TestContext,
  given: Partial<KafkaEventLogOptions> = {},
): Promise<OpenedLog> {
  const options = { ...optionsFor(`log-${++topicCount}`), ...given }
  await initKafkaTopics({ ...options, topics: [options.topic] }, { partitionCount })
  const again = async (other: Partial<KafkaEventLogOptions> = {}): Promise<KafkaEventLog> => {
    const log = await openKafkaEventLog(deps, { ...options, ...other })
    t.after(() => log.close())
    return log
  }
  return { log: await again(), options, again }
}

async function withAdmin(act: (admin: Admin) => Promise<unknown>): Promise<void> {
  const admin = new Admin({ clientId: 'test', bootstrapBrokers: [...(kafka?.addresses ?? [])] })
  await act(admin).finally(() => admin.close())
}

async function keyIdsOf(log: EventLog, partition = 0): Promise<readonly number[]> {
  return (await log.read(partition, 0, 1000)).map(({ keyId }) => keyId)
}

function describeKafka(): void {
  it('names each setting of a topic that would lose records', async () => {
    const options = optionsFor('badly-set')
    const settings = { 'cleanup.policy': 'compact', 'max.message.bytes': '1000' }
    await withAdmin((admin) =>
      admin.createTopics({
        topics: ['badly-set'],
        partitions: partitionCount,
        replicas: 1,
        configs: Object.entries(settings).map(([name, value]) => ({ name, value })),
      }),
    )
    const refusal = await checkKafkaTopic(options).catch((error: unknown) => error)
    assert.match(
      String(refusal),
      /cleanup\.policy is compact.*retention\.ms is 604800000.*max\.message\.bytes is 1000/,
    )
    await assert.rejects(openKafkaEventLog(deps, options), { code: 'STORE_MISCONFIGURED' })
    const shape = { partitionCount }
    await assert.rejects(initKafkaTopics({ ...options, topics: ['badly-set'] }, shape), {
      code: 'STORE_MISCONFIGURED',
    })
  })

  it('refuses a topic that is not there', async () => {
    const options = { ...optionsFor('nowhere'), readMsMax: 300 }
    await assert.rejects(openKafkaEventLog(deps, options), { code: 'STORE_MISCONFIGURED' })
  })

  it('says that a cluster cannot be reached, in bounded time', async () => {
    const options = { ...optionsFor('log'), brokers: ['127.0.0.1:1'], readMsMax: 300 }
    await assert.rejects(openKafkaEventLog(deps, options), { code: 'STORE_UNREACHABLE' })
  })

  it('stops where the topic was made anew', async (t) => {
    const { log, options } = await openLog(t)
    await log.append([aRecord(), aRecord()])
    await log.read(0, 0, 10)
    const waiting = log.wait([0], [2], new AbortController().signal)
    await withAdmin((admin) => admin.deleteTopics({ topics: [options.topic] }))
    await initKafkaTopics({ ...options, topics: [options.topic] }, { partitionCount })
    await waiting
    await assert.rejects(log.read(0, 2, 10), { code: 'LOG_MISMATCH' })
    await assert.rejects(log.append([aRecord()]), { code: 'LOG_MISMATCH' })
    await assert.rejects(log.end(0), { code: 'LOG_MISMATCH' })
  })

  it('reads what every compression wrote', async (t) => {
    const { again } = await openLog(t)
    const body = new TextEncoder().encode('"Product Viewed",'.repeat(200))
    for (const [keyId, compression] of kafkaCompressions.entries()) {
      const log = await again({ compression })
      await log.append([aRecord({ keyId, body }), aRecord({ keyId, body })])
    }
    const reader = await again()
    const records = await reader.read(0, 0, 100)
    assert.deepEqual(
      records.map(({ keyId }) => keyId),
      kafkaCompressions.flatMap((_, keyId) => [keyId, keyId]),
    )
    assert.ok(records.every((record) => Buffer.from(record.body).equals(body)))
  })

  it('refuses at once what is more than may wait, and takes it again afterwards', async (t) => {
    const { log } = await openLog(t, { queueBytesHigh: 100_000 })
    const body = new Uint8Array(30_000)
    const calls = [1, 2, 3, 4].map((keyId) => log.append([aRecord({ keyId, body })]))
    await assert.rejects(calls[3] as Promise<unknown>, { code: 'LOG_OVERLOADED', retryable: true })
    assert.ok(log.queueBytes() > 90_000)
    await Promise.all(calls.slice(0, 3))
    assert.equal(log.queueBytes(), 0)
    await log.append([aRecord({ keyId: 5, body })])
    assert.deepEqual(await keyIdsOf(log), [1, 2, 3, 5])
  })

  it('splits what is more than one batch, in order', async (t) => {
    const { log } = await openLog(t)
    const body = new Uint8Array(300_000)
    const records = Array.from({ length: 12 }, (_, keyId) => aRecord({ keyId, body }))
    await log.append(records)
    const read: number[] = []
    for (let at = 0; read.length < 12; ) {
      const page = await log.read(0, at, 5)
      assert.ok(page.length > 0)
      read.push(...page.map(({ keyId }) => keyId))
      at = page.at(-1)?.offset ?? at
    }
    assert.deepEqual(
      read,
      records.map(({ keyId }) => keyId),
    )
  })

  it('answers "nothing new" from memory, and many ends with one request', async (t) => {
    const { log } = await openLog(t)
    await log.append([0, 1, 2, 3].map((partition) => aRecord({ partition })))
    for (const partition of [0, 1, 2, 3]) await log.read(partition, 0, 10)
    // Each request would cost this process more than 0.2 ms of work.
    const began = process.cpuUsage()
    for (let round = 0; round < 5000; round++) {
      assert.equal(log.hasMore(round % 4, 1), false)
      assert.equal((await log.read(round % 4, 1, 256)).length, 0)
    }
    assert.ok(process.cpuUsage(began).user < 1_000_000)
    const ends = await Promise.all([0, 1, 2, 3].map((partition) => log.end(partition)))
    assert.deepEqual(ends, [1, 1, 1, 1])
  })

  it('lets two readers of one partition go on at places of their own', async (t) => {
    const { log } = await openLog(t)
    const expected = Array.from({ length: 200 }, (_, keyId) => keyId)
    await log.append(expected.map((keyId) => aRecord({ keyId, body: new Uint8Array(2000) })))
    const read: number[][] = [[], []]
    const places = [0, 0]
    for (let round = 0; round < 60; round++) {
      for (const reader of [0, 1]) {
        if (reader === 1 && round % 3 > 0) continue
        const page = await log.read(0, places[reader] ?? 0, 10)
        read[reader]?.push(...page.map(({ keyId }) => keyId))
        places[reader] = page.at(-1)?.offset ?? places[reader] ?? 0
      }
    }
    assert.deepEqual(read, [expected, expected])
  })

  it('lets a broker refuse what an older epoch of a producer left on its way', async (t) => {
    const { log, options } = await openLog(t)
    // From here on the broker leads the partition, whatever it had not heard of before.
    await log.append([aRecord()])
    const cluster = new KafkaCluster(systemClock, options)
    t.after(() => cluster.close())
    await cluster.refresh()
    const producerId = await openProducer(cluster)
    const errors: unknown[] = []
    for (const [epoch, sequence] of [
      [0, 0],
      [1, 0],
      [0, 1],
      [1, 1],
    ] as const) {
      const record = { key: 'user:ada', value: new Uint8Array(3), timestampMs: systemClock.nowMs() }
      const batch = encodeBatch([record], { producerId, epoch, sequence }, 'none')
      const batches = [{ partition: 0, batch }]
      const [answer] = await cluster.call<readonly ProducedPartition[]>(
        'append',
        cluster.leaderOf(0),
        (connection, callback) => sendProduce(connection, options.topic, batches, 1000, callback),
      )
      errors.push(answer?.error)
    }
    assert.deepEqual(errors, ['NONE', 'NONE', 'INVALID_PRODUCER_EPOCH', 'NONE'])
  })

  it('shares the partitions out, and takes them back when a member leaves', async (t) => {
    // As long as a member may take to join anew.
    const sessionMsMax = 10_000
    const { again } = await openLog(t, { groupId: `group-${topicCount}`, sessionMsMax })
    const members = await Promise.all([again(), again()])
    const owned: (readonly number[])[] = [[], []]
    const leaving = members.map(() => new AbortController())
    const running = members.map(async (log, index) => {
      for await (const partitions of log.assign(leaving[index]?.signal ?? AbortSignal.abort())) {
        owned[index] = partitions
      }
    })
    await until(() => owned.flat().length === 4 && owned.every((each) => each.length === 2))
    assert.deepEqual(
      owned.flat().toSorted((one, other) => one - other),
      [0, 1, 2, 3],
    )
    // One that only went away would be missed after its session.
    const leftAt = performance.now()
    leaving[0]?.abort()
    await until(() => owned[1]?.length === 4)
    const tookMs = performance.now() - leftAt
    assert.ok(tookMs < sessionMsMax, `taking over took ${Math.round(tookMs)} ms`)
    leaving[1]?.abort()
    await Promise.all(running)
  })

  it('tells the group how far its owners have folded, and who takes over goes on', async (t) => {
    const groupId = `progress-${topicCount}`
    const { log, options, again } = await openLog(t, { groupId, progressMs: 50 })
    const admin = new Admin({ clientId: 'test', bootstrapBrokers: [...options.brokers] })
    t.after(() => admin.close())
    const told = async (): Promise<ReadonlyMap<number, bigint>> => {
      const topics = [{ name: options.topic, partitionIndexes: [0, 1, 2, 3] }]
      const groups = await admin.listConsumerGroupOffsets({ groups: [{ groupId, topics }] })
      const answers = groups[0]?.topics.find(({ name }) => name === options.topic)?.partitions
      return new Map(answers?.map((one) => [one.partitionIndex, one.committedOffset]))
    }
    const tells = (partition: number, offset: bigint) =>
      until(async () => (await told()).get(partition) === offset)
    const own = async (of: EventLog, signal: AbortSignal): Promise<void> => {
      for await (const partitions of of.assign(signal)) ownedCount = partitions.length
    }
    let ownedCount = 0
    const first = new AbortController()
    const running = own(log, first.signal)
    await until(() => ownedCount === 4)
    log.noteFolded(2, 7)
    await tells(2, 7n)
    log.noteFolded(2, 9)
    log.noteFolded(0, 1)
    await tells(2, 9n)
    await tells(0, 1n)
    first.abort()
    await running
    const next = await again()
    ownedCount = 0
    const second = new AbortController()
    const goingOn = own(next, second.signal)
    await until(() => ownedCount === 4)
    next.noteFolded(2, 12)
    await tells(2, 12n)
    assert.equal((await told()).get(0), 1n, 'what the other told stays')
    second.abort()
    await goingOn
  })

  for (const mechanism of kafkaSaslMechanisms) {
    it(`signs in by ${mechanism}, and says that a wrong password must be mended`, async (t) => {
      const sasl = { mechanism, username: 'ada', password: 'right' }
      const own = await startKafka(t, { sasl })
      const options = { ...optionsFor('log'), brokers: own.addresses, sasl }
      await initKafkaTopics({ ...options, topics: ['log'] }, { partitionCount })
      const log = await openKafkaEventLog(deps, options)
      await log.append([aRecord()])
      await log.close()
      const wrong = { ...options, readMsMax: 500, sasl: { ...sasl, password: 'wrong' } }
      await assert.rejects(openKafkaEventLog(deps, wrong), { code: 'STORE_MISCONFIGURED' })
    })
  }
}

async function until(isSo: () => boolean | Promise<boolean>, msMax = 60_000): Promise<void> {
  const deadline = performance.now() + msMax
  while (!(await isSo())) {
    assert.ok(performance.now() < deadline, `not so after ${msMax} ms`)
    await systemClock.sleep(20)
  }
}
