/**
 * The options of the server, and the only reader of the environment. How file, environment and
 * flags are joined is in `lib/parse-config.ts`; what a value may be is in `lib/option.ts`. The
 * reference pages are printed from `serverTable`.
 */

import { collectTable } from './collect/collect-options.ts'
import { parseAddressList } from './lib/address-list.ts'
import { parseFailpoint } from './lib/failpoint.ts'
import type { OptionTable, OptionValues } from './lib/option.ts'
import {
  type ConfigFault,
  type ConfigInput,
  type ParsedConfig,
  parseConfig,
} from './lib/parse-config.ts'

/** All options of the server. */
export const serverTable = {
  'server.host': {
    kind: 'string',
    default: '127.0.0.1',
    says: 'Address to listen on; 0.0.0.0 for all of this machine.',
  },
  'server.port': {
    kind: 'integer',
    default: 8_080,
    min: 0,
    max: 65_535,
    says: 'Port to listen on; 0 for any free one.',
  },
  'server.role': {
    kind: 'string',
    choices: ['all', 'collect', 'work', 'api'],
    default: 'all',
    says: 'What this process does: take events, fold and deliver, answer the API, or all of it.',
  },
  'server.dataDir': {
    kind: 'path',
    default: '.attune',
    says: 'Folder of secrets and API keys, and of log and state where they are on this machine.',
  },
  'server.publicUrl': {
    kind: 'url',
    schemes: ['https', 'http'],
    says: 'Where links in emails reach this server; https unless loopback. Needed to send.',
  },
  'server.trustedProxies': {
    kind: 'string',
    default: '127.0.0.0/8,::1',
    says: 'Addresses or ranges of proxies whose X-Forwarded-For is believed, with commas.',
  },
  'server.connectionCountMax': {
    kind: 'integer',
    default: 4_096,
    min: 16,
    max: 1_000_000,
    says: 'Connections at a time; one more is closed at once.',
  },
  'server.connectionsPerAddressMax': {
    kind: 'integer',
    default: 256,
    min: 1,
    max: 1_000_000,
    says: 'Connections at a time of one address that is no trusted proxy.',
  },
  'server.definitionsDir': {
    kind: 'path',
    says: 'Folder of definitions that is applied at start when it has changed.',
  },
  'server.stopMsMax': {
    kind: 'durationMs',
    default: 10_000,
    min: 0,
    max: 600_000,
    says: 'Longest time to finish the work in hand after a signal to stop.',
  },
  'delivery.from': {
    kind: 'address',
    says: 'Sender of all messages, unless a template names another. Needed to send.',
  },
  'delivery.smtpUrl': {
    kind: 'url',
    schemes: ['smtp', 'smtps'],
    isSecret: true,
    says: 'The SMTP relay: `smtps://user:password@host:465`, or without user and password.',
  },
  'delivery.connectionCountMax': {
    kind: 'integer',
    default: 8,
    min: 1,
    max: 256,
    says: 'Connections to the relay at a time.',
  },
  'delivery.ratePerSecondMax': {
    kind: 'integer',
    default: 1_000,
    min: 1,
    max: 100_000,
    unit: 'messages per second',
    says: 'Most hand-overs in a second.',
  },
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
    says: 'Bytes waiting for the disk at which intake answers 503.',
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
    says: 'Copies of each record; used where `attune init` makes the topics.',
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
  ...collectTable,
  'process.batchCountMax': {
    kind: 'integer',
    default: 1_000,
    min: 1,
    max: 100_000,
    says: 'Records in one commit of the fold.',
  },
  'process.batchMsMax': {
    kind: 'durationMs',
    default: 20,
    min: 1,
    max: 1_000,
    says: 'Longest time of one batch of the fold before it is committed.',
  },
  'process.handOverMsMax': {
    kind: 'durationMs',
    default: 1_000,
    min: 1,
    max: 60_000,
    says: 'How long a worker that takes a partition waits for its former owner to release it.',
  },
  'recommend.eventCountMax': {
    kind: 'integer',
    default: 5_000_000,
    min: 1_000,
    max: 100_000_000,
    says: 'Newest events that the recommendation index holds.',
  },
  'render.threadCount': {
    kind: 'integer',
    default: 1,
    min: 1,
    max: 64,
    says: 'Threads that render messages.',
  },
  'render.hardMs': {
    kind: 'durationMs',
    default: 2_000,
    min: 10,
    max: 60_000,
    says: 'Time after which a rendering thread is killed and replaced.',
  },
  logLevel: {
    kind: 'string',
    choices: ['debug', 'info', 'warn', 'error'],
    default: 'info',
    says: 'Least weight of the log lines that are written.',
  },
} as const satisfies OptionTable

export type ServerValues = OptionValues<typeof serverTable>

/**
 * Variables that are no options: where the configuration file is, the time limit of a test file,
 * and where a test wants the server killed (`lib/failpoint.ts`).
 */
const otherVariables = ['ATTUNE_CONFIG', 'ATTUNE_TEST_FILE_MS', 'ATTUNE_FAILPOINT'] as const

/** Reads the configuration of a server, relations between options included. */
export function parseServerConfig(
  input: Pick<ConfigInput<typeof serverTable>, 'file' | 'environment' | 'flags'>,
): ParsedConfig<typeof serverTable> {
  return parseConfig({ ...input, table: serverTable, otherVariables, relations: serverRelations })
}

function serverRelations(values: ServerValues): readonly ConfigFault[] {
  const faults: ConfigFault[] = []
  const publicUrl = values['server.publicUrl']
  if (publicUrl !== undefined && !isSafePublicUrl(new URL(publicUrl))) {
    const says = 'must be https, without path, query or password; http only for this machine'
    faults.push({ name: 'server.publicUrl', value: JSON.stringify(publicUrl), says })
  }
  const proxies = parseAddressList(values['server.trustedProxies'])
  if (proxies.kind === 'refused') {
    const value = JSON.stringify(values['server.trustedProxies'])
    faults.push({ name: 'server.trustedProxies', value, says: proxies.says })
  }
  const eventBytes = values['collect.eventBytesMax']
  if (eventBytes > values['collect.batchBytesMax']) {
    const says = `must be at most collect.batchBytesMax (${values['collect.batchBytesMax']})`
    faults.push({ name: 'collect.eventBytesMax', value: `${eventBytes}`, says })
  }
  return [...faults, ...findStoreFaults(values)]
}

/** Which options a kind of store needs, and which kinds go together. */
function findStoreFaults(values: ServerValues): readonly ConfigFault[] {
  const faults: ConfigFault[] = []
  const logKind = values['log.kind']
  const stateKind = values['state.kind']
  const need = (name: keyof ServerValues, because: string): void => {
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

/** Links in emails are `publicUrl` plus a path, so it must be an origin alone. */
function isSafePublicUrl(url: URL): boolean {
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') return false
  if (url.username !== '' || url.password !== '') return false
  return url.protocol === 'https:' || isLoopback(url.hostname)
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(host)
}

/** Returns the failpoint that a test armed; undefined in every other use. */
export function armedFailpoint(): string | undefined {
  const text = process.env['ATTUNE_FAILPOINT']
  if (text !== undefined) parseFailpoint(text)
  return text
}

/** Sets variables that are not set, for a library that reads them by itself. */
export function addToEnvironment(variables: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(variables)) process.env[name] ??= value
}

/** Returns the environment of this process. Only `main.ts` and commands ask. */
export function processEnvironment(): Readonly<Record<string, string | undefined>> {
  return process.env
}
