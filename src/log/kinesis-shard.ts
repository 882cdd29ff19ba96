/**
 * Which shard holds a partition.
 *
 * The hash space of 128 bits is cut into equal slices, one for each partition, and each record is
 * put at the middle of its slice. So a partition lies whole in one shard at a time, and in a chain
 * of them over time: after a split or a merge its records go to a child, and a reader reads the
 * parent to its end first. A border within a slice would make a shard that never gets a record of
 * it, which nobody wants: such a stream is refused.
 */

import { assert } from '../lib/assert.ts'

export interface Shard {
  readonly id: string
  readonly parentIds: readonly string[]
  /** First and last hash of its range. */
  readonly start: bigint
  readonly end: bigint
  readonly firstSequence: string
  readonly isOpen: boolean
}

const space = 1n << 128n
/** Borders are rounded by whoever cuts: so much of a slice is no cut through it. */
const slackParts = 1024n

/** Returns where the slice of a partition begins; that of `partitionCount` is behind the last. */
export function sliceStart(partition: number, partitionCount: number): bigint {
  return (space * BigInt(partition)) / BigInt(partitionCount)
}

/** Returns the explicit hash key of a partition's records. */
export function hashKeyOf(partition: number, partitionCount: number): bigint {
  const start = sliceStart(partition, partitionCount)
  return (start + sliceStart(partition + 1, partitionCount)) / 2n
}

/** Orders sequence numbers, which are whole numbers in text; the empty one is before all. */
export function compareSequences(one: string, other: string): number {
  if (one.length !== other.length) return one.length - other.length
  return one < other ? -1 : one > other ? 1 : 0
}

export class ShardMap {
  readonly shards: readonly Shard[]
  readonly #paths: readonly (readonly Shard[])[]

  constructor(shards: readonly Shard[], partitionCount: number) {
    this.shards = shards
    const inOrder = [...shards].sort((one, other) =>
      compareSequences(one.firstSequence, other.firstSequence),
    )
    this.#paths = Array.from({ length: partitionCount }, (_, partition) => {
      const hash = hashKeyOf(partition, partitionCount)
      return inOrder.filter(({ start, end }) => start <= hash && hash <= end)
    })
  }

  /** Returns the shards that hold a partition, oldest first. */
  pathOf(partition: number): readonly Shard[] {
    return this.#paths[partition] ?? []
  }

  /** Returns the shard that takes a partition's records now, as far as is known. */
  newestOf(partition: number): Shard | undefined {
    return this.pathOf(partition).at(-1)
  }

  /** Returns the shard that goes on where `shardId` ended, if it is known. */
  after(partition: number, shardId: string): Shard | undefined {
    const path = this.pathOf(partition)
    const index = path.findIndex(({ id }) => id === shardId)
    return index < 0 ? undefined : path[index + 1]
  }

  has(shardId: string): boolean {
    return this.shards.some(({ id }) => id === shardId)
  }

  /** Returns the shards that take records now. */
  get open(): readonly Shard[] {
    return this.shards.filter(({ isOpen }) => isOpen)
  }

  /** Returns the partitions whose newest shard this is. */
  partitionsOf(shardId: string): readonly number[] {
    return this.#paths.flatMap((path, partition) =>
      path.at(-1)?.id === shardId ? [partition] : [],
    )
  }

  /** Tells whether a shard takes records now, as far as is known. */
  isOpen(shardId: string): boolean {
    return this.shards.some(({ id, isOpen }) => id === shardId && isOpen)
  }

  /**
   * Orders two places of one partition: whether the first is behind the second. A shard that is not
   * known yet is behind all that are.
   */
  isBehind(partition: number, one: ShardPlace, other: ShardPlace): boolean {
    if (one.shardId === other.shardId) return compareSequences(one.sequence, other.sequence) > 0
    const path = this.pathOf(partition)
    const indexOf = ({ shardId }: ShardPlace): number => {
      const index = path.findIndex(({ id }) => id === shardId)
      return index < 0 ? path.length : index
    }
    return indexOf(one) > indexOf(other)
  }
}

/** A place behind one record of a shard; an empty sequence is the shard's beginning. */
export interface ShardPlace {
  readonly shardId: string
  readonly sequence: string
}

/** Returns what is wrong with the open shards, in words; empty where each holds whole slices. */
export function findShardFaults(
  shards: readonly Shard[],
  partitionCount: number,
): readonly string[] {
  assert(partitionCount > 0, 'a log has partitions')
  const slack = space / BigInt(partitionCount) / slackParts
  const isBorder = (hash: bigint): boolean => {
    const slice = (hash * BigInt(partitionCount) + space / 2n) / space
    const border = (space * slice) / BigInt(partitionCount)
    const distance = hash > border ? hash - border : border - hash
    return distance <= slack
  }
  return shards.flatMap(({ id, start, end, isOpen }) => {
    if (!isOpen || (isBorder(start) && isBorder(end + 1n))) return []
    return [`shard ${id} begins or ends within one of ${partitionCount} partitions`]
  })
}
