/** What a log in Kinesis is opened with, and the limits that its parts share. */

import { assert } from '../lib/assert.ts'
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import { type Random, systemRandom } from '../lib/random.ts'
import type { KinesisSend } from './kinesis-send.ts'
import { recordBytesMax } from './record.ts'

/** What is needed to reach one stream and the table beside it. */
export interface KinesisStreamOptions {
  readonly region: string
  /** Where it is not the region's own. */
  readonly endpoint?: string
  /** Name of the stream. */
  readonly stream: string
  /** Table in DynamoDB of the leases and of the places of partitions in their shards. */
  readonly table: string
  readonly tableEndpoint?: string
  /** For one attempt of one request. */
  readonly requestMsMax?: number
  /** From the call to the rejection of `read`, `end` and `start`; for each answer of a scan. */
  readonly readMsMax?: number
}

export interface KinesisEventLogOptions extends KinesisStreamOptions {
  /** Whether `assign` shares the partitions out by leases; else it yields all. */
  readonly isWorker?: boolean
  /** Records that wait to be acknowledged; more are refused with LOG_OVERLOADED. */
  readonly queueBytesHigh?: number
  /** Records fetched ahead of their readers, over all partitions. */
  readonly bufferBytesHigh?: number
  /** From the call to the rejection of an append that cannot be acknowledged. */
  readonly appendMsMax?: number
  /** Between two looks at a shard, which answers five in a second to all readers together. */
  readonly pollMs?: number
  /** A worker whose leases do not move for so long has lost them. */
  readonly leaseMs?: number
  /** A worker renews its leases so often. */
  readonly renewMs?: number
  /** Records of a partition after which its place is noted. */
  readonly placeCount?: number
  /** The place of a quiet partition is noted so often. */
  readonly placeMs?: number
}

export interface KinesisLogDeps {
  readonly clock: Clock
  readonly logger: Logger
  readonly random?: Random
  /** Stands between us and the client; for tests of faults. */
  readonly wrapSend?: (send: KinesisSend) => KinesisSend
}

export const kinesisDefaults = {
  requestMsMax: 5_000,
  readMsMax: 15_000,
  isWorker: false,
  queueBytesHigh: 64 * 1024 * 1024,
  bufferBytesHigh: 32 * 1024 * 1024,
  appendMsMax: 20_000,
  pollMs: 250,
  leaseMs: 10_000,
  renewMs: 2_000,
  placeCount: 5_000,
  placeMs: 15 * 60_000,
} as const

export type KinesisSettings = KinesisEventLogOptions & {
  readonly [Name in keyof typeof kinesisDefaults]-?: NonNullable<KinesisEventLogOptions[Name]>
}

/** Data of one Kinesis record: the service takes 1 MiB with the partition key. */
export const frameBytesMax = 1_000_000
/** The service takes 5 MiB and 500 records in one request. */
export const requestBytesMax = 4_500_000
export const requestCountMax = 500
/** The service gives no more records in one answer. */
export const answerCountMax = 10_000
/** Nor more bytes; a stand-in may know no such bound, and a record may have a megabyte. */
export const answerBytesMax = 10_000_000
/** What a cursor asks for at first; twice as much after a full answer, as the bytes allow. */
export const answerCountFirst = answerBytesMax / frameBytesMax
/** The service's clock and ours may differ by so much. */
export const skewMs = 60_000

assert(recordBytesMax + 64 <= frameBytesMax, 'a frame takes any record')

export function randomOf(deps: KinesisLogDeps): Random {
  return deps.random ?? systemRandom
}
