/**
 * The offsets of a partition: its records counted in the order of its shards, from 1.
 *
 * Kinesis numbers records by 56 digits, and tells nobody how many there are. But the order of a
 * shard never changes, so whoever counts from the beginning, or from a place that was noted, counts
 * the same. Frames that were met before are passed over; what tells them is part of the count: the
 * newest frame number of each writer, for the writers met last.
 */

import { assert } from '../lib/assert.ts'
import { type Frame, writerBytes } from './kinesis-frame.ts'
import type { ShardPlace } from './kinesis-shard.ts'

/** Where the count of a partition stands: all that a reader needs to go on. */
export interface CountPlace extends ShardPlace {
  /** Offset of the last record counted. */
  readonly offset: number
  /** All that came up to this time of the service is counted. */
  readonly asOfMs: number
  readonly writers: Uint8Array
}

/** Late frames come within seconds; so many writers in that time are remembered. */
const writerCountMax = 128
const numberBytes = 6
const entryBytes = writerBytes + numberBytes

export class PartitionCount {
  shardId: string
  sequence: string
  offset: number
  asOfMs: number
  /** Newest frame number of each writer, the writer met last at the end. */
  readonly #writers: Map<string, number>

  constructor(place: CountPlace) {
    this.shardId = place.shardId
    this.sequence = place.sequence
    this.offset = place.offset
    this.asOfMs = place.asOfMs
    this.#writers = decodeWriters(place.writers)
  }

  /** Counts a frame; answers false where it was met before. */
  take({ writer, number, records }: Frame): boolean {
    const newest = this.#writers.get(writer) ?? 0
    if (number <= newest) return false
    this.#writers.delete(writer)
    this.#writers.set(writer, number)
    if (this.#writers.size > writerCountMax) {
      const [oldest = ''] = this.#writers.keys()
      this.#writers.delete(oldest)
    }
    this.offset += records.length
    return true
  }

  place(): CountPlace {
    const { shardId, sequence, offset, asOfMs } = this
    return { shardId, sequence, offset, asOfMs, writers: encodeWriters(this.#writers) }
  }
}

function encodeWriters(writers: ReadonlyMap<string, number>): Uint8Array {
  const bytes = Buffer.alloc(writers.size * entryBytes)
  let at = 0
  for (const [writer, number] of writers) {
    bytes.write(writer, at, 'hex')
    bytes.writeUIntBE(number, at + writerBytes, numberBytes)
    at += entryBytes
  }
  return bytes
}

function decodeWriters(source: Uint8Array): Map<string, number> {
  const bytes = Buffer.from(source)
  assert(bytes.length % entryBytes === 0, 'writers are whole')
  const writers = new Map<string, number>()
  for (let at = 0; at < bytes.length; at += entryBytes) {
    const writer = bytes.toString('hex', at, at + writerBytes)
    writers.set(writer, bytes.readUIntBE(at + writerBytes, numberBytes))
  }
  return writers
}
