/**
 * Log and state elsewhere for a demo run: the services that the configuration names, or real ones
 * that are started for the run and end with it. Names begin with the run's own prefix, so that no
 * other data is touched.
 */

import { addToEnvironment } from '../config.ts'
import { OperatingError } from '../lib/errors.ts'
import type { Random } from '../lib/random.ts'
import { readServerConfig } from './read-config.ts'

export interface DemoStores {
  /** Settings, by the names of the options. */
  readonly flags: Readonly<Record<string, string>>
  close(): Promise<void>
}

/** The stand-in does not count how often it is asked. */
const standInPollMs = '100'

interface StartedService {
  readonly addresses: readonly string[]
  stop(): Promise<void>
}

/** Starts what is missing. Rejects where its files are not on this machine. */
export async function openDemoStores(
  random: Random,
  kinds: { readonly log: string; readonly state: string },
): Promise<DemoStores> {
  const started: StartedService[] = []
  const start = async (service: Promise<StartedService>): Promise<string> => {
    const one = await service
    started.push(one)
    return one.addresses.join(',')
  }
  const close = async (): Promise<void> => {
    for (const service of started.toReversed()) await service.stop()
  }
  try {
    const given = await readServerConfig(undefined, {})
    const runId = `attune-demo-${Buffer.from(random.bytes(4)).toString('hex')}`
    const flags: Record<string, string> = { 'log.kind': kinds.log, 'state.kind': kinds.state }
    if (kinds.log === 'kafka') {
      flags['kafka.topicPrefix'] = runId
      flags['kafka.groupId'] = runId
      if (given['kafka.brokers'] === undefined) {
        flags['kafka.brokers'] = await start(startKafkaService())
        flags['kafka.replicationFactor'] = '1'
        flags['kafka.minInSyncReplicas'] = '1'
      }
    }
    if (kinds.state.includes('redis')) {
      flags['redis.keyPrefix'] = runId
      if (given['redis.urls'] === undefined) {
        flags['redis.urls'] = `redis://${await start(startRedisService())}`
      }
    }
    // One server keeps the state's tables and that of the streams.
    let dynamodb: string | undefined
    const dynamodbEndpoint = async (): Promise<string> =>
      (dynamodb ??= `http://${await start(startDynamodbService())}`)
    if (kinds.log === 'kinesis') {
      flags['kinesis.streamPrefix'] = runId
      flags['kinesis.table'] = `${runId}-kinesis`
      flags['kinesis.region'] = given['kinesis.region'] ?? 'local'
      if (given['kinesis.region'] === undefined) {
        flags['kinesis.endpoint'] = `http://${await start(startKinesisService())}`
        flags['kinesis.tableEndpoint'] = await dynamodbEndpoint()
        flags['kinesis.pollMs'] = standInPollMs
      }
    }
    if (kinds.state.includes('dynamodb')) {
      flags['dynamodb.table'] = `${runId}-state`
      flags['dynamodb.blobTable'] = `${runId}-blob`
      flags['dynamodb.region'] = given['dynamodb.region'] ?? 'local'
      if (given['dynamodb.region'] === undefined) {
        flags['dynamodb.endpoint'] = await dynamodbEndpoint()
      }
    }
    return { flags, close }
  } catch (error) {
    await close()
    throw error
  }
}

async function startKafkaService(): Promise<StartedService> {
  const { hasKafka, kafkaIsMissing, startKafka } = await import('../../scripts/service-kafka.ts')
  if (!hasKafka()) throw new OperatingError('STORE_UNREACHABLE', kafkaIsMissing)
  return await startKafka(undefined, { isLongLived: true })
}

async function startRedisService(): Promise<StartedService> {
  const { hasRedis, startRedis } = await import('../../scripts/service-redis.ts')
  if (!hasRedis()) throw new OperatingError('STORE_UNREACHABLE', 'start redis-server; install it')
  return await startRedis()
}

async function startDynamodbService(): Promise<StartedService> {
  const { dynamodbIsMissing, dynamodbEnvironment, hasDynamodb, startDynamodb } = await import(
    '../../scripts/service-dynamodb.ts'
  )
  if (!hasDynamodb()) throw new OperatingError('STORE_UNREACHABLE', dynamodbIsMissing)
  addToEnvironment(dynamodbEnvironment)
  return await startDynamodb({ isLongLived: true })
}

async function startKinesisService(): Promise<StartedService> {
  const { hasKinesis, kinesisEnvironment, kinesisIsMissing, startKinesis } = await import(
    '../../scripts/service-kinesis.ts'
  )
  if (!hasKinesis()) throw new OperatingError('STORE_UNREACHABLE', kinesisIsMissing)
  addToEnvironment(kinesisEnvironment)
  return await startKinesis()
}
