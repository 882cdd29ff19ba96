/** What a log in Kafka is opened with, and the limits that its parts share. */

import { isIP } from 'node:net'
import type { ConnectionOptions as TlsOptions } from 'node:tls'
import type { ConnectionOptions } from '@platformatic/kafka'
import { assert } from '../lib/assert.ts'
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import { recordBytesMax } from './record.ts'

export const kafkaCompressions = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const
export type KafkaCompression = (typeof kafkaCompressions)[number]

export const kafkaSaslMechanisms = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const
export type KafkaSaslMechanism = (typeof kafkaSaslMechanisms)[number]

export interface KafkaSasl {
  readonly mechanism: KafkaSaslMechanism
  readonly username: string
  readonly password: string
}

/** What is needed to reach a cluster. */
export interface KafkaClusterOptions {
  /** `host:port`; any of the cluster's will do, the others are learned. */
  readonly brokers: readonly string[]
  readonly topic: string
  readonly clientId: string
  readonly tls?: Pick<TlsOptions, 'ca' | 'cert' | 'key' | 'passphrase' | 'rejectUnauthorized'>
  readonly sasl?: KafkaSasl
  readonly connectMsMax?: number
  /** A broker that does not answer for so long is taken for gone. */
  readonly requestMsMax?: number
}

export interface KafkaEventLogOptions extends KafkaClusterOptions {
  /** Absent: never joins a group, and `assign` yields all partitions. */
  readonly groupId?: string
  /** Records that wait to be acknowledged; more are refused with LOG_OVERLOADED. */
  readonly queueBytesHigh?: number
  /** Records fetched ahead of their readers, over all partitions. */
  readonly bufferBytesHigh?: number
  readonly compression?: KafkaCompression
  /** From the call to the rejection of an append that cannot be acknowledged. */
  readonly appendMsMax?: number
  /** The same for `read`, `end` and `start`. */
  readonly readMsMax?: number
  /** A member of the group that is not heard of for so long loses its partitions. */
  readonly sessionMsMax?: number
  readonly heartbeatMs?: number
  /** Followed partitions that have more and deliver nothing for so long: connect anew. */
  readonly stallMsMax?: number
  /** How often the group is told how far its partitions are folded. */
  readonly progressMs?: number
}

export interface KafkaLogDeps {
  readonly clock: Clock
  readonly logger: Logger
}

export const kafkaDefaults = {
  connectMsMax: 3_000,
  requestMsMax: 5_000,
  queueBytesHigh: 64 * 1024 * 1024,
  bufferBytesHigh: 32 * 1024 * 1024,
  /** Batches are small where partitions are many, and zstd costs too much for each of them. */
  compression: 'lz4',
  appendMsMax: 20_000,
  readMsMax: 10_000,
  sessionMsMax: 6_000,
  heartbeatMs: 300,
  stallMsMax: 30_000,
  progressMs: 5_000,
} as const

/** Largest batch of one partition, before compression: one record of the greatest size fits. */
export const batchBytesMax = 1_000_000
/** What `max.message.bytes` must allow: the batch with its head. */
export const messageBytesMax = batchBytesMax + 1_000
/** Most that a record adds to its value: key, lengths, time. */
export const recordOverheadBytesMax = 65_535 + 64
assert(recordBytesMax + recordOverheadBytesMax <= batchBytesMax, 'a batch takes any record')

/** Returns the options of the client library's connections. */
export function connectionOptionsOf(options: KafkaClusterOptions): ConnectionOptions {
  const { sasl, tls } = options
  return {
    connectTimeout: options.connectMsMax ?? kafkaDefaults.connectMsMax,
    requestTimeout: options.requestMsMax ?? kafkaDefaults.requestMsMax,
    maxInflights: 64,
    // TLS names a server by its host name alone; an address is not one (RFC 6066, section 3).
    ...(tls === undefined ? {} : { tls, tlsServerName: !options.brokers.some(isAddress) }),
    ...(sasl === undefined ? {} : { sasl: { ...sasl } }),
  }
}

function isAddress(broker: string): boolean {
  return isIP(broker.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')) !== 0
}
