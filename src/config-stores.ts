/** The options of log, state and side store, on this machine or elsewhere. */

import type { OptionTable, OptionValues } from './lib/option.ts'
import type { ConfigFault } from './lib/parse-config.ts'

export const storeTable = {
  'log.kind': {
    kind: 'string',
    choices: ['sqlite', 'kafka', 'kinesis'],
    default: 'sqlite',
    says: 'Where the log is: in the data folder, in Kafka, or in Kinesis.',
  },
  'log.partitionCount': {
    kind: 'integer',
    default: 64,
    min: 1,
    max: 1_024,
    says: 'Partitions of log and state. Fixed for ever when the data folder is made.',
  },
  'log.queueBytesHigh': {
    kind: 'integer',
    default: 67_108_864,
    min: 1_048_576,
    max: 4_294_967_296,
    unit: 'bytes',
    says: 'Bytes that may wait for the log. At three quarters of it intake pauses and answers 429.',
  },
  'kafka.brokers': {
    kind: 'string',
    says: 'Some of the brokers, `host:port`, separated by commas.',
  },
  'kafka.topicPrefix': {
    kind: 'string',
    default: 'attune',
    says: 'Begins the names of the two topics, `<prefix>.events` and `<prefix>.rejected`.',
  },
  'kafka.groupId': {
    kind: 'string',
    default: 'attune',
    says: 'Consumer group that shares the partitions out among the workers.',
  },
  'kafka.replicationFactor': {
    kind: 'integer',
    default: 3,
    min: 1,
    max: 16,
    says: 'Copies of each record; used where `attune init` makes or checks the topics.',
  },
  'kafka.minInSyncReplicas': {
    kind: 'integer',
    default: 2,
    min: 1,
    max: 16,
    says: 'Copies that must be there before a record is acknowledged; used by `attune init`.',
  },
  'kafka.isTls': { kind: 'boolean', default: false, says: 'Whether connections are encrypted.' },
  'kafka.caFile': {
    kind: 'path',
    says: "PEM file of the authority behind the brokers' certificates, unless it is a public one.",
  },
  'kafka.certFile': {
    kind: 'path',
    says: 'PEM file of the certificate that this process shows, where brokers ask for one.',
  },
  'kafka.keyFile': { kind: 'path', says: 'PEM file of the key of that certificate.' },
  'kafka.saslMechanism': {
    kind: 'string',
    choices: ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'],
    says: 'How this process proves who it is; needs user name and password.',
  },
  'kafka.saslUsername': { kind: 'string', says: 'User name at the brokers.' },
  'kafka.saslPassword': { kind: 'string', isSecret: true, says: 'Password at the brokers.' },
  'kinesis.region': { kind: 'string', says: 'AWS region of the streams and of their table.' },
  'kinesis.endpoint': {
    kind: 'url',
    schemes: ['https', 'http'],
    says: "Address of Kinesis, where it is not the region's own.",
  },
  'kinesis.tableEndpoint': {
    kind: 'url',
    schemes: ['https', 'http'],
    says: "Address of DynamoDB for the table of the streams, where it is not the region's own.",
  },
  'kinesis.streamPrefix': {
    kind: 'string',
    default: 'attune',
    says: 'Begins the names of the two streams, `<prefix>-events` and `<prefix>-rejected`.',
  },
  'kinesis.table': {
    kind: 'string',
    default: 'attune-kinesis',
    says: 'Table in DynamoDB of the leases of shards and of the places in them.',
  },
  'kinesis.shardCount': {
    kind: 'integer',
    default: 4,
    min: 1,
    max: 1_024,
    says: 'Shards of each stream, a divisor of the partitions; used by `attune init`.',
  },
  'kinesis.pollMs': {
    kind: 'durationMs',
    default: 250,
    min: 5,
    max: 10_000,
    says: 'Between two looks at a shard, which answers five in a second to all processes together.',
  },
  'state.kind': {
    kind: 'string',
    choices: ['sqlite', 'redis', 'dynamodb', 'dynamodb-redis'],
    default: 'sqlite',
    says: 'Where state and side store are; the last is DynamoDB with Redis as its hot copy.',
  },
  'state.lookMs': {
    kind: 'durationMs',
    min: 10,
    max: 60_000,
    says: "How often others' folds are looked at; else 100 with Redis, 1000, or 2000 with Kinesis.",
  },
  'redis.urls': {
    kind: 'string',
    isSecret: true,
    says: 'The server, or nodes of a cluster: `rediss://user:password@host:6379`, with commas.',
  },
  'redis.caFile': {
    kind: 'path',
    says: "PEM file of the authority behind the servers' certificates, unless it is a public one.",
  },
  'redis.isCluster': {
    kind: 'boolean',
    default: false,
    says: 'Whether the servers are nodes of one Redis Cluster.',
  },
  'redis.keyPrefix': { kind: 'string', default: 'attune', says: 'Begins all keys.' },
  'redis.replicaCountMin': {
    kind: 'integer',
    default: 0,
    min: 0,
    max: 16,
    says: 'Replicas that must have a commit before it counts; a failover then loses fewer.',
  },
  'dynamodb.region': { kind: 'string', says: 'AWS region of the tables.' },
  'dynamodb.endpoint': {
    kind: 'url',
    schemes: ['https', 'http'],
    says: "Address of DynamoDB, where it is not the region's own.",
  },
  'dynamodb.table': { kind: 'string', default: 'attune-state', says: 'Table of the state.' },
  'dynamodb.blobTable': {
    kind: 'string',
    default: 'attune-blob',
    says: 'Table of the side store.',
  },
} as const satisfies OptionTable

type StoreValues = OptionValues<typeof storeTable> & { readonly 'server.role': string }

/** Tells which options a kind of store needs, and which kinds and roles go together. */
export function findStoreFaults(values: StoreValues): readonly ConfigFault[] {
  const faults: ConfigFault[] = []
  const logKind = values['log.kind']
  const stateKind = values['state.kind']
  const need = (name: keyof StoreValues, because: string): void => {
    if (values[name] === undefined) {
      faults.push({ name, value: 'nothing', says: `must be given, since ${because}` })
    }
  }
  if (logKind === 'kafka') need('kafka.brokers', 'log.kind is kafka')
  if (logKind === 'kinesis') {
    need('kinesis.region', 'log.kind is kinesis')
    const [shardCount, partitionCount] = [
      values['kinesis.shardCount'],
      values['log.partitionCount'],
    ]
    if (partitionCount % shardCount !== 0) {
      const says = `must divide log.partitionCount (${partitionCount}) evenly`
      faults.push({ name: 'kinesis.shardCount', value: `${shardCount}`, says })
    }
  }
  if (values['kafka.saslMechanism'] !== undefined) {
    need('kafka.saslUsername', 'kafka.saslMechanism is given')
    need('kafka.saslPassword', 'kafka.saslMechanism is given')
  }
  if (values['kafka.certFile'] !== undefined) need('kafka.keyFile', 'kafka.certFile is given')
  if (values['kafka.keyFile'] !== undefined) need('kafka.certFile', 'kafka.keyFile is given')
  for (const name of ['kafka.caFile', 'kafka.certFile'] as const) {
    if (values[name] === undefined || values['kafka.isTls']) continue
    faults.push({
      name: 'kafka.isTls',
      value: 'false',
      says: `must be true, since ${name} is given`,
    })
  }
  if (stateKind.includes('redis')) need('redis.urls', `state.kind is ${stateKind}`)
  if (stateKind.includes('dynamodb')) need('dynamodb.region', `state.kind is ${stateKind}`)
  const isLocal = logKind === 'sqlite' || stateKind === 'sqlite'
  if ((logKind === 'sqlite') !== (stateKind === 'sqlite')) {
    const says = `cannot go with log.kind ${logKind}: both on this machine, or both elsewhere`
    faults.push({ name: 'state.kind', value: stateKind, says })
  } else if (isLocal && values['server.role'] !== 'all') {
    const says = 'must be all where log and state are on this machine; see log.kind'
    faults.push({ name: 'server.role', value: values['server.role'], says })
  }
  return faults
}
