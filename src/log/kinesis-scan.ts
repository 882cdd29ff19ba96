/** Reads a few records of one partition, wherever they are, beside those who follow it. */

import { retrying } from './kinesis-client.ts'
import { type CountPlace, PartitionCount } from './kinesis-count.ts'
import { countAnswer, ShardCursor } from './kinesis-cursor.ts'
import type { KinesisLogDeps } from './kinesis-options.ts'
import { lost } from './kinesis-shard-loop.ts'
import type { KinesisStream } from './kinesis-stream.ts'
import { decodeRecord, type LogRecord } from './record.ts'

export interface ScanWish {
  readonly partition: number
  /** Where the count begins, at or before `after`. */
  readonly place: CountPlace
  readonly after: number
  readonly countMax: number
  /** How long each answer may take, with all that is tried for it. */
  readonly readMsMax?: number
}

/**
 * Counts on from a place; throws LOG_OFFSET_LOST where the log ends before `after`. What fails is
 * asked for again by itself: a scan of a long log does not begin anew.
 */
export async function scanPartition(
  deps: KinesisLogDeps,
  stream: KinesisStream,
  { partition, place, after, countMax, ...options }: ScanWish,
): Promise<readonly LogRecord[]> {
  const count = new PartitionCount(place)
  const found: LogRecord[] = []
  let cursor = new ShardCursor(deps, stream, count)
  for (;;) {
    stream.check()
    const attempted = `read partition ${partition} behind ${after}`
    const answer = await retrying(deps, options, attempted, () => cursor.ask())
    answer.pass()
    const records = answer.records.filter((each) => each.partition === partition)
    countAnswer(deps, stream.retentionMs, answer, {
      partition,
      count,
      records,
      take(offset, value) {
        if (offset > after && found.length < countMax) {
          found.push(decodeRecord(partition, offset, value))
        }
      },
    })
    if (found.length >= countMax) return found
    if (answer.isTip) {
      if (count.offset < after) throw lost(partition, after)
      return found
    }
    if (!answer.isEnd) continue
    const child = await nextShard(stream, partition, count.shardId)
    if (child === undefined) return found
    count.shardId = child
    count.sequence = ''
    cursor = new ShardCursor(deps, stream, count)
  }
}

async function nextShard(
  stream: KinesisStream,
  partition: number,
  shardId: string,
): Promise<string | undefined> {
  const known = stream.map.after(partition, shardId)
  if (known !== undefined) return known.id
  await stream.refresh()
  return stream.map.after(partition, shardId)?.id
}
