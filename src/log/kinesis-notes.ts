/**
 * Notes how far the partitions of a shard were counted, so that the next reader begins near there.
 *
 * All partitions of a shard are noted at the same place of it: whoever reads it again then begins
 * at one place for all. A note is true for ever, whoever makes it.
 */

import type { Clock } from '../lib/clock.ts'
import type { LeaseNotes } from './kinesis-lease.ts'
import type { KinesisReader } from './kinesis-reader.ts'
import type { KinesisStream } from './kinesis-stream.ts'

export interface NotesOptions {
  readonly placeCount: number
  readonly placeMs: number
}

/** Makes what notes the places that a reader has reached. */
export function createNotes(
  clock: Clock,
  given: { readonly stream: KinesisStream; readonly reader: KinesisReader },
  options: NotesOptions,
): LeaseNotes {
  const { stream, reader } = given
  const notedOffsets = new Map<number, number>()
  const notedMs = new Map<string, number>()
  const openedMs = clock.monotonicMs()
  return {
    async note(shardId, isAtOnce) {
      const places = reader.placesOf(stream.map.partitionsOf(shardId))
      const sinceMs = clock.monotonicMs() - (notedMs.get(shardId) ?? openedMs)
      const isMuch = [...places].some(
        ([partition, { offset }]) =>
          offset - (notedOffsets.get(partition) ?? 0) >= options.placeCount,
      )
      if (!isAtOnce && !isMuch && sinceMs < options.placeMs) return
      notedMs.set(shardId, clock.monotonicMs())
      const saves = [...places].map(async ([partition, place]) => {
        await stream.table.savePlace(partition, place, stream.retentionMs)
        notedOffsets.set(partition, place.offset)
      })
      await Promise.all(saves)
    },
  }
}
