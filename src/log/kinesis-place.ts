/** Where a reader begins to count: a noted place, or the beginning of the stream. */

import type { CountPlace } from './kinesis-count.ts'
import { checkKept } from './kinesis-cursor.ts'
import { type KinesisLogDeps, skewMs } from './kinesis-options.ts'
import { lost } from './kinesis-shard-loop.ts'
import type { KinesisStream } from './kinesis-stream.ts'

/**
 * Returns the place nearest to an offset, at or before it. Throws LOG_OFFSET_LOST where records
 * behind it may be older than the stream keeps, or were trimmed.
 */
export async function loadPlace(
  deps: KinesisLogDeps,
  stream: KinesisStream,
  {
    partition,
    after,
    recent,
  }: {
    readonly partition: number
    readonly after: number
    /** At or before `after`, where one is remembered: nearer than what was noted. */
    readonly recent?: CountPlace | undefined
  },
): Promise<CountPlace> {
  const { table, map, createdAtMs, retentionMs } = stream
  const [trimmed, noted] = await Promise.all([
    table.loadTrimmed(partition),
    recent ?? table.loadPlace(partition, after),
  ])
  if (after < trimmed) throw lost(partition, after)
  const shardId = map.pathOf(partition)[0]?.id ?? ''
  const first = { shardId, sequence: '', offset: 0, asOfMs: createdAtMs }
  const place = noted ?? { ...first, writers: new Uint8Array(0) }
  checkKept(deps, retentionMs, partition, place)
  if (!map.has(place.shardId)) throw lost(partition, after)
  return place
}

/** Returns the least offset behind which everything can be read, as far as retention goes. */
export async function loadOldestOffset(
  { clock }: KinesisLogDeps,
  stream: KinesisStream,
  partition: number,
): Promise<number> {
  const { table, createdAtMs, retentionMs } = stream
  const sinceMs = clock.nowMs() - retentionMs + skewMs
  if (createdAtMs >= sinceMs) return 0
  const oldest = await table.loadOldestPlace(partition, sinceMs)
  return oldest?.offset ?? Number.MAX_SAFE_INTEGER
}
