/** What log, state and side store are opened with, as plain values that cross threads. */

import { readFileSync } from 'node:fs'
import type { ServerValues } from '../config.ts'
import { OperatingError } from '../lib/errors.ts'
import type { KafkaEventLogOptions } from '../log/kafka-options.ts'
import type { KinesisEventLogOptions } from '../log/kinesis-options.ts'
import type { LogStream } from '../log/sqlite-log-file.ts'
import type { DynamodbOptions } from '../state/dynamodb-client.ts'
import type { RedisStateStoreOptions } from '../state/redis-state-store.ts'

export type LogOptions =
  | { readonly kind: 'sqlite'; readonly dataDir: string }
  | { readonly kind: 'kafka'; readonly kafka: Omit<KafkaEventLogOptions, 'topic'>; prefix: string }
  | {
      readonly kind: 'kinesis'
      readonly kinesis: Omit<KinesisEventLogOptions, 'stream'>
      readonly prefix: string
    }

export type StateOptions =
  | { readonly kind: 'sqlite'; readonly dataDir: string }
  | { readonly kind: 'redis'; readonly redis: RedisStateStoreOptions }
  | { readonly kind: 'dynamodb'; readonly dynamodb: DynamodbOptions }
  | {
      readonly kind: 'dynamodb-redis'
      readonly dynamodb: DynamodbOptions
      readonly redis: RedisStateStoreOptions
    }

export interface StoreOptions {
  readonly log: LogOptions
  readonly state: StateOptions
}

/** Tells whether several processes can use the stores at the same time. */
export function isShared({ log }: StoreOptions): boolean {
  return log.kind !== 'sqlite'
}

/**
 * Each look reads all partitions' heads, which DynamoDB counts one by one, and all ends, for which
 * a shard of Kinesis answers five times in a second to all processes together.
 */
export function lookMsOf(values: ServerValues): number {
  const lookMs = values['state.lookMs']
  if (lookMs !== undefined) return lookMs
  if (values['log.kind'] === 'kinesis') return 2000
  return values['state.kind'] === 'redis' ? 100 : 1000
}

export function topicOf(prefix: string, stream: LogStream): string {
  return `${prefix}.${stream}`
}

export function streamOf(prefix: string, stream: LogStream): string {
  return `${prefix}-${stream}`
}

export function storeOptionsOf(values: ServerValues): StoreOptions {
  return { log: logOptionsOf(values), state: stateOptionsOf(values) }
}

function logOptionsOf(values: ServerValues): LogOptions {
  if (values['log.kind'] === 'sqlite') return { kind: 'sqlite', dataDir: values['server.dataDir'] }
  if (values['log.kind'] === 'kinesis') return kinesisOptionsOf(values)
  const mechanism = values['kafka.saslMechanism']
  return {
    kind: 'kafka',
    prefix: values['kafka.topicPrefix'],
    kafka: {
      brokers: listOf(values['kafka.brokers']),
      clientId: 'attune',
      groupId: values['kafka.groupId'],
      queueBytesHigh: values['log.queueBytesHigh'],
      ...(values['kafka.isTls']
        ? {
            tls: {
              ...pemOf('ca', values['kafka.caFile']),
              ...pemOf('cert', values['kafka.certFile']),
              ...pemOf('key', values['kafka.keyFile']),
            },
          }
        : {}),
      ...(mechanism === undefined
        ? {}
        : {
            sasl: {
              mechanism,
              username: values['kafka.saslUsername'] ?? '',
              password: values['kafka.saslPassword'] ?? '',
            },
          }),
    },
  }
}

function kinesisOptionsOf(values: ServerValues): LogOptions {
  const endpoint = values['kinesis.endpoint']
  const tableEndpoint = values['kinesis.tableEndpoint']
  return {
    kind: 'kinesis',
    prefix: values['kinesis.streamPrefix'],
    kinesis: {
      region: values['kinesis.region'] ?? '',
      table: values['kinesis.table'],
      pollMs: values['kinesis.pollMs'],
      queueBytesHigh: values['log.queueBytesHigh'],
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(tableEndpoint === undefined ? {} : { tableEndpoint }),
    },
  }
}

function stateOptionsOf(values: ServerValues): StateOptions {
  const redis: RedisStateStoreOptions = {
    urls: listOf(values['redis.urls']),
    isCluster: values['redis.isCluster'],
    tls: pemOf('ca', values['redis.caFile']),
    keyPrefix: values['redis.keyPrefix'],
    replicaCountMin: values['redis.replicaCountMin'],
  }
  const endpoint = values['dynamodb.endpoint']
  const dynamodb: DynamodbOptions = {
    region: values['dynamodb.region'] ?? '',
    table: values['dynamodb.table'],
    blobTable: values['dynamodb.blobTable'],
    ...(endpoint === undefined ? {} : { endpoint }),
  }
  switch (values['state.kind']) {
    case 'sqlite':
      return { kind: 'sqlite', dataDir: values['server.dataDir'] }
    case 'redis':
      return { kind: 'redis', redis }
    case 'dynamodb':
      return { kind: 'dynamodb', dynamodb }
    case 'dynamodb-redis':
      return { kind: 'dynamodb-redis', dynamodb, redis }
  }
}

/** What a file of the settings holds, under the name that TLS has for it. */
function pemOf<Name extends 'ca' | 'cert' | 'key'>(
  name: Name,
  path: string | undefined,
): { readonly [key in Name]?: string } {
  if (path === undefined) return {}
  try {
    return { [name]: readFileSync(path, 'utf8') } as { readonly [key in Name]: string }
  } catch (error) {
    throw new OperatingError('CONFIG_INVALID', `read ${path}`, error)
  }
}

function listOf(text: string | undefined): readonly string[] {
  return (text ?? '')
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '')
}
