/**
 * One stream as it is: its identity, its shards, its table. Shards are looked at again whenever
 * somebody meets one that is not known or has ended.
 *
 * A stream whose shards cut through a partition, or that was made anew under the same name, ends
 * the log: every call fails from then on, with the reason.
 */

import { OperatingError } from '../lib/errors.ts'
import { sha256Hex } from '../lib/hash.ts'
import type { LogIdentity } from './event-log.ts'
import { type KinesisClient, openKinesisClient } from './kinesis-client.ts'
import type { KinesisLogDeps, KinesisStreamOptions } from './kinesis-options.ts'
import { findShardFaults, type Shard, ShardMap } from './kinesis-shard.ts'
import { KinesisTable } from './kinesis-table.ts'

export interface StreamSummary {
  /** Tells a stream from another one that had its name. */
  readonly incarnation: string
  readonly createdAtMs: number
  readonly retentionMs: number
  readonly isActive: boolean
}

const hourMs = 3_600_000
const incarnationDigits = 32

export class KinesisStream {
  readonly name: string
  readonly client: KinesisClient
  readonly table: KinesisTable
  readonly identity: LogIdentity
  readonly createdAtMs: number
  retentionMs: number
  map: ShardMap
  /** Set when the log cannot go on, or was closed. */
  ended: OperatingError | undefined
  readonly #deps: KinesisLogDeps
  readonly #onEnded: (() => void)[] = []
  #refreshing: Promise<void> | undefined

  static async open(deps: KinesisLogDeps, options: KinesisStreamOptions): Promise<KinesisStream> {
    const client = await openKinesisClient(deps, options)
    try {
      const { stream: name } = options
      const summary = await describeStream(client, name)
      const table = new KinesisTable(client, options.table, summary.incarnation)
      const partitionCount = await table.loadPartitionCount()
      if (partitionCount === undefined) {
        const says = `use stream ${name}: table ${options.table} does not know it; run attune init`
        throw new OperatingError('STORE_MISCONFIGURED', says)
      }
      const shards = await listShards(client, name)
      checkShards(name, shards, partitionCount)
      return new KinesisStream(deps, { name, client, table, summary, partitionCount, shards })
    } catch (error) {
      client.close()
      throw error
    }
  }

  private constructor(
    deps: KinesisLogDeps,
    known: {
      readonly name: string
      readonly client: KinesisClient
      readonly table: KinesisTable
      readonly summary: StreamSummary
      readonly partitionCount: number
      readonly shards: readonly Shard[]
    },
  ) {
    const { summary, partitionCount } = known
    this.#deps = deps
    this.name = known.name
    this.client = known.client
    this.table = known.table
    this.createdAtMs = summary.createdAtMs
    this.retentionMs = summary.retentionMs
    this.identity = { incarnation: summary.incarnation, partitionCount }
    this.map = new ShardMap(known.shards, partitionCount)
  }

  /** Looks at the shards again; calls of the same moment share one look. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#look().finally(() => {
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  /** Calls `listener` when the log has ended. */
  whenEnded(listener: () => void): void {
    this.#onEnded.push(listener)
  }

  end(error: OperatingError): void {
    if (this.ended !== undefined) return
    this.ended = error
    for (const listener of this.#onEnded) listener()
  }

  check(): void {
    if (this.ended !== undefined) throw this.ended
  }

  close(): void {
    this.client.close()
  }

  async #look(): Promise<void> {
    this.check()
    const { incarnation, partitionCount } = this.identity
    try {
      const summary = await describeStream(this.client, this.name)
      if (summary.incarnation !== incarnation) {
        throw new OperatingError('LOG_MISMATCH', `use stream ${this.name}: it was made anew`)
      }
      this.retentionMs = summary.retentionMs
      const shards = await listShards(this.client, this.name)
      checkShards(this.name, shards, partitionCount)
      this.map = new ShardMap(shards, partitionCount)
    } catch (error) {
      if (error instanceof OperatingError && !error.retryable) {
        const { code, message, remedy } = error
        this.#deps.logger.error({ code, says: message, remedy }, 'log ended')
        this.end(error)
      }
      throw error
    }
  }
}

export async function describeStream(client: KinesisClient, name: string): Promise<StreamSummary> {
  const input = { StreamName: name }
  const answer = await client.call('DescribeStreamSummary', input, `look at stream ${name}`)
  const summary = answer.StreamDescriptionSummary
  const createdAtMs = summary?.StreamCreationTimestamp?.getTime() ?? 0
  const text = `${summary?.StreamARN ?? ''} ${createdAtMs}`
  return {
    incarnation: sha256Hex(text).slice(0, incarnationDigits),
    createdAtMs,
    retentionMs: (summary?.RetentionPeriodHours ?? 0) * hourMs,
    // One that is being resharded takes and gives records all the while.
    isActive: summary?.StreamStatus === 'ACTIVE' || summary?.StreamStatus === 'UPDATING',
  }
}

export async function listShards(client: KinesisClient, name: string): Promise<readonly Shard[]> {
  const shards: Shard[] = []
  let token: string | undefined
  do {
    const input = token === undefined ? { StreamName: name } : { NextToken: token }
    const answer = await client.call('ListShards', input, `list the shards of stream ${name}`)
    for (const shard of answer.Shards ?? []) {
      shards.push({
        id: shard.ShardId ?? '',
        parentIds: [shard.ParentShardId, shard.AdjacentParentShardId].filter(
          (id) => id !== undefined,
        ),
        start: BigInt(shard.HashKeyRange?.StartingHashKey ?? 0),
        end: BigInt(shard.HashKeyRange?.EndingHashKey ?? 0),
        firstSequence: shard.SequenceNumberRange?.StartingSequenceNumber ?? '',
        isOpen: shard.SequenceNumberRange?.EndingSequenceNumber === undefined,
      })
    }
    token = answer.NextToken
  } while (token !== undefined)
  return shards
}

/** Throws STORE_MISCONFIGURED where a shard does not hold whole partitions. */
export function checkShards(name: string, shards: readonly Shard[], partitionCount: number): void {
  const faults = findShardFaults(shards, partitionCount)
  if (faults.length === 0) return
  throw new OperatingError('STORE_MISCONFIGURED', `use stream ${name}: ${faults.join('; ')}`)
}
