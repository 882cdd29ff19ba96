/**
 * The topic of a log: making it, checking how it is set, trimming it.
 *
 * Kafka deletes old records unless it is told not to, and calls that a default; a log that is the
 * truth must not run on such a topic. So what keeps records for ever, what keeps those that were
 * acknowledged when brokers fail, and what lets our largest batch in, is checked whenever a log is
 * opened, and each wrong setting is named. Whether a topic has the shape of the configuration is
 * checked where one is to be made.
 */

import { Admin, ConfigResourceTypes } from '@platformatic/kafka'
import { type Clock, systemClock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import { toOperatingError } from './kafka-error.ts'
import { connectionOptionsOf, type KafkaClusterOptions, messageBytesMax } from './kafka-options.ts'

export interface KafkaTopicShape {
  readonly partitionCount: number
  /** As the cluster is set, unless said. */
  readonly replicationFactor?: number
  /** Copies that an acknowledged append is on; as the cluster is set, unless said. */
  readonly minInSyncReplicas?: number
}

type Settings = ReadonlyMap<string, string>

const forever = '-1'
const longMax = '9223372036854775807'
const topicSettings: Readonly<Record<string, string>> = {
  'cleanup.policy': 'delete',
  'retention.ms': forever,
  'retention.bytes': forever,
  'message.timestamp.type': 'CreateTime',
  'message.timestamp.before.max.ms': longMax,
  'message.timestamp.after.max.ms': longMax,
  'compression.type': 'producer',
  // A copy that has missed records would lead, and Kafka would throw them away on the others.
  'unclean.leader.election.enable': 'false',
}
const messageBytesDefault = 1_048_588
const knownMsMax = 15_000
const knownLookMs = 100

/**
 * Makes the topic of each of these logs, unless it is there; then its settings must fit, and it
 * must have the shape that is asked for.
 */
export async function initKafkaTopics(
  options: Omit<KafkaClusterOptions, 'topic'> & { readonly topics: readonly string[] },
  shape: KafkaTopicShape,
  clock: Clock = systemClock,
): Promise<void> {
  const { minInSyncReplicas } = shape
  const settings = {
    ...topicSettings,
    'max.message.bytes': String(Math.max(messageBytesMax, messageBytesDefault)),
    ...(minInSyncReplicas === undefined
      ? {}
      : { 'min.insync.replicas': String(minInSyncReplicas) }),
  }
  for (const topic of options.topics) {
    await withAdmin({ ...options, topic }, `make topic ${topic}`, async (admin) => {
      if ((await admin.listTopics()).includes(topic)) return
      await admin.createTopics({
        topics: [topic],
        partitions: shape.partitionCount,
        replicas: shape.replicationFactor ?? -1,
        configs: Object.entries(settings).map(([name, value]) => ({ name, value })),
      })
      await untilKnown(admin, { topic, partitionCount: shape.partitionCount }, clock)
    })
    await checkKafkaTopic({ ...options, topic }, shape)
  }
}

/** A broker that answers may not have heard yet of what the controller made. */
async function untilKnown(
  admin: Admin,
  { topic, partitionCount }: { readonly topic: string; readonly partitionCount: number },
  clock: Clock,
): Promise<void> {
  const deadlineMs = clock.monotonicMs() + knownMsMax
  for (;;) {
    const isLate = clock.monotonicMs() > deadlineMs
    const metadata = await admin
      .metadata({ topics: [topic], forceUpdate: true })
      .catch((error: unknown) => {
        if (isLate) throw error
        return undefined
      })
    const known = metadata?.topics.get(topic)?.partitions ?? []
    if (known.length === partitionCount && known.every(({ leader }) => leader >= 0)) return
    if (isLate) throw new OperatingError('STORE_UNREACHABLE', `wait for topic ${topic} to be there`)
    await clock.sleep(knownLookMs)
  }
}

/**
 * Rejects with all settings of a topic that a log must not run with, and with all in which it
 * differs from the shape, where one is given.
 */
export async function checkKafkaTopic(
  options: KafkaClusterOptions,
  shape?: KafkaTopicShape,
): Promise<void> {
  const { topic } = options
  const attempted = `look at topic ${topic}`
  await withAdmin(options, attempted, async (admin) => {
    const metadata = await admin.metadata({ topics: [topic], forceUpdate: true })
    const partitions = metadata.topics.get(topic)?.partitions ?? []
    // Copies are added to each partition by itself: the one that has the fewest counts.
    const copyCount = Math.min(...partitions.map(({ replicas }) => replicas.length))
    const [described] = await admin.describeConfigs({
      resources: [{ resourceType: ConfigResourceTypes.TOPIC, resourceName: topic }],
    })
    const settings: Settings = new Map(
      (described?.configs ?? []).map(({ name, value }) => [name, value ?? '']),
    )
    const faults = [
      ...faultsOf(settings, copyCount),
      ...(shape === undefined ? [] : differencesOf(shape, partitions.length, copyCount)),
    ]
    if (faults.length > 0) {
      throw new OperatingError('STORE_MISCONFIGURED', `use topic ${topic}: ${faults.join('; ')}`)
    }
  })
}

/** Loses the records of a partition up to and with `through`. */
export async function trimKafkaLog(
  options: KafkaClusterOptions,
  partition: number,
  through: number,
): Promise<void> {
  const attempted = `trim partition ${partition} of topic ${options.topic}`
  await withAdmin(options, attempted, async (admin) => {
    const partitions = [{ partition, offset: BigInt(through) }]
    await admin.deleteRecords({ topics: [{ name: options.topic, partitions }] })
  })
}

function faultsOf(settings: Settings, copyCount: number): readonly string[] {
  const faults = ['cleanup.policy', 'retention.ms', 'retention.bytes', 'message.timestamp.type']
    .filter((name) => settings.get(name) !== topicSettings[name])
    .map((name) => `${name} is ${settings.get(name) ?? 'unset'}, not ${topicSettings[name]}`)
  // What speaks Kafka's protocol without having this setting does not say it.
  const isUnclean = settings.get('unclean.leader.election.enable') === 'true'
  if (isUnclean) faults.push('unclean.leader.election.enable is true, not false')
  const bytesMax = Number(settings.get('max.message.bytes'))
  if (!(bytesMax >= messageBytesMax)) {
    faults.push(`max.message.bytes is ${bytesMax}, under ${messageBytesMax}`)
  }
  // One copy of three would be lost with its disk; three of three stop when one broker is away.
  const inSyncMin = Number(settings.get('min.insync.replicas'))
  const [low, high] = copyCount === 1 ? [1, 1] : [2, copyCount - (copyCount > 2 ? 1 : 0)]
  if (!(inSyncMin >= low && inSyncMin <= high)) {
    const wanted = low === high ? `${low}` : `${low} to ${high}`
    faults.push(`min.insync.replicas is ${inSyncMin}, not ${wanted} of ${copyCount} copies`)
  }
  return faults
}

function differencesOf(
  { partitionCount, replicationFactor = -1 }: KafkaTopicShape,
  foundCount: number,
  copyCount: number,
): readonly string[] {
  const differences: string[] = []
  if (foundCount !== partitionCount) {
    differences.push(`it has ${foundCount} partitions, not ${partitionCount} (log.partitionCount)`)
  }
  if (replicationFactor !== -1 && copyCount !== replicationFactor) {
    const wanted = `${replicationFactor} (kafka.replicationFactor)`
    differences.push(`it has ${copyCount} copies of a record, not ${wanted}`)
  }
  return differences
}

async function withAdmin(
  options: KafkaClusterOptions,
  attempted: string,
  act: (admin: Admin) => Promise<void>,
): Promise<void> {
  const admin = new Admin({
    ...connectionOptionsOf(options),
    clientId: options.clientId,
    bootstrapBrokers: [...options.brokers],
    retries: 5,
    retryDelay: 200,
  })
  try {
    await act(admin)
  } catch (error) {
    throw toOperatingError(error, attempted)
  } finally {
    await admin.close()
  }
}
